package io.github.flashlla;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Sequences of different lengths in one call: q, k, v and o hold them one after the other, and no query sees another sequence's keys.
 * Where sequences begin is given with every run. Each comes out as alone, bit for bit: nothing is padded, and a pair of query and key
 * that belong to different sequences is never visited.
 *
 * <pre>{@code
 * try (PackedPlan plan = device.packedPlan(new AttentionShape(1, 8, 8, 1342, 1342, 64, 64), options)) {
 *     LlaResult result = plan.newResult();
 *     plan.forward(inputs, Sequences.ofLengths(1, 17, 300, 1024), result);
 * }
 * }</pre>
 *
 * <p>The device prepares for each pair of lengths when it first comes, and keeps the last {@value #KEPT} of them; a TornadoVM device
 * compiles then. For one thread at a time.
 */
public final class PackedPlan implements AutoCloseable {
    private static final int KEPT = 16;

    private final Device device;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final Map<AttentionShape, LlaPlan> plans = new LinkedHashMap<>(KEPT, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<AttentionShape, LlaPlan> eldest) {
            if (size() > KEPT) {
                eldest.getValue().close();
            }
            return size() > KEPT;
        }
    };

    /** @param shape B = 1, and all sequences' queries and keys together */
    PackedPlan(Device device, AttentionShape shape, LlaOptions options) {
        Sequences.requireOneBatchEntry(shape);
        this.device = device;
        this.shape = shape;
        this.options = options;
    }

    public AttentionShape shape() {
        return shape;
    }

    public LlaOptions options() {
        return options;
    }

    /** Room for what {@link #forward} returns. */
    public LlaResult newResult() {
        return new LlaResult(shape, DataType.FLOAT32, options.keepState());
    }

    /** Room for what {@link #backward} returns. */
    public LlaGradients newGradients() {
        return new LlaGradients(shape, DataType.FLOAT32);
    }

    /**
     * Computes o of every sequence.
     *
     * @throws InvalidInputException if inputs or result are not of this plan's shape, the sequences do not add up to it, or the output lies
     *     in an input's memory; nothing is written then
     */
    public void forward(LlaInputs inputs, Sequences sequences, LlaResult result) {
        require(inputs, sequences, result.shape());
        result.requireApart(device.info().name(), inputs); // before a sequence overwrites another's
        result.clear();
        for (int s = 0; s < sequences.count(); s++) {
            if (sequences.queries(s) > 0) {
                LlaInputs own = part(inputs, sequences, s);
                LlaPlan plan = plan(own.shape());
                LlaResult found = result.part(own.shape(), sequences.queryOffsets()[s]);
                plan.forward(own, found);
                result.take(found, sequences.queryOffsets()[s]);
            }
        }
    }

    /**
     * Computes the gradients of every sequence; each runs forward once more, so that no state of others is held meanwhile.
     *
     * @param gradOutput dL/do (1,H,Sq,Dv)
     * @throws InvalidInputException if a shape is wrong, options keep no state, or a gradient lies in the memory of what is read
     */
    public void backward(LlaInputs inputs, Sequences sequences, Tensor gradOutput, LlaGradients gradients) {
        require(inputs, sequences, gradients.shape());
        QuerySolves.requireDims("the output's gradient", gradOutput, shape.outputDims());
        if (!options.keepState()) {
            throw new InvalidInputException("gradients need options with LlaOptions.withKeepState(true)");
        }
        gradients.requireApart(device.info().name(), inputs, gradOutput);
        gradients.clear();
        for (int s = 0; s < sequences.count(); s++) {
            int firstKey = sequences.keyOffsets()[s];
            if (sequences.queries(s) == 0) { // nobody sees its keys
                gradients.dk().part(2, firstKey, sequences.keys(s)).fill(0);
                gradients.dv().part(2, firstKey, sequences.keys(s)).fill(0);
                continue;
            }
            int first = sequences.queryOffsets()[s];
            LlaInputs own = part(inputs, sequences, s);
            LlaPlan plan = plan(own.shape());
            LlaResult state = plan.newResult();
            plan.forward(own, state);
            LlaGradients found = gradients.part(own.shape(), first, firstKey);
            plan.backward(own, state, gradOutput.part(2, first, sequences.queries(s)), found);
            gradients.take(found, first);
        }
    }

    private void require(LlaInputs inputs, Sequences sequences, AttentionShape given) {
        if (!inputs.shape().equals(shape) || !given.equals(shape)) {
            throw new InvalidInputException("this plan is for " + shape + ", but the inputs have " + inputs.shape()
                    + " and what they are to give " + given);
        }
        sequences.requireTotals(shape);
        LlaInputs.requireRidges(inputs.ridge());
    }

    private LlaPlan plan(AttentionShape own) {
        return plans.computeIfAbsent(own, sizes -> device.plan(sizes, options));
    }

    private static LlaInputs part(LlaInputs inputs, Sequences sequences, int s) {
        int firstKey = sequences.keyOffsets()[s];
        int first = sequences.queryOffsets()[s];
        int queries = sequences.queries(s);
        return new LlaInputs(inputs.q().part(2, first, queries), inputs.k().part(2, firstKey, sequences.keys(s)),
                inputs.v().part(2, firstKey, sequences.keys(s)), inputs.ridge() == null ? null : inputs.ridge().part(2, first, queries));
    }

    /** Bytes that the plans of the lengths seen lately hold beyond q, k, v and o. */
    public long workspaceBytes() {
        return plans.values().stream().mapToLong(LlaPlan::workspaceBytes).sum();
    }

    @Override
    public void close() {
        plans.values().forEach(LlaPlan::close);
        plans.clear();
    }
}
