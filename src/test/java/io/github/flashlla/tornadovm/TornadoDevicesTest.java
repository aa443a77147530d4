package io.github.flashlla.tornadovm;

import static org.junit.jupiter.api.DynamicContainer.dynamicContainer;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.DeviceProvider.Absence;
import io.github.flashlla.DeviceProvider.Discovery;
import io.github.flashlla.process.CommandRelay;
import io.github.flashlla.process.JavaCommand;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * The tests of TornadoVM's devices, on every device that is here. Each device has a JVM of its own, started by the same code
 * and with the same flags as for a user, but for HotSpot's compilers; those of CPUs run beside each other, for their compilers take one core each.
 * A backend that is not here is a skipped test with its reason. One line sums it up.
 *
 * <p>{@code -Dflashlla.require=opencl,spirv} makes the absence of a backend a failure.
 */
public class TornadoDevicesTest {
    private static final String RUNNER = "io.github.flashlla.tornado.support.DeviceTestRunner";
    private static final int LIMIT_SECONDS = 900;

    private static final List<String> RAN = new ArrayList<>();
    private static final List<String> ABSENT = new ArrayList<>();

    @TempDir
    private Path folder;

    /**
     * One test's end.
     *
     * @param name class, method and parameters
     * @param status {@link #PASSED}, {@link #SKIPPED} or {@link #FAILED}
     * @param message why not passed
     */
    public record Outcome(String name, String status, String message) {
        public static final String PASSED = "passed";
        public static final String SKIPPED = "skipped";
        public static final String FAILED = "failed";
    }

    @TestFactory
    Stream<DynamicNode> everyDevice() {
        Discovery discovery = BackendSurvey.all();
        Map<String, List<Outcome>> outcomes = new ConcurrentHashMap<>();
        try (ExecutorService atOnce = Executors.newFixedThreadPool(Runtime.getRuntime().availableProcessors());
                ExecutorService inTurn = Executors.newSingleThreadExecutor()) {
            for (DeviceInfo device : discovery.devices()) {
                (device.type() == DeviceInfo.Type.CPU ? atOnce : inTurn).execute(() -> outcomes.put(device.name(), run(device)));
            }
        }
        return Stream.concat(
                discovery.devices().stream().map(device -> dynamicContainer(device.name(), tests(device.name(), outcomes.get(device.name())))),
                discovery.absences().stream().map(TornadoDevicesTest::absent));
    }

    @AfterAll
    static void summary() {
        System.out.println("TornadoVM devices tested: " + (RAN.isEmpty() ? "none" : String.join(", ", RAN))
                + "; absent: " + (ABSENT.isEmpty() ? "none" : String.join(", ", ABSENT)));
    }

    private static DynamicTest absent(Absence absence) {
        ABSENT.add(absence.backend() + " (" + absence.reason().split(";")[0] + ")");
        return dynamicTest(absence.backend(), () -> {
            boolean required = Arrays.asList(System.getProperty("flashlla.require", "").split(",")).contains(absence.backend());
            Assertions.assertFalse(required, "this run requires it: " + absence.reason());
            Assumptions.abort(absence.reason());
        });
    }

    private List<Outcome> run(DeviceInfo device) {
        List<Outcome> outcomes = new ArrayList<>();
        try {
            Path report = Files.createFile(folder.resolve(device.name().replace(':', '-')));
            String ending = inOwnJvm(device, report);
            for (String line : Files.readAllLines(report)) {
                outcomes.add(new ObjectMapper().readValue(line, Outcome.class));
            }
            if (!ending.isEmpty() || outcomes.isEmpty()) {
                String last = outcomes.isEmpty() ? "before its first test" : "after " + outcomes.getLast().name();
                outcomes.add(new Outcome("all tests ran", Outcome.FAILED, "the JVM of " + device.name() + " ended " + last + ": " + ending));
            }
        } catch (IOException | ClassNotFoundException | RuntimeException e) {
            outcomes.add(new Outcome("all tests ran", Outcome.FAILED, e.toString()));
        }
        return outcomes;
    }

    private static Stream<DynamicTest> tests(String device, List<Outcome> outcomes) {
        RAN.add(device + " (" + counts(outcomes) + ")");
        return outcomes.stream().map(outcome -> dynamicTest(outcome.name(), () -> {
            Assumptions.assumeFalse(outcome.status().equals(Outcome.SKIPPED), outcome.message());
            Assertions.assertEquals(Outcome.PASSED, outcome.status(), outcome.message());
        }));
    }

    /** How the JVM ended, empty where it ended well. */
    private static String inOwnJvm(DeviceInfo device, Path report) throws ClassNotFoundException {
        try {
            Class<?> runner = Class.forName(RUNNER, false, TornadoDevicesTest.class.getClassLoader());
            // small problems, most of whose time goes into compilers: HotSpot's second one would take a third more of it
            JavaCommand java = device.type() == DeviceInfo.Type.CPU ? DeviceJvm.of(device).with(List.of("-XX:TieredStopAtLevel=1")) : DeviceJvm.of(device);
            int code = CommandRelay.run(java, device.name(), runner,
                    List.of(device.name(), report.toString(), Integer.toString(LIMIT_SECONDS)));
            return code == 0 ? "" : code == 3 ? "not done within " + LIMIT_SECONDS + " s" : "exit status " + code;
        } catch (DeviceException e) {
            return e.getMessage();
        }
    }

    private static String counts(List<Outcome> outcomes) {
        return Stream.of(Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED)
                .map(status -> outcomes.stream().filter(outcome -> outcome.status().equals(status)).count() + " " + status)
                .filter(count -> !count.startsWith("0 ")).collect(Collectors.joining(", "));
    }
}
