package io.github.flashlla.tornado;

import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.spi.AbstractKvCache;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.ShortArray;

/**
 * Keys (B,Hkv,capacity,D) and values (B,Hkv,capacity,Dv) in TornadoVM's arrays. The host's copy is complete; a decode plan
 * holds the device's, which it fills once and then keeps up to date token by token.
 *
 * <p>float16 is kept as its bits in a {@link ShortArray}, which every backend takes, half type or not.
 */
final class TornadoKvCache extends AbstractKvCache {

    private final TornadoRuntimeDevices.Entry entry;
    private final String deviceName;
    private final boolean half;
    private final List<TornadoDecodePlan> plans = new ArrayList<>();
    /** Keys and values; the two of the other type are one element long. */
    final FloatArray k32;
    final ShortArray k16;
    final FloatArray v32;
    final ShortArray v16;
    private final Tensor k;
    private final Tensor v;

    TornadoKvCache(TornadoRuntimeDevices.Entry entry, KvCacheShape shape) {
        super(shape);
        this.entry = entry;
        this.deviceName = entry.info().name();
        this.half = shape.type() == DataType.FLOAT16;
        int keys = elements(shape.headDim());
        int values = elements(shape.valueDim());
        try {
            this.k32 = new FloatArray(half ? 1 : keys);
            this.k16 = new ShortArray(half ? keys : 1);
            this.v32 = new FloatArray(half ? 1 : values);
            this.v16 = new ShortArray(half ? values : 1);
        } catch (OutOfMemoryError e) {
            throw new DeviceException(deviceName + ": a key/value cache of " + shape + " needs " + shape.bytes()
                    + " bytes of host memory, more than there is: lower the capacity or store FLOAT16", e);
        }
        this.k = view(half ? k16.getSegment() : k32.getSegment(), shape.headDim());
        this.v = view(half ? v16.getSegment() : v32.getSegment(), shape.valueDim());
    }

    private int elements(int dim) {
        long elements = (long) shape().batch() * shape().kvHeads() * shape().capacity() * dim;
        if (elements > Integer.MAX_VALUE - 64) {
            throw new InvalidInputException(deviceName + ": a key/value cache of " + shape()
                    + " exceeds 2^31 elements: lower the capacity or the batch");
        }
        return (int) elements;
    }

    private Tensor view(MemorySegment segment, int dim) {
        return Tensor.wrap(segment, shape().type(), shape().batch(), shape().kvHeads(), shape().capacity(), dim);
    }

    boolean half() {
        return half;
    }

    @Override
    protected void store(int first, int sequences, int tokens, Tensor newK, Tensor newV) {
        for (int sequence = first; sequence < first + sequences; sequence++) {
            for (int head = 0; head < shape().kvHeads(); head++) {
                long source = ((long) (sequence - first) * shape().kvHeads() + head) * tokens;
                long target = row(sequence, head, length(sequence));
                copy(newK, source, k, target, tokens, shape().headDim());
                copy(newV, source, v, target, tokens, shape().valueDim());
            }
        }
    }

    private long row(int sequence, int kvHead, int token) {
        return ((long) sequence * shape().kvHeads() + kvHead) * shape().capacity() + token;
    }

    private static void copy(Tensor from, long fromRow, Tensor to, long toRow, long rows, int dim) {
        if (from.type() == to.type()) {
            long bytes = (long) dim * to.type().bytes();
            MemorySegment.copy(from.segment(), fromRow * bytes, to.segment(), toRow * bytes, rows * bytes);
        } else {
            for (long i = 0; i < rows * dim; i++) {
                to.set(toRow * dim + i, from.get(fromRow * dim + i));
            }
        }
    }

    /** Copies one token of all key/value heads, as stored, to {@code (row,Hkv,D)} and {@code (row,Hkv,Dv)}. */
    void stage(int sequence, int token, MemorySegment stagedK, MemorySegment stagedV, int row) {
        for (int head = 0; head < shape().kvHeads(); head++) {
            stage(k, sequence, head, token, stagedK, row);
            stage(v, sequence, head, token, stagedV, row);
        }
    }

    private void stage(Tensor cache, int sequence, int head, int token, MemorySegment staged, int row) {
        long bytes = cache.dim(3) * cache.type().bytes();
        MemorySegment.copy(cache.segment(), row(sequence, head, token) * bytes, staged,
                ((long) row * shape().kvHeads() + head) * bytes, bytes);
    }

    /** What is overwritten from here on must reach the device again. */
    @Override
    protected void truncated(int sequence, int length) {
        for (TornadoDecodePlan plan : plans) {
            plan.forget(sequence, length);
        }
    }

    void closed(TornadoDecodePlan plan) {
        plans.remove(plan);
    }

    @Override
    public Tensor keys(int sequence) {
        return copyOf(k, sequence, shape().headDim());
    }

    @Override
    public Tensor values(int sequence) {
        return copyOf(v, sequence, shape().valueDim());
    }

    private Tensor copyOf(Tensor cache, int sequence, int dim) {
        requireOpen();
        int length = length(sequence);
        Tensor copy = Tensor.allocate(DataType.FLOAT32, 1, shape().kvHeads(), length, dim);
        for (int head = 0; head < shape().kvHeads(); head++) {
            copy(cache, row(sequence, head, 0), copy, (long) head * length, length, dim);
        }
        return copy;
    }

    @Override
    public DecodePlan decodePlan(int heads, LlaOptions options, DecodeMethod method) {
        requireOpen();
        if (method != DecodeMethod.AUTO && method != DecodeMethod.COVARIANCE) {
            throw new InvalidInputException(deviceName + ": decodes by COVARIANCE only, not " + method);
        }
        TornadoDecodePlan plan = new TornadoDecodePlan(this, entry, heads, options);
        plans.add(plan);
        return plan;
    }

    @Override
    protected void release() {
        for (TornadoDecodePlan plan : List.copyOf(plans)) {
            plan.close();
        }
    }
}
