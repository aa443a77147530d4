package io.github.flashlla.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every experiment's quick run by the launcher, training included. Not of the suite, for it takes minutes and fetches PyTorch:
 * {@code ./mvnw test -Dtest=QuickExperiments}.
 */
class QuickExperiments {
    private static final Path LAUNCHER = Path.of(System.getProperty("flashlla.root", "."), "bin", "flashlla");

    static Set<String> names() {
        return Experiments.questions().keySet();
    }

    @ParameterizedTest
    @MethodSource("names")
    @Timeout(value = 10, unit = TimeUnit.MINUTES)
    void holds(String name) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(LAUNCHER.toString(), "experiment", name, "--quick").inheritIO().start();
        assertEquals(0, process.waitFor());
    }
}
