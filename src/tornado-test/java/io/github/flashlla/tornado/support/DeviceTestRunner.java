package io.github.flashlla.tornado.support;

import static org.junit.platform.engine.discovery.ClassNameFilter.includeClassNamePatterns;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectPackage;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flashlla.process.CommandRelay;
import io.github.flashlla.tornadovm.TornadoDevicesTest.Outcome;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Timer;
import java.util.TimerTask;
import java.util.stream.Collectors;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.TestPlan;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * Runs the test classes called {@code ...OnDevice} on one TornadoVM device, in a JVM that was started for it, and tells of
 * each as it ends, one line of JSON in a file. {@code TornadoDevicesTest} starts it.
 */
public final class DeviceTestRunner {
    /** System property: the device under test. */
    static final String DEVICE = "flashlla.test.device";

    /** System property: which test classes, as a regular expression. */
    static final String CLASSES = "flashlla.test.classes";

    private DeviceTestRunner() {}

    /** @param args device, file to write, seconds after which this JVM ends itself */
    public static void main(String[] args) throws IOException {
        CommandRelay.adopt();
        System.setProperty(DEVICE, args[0]);
        new Timer(true).schedule(new TimerTask() {
            @Override
            public void run() {
                Runtime.getRuntime().halt(3);
            }
        }, Long.parseLong(args[2]) * 1000);
        try (Writer out = Files.newBufferedWriter(Path.of(args[1]), StandardCharsets.UTF_8, StandardOpenOption.APPEND)) {
            LauncherFactory.create().execute(LauncherDiscoveryRequestBuilder.request()
                    .selectors(selectPackage("io.github.flashlla.tornado"))
                    .filters(includeClassNamePatterns(System.getProperty(CLASSES, ".*OnDevice")))
                    .configurationParameter("jqwik.database", "")
                    .build(), new Reporter(out));
        }
        Runtime.getRuntime().halt(0); // drivers' exit handlers may hang
    }

    private static final class Reporter implements TestExecutionListener {
        private final ObjectMapper json = new ObjectMapper();
        private final Writer out;
        private TestPlan plan;

        Reporter(Writer out) {
            this.out = out;
        }

        @Override
        public void testPlanExecutionStarted(TestPlan started) {
            plan = started;
        }

        @Override
        public void executionSkipped(TestIdentifier test, String reason) {
            write(new Outcome(name(test), Outcome.SKIPPED, reason));
        }

        @Override
        public void executionFinished(TestIdentifier test, TestExecutionResult result) {
            boolean passed = result.getStatus() == TestExecutionResult.Status.SUCCESSFUL;
            if (test.isContainer() && passed) {
                return;
            }
            String status = passed ? Outcome.PASSED
                    : result.getStatus() == TestExecutionResult.Status.ABORTED ? Outcome.SKIPPED : Outcome.FAILED;
            String message = result.getThrowable().map(e -> passed ? "" : trace(e)).orElse("");
            write(new Outcome(name(test), status, message));
        }

        private static String trace(Throwable e) {
            StringWriter trace = new StringWriter();
            e.printStackTrace(new PrintWriter(trace));
            return trace.toString();
        }

        private String name(TestIdentifier test) {
            Deque<String> names = new ArrayDeque<>();
            for (TestIdentifier at = test; at != null && at.getParentIdObject().isPresent(); at = plan.getParent(at).orElse(null)) {
                names.addFirst(at.getDisplayName().replace("()", ""));
            }
            return names.stream().collect(Collectors.joining(" "));
        }

        private void write(Outcome outcome) {
            try {
                out.write(json.writeValueAsString(outcome) + "\n");
                out.flush();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
