package io.github.flashlla.bench;

import io.github.flashlla.InvalidInputException;

/**
 * How one task is measured.
 *
 * @param repetitions timed runs, at least 1
 * @param warmUpSeconds longest time to wait for run times to settle; at least one run warms up whatever it takes
 * @param timeLimitSeconds after which a task is stopped and marked so
 */
public record Protocol(int repetitions, double warmUpSeconds, double timeLimitSeconds) {
    public static final Protocol DEFAULT = new Protocol(5, 3, 300);

    public Protocol {
        if (repetitions < 1 || repetitions > 100_000) {
            throw new InvalidInputException("repetitions must be 1 to 100000, not " + repetitions);
        }
        if (!(warmUpSeconds >= 0 && warmUpSeconds <= 3600)) {
            throw new InvalidInputException("the warm-up time must be 0 to 3600 s, not " + warmUpSeconds);
        }
        if (!(timeLimitSeconds > 0 && timeLimitSeconds <= 86_400)) {
            throw new InvalidInputException("the time limit must be above 0 and at most 86400 s, not " + timeLimitSeconds);
        }
    }
}
