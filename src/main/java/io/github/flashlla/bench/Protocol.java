package io.github.flashlla.bench;

import io.github.flashlla.InvalidInputException;
import java.util.Arrays;

/**
 * How one task is measured.
 *
 * @param repetitions timed runs, at least 1
 * @param sampleSeconds keep taking samples for this long, so that short runs are measured as precisely as long ones; three
 * times as long if they scatter; 0 for exactly {@code repetitions}
 * @param warmUpSeconds longest time to wait for run times to settle; at least one run warms up whatever it takes
 * @param timeLimitSeconds after which a task is stopped and recorded as timed out
 * @param forks how many processes of each device measure every task, those of several devices in turn
 * @param cold whether the start of fresh processes is measured, too
 */
public record Protocol(int repetitions, double sampleSeconds, double warmUpSeconds, double timeLimitSeconds, int forks, boolean cold) {
    /** At least five runs, two seconds of them, after at most three seconds of warm-up. */
    public static final Protocol DEFAULT = new Protocol(5, 2, 3, 300);

    private static final double SCATTER = 0.05;

    /** How many times longer samples are taken if run times scatter. */
    private static final int PATIENCE = 3;

    /** More samples than this tell no more. */
    static final int ENOUGH = 50;

    /** In one process for each device. */
    public Protocol(int repetitions, double sampleSeconds, double warmUpSeconds, double timeLimitSeconds) {
        this(repetitions, sampleSeconds, warmUpSeconds, timeLimitSeconds, 1, false);
    }

    public Protocol {
        if (forks < 1 || forks > 1000) {
            throw new InvalidInputException("forks must be 1 to 1000, not " + forks);
        }
        if (repetitions < 1 || repetitions > 100_000) {
            throw new InvalidInputException("repetitions must be 1 to 100000, not " + repetitions);
        }
        if (!(sampleSeconds >= 0 && sampleSeconds <= 3600)) {
            throw new InvalidInputException("the sampling time must be 0 to 3600 s, not " + sampleSeconds);
        }
        if (!(warmUpSeconds >= 0 && warmUpSeconds <= 3600)) {
            throw new InvalidInputException("the warm-up time must be 0 to 3600 s, not " + warmUpSeconds);
        }
        if (!(timeLimitSeconds > 0 && timeLimitSeconds <= 86_400)) {
            throw new InvalidInputException("the time limit must be above 0 and at most 86400 s, not " + timeLimitSeconds);
        }
    }

    /** Whether another timed run is wanted after these, in nanoseconds. */
    boolean wantsMore(long[] samples) {
        double seconds = Arrays.stream(samples).sum() / 1e9;
        return samples.length < repetitions
                || samples.length < ENOUGH && (seconds < sampleSeconds || seconds < PATIENCE * sampleSeconds && scatter(samples));
    }

    /** Whether the slower half of the runs took much longer than the faster half: five such samples would hide a tenth. */
    private static boolean scatter(long[] samples) {
        long[] sorted = samples.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length * 3 / 4] > (1 + SCATTER) * sorted[sorted.length / 4];
    }

    /** The same with exactly this many timed runs. */
    public Protocol withExactly(int runs) {
        return new Protocol(runs, 0, warmUpSeconds, timeLimitSeconds, forks, cold);
    }

    public Protocol withWarmUp(double seconds) {
        return new Protocol(repetitions, sampleSeconds, seconds, timeLimitSeconds, forks, cold);
    }

    public Protocol withTimeLimit(double seconds) {
        return new Protocol(repetitions, sampleSeconds, warmUpSeconds, seconds, forks, cold);
    }

    public Protocol withForks(int processes) {
        return new Protocol(repetitions, sampleSeconds, warmUpSeconds, timeLimitSeconds, processes, cold);
    }

    /** The same with the start of fresh processes. */
    public Protocol withColdStart() {
        return new Protocol(repetitions, sampleSeconds, warmUpSeconds, timeLimitSeconds, forks, true);
    }
}
