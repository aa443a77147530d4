package io.github.flashlla.bench;

import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Measurement;

/** Follows a {@link BenchmarkRun}; called on the thread that runs it. */
public interface BenchmarkListener {
    /** A process for this device is being started. */
    default void opening(String device) {}

    /** @param pid the process that measures it */
    default void started(String device, Task task, long pid) {}

    /** @param phase a few words, such as {@code warm-up 2} */
    default void phase(String phase) {}

    /**
     * After all measurements, fresh processes are started to time their start; this is one of {@code all} tasks.
     *
     * @param number from 1
     */
    default void coldStart(String device, Task task, int number, int all) {}

    /** What could not be done, in a sentence without a full stop; the run goes on. */
    default void note(String text) {}

    /** @param soFar everything up to and including this measurement */
    default void measured(Task task, Measurement measurement, BenchmarkRecord soFar) {}
}
