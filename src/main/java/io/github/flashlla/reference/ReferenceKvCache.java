package io.github.flashlla.reference;

import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.spi.AbstractKvCache;
import io.github.flashlla.spi.DeviceState;
import java.util.Arrays;

/** A cache that is decoded in float64. It stores elements in its shape's type, like any other cache. */
public final class ReferenceKvCache extends AbstractKvCache {
    private final DeviceState device;
    private final Tensor k;
    private final Tensor v;

    public ReferenceKvCache(KvCacheShape shape) {
        this(shape, new DeviceState("reference"));
    }

    ReferenceKvCache(KvCacheShape shape, DeviceState device) {
        super(shape, device);
        this.device = device;
        this.k = Tensor.allocate(shape.type(), shape.batch(), shape.kvHeads(), shape.capacity(), shape.headDim());
        this.v = Tensor.allocate(shape.type(), shape.batch(), shape.kvHeads(), shape.capacity(), shape.valueDim());
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

    private static void copy(Tensor from, long fromRow, Tensor to, long toRow, long rows, int dim) {
        for (long i = 0; i < rows * dim; i++) {
            to.set(toRow * dim + i, from.get(fromRow * dim + i));
        }
    }

    private long row(int sequence, int kvHead, int token) {
        return ((long) sequence * shape().kvHeads() + kvHead) * shape().capacity() + token;
    }

    double[] key(int sequence, int kvHead, int token) {
        return get(k, row(sequence, kvHead, token), shape().headDim());
    }

    double[] value(int sequence, int kvHead, int token) {
        return get(v, row(sequence, kvHead, token), shape().valueDim());
    }

    static double[] get(Tensor tensor, long row, int dim) {
        double[] values = new double[dim];
        Arrays.setAll(values, i -> tensor.get(row * dim + i));
        return values;
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
        int length = length(sequence);
        Tensor copy = Tensor.allocate(DataType.FLOAT32, 1, shape().kvHeads(), length, dim);
        exclusively(() -> {
            for (int head = 0; head < shape().kvHeads(); head++) {
                copy(cache, row(sequence, head, 0), copy, (long) head * length, length, dim);
            }
        });
        return copy;
    }

    @Override
    public DecodePlan decodePlan(int heads, LlaOptions options, DecodeMethod method) {
        requireOpen();
        return new ReferenceDecodePlan(device, this, heads, options, method);
    }

    @Override
    protected void release() {}
}
