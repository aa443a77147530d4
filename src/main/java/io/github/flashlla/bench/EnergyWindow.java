package io.github.flashlla.bench;

import io.github.flashlla.bench.host.EnergyMeter;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;

/**
 * What a device took between two steps of its counter. NVIDIA's steps ten times a second and takes 3 ms to read, so another thread reads it while the runs go on:
 * neither end of the window need be the end of a run, and no run waits for a reading.
 *
 * @param joules energy
 * @param runs runs in that time, with the parts of those at its ends
 * @param seconds how long it was
 */
record EnergyWindow(double joules, double runs, double seconds) {
    /** A counter that stands still for this many times as long does not count. */
    private static final int PATIENCE = 5;
    private static final long POLL_NANOS = 1_000_000;

    /**
     * Runs something again and again, until two steps of the counter are this many seconds apart.
     *
     * @return null if the counter does not move, or cannot be read
     */
    static EnergyWindow of(EnergyMeter meter, double seconds, Runnable run) {
        List<Long> ends = new ArrayList<>();
        Steps steps = new Steps(meter);
        Thread reader = Thread.ofPlatform().daemon().start(steps);
        long began = System.nanoTime();
        ends.add(began);
        try {
            while (steps.seconds() < seconds && (since(began) < PATIENCE * seconds || ends.size() <= PATIENCE)) {
                run.run();
                ends.add(System.nanoTime());
            }
        } finally {
            steps.stop(reader);
        }
        double runs = count(ends, steps.lastNanos) - count(ends, steps.firstNanos);
        double joules = steps.last - steps.first;
        return steps.seconds() >= seconds && joules > 0 && runs > 0 ? new EnergyWindow(joules, runs, steps.seconds()) : null;
    }

    /** Runs that had ended by a time, and the part of the one that was under way. */
    private static double count(List<Long> ends, long time) {
        for (int n = 1; n < ends.size(); n++) {
            if (ends.get(n) >= time) {
                return n - 1 + Math.max(0, (double) (time - ends.get(n - 1)) / (ends.get(n) - ends.get(n - 1)));
            }
        }
        return ends.size() - 1;
    }

    private static double since(long nanos) {
        return (System.nanoTime() - nanos) / 1e9;
    }

    /** The counter's first and last step so far. */
    private static final class Steps implements Runnable {
        private final EnergyMeter meter;
        private volatile boolean stopped;
        private double first = Double.NaN;
        private long firstNanos;
        private double last;
        private long lastNanos;

        Steps(EnergyMeter meter) {
            this.meter = meter;
        }

        @Override
        public void run() {
            double before = meter.joules();
            while (!stopped) {
                LockSupport.parkNanos(POLL_NANOS);
                long time = System.nanoTime();
                double now = meter.joules();
                if (now != before && !Double.isNaN(now)) { // NaN differs from all
                    before = now;
                    step(now, time);
                }
            }
        }

        private synchronized void step(double joules, long time) {
            if (Double.isNaN(first)) {
                first = joules;
                firstNanos = time;
            }
            last = joules;
            lastNanos = time;
        }

        /** From the first step to the last. */
        synchronized double seconds() {
            return (lastNanos - firstNanos) / 1e9;
        }

        void stop(Thread reader) {
            stopped = true;
            boolean interrupted = false;
            while (reader.isAlive()) {
                try {
                    reader.join();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
