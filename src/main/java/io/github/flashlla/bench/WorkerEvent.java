package io.github.flashlla.bench;

import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.Measurement;

/**
 * One line that a {@link Worker} writes; exactly one of the parts after {@code kind} is set.
 *
 * @param task index into the order's tasks, for {@code START}
 * @param text what happens now, for {@code PHASE}; why, for {@code UNUSABLE}
 */
record WorkerEvent(Kind kind, Integer task, String text, DeviceFacts device, Measurement measurement) {
    enum Kind {
        /** The device is open and its ceilings are known. */
        OPEN,
        /** The device cannot be opened. */
        UNUSABLE,
        START,
        PHASE,
        DONE
    }

    static WorkerEvent open(DeviceFacts device) {
        return new WorkerEvent(Kind.OPEN, null, null, device, null);
    }

    static WorkerEvent unusable(String reason) {
        return new WorkerEvent(Kind.UNUSABLE, null, reason, null, null);
    }

    static WorkerEvent start(int task) {
        return new WorkerEvent(Kind.START, task, null, null, null);
    }

    static WorkerEvent phase(String text) {
        return new WorkerEvent(Kind.PHASE, null, text, null, null);
    }

    static WorkerEvent done(Measurement measurement) {
        return new WorkerEvent(Kind.DONE, null, null, null, measurement);
    }
}
