package io.github.flashlla;

/** What one backward pass returns: the gradients of the loss with respect to every input of forward; its solve is the second. */
public final class LlaGradients extends QuerySolves {
    private final Tensor dq;
    private final Tensor dk;
    private final Tensor dv;
    private final Tensor dridge;

    /** Room for gradients of {@code type}, NaN until a run has written them. */
    public LlaGradients(AttentionShape shape, DataType type) {
        super(shape);
        this.dq = unwritten(type, shape.queryDims());
        this.dk = unwritten(type, shape.keyDims());
        this.dv = unwritten(type, shape.valueDims());
        this.dridge = unwritten(type, shape.rowDims());
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
}
