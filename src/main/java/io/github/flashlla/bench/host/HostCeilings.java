package io.github.flashlla.bench.host;

import io.github.flashlla.process.VectorModule;
import io.github.flashlla.record.DeviceFacts.Ceilings;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.function.IntToDoubleFunction;

/** What this machine's processor reaches from Java: fused multiply-adds in registers, and a copy beyond every cache. */
public final class HostCeilings {
    /** Time of one round: short, so that some rounds get all cores even on a busy machine. */
    private static final double SECONDS = 0.02;
    private static final int MIN_ROUNDS = 30;
    private static final int MAX_ROUNDS = 500;
    private static final int PATIENCE = 20;
    /** Interpreted vectors reach a fifth of it, compiled scalars ten times it. */
    private static final double COMPILED_FLOPS = 5e8;
    /** Most bytes that all threads together read; they write as many. */
    private static final long COPY_BYTES = 2L << 30;
    private static final long THREAD_COPY_BYTES = 64L << 20;

    private HostCeilings() {}

    /** @param seconds longest wait for each of the two to settle, beyond what compilation takes */
    public static Ceilings measure(double seconds) {
        int threads = Runtime.getRuntime().availableProcessors();
        double flops = best(threads, COMPILED_FLOPS, seconds, thread -> fmaFlops());
        try (Arena arena = Arena.ofShared()) {
            long each = Math.min(THREAD_COPY_BYTES, COPY_BYTES / threads);
            MemorySegment from = arena.allocate(threads * each, 64).fill((byte) 1);
            MemorySegment to = arena.allocate(threads * each, 64).fill((byte) 2);
            double bytes = best(threads, 0, seconds,
                    thread -> copyBytes(from.asSlice(thread * each, each), to.asSlice(thread * each, each)));
            return new Ceilings(flops / 1e12, bytes / 1e9);
        }
    }

    /**
     * Best rate of the work that all threads do together. Early rounds run what the JIT has not compiled yet, and share the
     * cores with its compilations: it goes on until some rounds in a row were no better.
     *
     * @param compiled rate of one thread that only compiled code reaches; a busy machine may take seconds to compile
     * @param work of one thread in one round: how much it did
     */
    private static double best(int threads, double compiled, double seconds, IntToDoubleFunction work) {
        double best = 0;
        int since = 0;
        for (int round = 0; round == 0 || round < MAX_ROUNDS && (best < threads * compiled
                || round * SECONDS < seconds && (round < MIN_ROUNDS || since < PATIENCE)); round++) {
            double rate = together(threads, work);
            since = rate > 1.01 * best ? 0 : since + 1;
            best = Math.max(best, rate);
        }
        return best;
    }

    /** Per second, from when the first thread starts until the last has ended. */
    private static double together(int threads, IntToDoubleFunction work) {
        CyclicBarrier start = new CyclicBarrier(threads);
        CountDownLatch done = new CountDownLatch(threads);
        double[] amounts = new double[threads];
        long[] begins = new long[threads];
        long[] ends = new long[threads];
        for (int t = 0; t < threads; t++) {
            int thread = t;
            Thread.ofPlatform().daemon().start(() -> {
                try {
                    start.await();
                    begins[thread] = System.nanoTime();
                    amounts[thread] = work.applyAsDouble(thread);
                    ends[thread] = System.nanoTime();
                } catch (InterruptedException | BrokenBarrierException e) {
                    Thread.currentThread().interrupt();
                } finally {
                    done.countDown();
                }
            });
        }
        try {
            done.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        long nanos = Arrays.stream(ends).max().orElseThrow() - Arrays.stream(begins).min().orElseThrow();
        return Arrays.stream(amounts).sum() / nanos * 1e9;
    }

    private static double fmaFlops() {
        return VectorModule.isPresent() ? VectorFma.flops(SECONDS) : ScalarFma.flops(SECONDS);
    }

    private static double copyBytes(MemorySegment from, MemorySegment to) {
        long began = System.nanoTime();
        double copied = 0;
        do {
            to.copyFrom(from);
            copied += 2.0 * from.byteSize();
        } while ((System.nanoTime() - began) / 1e9 < SECONDS);
        return copied;
    }
}
