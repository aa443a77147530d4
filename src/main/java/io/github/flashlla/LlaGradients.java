package io.github.flashlla;

/** What one backward pass returns: the gradients of the loss with respect to every input of forward; its solve is the second. */
public final class LlaGradients extends QuerySolves {
    private final Tensor dq;
    private final Tensor dk;
    private final Tensor dv;
    private final Tensor dridge;

    /**
     * Room for gradients of {@code type}, NaN until a run has written them. Devices compute in units in which float32 carries them; in FLOAT64 they are kept
     * where they are too small for float32 in the inputs' own units, as dridge is for keys of 1e-21.
     */
    public LlaGradients(AttentionShape shape, DataType type) {
        this(shape, type, unwritten(type, shape.queryDims()), unwritten(type, shape.keyDims()), unwritten(type, shape.valueDims()));
    }

    /**
     * Room for gradients that go to memory of the caller's, which may be views, such as those of packed q, k and v. It stays as it is until
     * a run writes it; a run refuses the memory of what it reads, and two gradients in the same memory.
     */
    public LlaGradients(AttentionShape shape, Tensor dq, Tensor dk, Tensor dv) {
        this(shape, DataType.FLOAT32, dq, dk, dv);
    }

    private LlaGradients(AttentionShape shape, DataType type, Tensor dq, Tensor dk, Tensor dv) {
        super(shape);
        requireDims("dq", dq, shape.queryDims());
        requireDims("dk", dk, shape.keyDims());
        requireDims("dv", dv, shape.valueDims());
        this.dq = dq;
        this.dk = dk;
        this.dv = dv;
        this.dridge = unwritten(type, shape.rowDims());
    }

    /** @param whole what this is a part of, from query {@code first} and key {@code firstKey} on */
    private LlaGradients(AttentionShape shape, LlaGradients whole, int first, int firstKey) {
        super(shape);
        this.dq = whole.dq.part(2, first, shape.queryLength());
        this.dk = whole.dk.part(2, firstKey, shape.keyLength());
        this.dv = whole.dv.part(2, firstKey, shape.keyLength());
        this.dridge = whole.dridge.part(2, first, shape.queryLength());
    }

    /** Gradients for some queries and keys of each head, whose tensors are views of this one's. */
    LlaGradients part(AttentionShape part, int first, int firstKey) {
        return new LlaGradients(part, this, first, firstKey);
    }

    /**
     * For devices, before a run.
     *
     * @param device name for messages
     * @param gradOutput dL/do
     * @throws InvalidInputException if a gradient has an element in the memory of an input, of {@code gradOutput} or of another gradient
     */
    public void requireApart(String device, LlaInputs inputs, Tensor gradOutput) {
        requireApart(device, "dq", dq, inputs, gradOutput);
        requireApart(device, "dk", dk, inputs, gradOutput);
        requireApart(device, "dv", dv, inputs, gradOutput);
        requireApart(device, "dk", dk, "dq", dq);
        requireApart(device, "dv", dv, "dq", dq);
        requireApart(device, "dv", dv, "dk", dk);
    }

    private static void requireApart(String device, String name, Tensor gradient, LlaInputs inputs, Tensor gradOutput) {
        requireApart(device, name, gradient, "q", inputs.q());
        requireApart(device, name, gradient, "k", inputs.k());
        requireApart(device, name, gradient, "v", inputs.v());
        requireApart(device, name, gradient, "the ridge", inputs.ridge());
        requireApart(device, name, gradient, "the output's gradient", gradOutput);
    }

    private static void requireApart(String device, String name, Tensor gradient, String otherName, Tensor other) {
        if (other != null && Overlap.of(other, gradient)) {
            throw new InvalidInputException(device + ": " + name + " lies in the memory of " + otherName + ", which it overwrites; make the "
                    + "gradients with memory of their own, as newGradients() does");
        }
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
