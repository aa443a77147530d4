package io.github.flashlla.fleet;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.fleet.HostResult.State;
import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.RecordFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import java.util.function.Supplier;

/** Runs the same job on many hosts, several at once; each ends in a result, whatever happens to it. */
public final class Fleet {
    private final List<Host> hosts;
    private final int parallel;
    private final Path folder;
    private final boolean resume;
    private final List<HostRun> runs = new ArrayList<>();
    private volatile boolean stopping;

    /**
     * @param parallel most hosts at once
     * @param folder for a record and a log of each host; made if it is not there
     * @param resume whether hosts whose record there is complete are left alone
     * @throws InvalidInputException if there are records and {@code resume} is not asked for
     */
    public Fleet(List<Host> hosts, int parallel, Path folder, boolean resume) {
        this.hosts = List.copyOf(hosts);
        this.parallel = parallel;
        this.folder = folder;
        this.resume = resume;
        try {
            Files.createDirectories(folder);
        } catch (IOException e) {
            throw new InvalidInputException("the folder " + folder + " for the hosts' records cannot be made (" + e.getMessage() + ")");
        }
        if (!resume) {
            for (Host host : hosts) {
                if (Files.exists(HostRun.recordFile(folder, host))) {
                    throw new InvalidInputException(HostRun.recordFile(folder, host) + " is there from an earlier run; --resume keeps what is "
                            + "complete and goes on, or name another folder with --records");
                }
            }
        }
    }

    /**
     * Runs all hosts and waits for them.
     *
     * @param bundle asked at most once, and only if a host is not this machine
     * @param root this program's folder
     * @param silenceSeconds longest time that a host may give no sign
     */
    public List<HostResult> run(Job job, Supplier<BundleArchive> bundle, Path root, double silenceSeconds, Consumer<String> told) {
        Supplier<BundleArchive> once = once(bundle);
        List<Callable<HostResult>> tasks = new ArrayList<>();
        for (Host host : hosts) {
            Optional<BenchmarkRecord> kept = resume ? complete(host) : Optional.empty();
            if (kept.isPresent()) {
                told.accept(host.name() + ": complete from an earlier run");
                tasks.add(() -> new HostResult(host.name(), State.KEPT, kept, ""));
                continue;
            }
            HostRun run = new HostRun(host, job, once, root, folder, silenceSeconds, told);
            runs.add(run);
            tasks.add(() -> stopping ? new HostResult(host.name(), State.STOPPED, Optional.empty(), "not started") : run.run());
        }
        List<HostResult> results = new ArrayList<>();
        try (ExecutorService pool = Executors.newFixedThreadPool(parallel, Thread.ofPlatform().daemon().name("host-", 0).factory())) {
            List<Future<HostResult>> futures = tasks.stream().map(pool::submit).toList();
            for (Future<HostResult> future : futures) {
                results.add(future.get());
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            stop();
        } catch (ExecutionException e) {
            throw new IllegalStateException(e.getCause()); // a host's run turns its own failures into a result
        }
        return results;
    }

    /** Ends all runs from another thread; what has come is kept. */
    public void stop() {
        stopping = true;
        runs.forEach(HostRun::stop);
    }

    private Optional<BenchmarkRecord> complete(Host host) {
        Path file = HostRun.recordFile(folder, host);
        return Files.exists(file) ? Optional.of(RecordFile.read(file, note -> { })).filter(BenchmarkRecord::complete) : Optional.empty();
    }

    private static <T> Supplier<T> once(Supplier<T> supplier) {
        return new Supplier<>() {
            private T value;

            @Override
            public synchronized T get() {
                value = value == null ? supplier.get() : value;
                return value;
            }
        };
    }
}
