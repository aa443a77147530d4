package io.github.flashlla.record;

/**
 * What a run took from its device's supply.
 *
 * @param joulesPerRun energy of a timed run, what the device takes at rest included
 * @param idleWatts what it takes at rest, before the first task; null where that was not measured
 * @param source who counted: {@code nvml} or {@code rapl}
 */
public record Energy(
        @Limits(above = true, max = 1e12) double joulesPerRun,
        @Limits(max = 1e6) Double idleWatts,
        @Limits(words = {"nvml", "rapl"}) String source) {

    /** Per query and sequence, all heads together. */
    public double joulesPerToken(Workload workload) {
        return joulesPerRun / ((double) workload.batch() * workload.queryLength());
    }
}
