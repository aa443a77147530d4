package io.github.flashlla.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every experiment's quick run by the launcher, training included. Not of the suite, for it takes minutes and fetches PyTorch:
 * {@code ./mvnw test -Dtest=QuickExperiments}.
 */
class QuickExperiments {
    private static final Path LAUNCHER = Path.of(System.getProperty("flashlla.root", "."), "bin", "flashlla");

    /** On {@code jvm}, and what neither trains nor is long on the reference, too: memory takes it most of an hour, for every length is dense in float64. */
    static List<Arguments> runs() {
        return Experiments.questions().keySet().stream().flatMap(name -> Stream.of("jvm", "reference")
                .filter(device -> device.equals("jvm") || !Experiments.trains(name) && !name.equals("memory")).map(device -> Arguments.of(name, device))).toList();
    }

    @ParameterizedTest
    @MethodSource("runs")
    @Timeout(value = 10, unit = TimeUnit.MINUTES)
    void holds(String name, String device) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(LAUNCHER.toString(), "experiment", name, "--quick", "--device", device).inheritIO().start();
        assertEquals(0, process.waitFor());
    }
}
