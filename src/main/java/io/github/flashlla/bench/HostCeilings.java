package io.github.flashlla.bench;

import io.github.flashlla.report.DeviceFacts.Ceilings;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.function.DoubleSupplier;

/** What this machine's processor reaches from Java: fused multiply-adds in registers, and a copy beyond every cache. */
final class HostCeilings {
    private static final double SECONDS = 0.1;
    private static final int MIN_ROUNDS = 6;
    private static final int MAX_ROUNDS = 100;
    private static final int PATIENCE = 4;
    /** Interpreted vectors reach a fifth of it, compiled scalars ten times it. */
    private static final double COMPILED_FLOPS = 5e8;
    private static final long COPY_BYTES = 64L << 20;

    private HostCeilings() {}

    static Ceilings measure() {
        int threads = Runtime.getRuntime().availableProcessors();
        return new Ceilings(best(threads, COMPILED_FLOPS, HostCeilings::fmaFlops) / 1e12, best(threads, 0, HostCeilings::copyBytes) / 1e9);
    }

    /**
     * Best rate of the work that all threads do together. Early rounds run what the JIT has not compiled yet, and share the
     * cores with its compilations: it goes on until some rounds in a row were no better.
     *
     * @param compiled rate of one thread that only compiled code reaches; a busy machine may take seconds to compile
     */
    private static double best(int threads, double compiled, DoubleSupplier work) {
        double best = 0;
        int since = 0;
        for (int round = 0; round < MAX_ROUNDS && (round < MIN_ROUNDS || since < PATIENCE || best < threads * compiled); round++) {
            double rate = together(threads, work);
            since = rate > 1.01 * best ? 0 : since + 1;
            best = Math.max(best, rate);
        }
        return best;
    }

    private static double together(int threads, DoubleSupplier work) {
        CyclicBarrier start = new CyclicBarrier(threads);
        CountDownLatch done = new CountDownLatch(threads);
        double[] rates = new double[threads];
        for (int t = 0; t < threads; t++) {
            int thread = t;
            Thread.ofPlatform().daemon().start(() -> {
                try {
                    start.await();
                    rates[thread] = work.getAsDouble();
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
        return Arrays.stream(rates).sum();
    }

    private static double fmaFlops() {
        try {
            return VectorFma.flopsPerSecond(SECONDS);
        } catch (LinkageError e) {
            return ScalarFma.flopsPerSecond(SECONDS); // started without the Vector API's module
        }
    }

    /** Bytes read and written per second by one thread of several that copy at once. */
    private static double copyBytes() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment from = arena.allocate(COPY_BYTES, 64).fill((byte) 1);
            MemorySegment to = arena.allocate(COPY_BYTES, 64).fill((byte) 2);
            long began = System.nanoTime();
            double copied = 0;
            double seconds;
            do {
                to.copyFrom(from);
                copied += 2.0 * COPY_BYTES;
                seconds = (System.nanoTime() - began) / 1e9;
            } while (seconds < SECONDS);
            return copied / seconds;
        }
    }
}
