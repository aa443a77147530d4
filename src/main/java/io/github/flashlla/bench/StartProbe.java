package io.github.flashlla.bench;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceException;
import io.github.flashlla.Devices;
import io.github.flashlla.io.ScratchFolder;
import io.github.flashlla.process.ChildJvm;
import io.github.flashlla.process.JavaCommand;
import io.github.flashlla.process.ParentWatch;
import io.github.flashlla.record.ColdStart.Phases;
import io.github.flashlla.record.ColdStart;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.RecordJson;
import io.github.flashlla.tornadovm.Backend;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;

/** Times the start of fresh processes: the parent's side, and the main class of the processes. */
final class StartProbe {

    /**
     * What the parent asks, as a file.
     *
     * @param device to open; null to survey all
     * @param started when the process was started, in nanoseconds since 1970
     * @param result file for the answer
     */
    record Order(String device, Task task, long started, String result) {}

    private StartProbe() {}

    /**
     * Starts a process with empty caches, and one with those that it left.
     *
     * @param java the JVM that opens the device
     * @throws DeviceException if a process fails, or takes longer than {@code limitSeconds}
     */
    static ColdStart measure(JavaCommand java, String device, Task task, double limitSeconds) {
        try (ScratchFolder caches = new ScratchFolder("cold")) {
            Phases empty = phases(java, device, task, caches.resolve("caches"), limitSeconds);
            return new ColdStart(empty, phases(java, device, task, caches.resolve("caches"), limitSeconds));
        } catch (IOException e) {
            throw new DeviceException("the cold start of " + device + " could not be measured: " + e.getMessage(), e);
        }
    }

    private static Phases phases(JavaCommand java, String device, Task task, Path caches, double limitSeconds) throws IOException {
        Long survey = Backend.of(device) == null ? null : process(JavaCommand.likeThis(), null, task, caches, limitSeconds).surveyNs();
        return process(java, device, task, caches, limitSeconds).withSurvey(survey);
    }

    private static Phases process(JavaCommand java, String device, Task task, Path caches, double limitSeconds) throws IOException {
        JavaCommand command = java.with("FLASHLLA_CACHE", caches.resolve("flashlla").toString()).with("POCL_CACHE_DIR", made(caches.resolve("pocl")))
                .with("CUDA_CACHE_PATH", made(caches.resolve("cuda")));
        try (ScratchFolder folder = new ScratchFolder("start")) {
            Path result = folder.resolve("result.json");
            Path order = folder.resolve("order.json");
            RecordJson.COMPACT.writeValue(order.toFile(), new Order(device, task, now(), result.toString()));
            try (ChildJvm child = ChildJvm.start(command, folder, StartProbe.class, List.of(order.toString()))) {
                if (!child.awaitEnd((long) (1000 * limitSeconds))) {
                    throw new DeviceException("a fresh process did not answer within " + Math.round(limitSeconds) + " s");
                }
                if (!Files.exists(result)) {
                    throw new DeviceException("a fresh process failed: " + child.lastWords());
                }
                return RecordJson.COMPACT.readValue(result.toFile(), Phases.class);
            }
        }
    }

    private static String made(Path folder) throws IOException {
        return Files.createDirectories(folder).toString();
    }

    /** The clock that two processes share. */
    private static long now() {
        return ChronoUnit.NANOS.between(Instant.EPOCH, Instant.now());
    }

    /** @param args the order's file */
    public static void main(String[] args) throws IOException {
        long began = now();
        Order order = RecordJson.COMPACT.readValue(Path.of(args[0]).toFile(), Order.class);
        ParentWatch.endWithParent();
        long jvm = Math.max(0, began - order.started());
        try {
            RecordJson.COMPACT.writeValue(Path.of(order.result()).toFile(), order.device() == null ? survey(jvm) : start(order, jvm));
        } catch (RuntimeException | LinkageError e) {
            System.err.println(e.getMessage() == null ? e.toString() : e.getMessage()); // the parent reads what its child said last
        }
        Runtime.getRuntime().halt(0); // a driver's exit handlers may hang, and everything is written
    }

    private static Phases survey(long jvm) {
        long began = System.nanoTime();
        Devices.list();
        return new Phases(jvm, System.nanoTime() - began, 0, 0, 0, null, 0);
    }

    private static Phases start(Order order, long jvm) {
        long began = System.nanoTime();
        Device device = Devices.open(order.device());
        long open = System.nanoTime() - began;
        WorkloadRunner runner = new WorkloadRunner(device, DeviceFacts.of(device.info(), null), Protocol.DEFAULT, _ -> { });
        WorkloadRunner.FirstRun first = runner.firstRun(order.task());
        WorkloadRunner.FirstRun second = runner.firstRun(shorter(order.task()));
        return new Phases(jvm, null, open, first.planNs(), first.wallNs(), first.compileNs(), second.planNs() + second.wallNs());
    }

    /** The same task with a quarter fewer queries and keys, or one more key where there is but one. */
    static Task shorter(Task task) {
        AttentionShape s = task.shape();
        int queries = Math.max(1, s.queryLength() - s.queryLength() / 4);
        int keys = s.keyLength() == 1 ? 2 : Math.min(s.keyLength() - 1, Math.max(queries, s.keyLength() - s.keyLength() / 4));
        return new Task(task.mode(), new AttentionShape(s.batch(), s.heads(), s.kvHeads(), Math.min(queries, keys), keys, s.headDim(), s.valueDim()),
                task.options(), task.dataType(), task.operator());
    }
}
