package io.github.flashlla.tornado.buffers;

import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.device.Transfers;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

/**
 * Copies what a run sends to the arrays that are sent, on all processors and from the first element to the last, so that the first parts can
 * be sent while others are copied. The thread that sends copies, too, where it would have to wait.
 */
final class Filling {
    /** Elements that a thread copies at a time. */
    private static final int TOGETHER = 1 << 16;
    /** Elements that are copied in less time than another thread takes to start. */
    private static final int WORTH_ANOTHER_THREAD = 1 << 18;

    private final List<Part> parts = new ArrayList<>();
    private final CompletableFuture<Void> all = new CompletableFuture<>();
    private final AtomicInteger next = new AtomicInteger();
    private final AtomicInteger finished = new AtomicInteger();
    private int blocks;
    private long elements;
    private volatile Throwable failure;

    /** Adds an array behind those before. */
    void add(TornadoNativeArray array, long size, Tensor.Block copy, Transfers transfers) {
        Part part = new Part(blocks, size, copy);
        parts.add(part);
        blocks += part.done.length();
        elements += size;
        transfers.fill(array, part);
    }

    /** Begins, and ends where there is little to do. */
    void start() {
        if (elements < WORTH_ANOTHER_THREAD) {
            copyAll();
            return;
        }
        int others = Math.min(ForkJoinPool.getCommonPoolParallelism(), blocks - 1);
        for (int n = 0; n < others; n++) {
            CompletableFuture.runAsync(this::copyAll);
        }
    }

    private void copyAll() {
        boolean more = true;
        while (more) {
            more = copyNext();
        }
    }

    /** Returns whether a block was left. */
    private boolean copyNext() {
        int block = next.getAndIncrement();
        if (block >= blocks) {
            return false;
        }
        Part part = parts.getFirst();
        for (int n = 1; n < parts.size() && parts.get(n).first <= block; n++) {
            part = parts.get(n);
        }
        try {
            part.copy(block - part.first);
        } catch (Throwable e) { // such as an error for a mapped file that has become shorter
            failure = e;
        }
        part.done.set(block - part.first, 1);
        if (finished.incrementAndGet() == blocks) {
            end();
        }
        return true;
    }

    private void end() {
        if (failure == null) {
            all.complete(null);
        } else {
            all.completeExceptionally(failure);
        }
    }

    /** One array. */
    private final class Part implements Transfers.Filling {
        private final int first;
        private final long size;
        private final Tensor.Block copy;
        /** 1 for each block that has been copied. */
        private final AtomicIntegerArray done;
        /** Blocks that the thread that sends has seen copied. */
        private int seen;

        Part(int first, long size, Tensor.Block copy) {
            this.first = first;
            this.size = size;
            this.copy = copy;
            this.done = new AtomicIntegerArray(Math.toIntExact(Math.ceilDiv(size, TOGETHER)));
        }

        private void copy(int block) {
            long at = (long) block * TOGETHER;
            copy.of(at, (int) Math.min(TOGETHER, size - at));
        }

        @Override
        public void await(int end) {
            int last = Math.ceilDiv(end, TOGETHER);
            while (seen < last) {
                if (done.get(seen) == 1) {
                    seen++;
                } else if (!copyNext()) {
                    Thread.yield(); // others are about to end
                }
            }
            Failures.rethrow(failure);
        }

        @Override
        public CompletableFuture<Void> all() {
            return all;
        }
    }
}
