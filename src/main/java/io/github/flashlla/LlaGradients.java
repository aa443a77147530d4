package io.github.flashlla;

import java.util.Arrays;

/** What one backward pass returns: the gradients of the loss with respect to every input of forward. */
public final class LlaGradients {
    private final AttentionShape shape;
    private final Tensor dq;
    private final Tensor dk;
    private final Tensor dv;
    private final Tensor dridge;
    private final int[] iterations;
    private final float[] residual;
    private final float[] recurrenceResidual;
    private int recomputedRows;
    private Timing timing = Timing.NONE;
    private long pairIterations;

    /** Room for gradients of {@code type}, NaN until a run has written them. */
    public LlaGradients(AttentionShape shape, DataType type) {
        this.shape = shape;
        this.dq = poisoned(type, shape.queryDims());
        this.dk = poisoned(type, shape.keyDims());
        this.dv = poisoned(type, shape.valueDims());
        this.dridge = poisoned(type, shape.rowDims());
        this.iterations = new int[Math.toIntExact(shape.rows())];
        this.residual = new float[iterations.length];
        Arrays.fill(iterations, -1);
        this.recurrenceResidual = new float[iterations.length];
        Arrays.fill(residual, Float.NaN);
        Arrays.fill(recurrenceResidual, Float.NaN);
    }

    private static Tensor poisoned(DataType type, long[] dims) {
        Tensor tensor = Tensor.allocate(type, dims);
        tensor.fill(Double.NaN);
        return tensor;
    }

    public AttentionShape shape() {
        return shape;
    }

    /** (B,H,Sq,D) */
    public Tensor dq() {
        return dq;
    }

    /** (B,Hkv,Sk,D), summed over the query heads of a group. */
    public Tensor dk() {
        return dk;
    }

    /** (B,Hkv,Sk,Dv), summed over the query heads of a group. */
    public Tensor dv() {
        return dv;
    }

    /** Gradient of each query's ridge (B,H,Sq); for one shared ridge its gradient is their sum. */
    public Tensor dridge() {
        return dridge;
    }

    /** Iterations of the second solve, (B,H,Sq) row-major. */
    public int[] iterations() {
        return iterations;
    }

    /** ||A u + c|| / ||c|| of the second solve per query, (B,H,Sq) row-major; see {@link LlaResult#residual()}. */
    public float[] residual() {
        return residual;
    }

    /** The second solve's residual as its recurrence carries it, (B,H,Sq) row-major. */
    public float[] recurrenceResidual() {
        return recurrenceResidual;
    }

    /** Queries whose part was computed in float64, since float32 could not carry them. */
    public int recomputedRows() {
        return recomputedRows;
    }

    public void setRecomputedRows(int rows) {
        this.recomputedRows = rows;
    }

    /** How far one query's second solve can be trusted. */
    public SolveState state(int row, double tolerance) {
        return SolveState.of(residual[row], recurrenceResidual[row], tolerance);
    }

    public Timing timing() {
        return timing;
    }

    public void setTiming(Timing newTiming) {
        this.timing = newTiming;
    }

    /** Iterations of the second solve summed over the (query, key) pairs they ran on. */
    public long pairIterations() {
        return pairIterations;
    }

    public void setPairIterations(long newPairIterations) {
        this.pairIterations = newPairIterations;
    }
}
