package io.github.flashlla.tornado;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs.Strides;
import io.github.flashlla.Sequences;
import io.github.flashlla.tornado.buffers.ArrayView;
import io.github.flashlla.tornado.buffers.CacheRows;
import io.github.flashlla.tornado.kernels.ArrayCopy;
import java.util.List;
import java.util.stream.Stream;
import uk.ac.manchester.tornado.api.types.arrays.BFloat16Array;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

/**
 * The caller's arrays of a forward pass, and where tensors lie in them; or those of its gradients: dq, dk and dv in place of q, k and v, the
 * output's gradient g in place of o, and dridge in place of the ridge.
 *
 * <pre>{@code
 * LlaArrays.of(q, k, v, o)                                              // (B,H,S,D)
 * LlaArrays.of(q, k, v, o).rowsFirst(shape)                             // (B,S,H,D)
 * LlaArrays.packed(shape, qkv, o)                                       // (B,S,H + 2 Hkv,D) and (B,S,H,D)
 * LlaArrays.of(q, k, v, o).withSequences(Sequences.ofLengths(5, 300))   // one after the other along S
 * }</pre>
 *
 * <p>float32 kernels read and write all of these where they lie. What is in float16 or bfloat16, and what no kernel takes as it lies, is
 * copied on the device, by tasks of the same graph; {@link LlaTasks#describe} says so.
 */
public final class LlaArrays {
    private final ArrayView q;
    private final ArrayView k;
    private final ArrayView v;
    private final FloatArray ridge;
    private final ArrayView o;
    private final Sequences sequences;

    private LlaArrays(ArrayView q, ArrayView k, ArrayView v, FloatArray ridge, ArrayView o, Sequences sequences) {
        this.q = q;
        this.k = k;
        this.v = v;
        this.ridge = ridge;
        this.o = o;
        this.sequences = sequences;
    }

    /** Row-major tensors (B,H,Sq,D), (B,Hkv,Sk,D), (B,Hkv,Sk,Dv) and (B,H,Sq,Dv). */
    public static LlaArrays of(FloatArray q, FloatArray k, FloatArray v, FloatArray o) {
        return usual(q, k, v, o);
    }

    /** The same in float16, for devices with a half type: {@code cuda}, {@code ptx}, and {@code opencl} on NVIDIA GPUs. */
    public static LlaArrays of(HalfFloatArray q, HalfFloatArray k, HalfFloatArray v, HalfFloatArray o) {
        return usual(q, k, v, o);
    }

    /** The same in bfloat16, for {@code cuda}. */
    public static LlaArrays of(BFloat16Array q, BFloat16Array k, BFloat16Array v, BFloat16Array o) {
        return usual(q, k, v, o);
    }

    private static LlaArrays usual(TornadoNativeArray q, TornadoNativeArray k, TornadoNativeArray v, TornadoNativeArray o) {
        return new LlaArrays(ArrayView.of(q), ArrayView.of(k), ArrayView.of(v), null, ArrayView.of(o), null);
    }

    /** Tensors (B,Sq,H,D), (B,Sk,Hkv,D), (B,Sk,Hkv,Dv) and (B,Sq,H,Dv) in the same arrays. */
    public LlaArrays rowsFirst(AttentionShape shape) {
        return new LlaArrays(q.rowsFirst(shape.queryLength(), shape.heads(), shape.headDim()),
                k.rowsFirst(shape.keyLength(), shape.kvHeads(), shape.headDim()),
                v.rowsFirst(shape.keyLength(), shape.kvHeads(), shape.valueDim()), ridge,
                o.rowsFirst(shape.queryLength(), shape.heads(), shape.valueDim()), sequences);
    }

    /**
     * Tensors that lie in the same arrays as strides say, in elements; null for row-major.
     *
     * @param ofQ of q (B,H,Sq,D); likewise of k (B,Hkv,Sk,D), v (B,Hkv,Sk,Dv) and o (B,H,Sq,Dv), which must fill its array
     */
    public LlaArrays withStrides(Strides ofQ, Strides ofK, Strides ofV, Strides ofO) {
        return new LlaArrays(new ArrayView(q.stored(), ofQ), new ArrayView(k.stored(), ofK), new ArrayView(v.stored(), ofV), ridge,
                new ArrayView(o.stored(), ofO), sequences);
    }

    /**
     * q, k and v side by side in each row of one array: H query heads, then Hkv of keys, then Hkv of values.
     *
     * @param qkv (B,S,H + 2 Hkv,D)
     * @param o (B,S,H,D)
     * @throws InvalidInputException if Sq is not Sk or D not Dv
     */
    public static LlaArrays packed(AttentionShape shape, FloatArray qkv, FloatArray o) {
        return sideBySide(shape, qkv, o);
    }

