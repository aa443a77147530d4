package io.github.flashlla.spi;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import java.util.Arrays;

/** Checks of what is given to a pass, the same on every device and cheap beside it. */
public final class Checks {
    /** Never started: stands for any thread but the caller's. */
    private static final Thread OTHER_THREAD = new Thread(() -> { });

    private Checks() {}

    /**
     * Checks what a forward pass is given.
     *
     * @param device name for messages
     * @param shape the plan's
     */
    public static void requireForward(String device, AttentionShape shape, LlaInputs inputs, LlaResult result) {
        requireShape(device, shape, "the inputs", inputs.shape());
        requireShape(device, shape, "the result", result.shape());
        result.requireApart(device, inputs);
        LlaInputs.requireRidges(inputs.ridge());
        requireShared(inputs);
        requireShared(result);
    }

    /**
     * Checks what a run has left.
     *
     * @param inputs those to look at, the subject of a sentence
     * @throws DeviceException if an element of the output is NaN or infinite
     */
    public static void requireFinite(String device, LlaResult result, String inputs) {
        long at = result.output().firstNonFinite();
        if (at >= 0) {
            throw new DeviceException("the output of " + device + " holds " + result.output().get(at) + " at "
                    + result.output().coordinates(at) + "; nothing of it can be used. " + inputs + " may not be finite, or be beyond what float32 "
                    + "holds.");
        }
    }

    /** What to throw for gradients of which an element is NaN or infinite. */
    public static DeviceException gradientsNotFinite(String device) {
        return new DeviceException(device + " computed gradients that are not finite; an input (inputs.requireFinite() names it) or the "
                + "output's gradient may not be finite, or be beyond what float32 holds.");
    }

    /** Checks what a backward pass is given, likewise; the saved state itself is the device's affair. */
    public static void requireBackward(String device, AttentionShape shape, LlaInputs inputs, LlaResult saved, Tensor gradOutput,
            LlaGradients gradients) {
        requireShape(device, shape, "the inputs", inputs.shape());
        requireShape(device, shape, "the saved result", saved.shape());
        requireShape(device, shape, "the gradients", gradients.shape());
        requireGradient(device, shape, gradOutput);
        gradients.requireApart(device, inputs, gradOutput);
        LlaInputs.requireRidges(inputs.ridge());
        requireShared(inputs);
        requireShared("the output's gradient", gradOutput);
        requireShared("dq", gradients.dq());
        requireShared("dk", gradients.dk());
        requireShared("dv", gradients.dv());
        requireShared("dridge", gradients.dridge());
    }

    /** @throws InvalidInputException if {@code given} is not the plan's shape */
    public static void requireShape(String device, AttentionShape shape, String what, AttentionShape given) {
        if (!given.equals(shape)) {
            throw new InvalidInputException(device + ": this plan is for " + shape + ", but the shape of " + what + " is " + given);
        }
    }

    /** @throws InvalidInputException if {@code gradOutput} has not the output's shape */
    public static void requireGradient(String device, AttentionShape shape, Tensor gradOutput) {
        if (!Arrays.equals(gradOutput.dims(), shape.outputDims())) {
            throw new InvalidInputException(device + ": the output's gradient has shape " + Tensor.shapeString(gradOutput.dims())
                    + ", but the output has " + Tensor.shapeString(shape.outputDims()));
        }
    }

    /** Whether both are the same tensors, not merely equal ones: what a pass computed from one is then still that of the other. */
    public static boolean sameTensors(LlaInputs one, LlaInputs other) {
        return one.q() == other.q() && one.k() == other.k() && one.v() == other.v() && one.ridge() == other.ridge();
    }

    /** Checks every tensor for a device that computes on threads of its own. */
    public static void requireShared(LlaInputs inputs) {
        requireShared("q", inputs.q());
        requireShared("k", inputs.k());
        requireShared("v", inputs.v());
        requireShared("the ridge", inputs.ridge());
    }

    /** The same for what a run writes. */
    public static void requireShared(LlaResult result) {
        requireShared("the output", result.output());
        requireShared("the log-sum-exp", result.logSumExp());
        if (result.keepsState()) {
            requireShared("kbar", result.kbar());
            requireShared("x", result.x());
        }
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
