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
        Arrays.fill(residual, Float.NaN);
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

    /** ||r|| / ||c|| of the second solve per query at its end, (B,H,Sq) row-major. */
    public float[] residual() {
        return residual;
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
