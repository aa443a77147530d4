package io.github.flashlla.tornado.support;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.LlaArrays;
import java.lang.foreign.MemorySegment;
import uk.ac.manchester.tornado.api.types.arrays.BFloat16Array;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

/** Both passes over arrays in float16 or bfloat16: q, k and v in one, the others (B,S,H,D). */
public final class ShortPasses implements AutoCloseable {
    private final AttentionShape shape;
    private final DataType type;
    private final TornadoNativeArray o;
    private final TornadoNativeArray dq;
    private final TornadoNativeArray dk;
    private final TornadoNativeArray dv;
    private final BothPasses passes;

    /**
     * @param qkv (B,S,H + 2 Hkv,D) of that type
     * @param g (B,H,S,D) of that type
     */
    public ShortPasses(AttentionShape shape, LlaOptions options, DataType type, Tensor qkv, Tensor g) {
        this.shape = shape;
        this.type = type;
        this.o = array(g.size());
        this.dq = array(g.size());
        this.dk = array(g.size() / shape.group());
        this.dv = array(g.size() / shape.group());
        TornadoNativeArray all = array(qkv);
        TornadoNativeArray rows = array(g.permute(0, 2, 1, 3));
        LlaArrays arrays = type == DataType.FLOAT16 ? LlaArrays.packed(shape, (HalfFloatArray) all, (HalfFloatArray) o)
                : LlaArrays.packed(shape, (BFloat16Array) all, (BFloat16Array) o);
        LlaArrays gradients = type == DataType.FLOAT16
                ? LlaArrays.of((HalfFloatArray) dq, (HalfFloatArray) dk, (HalfFloatArray) dv, (HalfFloatArray) rows)
                : LlaArrays.of((BFloat16Array) dq, (BFloat16Array) dk, (BFloat16Array) dv, (BFloat16Array) rows);
        this.passes = new BothPasses(shape, options, arrays, gradients.rowsFirst(shape));
    }

    private TornadoNativeArray array(long size) {
        return type == DataType.FLOAT16 ? new HalfFloatArray((int) size) : new BFloat16Array((int) size);
    }

    private TornadoNativeArray array(Tensor tensor) {
        TornadoNativeArray array = array(tensor.size());
        MemorySegment.copy(tensor.copy().memory(), 0, array.getSegment(), 0, tensor.size() * Short.BYTES);
        return array;
    }

    public void run() {
        passes.run();
    }

    public String describe() {
        return passes.forward().describe();
    }

    public Tensor o() {
        return tensor(o, shape.outputDims());
    }

    public Tensor dq() {
        return tensor(dq, shape.queryDims());
    }

    public Tensor dk() {
        return tensor(dk, shape.keyDims());
    }

    public Tensor dv() {
        return tensor(dv, shape.valueDims());
    }

    private Tensor tensor(TornadoNativeArray array, long[] dims) {
        return Tensor.wrap(array.getSegment(), type, dims[0], dims[2], dims[1], dims[3]).permute(0, 2, 1, 3);
    }

    @Override
    public void close() throws Exception {
        passes.close();
    }
}
