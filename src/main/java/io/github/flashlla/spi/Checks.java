package io.github.flashlla.spi;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.Tensor;

/** Checks of what is given to a pass, the same on every device and cheap beside it. */
public final class Checks {
    /** Never started: stands for any thread but the caller's. */
    private static final Thread OTHER_THREAD = new Thread(() -> { });

    private Checks() {}

    /** Checks every tensor for a device that computes on threads of its own. */
    public static void requireShared(LlaInputs inputs) {
        requireShared("q", inputs.q());
        requireShared("k", inputs.k());
        requireShared("v", inputs.v());
        requireShared("the ridge", inputs.ridge());
    }

    /**
     * Null is no tensor.
     *
     * @throws InvalidInputException if other threads may not touch the tensor's memory
     */
    public static void requireShared(String name, Tensor tensor) {
        if (tensor != null && !tensor.memory().isAccessibleBy(OTHER_THREAD)) {
            throw new InvalidInputException("the memory of " + name + " belongs to one thread, but this device computes on several; "
                    + "allocate it from a shared arena, as Arena.ofShared() gives");
        }
    }
}
