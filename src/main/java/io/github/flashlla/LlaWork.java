package io.github.flashlla;

/**
 * Counted work of Local Linear Attention, the same count for every device.
 *
 * <p>Forward, per visible (query, key) pair: 4D flops in pass 1 (score, weighted mean key), 6D per conjugate-gradient
 * iteration (score, y.k, weighted sum), 4D + 2Dv in pass 3 (score, x.k, output); (10 + 6T) D when Dv = D.
 */
public final class LlaWork {
    private LlaWork() {}

    /** Flops of a forward pass whose iterations sum to {@code pairIterations} over all pairs. */
    public static double forwardFlops(AttentionShape shape, boolean causal, double pairIterations) {
        double pairs = shape.pairs(causal);
        return pairs * (8.0 * shape.headDim() + 2.0 * shape.valueDim()) + pairIterations * 6.0 * shape.headDim();
    }

    /** Flops of the forward pass that wrote {@code result}. */
    public static double forwardFlops(LlaResult result, boolean causal) {
        return forwardFlops(result.shape(), causal, result.pairIterations());
    }
}
