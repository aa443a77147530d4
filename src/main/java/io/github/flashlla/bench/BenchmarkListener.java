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

    /** @param soFar everything up to and including this measurement */
    default void measured(Task task, Measurement measurement, BenchmarkRecord soFar) {}
}
