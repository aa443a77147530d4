package io.github.flashlla.jvm;

import io.github.flashlla.DeviceException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicLong;

/** The device's threads. Work is handed out one item at a time, in order, to whichever thread is free. */
public final class WorkerPool implements AutoCloseable {

    /** One item of work, on one of the workers. */
    public interface Task {
        /**
         * @param worker 0 to workers-1: whose scratch memory to use
         * @param index which item
         */
        void run(int worker, long index);
    }

    private final int threads;
    private final ExecutorService executor;

    public WorkerPool(int threads) {
        this.threads = threads;
        this.executor = Executors.newFixedThreadPool(threads,
                Thread.ofPlatform().name("flashlla-jvm-", 0).daemon().factory());
    }

    int threads() {
        return threads;
    }

    /** Runs items 0 to count-1 and returns when all are done; the first failure stops the rest and is thrown. */
    public void forEach(int workers, long count, Task task) {
        AtomicLong next = new AtomicLong();
        List<Callable<Void>> loops = new ArrayList<>(workers);
        for (int w = 0; w < workers; w++) {
            int worker = w;
            loops.add(() -> {
                try {
                    for (long i = next.getAndIncrement(); i < count; i = next.getAndIncrement()) {
                        task.run(worker, i);
                    }
                } catch (Throwable t) {
                    next.set(count);
                    throw t;
                }
                return null;
            });
        }
        List<Future<Void>> futures = new ArrayList<>(workers);
        try {
            loops.forEach(loop -> futures.add(executor.submit(loop)));
        } catch (RejectedExecutionException e) {
            throw new IllegalStateException("jvm: the device is closed; open it anew", e);
        }
        await(futures, next, count);
    }

    /** Returns only when no worker touches its scratch memory any more, interrupted or not. */
    private static void await(List<Future<Void>> futures, AtomicLong next, long count) {
        InterruptedException interruption = null;
        Throwable failure = null;
        for (int i = 0; i < futures.size();) {
            try {
                futures.get(i).get();
                i++;
            } catch (InterruptedException e) {
                interruption = e;
                next.set(count);
            } catch (ExecutionException e) {
                failure = failure == null ? e.getCause() : failure;
                i++;
            }
        }
        if (interruption != null) {
            Thread.currentThread().interrupt();
            throw new DeviceException("jvm: interrupted while computing", interruption);
        }
        if (failure != null) {
            throw new DeviceException("jvm: " + failure, failure);
        }
    }

    @Override
    public void close() {
        executor.shutdown();
    }
}
