package io.github.flashlla.jvm;

import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.DeviceException;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.spi.AbstractKvCache;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Keys (B,Hkv,capacity,D) and values (B,Hkv,capacity,Dv) in off-heap memory, read back tile by tile as float32. */
final class JvmKvCache extends AbstractKvCache {

    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final WorkerPool pool;
    private final DecodeKernels kernels;
    private final Arena arena = Arena.ofShared();
    private final Tensor k;
    private final Tensor v;

    JvmKvCache(WorkerPool pool, DecodeKernels kernels, KvCacheShape shape) {
        super(shape);
        this.pool = pool;
        this.kernels = kernels;
        try {
            this.k = allocate(shape.headDim());
            this.v = allocate(shape.valueDim());
        } catch (OutOfMemoryError e) {
            arena.close();
            throw new DeviceException("jvm: a key/value cache of " + shape + " needs " + shape.bytes()
                    + " bytes of off-heap memory, more than there is: lower the capacity or store FLOAT16", e);
        }
    }

    private Tensor allocate(int dim) {
        return Tensor.allocate(arena, shape().type(), shape().batch(), shape().kvHeads(), shape().capacity(), dim);
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
        if (from.type() == to.type()) {
            long bytes = (long) dim * to.type().bytes();
            MemorySegment.copy(from.segment(), fromRow * bytes, to.segment(), toRow * bytes, rows * bytes);
        } else {
            for (long i = 0; i < rows * dim; i++) {
                to.set(toRow * dim + i, from.get(fromRow * dim + i));
            }
        }
    }

    private long row(int sequence, int kvHead, int token) {
        return ((long) sequence * shape().kvHeads() + kvHead) * shape().capacity() + token;
    }

    /** Loads {@code n} keys as rows of {@code DecodeKernels.padded(D)} floats; {@code half} is scratch for one tile. */
    void loadKeys(int sequence, int kvHead, int token, int n, float[] tile, short[] half) {
        load(k, row(sequence, kvHead, token), n, shape().headDim(), tile, half);
    }

    /** Loads {@code n} values as rows of {@code DecodeKernels.padded(Dv)} floats. */
    void loadValues(int sequence, int kvHead, int token, int n, float[] tile, short[] half) {
        load(v, row(sequence, kvHead, token), n, shape().valueDim(), tile, half);
    }

    private static void load(Tensor tensor, long row, int n, int dim, float[] tile, short[] half) {
        int stride = DecodeKernels.padded(dim);
        int rows = dim == stride ? 1 : n; // unpadded rows are one piece
        int count = dim == stride ? n * dim : dim;
        for (int r = 0; r < rows; r++) {
            long from = row * dim + (long) r * count;
            if (tensor.type() == DataType.FLOAT32) {
                MemorySegment.copy(tensor.segment(), FLOAT, from * Float.BYTES, tile, r * stride, count);
            } else {
                MemorySegment.copy(tensor.segment(), SHORT, from * Short.BYTES, half, 0, count);
                widen(half, tile, r * stride, count);
            }
        }
    }

    /** A loop that the just-in-time compiler turns into vector conversions. */
    private static void widen(short[] half, float[] tile, int at, int count) {
        for (int i = 0; i < count; i++) {
            tile[at + i] = Float.float16ToFloat(half[i]);
        }
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
        return new JvmDecodePlan(this, pool, kernels, heads, options, method);
    }

    @Override
    protected void release() {
        arena.close();
    }
}
