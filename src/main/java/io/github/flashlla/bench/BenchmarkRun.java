package io.github.flashlla.bench;

import io.github.flashlla.DataType;
import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.bench.host.EnvironmentProbe;
import io.github.flashlla.process.JavaCommand;
import io.github.flashlla.bench.host.HostConditions;
import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Conditions;
import io.github.flashlla.record.DeviceFacts.Ceilings;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.Environment;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Status;
import io.github.flashlla.tornadovm.DeviceJvm;
import java.io.IOException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * Measures a suite, with one Java process per device. A process that dies or hangs loses the task that it was running; the
 * tasks after it get a fresh process.
 */
public final class BenchmarkRun {
    /** Once a device has lost this many processes in a row, its remaining tasks are given up. */
    private static final int MAX_LOSSES = 3;

    /** Longest time for a process to start and open its device. */
    private static final double OPEN_SECONDS = 120;

    /** Exit status of a Java process that Ctrl-C ended. */
    private static final int INTERRUPTED = 130;

    private final Suite suite;
    private final List<DeviceInfo> devices;
    private final Function<DeviceInfo, JavaCommand> javaCommand;
    private final BenchmarkListener listener;

    private final String created = Instant.now().truncatedTo(ChronoUnit.SECONDS).toString();
    private final Environment environment = EnvironmentProbe.probe();
    private Conditions conditions;
    private final List<DeviceFacts> facts = new ArrayList<>();
    private final List<Measurement> measurements = new ArrayList<>();
    /** How a device solves a task with an error to keep to. */
    private final Map<Map.Entry<String, Task>, Task> found = new HashMap<>();
    /** Which process of each device runs now, from 0. */
    private int fork;
    private volatile boolean stopping;
    private volatile WorkerProcess current;

    public BenchmarkRun(Suite suite, List<DeviceInfo> devices, BenchmarkListener listener) {
        this(suite, devices, listener, DeviceJvm::of);
    }

    BenchmarkRun(Suite suite, List<DeviceInfo> devices, BenchmarkListener listener,
            Function<DeviceInfo, JavaCommand> javaCommand) {
        this.suite = suite;
        this.devices = devices;
        this.listener = listener;
        this.javaCommand = javaCommand;
    }

    /** Tells the record how the run was started, and what the machine does as it begins. */
    public BenchmarkRun under(Conditions begin) {
        conditions = begin;
        return this;
    }

    /** Measures everything and returns the record, which after {@link #stop()} is not complete. */
    public BenchmarkRecord run() {
        for (fork = 0; fork < suite.protocol().forks(); fork++) {
            for (DeviceInfo device : devices) {
                if (!stopping) {
                    measure(device);
                }
            }
        }
        if (suite.protocol().cold()) {
            coldStarts();
        }
        if (conditions != null) {
            conditions = conditions.ended(HostConditions.load());
        }
        return record(!stopping);
    }

    /** Of everything that ran, when no process of ours holds a device or a core. */
    private void coldStarts() {
        int starts = 0;
        for (DeviceInfo device : devices) {
            for (Task task : suite.tasks()) {
                starts++;
                Task settled = found.getOrDefault(Map.entry(device.name(), task), task);
                int at = IntStream.range(0, measurements.size()).filter(n -> isOf(measurements.get(n), device, settled)).findFirst().orElse(-1);
                if (at >= 0 && !stopping && measurements.get(at).coldStart() == null) {
                    listener.coldStart(device.name(), settled, starts, devices.size() * suite.tasks().size());
                    try {
                        measurements.set(at, measurements.get(at).withColdStart(StartProbe.measure(javaCommand.apply(device), device.name(), settled,
                                suite.protocol().timeLimitSeconds())));
                    } catch (DeviceException e) {
                        listener.note("no cold start of " + device.name() + ", " + settled.workload().label() + ": " + e.getMessage());
                    }
                }
            }
        }
    }

    private static boolean isOf(Measurement m, DeviceInfo device, Task task) {
        return m.status() == Status.OK && m.device().equals(device.name()) && m.workload().equals(task.workload()) && m.method().equals(task.method());
    }

