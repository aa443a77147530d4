package io.github.flashlla.jvm;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.jvm.decode.DecodeLoops;
import io.github.flashlla.jvm.decode.TensorTiles;
import io.github.flashlla.precise.PreciseDecodePlan;
import io.github.flashlla.spi.AbstractKvCache;
import io.github.flashlla.spi.DeviceState;

/** A full cache over keys and values where the caller has them: one step over a mapped file needs no memory for its tokens. */
final class TensorKvCache extends AbstractKvCache {
    private final DeviceState device;
    private final WorkerPool pool;
    private final DecodeLoops kernels;
    private final Tensor k;
    private final Tensor v;

    TensorKvCache(DeviceState device, WorkerPool pool, DecodeLoops kernels, LlaInputs inputs) {
        super(shapeOf(inputs), device);
        this.device = device;
        this.pool = pool;
        this.kernels = kernels;
        this.k = inputs.k();
        this.v = inputs.v();
        fillWith(k);
    }

    private static KvCacheShape shapeOf(LlaInputs inputs) {
        AttentionShape shape = inputs.shape();
        boolean half = inputs.k().type() == DataType.FLOAT16 && inputs.v().type() == DataType.FLOAT16;
        return new KvCacheShape(shape.batch(), shape.kvHeads(), shape.keyLength(), shape.headDim(), shape.valueDim(),
                half ? DataType.FLOAT16 : DataType.FLOAT32);
    }

    @Override
    public DecodePlan decodePlan(int heads, LlaOptions options, DecodeMethod method) {
        requireOpen();
        return new PreciseDecodePlan(this, options, given -> new JvmDecodePlan(device, this, new TensorTiles(k), new TensorTiles(v), pool, kernels,
                heads, given, method));
    }

    /** Nothing is ever appended: the cache is full. */
    @Override
    protected void store(int first, int sequences, int tokens, Tensor newK, Tensor newV) {}

    @Override
    public Tensor keys(int sequence) {
        return k.part(0, sequence, 1);
    }

    @Override
    public Tensor values(int sequence) {
        return v.part(0, sequence, 1);
    }

    @Override
    protected void release() {}
}
