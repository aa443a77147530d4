package io.github.flashlla.bench;

import io.github.flashlla.bench.host.EnergyMeter;

/**
 * What a device took between two steps of its counter, which may move ten times a second only: a few short runs would see none of its steps, or one too many.
 *
 * @param joules energy
 * @param runs runs in that time
 * @param seconds how long it was
 */
record EnergyWindow(double joules, int runs, double seconds) {
    /** A counter that stands still for this many times as long does not count. */
    private static final int PATIENCE = 5;

    /**
     * Runs something again and again, from one step of the counter to one that is later by at least so many seconds.
     *
     * @return null if the counter does not move, or cannot be read
     */
    static EnergyWindow of(EnergyMeter meter, double seconds, Runnable run) {
        long began = System.nanoTime();
        double last = meter.joules();
        double from = Double.NaN;
        long since = 0;
        int runs = 0;
        for (int all = 0; since(began) < PATIENCE * seconds || all < PATIENCE; all++) {
            run.run();
            runs += Double.isNaN(from) ? 0 : 1;
            double now = meter.joules();
            if (now == last || Double.isNaN(now)) {
                continue;
            }
            last = now;
            if (Double.isNaN(from)) {
                from = now;
                since = System.nanoTime();
            } else if (since(since) >= seconds) {
                return now > from ? new EnergyWindow(now - from, runs, since(since)) : null;
            }
        }
        return null;
    }

    private static double since(long nanos) {
        return (System.nanoTime() - nanos) / 1e9;
    }
}