    /** Ends the run from another thread: what is done is kept, what is running is not. */
    public void stop() {
        stopping = true;
        WorkerProcess worker = current;
        if (worker != null) {
            worker.kill();
        }
    }

    /** What is known so far, as a record that is not complete. */
    public BenchmarkRecord soFar() {
        return record(false);
    }

    private BenchmarkRecord record(boolean complete) {
        return new BenchmarkRecord(BenchmarkRecord.SCHEMA_VERSION, suite.name(), created, complete, environment, conditions,
                List.copyOf(facts), List.copyOf(measurements));
    }

    private void measure(DeviceInfo device) {
        List<Task> left = tasks(device.name());
        int losses = 0;
        while (!left.isEmpty() && !stopping) {
            Visit visit = new Visit(device, left);
            visit.run();
            if (stopping) {
                return;
            }
            left = left.subList(visit.finished, left.size());
            losses = visit.lost ? losses + 1 : 0;
            if (visit.unusable != null) {
                giveUp(device, left, visit.unusableStatus, visit.unusable);
                return;
            }
            if (losses == MAX_LOSSES && !visit.opened) {
                giveUp(device, left, Status.CRASHED, visit.loss + ", " + MAX_LOSSES + " times in a row");
                return;
            }
            if (losses == MAX_LOSSES) {
                giveUp(device, left, Status.FAILED, "not run: the device lost " + MAX_LOSSES + " processes in a row");
                return;
            }
        }
    }

    /** All tasks; of those with an error to keep to, the solve that the first process found. */
    private List<Task> tasks(String device) {
        return fork == 0 ? suite.tasks()
                : suite.tasks().stream().map(task -> found.getOrDefault(Map.entry(device, task), task)).distinct().toList();
    }

    private void giveUp(DeviceInfo device, List<Task> left, Status status, String reason) {
        if (facts.stream().noneMatch(known -> known.name().equals(device.name()))) {
            facts.add(DeviceFacts.of(device, null));
        }
        for (Task task : left) {
            add(task, Measurement.missing(device.name(), task.workload(), task.method(), status, reason));
        }
    }

    private void add(Task task, Measurement measurement) {
        Measurement whole = measurement;
        int before = IntStream.range(0, measurements.size()).filter(n -> isSame(measurements.get(n), measurement)).findFirst().orElse(-1);
        if (before < 0) {
            measurements.add(measurement);
        } else if (fork > 0) { // else another error was met by the same solve
            whole = joined(measurements.get(before), measurement);
            measurements.set(before, whole);
        }
        listener.measured(task, whole, soFar());
    }

    private static boolean isSame(Measurement a, Measurement b) {
        return a.device().equals(b.device()) && a.workload().equals(b.workload()) && a.method().equals(b.method());
    }

    /** A fork's measurement added to those before it; an answer that is not right in one process is not right. */
    private Measurement joined(Measurement before, Measurement next) {
        if (before.status() != Status.OK || next.status() != Status.OK) {
            return before.status() != Status.OK ? before : next;
        }
        return before.withTimes(before.times().and(next.times()), ceilings(before.device()));
    }

    /** What the device's first process measured: rates of all are of these. Null before, and of a device that has none. */
    private Ceilings ceilings(String device) {
        return facts.stream().filter(known -> known.name().equals(device)).findFirst().map(DeviceFacts::ceilings).orElse(null);
    }

    /** One process's life. */
    private final class Visit {
        private final DeviceInfo device;
        private final List<Task> tasks;
        /** Tasks that got their measurement, or were lost with the process. */
        private int finished;
        private boolean opened;
        private boolean lost;
        /** Whether a driver reported an error or a part was lost, after which no answer or time of the process is worth much. */
        private boolean spoiled;
        /** How it was lost. */
        private String loss;
        private String unusable;
        private Status unusableStatus = Status.FAILED;

        Visit(DeviceInfo device, List<Task> tasks) {
            this.device = device;
            this.tasks = tasks;
        }

