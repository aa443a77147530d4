package io.github.flashlla;

import java.util.Arrays;

/**
 * What one forward pass returns. A plan writes into the same result again and again; read it between runs.
 *
 * <p>A query is solved when {@code residual <= tolerance}; one that is not says how far it is. A query that sees no
 * key has output 0, 0 iterations, residual 0 and log-sum-exp -infinity.
 */
public final class LlaResult {
    private final AttentionShape shape;
    private final Tensor output;
    private final Tensor logSumExp;
    private final Tensor kbar;
    private final Tensor x;
    private final int[] iterations;
    private final float[] residual;
    private final float[] recurrenceResidual;
    private final float[] roundingError;
    private int recomputedRows;
    private Timing timing = Timing.NONE;
    private long pairIterations;

    /**
     * Room for a result in float32 (or {@code type}), NaN until a run has written it.
     *
     * @param keepState whether kbar and x are kept for the backward pass
     */
    public LlaResult(AttentionShape shape, DataType type, boolean keepState) {
        this.shape = shape;
        this.output = poisoned(type, shape.outputDims());
        this.logSumExp = poisoned(type, shape.rowDims());
        this.kbar = keepState ? poisoned(type, shape.queryDims()) : null;
        this.x = keepState ? poisoned(type, shape.queryDims()) : null;
        this.iterations = new int[Math.toIntExact(shape.rows())];
        this.residual = new float[iterations.length];
        Arrays.fill(iterations, -1);
        this.recurrenceResidual = new float[iterations.length];
        this.roundingError = new float[iterations.length];
        Arrays.fill(residual, Float.NaN);
        Arrays.fill(recurrenceResidual, Float.NaN);
        Arrays.fill(roundingError, Float.NaN);
    }

    private static Tensor poisoned(DataType type, long[] dims) {
        Tensor tensor = Tensor.allocate(type, dims);
        tensor.fill(Double.NaN);
        return tensor;
    }

    public AttentionShape shape() {
        return shape;
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

    public boolean keepsState() {
        return x != null;
    }

    /** Conjugate-gradient iterations until a query was solved or the cap was met, (B,H,Sq) row-major; 0 for a direct solve. */
    public int[] iterations() {
        return iterations;
    }

    /**
     * ||A x - b|| / ||b|| with b = kbar - q per query, (B,H,Sq) row-major: the true one where rounding can matter, elsewhere
     * the recurrence's plus a bound of its rounding.
     */
    public float[] residual() {
        return residual;
    }

    /** The residual as the recurrence of conjugate gradients carries it, (B,H,Sq) row-major. */
    public float[] recurrenceResidual() {
        return recurrenceResidual;
    }

    /** Estimate of the float32 rounding error ||o_i - exact|| of each query's output, in units of o, (B,H,Sq) row-major. */
    public float[] roundingError() {
        return roundingError;
    }

    /** Queries that were computed in float64, since float32 could not carry them. */
    public int recomputedRows() {
        return recomputedRows;
    }

    public void setRecomputedRows(int rows) {
        this.recomputedRows = rows;
    }

    /** How far one query's solve can be trusted. */
    public SolveState state(int row, double tolerance) {
        return SolveState.of(residual[row], recurrenceResidual[row], tolerance);
    }

    /** Queries in a state. */
    public long count(SolveState state, double tolerance) {
        long count = 0;
        for (int row = 0; row < residual.length; row++) {
            count += state(row, tolerance) == state ? 1 : 0;
        }
        return count;
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

    /** Times of the run that wrote this. */
    public Timing timing() {
        return timing;
    }

    public void setTiming(Timing newTiming) {
        this.timing = newTiming;
    }

    /**
     * Iterations that the device ran, summed over the (query, key) pairs they ran on: what work is counted by. A query
     * that is done still costs its block's iterations.
     */
    public long pairIterations() {
        return pairIterations;
    }

    public void setPairIterations(long newPairIterations) {
        this.pairIterations = newPairIterations;
    }

    /** Largest residual of any query; NaN if one was not written. */
    public double worstResidual() {
        double worst = 0;
        for (float r : residual) {
            worst = Math.max(worst, r); // Math.max keeps NaN
        }
        return worst;
    }

    public int maxIterations() {
        return Arrays.stream(iterations).max().orElse(0);
    }

    public int minIterations() {
        return Arrays.stream(iterations).min().orElse(0);
    }

    public double meanIterations() {
        return Arrays.stream(iterations).average().orElse(0);
    }
}
