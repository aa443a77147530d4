package io.github.flashlla.bench;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.bench.host.HostMemory;
import io.github.flashlla.record.Method;
import io.github.flashlla.record.Workload;
import io.github.flashlla.tornadovm.DeviceProfile;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * One thing to measure on a device: a problem and how to solve it.
 *
 * @param mode passes to time
 * @param shape sizes
 * @param options how to solve it
 * @param dataType element type of q, k and v
 * @param operator what to compute
 * @param target what the device's process is to find the cheapest solve for; null to solve it as the options say
 */
public record Task(Mode mode, AttentionShape shape, LlaOptions options, DataType dataType, Operator operator, Target target) {

    /**
     * An error to keep to at the least cost.
     *
     * @param error largest error
     * @param anyPrecision whether products may have factors of any precision of the device, not of the options' alone
     */
    public record Target(double error, boolean anyPrecision) {}

    public Task {
        target = operator == Operator.SOFTMAX ? null : target; // it has no solve to make cheaper
        options = options.withKeepState(mode.hasBackward());
        if (operator == Operator.SOFTMAX) { // solves nothing, so that workloads which differ in their solves are one
            LlaOptions defaults = LlaOptions.defaults();
            options = options.withTolerance(defaults.tolerance()).withMaxIterations(defaults.maxIterations()).withPreconditioner(defaults.preconditioner());
        }
        if (mode == Mode.DECODE && shape.queryLength() != 1) {
            throw new InvalidInputException("decoding takes one query at a time: leave query_seq out, or make it 1, not "
                    + shape.queryLength());
        }
    }

    /** Solved as the options say. */
    public Task(Mode mode, AttentionShape shape, LlaOptions options, DataType dataType, Operator operator) {
        this(mode, shape, options, dataType, operator, null);
    }

    /** Of LLA. */
    public Task(Mode mode, AttentionShape shape, LlaOptions options, DataType dataType) {
        this(mode, shape, options, dataType, Operator.LLA);
    }

    /** The same, solved like this and without a search. */
    Task settled(double tolerance, DataType precision) {
        return new Task(mode, shape, options.withTolerance(tolerance).withPrecision(precision), dataType, operator);
    }

    /**
     * Refuses what can be known to be impossible without opening the device.
     *
     * @throws InvalidInputException if this machine or the device has no room for the tensors, if the device does not compute in the options' precision, or
     *     if no cache holds the type
     * @throws UnsupportedOperationException if the device has no such pass
     */
    void requireOf(DeviceInfo device) {
        if (mode == Mode.NAIVE && (!device.has(DeviceInfo.Trait.ON_HEAP) || device.has(DeviceInfo.Trait.EXACT))) {
            throw new UnsupportedOperationException("the naive form runs on the device jvm only; name it with --device");
        }
        if (operator == Operator.SOFTMAX && mode != Mode.FWD) {
            throw new UnsupportedOperationException("softmax is measured in mode fwd only; leave " + mode + " out");
        }
        if (operator == Operator.SOFTMAX && device.has(DeviceInfo.Trait.EXACT)) {
            throw new UnsupportedOperationException("the device " + device.name() + " has no softmax attention to compare with; leave it out");
        }
        if (mode == Mode.DECODE) {
            new KvCacheShape(shape.batch(), shape.kvHeads(), shape.keyLength(), shape.headDim(), shape.valueDim(), dataType); // refuses the type
        }
        if (target == null || !target.anyPrecision()) {
            options.requirePrecisionOf(device);
        }
        SizeLimits.require(this, device.name(), HostMemory.usableBytes(), Long.MAX_VALUE); // a device's process has a heap of its own
    }

    /** Whether the device has such a pass, and this machine room for the tensors. */
    public boolean isFor(DeviceInfo device) {
        return refusal(device).isEmpty();
    }

    /** Why {@link #requireOf} refuses; empty where it does not. */
    private Optional<String> refusal(DeviceInfo device) {
        try {
            requireOf(device);
            return Optional.empty();
        } catch (InvalidInputException | UnsupportedOperationException e) {
            return Optional.of(e.getMessage());
        }
    }

    /** Why a device can be given none of the tasks; empty where it can be given one. */
    static Optional<String> refusalOfAll(List<Task> tasks, DeviceInfo device) {
        List<String> refusals = tasks.stream().flatMap(task -> task.refusal(device).stream()).toList();
        return refusals.size() < tasks.size() ? Optional.empty() : refusals.stream().findFirst();
    }

    /** What a record says of the problem. */
    public Workload workload() {
        return new Workload(mode.label(), shape.batch(), shape.heads(), shape.kvHeads(), shape.queryLength(),
                shape.keyLength(), shape.headDim(), shape.valueDim(), options.causal(), options.ridge(),
                options.scaleFor(shape.headDim()), "normal");
    }

    /** What a record says of the way it is solved. */
    public Method method() {
        boolean solves = operator == Operator.LLA;
        return new Method(operator.label(), solves ? options.tolerance() : null, solves ? options.maxIterations() : null,
                options.preconditioner().name().toLowerCase(Locale.ROOT), dataType.name().toLowerCase(Locale.ROOT),
                options.precision() == DataType.FLOAT32 ? null : options.precision().name().toLowerCase(Locale.ROOT),
                solves ? DeviceProfile.forcedKernel().orElse(null) : null);
    }

    /**
     * A guess of the time to measure this, in seconds on a small CPU, to weigh tasks against each other: eight runs of
     * eight iterations each, and what warm-up and the accuracy check take whatever the size.
     */
    double guessedSeconds() {
        double forward = shape.pairs(options.causal()) * 58.0 * shape.headDim();
        double flops = switch (mode) {
            case FWD -> forward;
            case BWD -> 2.5 * forward;
            case FWD_BWD -> 3.5 * forward;
            case DECODE -> forward;
            case NAIVE -> 20 * forward;
            case MEMORY -> throw new IllegalStateException("memory stands for several modes");
        };
        return 4 + 8 * flops / 1.5e11;
    }
}
