package io.github.flashlla;

import java.io.Serializable;

/**
 * Times of one run in nanoseconds; -1 where the device does not measure it.
 *
 * @param wallNanos host time of the whole run
 * @param kernelNanos time of the kernels by the device's own clock
 * @param copyInNanos host to device
 * @param copyOutNanos device to host
 * @param compileNanos run-time compilation within this run; 0 once warm
 */
public record Timing(long wallNanos, long kernelNanos, long copyInNanos, long copyOutNanos, long compileNanos)
        implements Serializable {
    /** Nothing was measured. */
    public static final Timing NONE = new Timing(-1, -1, -1, -1, -1);

    /** A device that computes where the data is: wall time only. */
    public static Timing ofWall(long wallNanos) {
        return new Timing(wallNanos, -1, 0, 0, 0);
    }

    /** The times of two runs together; -1 where either was not measured. */
    public Timing plus(Timing other) {
        return new Timing(sum(wallNanos, other.wallNanos), sum(kernelNanos, other.kernelNanos),
                sum(copyInNanos, other.copyInNanos), sum(copyOutNanos, other.copyOutNanos),
                sum(compileNanos, other.compileNanos));
    }

    private static long sum(long a, long b) {
        return a < 0 || b < 0 ? -1 : a + b;
    }
}