    /** The same in float16. */
    public static LlaArrays packed(AttentionShape shape, HalfFloatArray qkv, HalfFloatArray o) {
        return sideBySide(shape, qkv, o);
    }

    /** The same in bfloat16, for {@code cuda}. */
    public static LlaArrays packed(AttentionShape shape, BFloat16Array qkv, BFloat16Array o) {
        return sideBySide(shape, qkv, o);
    }

    private static LlaArrays sideBySide(AttentionShape shape, TornadoNativeArray qkv, TornadoNativeArray o) {
        int D = shape.headDim();
        int S = shape.queryLength();
        if (S != shape.keyLength() || D != shape.valueDim()) {
            throw new InvalidInputException("q, k and v in one array need Sq = Sk and D = Dv, not " + shape);
        }
        long row = D * (shape.heads() + 2L * shape.kvHeads());
        ArrayView q = new ArrayView(qkv, new Strides(0, S * row, D, row));
        ArrayView k = new ArrayView(qkv, new Strides((long) shape.heads() * D, S * row, D, row));
        ArrayView v = new ArrayView(qkv, new Strides((long) (shape.heads() + shape.kvHeads()) * D, S * row, D, row));
        return new LlaArrays(q, k, v, null, ArrayView.of(o).rowsFirst(S, shape.heads(), D), null);
    }

    /** @param newRidge (B,H,Sq), each &gt; 0; null, as before, for the one of the options */
    public LlaArrays withRidge(FloatArray newRidge) {
        return new LlaArrays(q, k, v, newRidge, o, sequences);
    }

    /** Sequences of different lengths one after the other, B = 1; their lengths may change with every run. */
    public LlaArrays withSequences(Sequences newSequences) {
        return new LlaArrays(q, k, v, ridge, o, newSequences);
    }

    /** The arrays of q, k, v and the ridge, each once: what a graph sends where no task of it writes them. */
    public Object[] inputs() {
        return Stream.of(q.stored(), k.stored(), v.stored(), ridge).filter(array -> array != null).distinct().toArray();
    }

    /** The array of o. */
    public Object output() {
        return o.stored();
    }

    ArrayView q() {
        return q;
    }

    ArrayView k() {
        return k;
    }

    ArrayView v() {
        return v;
    }

    FloatArray ridge() {
        return ridge;
    }

    ArrayView o() {
        return o;
    }

    Sequences sequences() {
        return sequences;
    }

    boolean isStrided() {
        return q.isStrided() || k.isStrided() || v.isStrided() || o.isStrided();
    }

    /** q, k and v are one array or three; all others are arrays of their own. */
    void requireApart() {
        boolean packed = q.stored() == k.stored() && k.stored() == v.stored();
        LlaTasks.requireDistinct("q, k, v, ridge and o", q.stored(), packed ? new FloatArray(1) : k.stored(),
                packed ? new FloatArray(1) : v.stored(), ridge == null ? new FloatArray(1) : ridge, o.stored());
    }

    /** Makes sure that the device has their type. */
    void requireType(DeviceInfo device) {
        if (q.type() == DataType.FLOAT16 && !CacheRows.hasHalf(device)) {
            throw new InvalidInputException(device.name() + " has no half type that TornadoVM reaches; give it FloatArrays");
        }
        if (q.type() == DataType.BFLOAT16 && !device.backend().equals("cuda")) {
            throw new InvalidInputException(device.name() + ": TornadoVM has bfloat16 on cuda alone; give it FloatArrays or HalfFloatArrays");
        }
    }

    /**
     * The same with copies, float32 and row-major, in place of what kernels do not take.
     *
     * @param inPlace whether kernels take float32 tensors as they lie
     * @param gradients whether q, k and v are written and o is read
     * @param copies receives those made
     */
    LlaArrays copied(AttentionShape shape, boolean inPlace, boolean gradients, List<ArrayCopy> copies) {
        String d = gradients ? "d" : "";
        return new LlaArrays(copied(d + "q", q, shape.queryDims(), inPlace, gradients, copies),
                copied(d + "k", k, shape.keyDims(), inPlace, gradients, copies), copied(d + "v", v, shape.valueDims(), inPlace, gradients, copies),
                ridge, copied(gradients ? "g" : "o", o, shape.outputDims(), inPlace, !gradients, copies), sequences);
    }

    private static ArrayView copied(String name, ArrayView view, long[] dims, boolean inPlace, boolean output, List<ArrayCopy> copies) {
        if (view.type() == DataType.FLOAT32 && (inPlace || !view.isStrided())) {
            return view;
        }
        ArrayCopy copy = ArrayCopy.of(name, view, dims, output);
        copies.add(copy);
        return ArrayView.of(copy.own());
    }
}
