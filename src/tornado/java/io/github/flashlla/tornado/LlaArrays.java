package io.github.flashlla.tornado;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs.Strides;
import io.github.flashlla.Sequences;
import io.github.flashlla.tornado.buffers.ArrayView;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * The caller's arrays of a forward pass, and where tensors lie in them.
 *
 * <pre>{@code
 * LlaArrays.of(q, k, v, o)                                              // (B,H,S,D)
 * LlaArrays.of(q, k, v, o).rowsFirst(shape)                             // (B,S,H,D)
 * LlaArrays.packed(shape, qkv, o)                                       // (B,S,H + 2 Hkv,D) and (B,S,H,D)
 * LlaArrays.of(q, k, v, o).withSequences(Sequences.ofLengths(5, 300))   // one after the other along S
 * }</pre>
 *
 * @param q in, as k and v: three arrays, or one for all
 * @param ridge (B,H,Sq), each &gt; 0; null for the one of the options
 * @param o out; it fills its array
 * @param sequences null where batch entries are the only sequences
 */
public record LlaArrays(ArrayView q, ArrayView k, ArrayView v, FloatArray ridge, ArrayView o, Sequences sequences) {

    /** Row-major tensors (B,H,Sq,D), (B,Hkv,Sk,D), (B,Hkv,Sk,Dv) and (B,H,Sq,Dv). */
    public static LlaArrays of(FloatArray q, FloatArray k, FloatArray v, FloatArray o) {
        return new LlaArrays(ArrayView.of(q), ArrayView.of(k), ArrayView.of(v), null, ArrayView.of(o), null);
    }

    /** Tensors (B,Sq,H,D), (B,Sk,Hkv,D), (B,Sk,Hkv,Dv) and (B,Sq,H,Dv) in the same arrays. */
    public LlaArrays rowsFirst(AttentionShape shape) {
        return new LlaArrays(ArrayView.rowsFirst(q.array(), shape.queryLength(), shape.heads(), shape.headDim()),
                ArrayView.rowsFirst(k.array(), shape.keyLength(), shape.kvHeads(), shape.headDim()),
                ArrayView.rowsFirst(v.array(), shape.keyLength(), shape.kvHeads(), shape.valueDim()), ridge,
                ArrayView.rowsFirst(o.array(), shape.queryLength(), shape.heads(), shape.valueDim()), sequences);
    }

    /**
     * q, k and v side by side in each row of one array: H query heads, then Hkv of keys, then Hkv of values.
     *
     * @param qkv (B,S,H + 2 Hkv,D)
     * @param o (B,S,H,D)
     * @throws InvalidInputException if Sq is not Sk or D not Dv
     */
    public static LlaArrays packed(AttentionShape shape, FloatArray qkv, FloatArray o) {
        int D = shape.headDim();
        int S = shape.queryLength();
        if (S != shape.keyLength() || D != shape.valueDim()) {
            throw new InvalidInputException("q, k and v in one array need Sq = Sk and D = Dv, not " + shape);
        }
        long row = D * (shape.heads() + 2L * shape.kvHeads());
        ArrayView q = new ArrayView(qkv, new Strides(0, S * row, D, row));
        ArrayView k = new ArrayView(qkv, new Strides((long) shape.heads() * D, S * row, D, row));
        ArrayView v = new ArrayView(qkv, new Strides((long) (shape.heads() + shape.kvHeads()) * D, S * row, D, row));
        return new LlaArrays(q, k, v, null, ArrayView.rowsFirst(o, S, shape.heads(), D), null);
    }

    public LlaArrays withRidge(FloatArray newRidge) {
        return new LlaArrays(q, k, v, newRidge, o, sequences);
    }

    /** Sequences of different lengths one after the other, B = 1; their lengths may change with every run. */
    public LlaArrays withSequences(Sequences newSequences) {
        return new LlaArrays(q, k, v, ridge, o, newSequences);
    }

    boolean isStrided() {
        return q.isStrided() || k.isStrided() || v.isStrided() || o.isStrided();
    }

    /** q, k and v are one array or three; all others are arrays of their own. */
    void requireApart() {
        FloatArray none = new FloatArray(1);
        boolean packed = q.array() == k.array() && k.array() == v.array();
        LlaTasks.requireDistinct("q, k, v, ridge and o", q.array(), packed ? none : k.array(), packed ? new FloatArray(1) : v.array(),
                ridge == null ? new FloatArray(1) : ridge, o.array());
    }
}
