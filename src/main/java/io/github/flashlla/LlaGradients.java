package io.github.flashlla;

/** What one backward pass returns: the gradients of the loss with respect to every input of forward; its solve is the second. */
public final class LlaGradients extends QuerySolves {
    private final Tensor dq;
    private final Tensor dk;
    private final Tensor dv;
    private final Tensor dridge;

    /** Room for gradients of {@code type}, NaN until a run has written them. */
    public LlaGradients(AttentionShape shape, DataType type) {
        this(shape, type, Tensor.allocate(type, shape.queryDims()), Tensor.allocate(type, shape.keyDims()), Tensor.allocate(type, shape.valueDims()));
    }

    /** Room for gradients that go to memory of the caller's, which may be views, such as those of packed q, k and v. */
    public LlaGradients(AttentionShape shape, Tensor dq, Tensor dk, Tensor dv) {
        this(shape, DataType.FLOAT32, dq, dk, dv);
    }

    private LlaGradients(AttentionShape shape, DataType type, Tensor dq, Tensor dk, Tensor dv) {
        super(shape);
        requireDims("dq", dq, shape.queryDims());
        requireDims("dk", dk, shape.keyDims());
        requireDims("dv", dv, shape.valueDims());
        for (Tensor tensor : new Tensor[] {dq, dk, dv}) {
            tensor.fill(Double.NaN);
        }
        this.dq = dq;
        this.dk = dk;
        this.dv = dv;
        this.dridge = unwritten(type, shape.rowDims());
    }

    /** @param whole what this is a part of; its rows become NaN until a run has written them */
    private LlaGradients(AttentionShape shape, LlaGradients whole, int first, int firstKey) {
        super(shape);
        this.dq = whole.dq.part(2, first, shape.queryLength());
        this.dk = whole.dk.part(2, firstKey, shape.keyLength());
        this.dv = whole.dv.part(2, firstKey, shape.keyLength());
        this.dridge = whole.dridge.part(2, first, shape.queryLength());
        for (Tensor tensor : new Tensor[] {dq, dk, dv, dridge}) {
            tensor.fill(Double.NaN);
        }
    }

    /** Gradients for some queries and keys of each head, whose tensors are views of this one's. */
    LlaGradients part(AttentionShape part, int first, int firstKey) {
        return new LlaGradients(part, this, first, firstKey);
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