        void run() {
            listener.opening(device.name());
            try (WorkerProcess worker = new WorkerProcess(javaCommand.apply(device), device.name(), tasks, suite.protocol(), ceilings(device.name()))) {
                current = worker;
                if (stopping) {
                    return;
                }
                follow(worker);
            } catch (IOException e) {
                unusable = "its process could not be started or read: " + e.getMessage();
            } finally {
                current = null;
            }
        }

        private void follow(WorkerProcess worker) throws IOException {
            long deadline = after(OPEN_SECONDS);
            while (finished < tasks.size() && unusable == null) {
                boolean alive = worker.alive(); // asked before reading, so that nothing written is missed
                for (WorkerEvent event : worker.poll()) {
                    if (event.kind() == WorkerEvent.Kind.START || event.kind() == WorkerEvent.Kind.DONE) {
                        deadline = after(suite.protocol().timeLimitSeconds());
                    }
                    handle(event, worker);
                    if (spoiled) { // what is left starts in a fresh process
                        worker.kill();
                        return;
                    }
                }
                if (stopping || finished == tasks.size() || unusable != null) {
                    return;
                }
                if (!alive) {
                    ended(worker);
                    return;
                }
                if (System.nanoTime() - deadline > 0) {
                    worker.kill();
                    lose(Status.TIMEOUT, opened
                            ? "stopped after its time limit of " + Math.round(suite.protocol().timeLimitSeconds()) + " s"
                            : "the device did not open within " + Math.round(OPEN_SECONDS) + " s");
                    return;
                }
            }
        }

        private void handle(WorkerEvent event, WorkerProcess worker) throws IOException {
            switch (event.kind()) {
                case OPEN -> {
                    opened = true;
                    worker.complaints(); // what is reported before the first task belongs to no task
                    if (fork == 0 || facts.stream().noneMatch(known -> known.name().equals(event.device().name()))) {
                        facts.removeIf(known -> known.name().equals(event.device().name()));
                        facts.add(event.device());
                    }
                }
                case UNUSABLE -> unusable = event.text();
                case START -> listener.started(device.name(), tasks.get(event.task()), worker.pid());
                case PHASE -> listener.phase(event.text());
                case DONE -> {
                    Task task = tasks.get(finished++);
                    String complaint = worker.complaints();
                    spoiled = !complaint.isEmpty();
                    Measurement m = event.measurement();
                    if (task.target() != null && m.status() == Status.OK) {
                        found.put(Map.entry(device.name(), task), task.settled(m.method().tolerance(),
                                m.method().precision() == null ? DataType.FLOAT32 : DataType.valueOf(m.method().precision().toUpperCase(Locale.ROOT))));
                    }
                    add(task, complaint.isEmpty() || m.status() != Status.OK ? m : Measurement.missing(m.device(),
                            m.workload(), m.method(), Status.FAILED, complaint));
                }
            }
        }

        /** The process has ended. Ending by itself after a task is not a loss. */
        private void ended(WorkerProcess worker) throws IOException {
            int status = worker.exitStatus();
            if (status == INTERRUPTED && stopsSoon()) {
                return;
            }
            if (status == 0 && opened && finished > 0) {
                return;
            }
            String how = status > 128 ? "was ended by signal " + (status - 128) : "ended with status " + status;
            String words = worker.lastWords();
            lose(Status.CRASHED, "the device's process " + how + (opened ? "" : " before the device was open")
                    + (words.isEmpty() ? "" : ", saying: " + words));
        }

        /** Ctrl-C reaches parent and child alike, the child perhaps first. */
        private boolean stopsSoon() {
            for (int i = 0; i < 50 && !stopping; i++) {
                try {
                    Thread.sleep(10);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                    return stopping;
                }
            }
            return stopping;
        }

        private void lose(Status status, String message) {
            lost = true;
            loss = message;
            if (opened) {
                Task task = tasks.get(finished++);
                add(task, Measurement.missing(device.name(), task.workload(), task.method(), status, message));
            } else if (status == Status.TIMEOUT) {
                unusable = message; // a device that hung for minutes is not tried again
                unusableStatus = status;
            }
        }

        private static long after(double seconds) {
            return System.nanoTime() + (long) (seconds * 1e9);
        }
    }
}
