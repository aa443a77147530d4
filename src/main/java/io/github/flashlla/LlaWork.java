package io.github.flashlla;

/**
 * Counted work of Local Linear Attention, the same count for every device.
 *
 * <p>Forward, per visible (query, key) pair: 4D flops in pass 1 (score, weighted mean key), 6D per conjugate-gradient
 * iteration (score, y.k, weighted sum), 4D + 2Dv in pass 3 (score, x.k, output); (10 + 6T) D when Dv = D.
 *
 * <p>Backward, per visible pair, each product of two vectors or sum of a weighted vector again 2D (2Dv for values):
 * <ul>
 * <li>query blocks, gathering Gbar and c: score, G = g.v, sum of p G k: 4D + 2Dv;
 * <li>query blocks, each iteration of the second solve, as in forward: 6D;
 * <li>query blocks, dq: score, G, x.k, u.k, sum of dS k: 8D + 2Dv;
 * <li>key blocks: score, G, x.k, u.k: 6D + 2Dv; dk as weighted sums of q, u and x: 6D; dv: 2Dv.
 * </ul>
 * Together 24D + 8Dv + 6TD, which is (32 + 6T) D when Dv = D.
 *
 * <p>The count is that of the algorithm that recomputes its scores in every pass. A device that keeps a block's weights
 * between passes does fewer operations and is credited with these all the same, as time is what counts.
 */
public final class LlaWork {
    private LlaWork() {}

    /** Flops of a forward pass whose iterations sum to {@code pairIterations} over all pairs. */
    public static double forwardFlops(AttentionShape shape, boolean causal, double pairIterations) {
        double pairs = shape.pairs(causal);
        return pairs * (8.0 * shape.headDim() + 2.0 * shape.valueDim()) + pairIterations * 6.0 * shape.headDim();
    }

    /** Flops of softmax attention: scores, and the weighted sum of the values. */
    public static double softmaxFlops(AttentionShape shape, boolean causal) {
        return shape.pairs(causal) * 2.0 * (shape.headDim() + shape.valueDim());
    }

    /** Flops of the forward pass that wrote {@code result}. */
    public static double forwardFlops(LlaResult result, boolean causal) {
        return forwardFlops(result.shape(), causal, result.pairIterations());
    }

    /** Flops of a backward pass whose second solve's iterations sum to {@code pairIterations} over all pairs. */
    public static double backwardFlops(AttentionShape shape, boolean causal, double pairIterations) {
        double pairs = shape.pairs(causal);
        return pairs * (24.0 * shape.headDim() + 8.0 * shape.valueDim()) + pairIterations * 6.0 * shape.headDim();
    }

    /** Flops of the backward pass that wrote {@code gradients}. */
    public static double backwardFlops(LlaGradients gradients, boolean causal) {
        return backwardFlops(gradients.shape(), causal, gradients.pairIterations());
    }

    /**
     * Flops of one decoding step over {@code shape.keyLength()} keys, by the count of its method ({@link DecodeMethod}).
     *
     * @param pairIterations iterations summed over all pairs; 0 for a direct solve
     */
    public static double decodeFlops(AttentionShape shape, DecodeMethod method, double pairIterations) {
        double pairs = shape.pairs(false);
        double d = shape.headDim();
        double dv = shape.valueDim();
        return switch (method) {
            case MOMENTS -> pairs * (d * (d + 1) + 2 * d * dv + 4 * d + 2 * dv);
            case AUTO, COVARIANCE -> pairs * (d * (d + 1) + 8 * d + 2 * dv);
            case MATRIX_FREE -> pairs * (6 * d + 2 * dv) + pairIterations * 4 * d;
        };
    }
}
