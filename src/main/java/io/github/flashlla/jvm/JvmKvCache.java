package io.github.flashlla.jvm;

import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.DeviceException;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.jvm.decode.CacheTiles;
import io.github.flashlla.jvm.decode.DecodeLoops;
import io.github.flashlla.precise.PreciseDecodePlan;
import io.github.flashlla.spi.AbstractKvCache;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.spi.PartialDecode;
import io.github.flashlla.text.Numbers;
import java.lang.foreign.Arena;

/** Keys and values in off-heap memory, in {@link CacheTiles}. */
final class JvmKvCache extends AbstractKvCache implements PartialDecode.Cache {

    private final DeviceState device;
    private final WorkerPool pool;
    private final DecodeLoops kernels;
    private final Arena arena = Arena.ofShared();
    private final CacheTiles k;
    private final CacheTiles v;

    JvmKvCache(DeviceState device, WorkerPool pool, DecodeLoops kernels, KvCacheShape shape) {
        super(shape, device);
        this.device = device;
        this.pool = pool;
        this.kernels = kernels;
        try {
            this.k = new CacheTiles(arena, shape, shape.headDim());
            this.v = new CacheTiles(arena, shape, shape.valueDim());
        } catch (OutOfMemoryError e) {
            arena.close();
            throw new DeviceException("jvm: a key/value cache of " + shape + " needs " + Numbers.bytes(shape.bytes())
                    + " of off-heap memory, more than there is: lower the capacity or store FLOAT16", e);
        }
    }

    @Override
    protected void store(int first, int sequences, int tokens, Tensor newK, Tensor newV) {
        for (int sequence = first; sequence < first + sequences; sequence++) {
            for (int head = 0; head < shape().kvHeads(); head++) {
                long row = ((long) (sequence - first) * shape().kvHeads() + head) * tokens;
                k.put(sequence, head, length(sequence), newK, row, tokens);
                v.put(sequence, head, length(sequence), newV, row, tokens);
            }
        }
    }

    @Override
    protected void truncated(int sequence, int length) {
        k.clear(sequence, length);
        v.clear(sequence, length);
    }

    @Override
    public Tensor keys(int sequence) {
        return copyOf(k, sequence);
    }

    @Override
    public Tensor values(int sequence) {
        return copyOf(v, sequence);
    }

    private Tensor copyOf(CacheTiles tiles, int sequence) {
        int length = length(sequence);
        Tensor copy = Tensor.allocate(DataType.FLOAT32, 1, shape().kvHeads(), length, tiles.dim());
        exclusively(() -> {
            for (int head = 0; head < shape().kvHeads(); head++) {
                tiles.copyTo(copy, (long) head * length, sequence, head, length);
            }
        });
        return copy;
    }

    @Override
    public DecodePlan decodePlan(int heads, LlaOptions options, DecodeMethod method) {
        requireOpen();
        return new PreciseDecodePlan(this, options,
                given -> new JvmDecodePlan(device, this, k, v, pool, kernels, heads, given, method));
    }

    @Override
    public PartialDecode partialDecode(int heads, LlaOptions options) {
        requireOpen();
        return new JvmPartialDecode(this, k, v, pool, kernels, heads, options);
    }

    @Override
    protected void release() {
        arena.close();
    }
}
