package io.github.flashlla;

/**
 * What one forward pass returns. A plan writes into the same result again and again; read it between runs.
 *
 * <p>A query is solved when {@code residual <= tolerance}; one that is not says how far it is. A query that sees no
 * key has output 0, 0 iterations, residual 0 and log-sum-exp -infinity.
 */
public final class LlaResult extends QuerySolves {
    private final Tensor output;
    private final Tensor logSumExp;
    private final Tensor kbar;
    private final Tensor x;
    private final float[] roundingError;

    /**
     * Room for a result in float32 (or {@code type}), NaN until a run has written it.
     *
     * @param keepState whether kbar and x are kept for the backward pass
     */
    public LlaResult(AttentionShape shape, DataType type, boolean keepState) {
        this(shape, type, unwritten(type, shape.outputDims()), keepState);
    }

    /**
     * Room for a result whose output goes to memory of the caller's, which may be a view, such as one of (B,S,H,Dv) as (B,H,S,Dv).
     *
     * @param output (B,H,Sq,Dv), which stays as it is until a run writes it; a run refuses the memory of one of its inputs
     */
    public LlaResult(AttentionShape shape, Tensor output, boolean keepState) {
        this(shape, DataType.FLOAT32, output, keepState);
    }

    private LlaResult(AttentionShape shape, DataType type, Tensor output, boolean keepState) {
        super(shape);
        requireDims("the output", output, shape.outputDims());
        this.output = output;
        this.logSumExp = unwritten(type, shape.rowDims());
        this.kbar = keepState ? unwritten(type, shape.queryDims()) : null;
        this.x = keepState ? unwritten(type, shape.queryDims()) : null;
        this.roundingError = unwritten();
    }

    /** @param whole what this is a part of, from query {@code first} on */
    private LlaResult(AttentionShape shape, LlaResult whole, int first) {
        super(shape);
        this.output = whole.output.part(2, first, shape.queryLength());
        this.logSumExp = whole.logSumExp.part(2, first, shape.queryLength());
        this.kbar = whole.keepsState() ? whole.kbar.part(2, first, shape.queryLength()) : null;
        this.x = whole.keepsState() ? whole.x.part(2, first, shape.queryLength()) : null;
        this.roundingError = unwritten();
    }

    /** A result for some queries of each head, whose tensors are views of this one's. */
    LlaResult part(AttentionShape part, int first) {
        return new LlaResult(part, this, first);
    }

    /**
     * For devices, before a run.
     *
     * @param device name for messages
     * @throws InvalidInputException if the output has an element in the memory of an input
     */
    public void requireApart(String device, LlaInputs inputs) {
        requireApart(device, "q", inputs.q());
        requireApart(device, "k", inputs.k());
        requireApart(device, "v", inputs.v());
        requireApart(device, "the ridge", inputs.ridge());
    }

    /**
     * The same for one input; null is no tensor.
     *
     * @throws InvalidInputException if the output has an element in its memory
     */
    public void requireApart(String device, String name, Tensor input) {
        if (input != null && Overlap.of(input, output)) {
            throw new InvalidInputException(device + ": the result's output lies in the memory of " + name + ", which it overwrites; "
                    + "make the result with memory of its own, as newResult() does");
        }
    }

    @Override
    void take(QuerySolves part, int first) {
        super.take(part, first);
        copyRows(((LlaResult) part).roundingError, part, roundingError, first);
    }

    /** o (B,H,Sq,Dv) */
    public Tensor output() {
        return output;
    }

    /** Log of a query's total weight, log sum_j exp(scale q.k_j), (B,H,Sq). */
    public Tensor logSumExp() {
        return logSumExp;
    }

    /** Weighted mean key (B,H,Sq,D); null unless state is kept. */
    public Tensor kbar() {
        return kbar;
    }

    /** Solution of A x = kbar - q (B,H,Sq,D); null unless state is kept. */
    public Tensor x() {
        return x;
    }

    /** Whether {@link #kbar} and {@link #x} are there, which the backward pass needs. */
    public boolean keepsState() {
        return x != null;
    }

    /** Estimate of the rounding error ||o_i - exact|| of each query's output, of float16 products' too, in units of o, (B,H,Sq) row-major. */
    public float[] roundingError() {
        return roundingError;
    }

    /** Estimate of ||o - exact|| / ||o|| over the whole output, from {@link #roundingError()}. */
    public double estimatedError() {
        double square = 0;
        for (float error : roundingError) {
            square += (double) error * error;
        }
        double norm = 0;
        for (long i = 0; i < output.size(); i++) {
            norm += output.get(i) * output.get(i);
        }
        return square == 0 ? 0 : Math.sqrt(square / norm);
    }
}
