package io.github.flashlla.spi;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.text.Numbers;
import java.util.Arrays;
import java.util.stream.IntStream;

/** Keeps lengths and checks every argument, so that a device's cache only moves data. */
public abstract class AbstractKvCache implements KvCache {

    private static final int KEYS_AT_ONCE = 256;
    private static final double FLOAT16_OVERFLOW = 65520; // from here on rounds to infinity, below it to 65504

    private final KvCacheShape shape;
    private final int[] lengths;
    /** Largest ||k|| up to each token, (B,Hkv,capacity): dropping tokens leaves no trace. One number for all where none are dropped. */
    private final float[][] largestUpTo;
    private final ExclusiveUse use;

    protected AbstractKvCache(KvCacheShape shape, DeviceState device) {
        device.requireOpen();
        this.shape = shape;
        this.use = ExclusiveUse.ofCache(device);
        this.lengths = new int[shape.batch()];
        this.largestUpTo = new float[shape.batch() * shape.kvHeads()][0];
    }

    /**
     * Stores {@code tokens} tokens of each of {@code sequences} sequences, the first being {@code first}, at the end of
     * each: at {@link #length}, which is raised afterwards. Everything has been checked.
     *
     * @param k (sequences,Hkv,tokens,D)
     * @param v (sequences,Hkv,tokens,Dv)
     */
    protected abstract void store(int first, int sequences, int tokens, Tensor k, Tensor v);

    @Override
    public final KvCacheShape shape() {
        return shape;
    }

    @Override
    public final int length(int sequence) {
        requireSequence(sequence);
        return lengths[sequence];
    }

    @Override
    public final void append(int sequence, Tensor k, Tensor v) {
        use.run(() -> {
            requireSequence(sequence);
            append(sequence, 1, prepend(k), prepend(v), "(Hkv,n,D)");
        });
    }

    @Override
    public final void append(Tensor k, Tensor v) {
        use.run(() -> append(0, shape.batch(), k, v, "(B,Hkv,n,D)"));
    }

    private void append(int first, int sequences, Tensor k, Tensor v, String wanted) {
        long tokens = k.rank() == 4 ? k.dim(2) : 0;
        requireDims("k", k, wanted, sequences, shape.kvHeads(), tokens, shape.headDim());
        requireDims("v", v, wanted + " with Dv in place of D", sequences, shape.kvHeads(), tokens, shape.valueDim());
        for (int sequence = first; sequence < first + sequences; sequence++) {
            if (lengths[sequence] + tokens > shape.capacity()) {
                throw new InvalidInputException("sequence " + sequence + " of the key/value cache holds "
                        + lengths[sequence] + " of at most " + Numbers.count(shape.capacity(), "token") + ", so " + tokens
                        + " more do not fit: truncate or reset it, or make the cache with a larger capacity");
            }
        }
        requireRange("k", k);
        requireRange("v", v);
        store(first, sequences, (int) tokens, k, v);
        for (int sequence = first; sequence < first + sequences; sequence++) {
            lengths[sequence] += (int) tokens;
        }
        measure(first, sequences, (int) tokens, k);
    }

    /**
     * For a cache over tensors that its caller owns: every sequence is as long as {@code k}, and stays so.
     *
     * @param k (B,Hkv,capacity,D)
     */
    protected final void fillWith(Tensor k) {
        Arrays.fill(lengths, shape.capacity());
        IntStream.range(0, largestUpTo.length).parallel().forEach(head -> largestUpTo[head] = new float[] {largest(k, head)});
    }

    private float largest(Tensor k, int head) {
        int dim = shape.headDim();
        int chunk = Math.min(shape.capacity(), KEYS_AT_ONCE);
        float[] keys = new float[chunk * dim];
        double largest = 0;
        for (int token = 0; token < shape.capacity(); token += chunk) {
            int count = Math.min(chunk, shape.capacity() - token);
            k.copyTo(((long) head * shape.capacity() + token) * dim, keys, 0, count * dim);
            for (int at = 0; at < count * dim; at += dim) {
                double square = 0;
                for (int d = at; d < at + dim; d++) {
                    square += (double) keys[d] * keys[d];
                }
                largest = Math.max(largest, square);
            }
        }
        return (float) Math.sqrt(largest);
    }

    private void measure(int first, int sequences, int tokens, Tensor k) {
        float[] key = new float[shape.headDim()];
        for (int head = 0; head < sequences * shape.kvHeads(); head++) {
            int at = first * shape.kvHeads() + head;
            int length = lengths[at / shape.kvHeads()] - tokens;
            float largest = length == 0 ? 0 : largestUpTo[at][length - 1];
            if (largestUpTo[at].length < length + tokens) {
                largestUpTo[at] = Arrays.copyOf(largestUpTo[at], Math.min(shape.capacity(), 2 * (length + tokens)));
            }
            for (int token = 0; token < tokens; token++) {
                k.copyTo(((long) head * tokens + token) * key.length, key, 0, key.length);
                double square = 0;
                for (float element : key) {
                    square += (double) element * element;
                }
                largest = Math.max(largest, (float) Math.sqrt(square));
                largestUpTo[at][length + token] = largest;
            }
        }
    }

    /** Largest ||k|| of each sequence and head, (B,Hkv): what rounding grows with. */
    public final double[] largestKeys() {
        double[] largest = new double[largestUpTo.length];
        for (int at = 0; at < largest.length; at++) {
            int length = lengths[at / shape.kvHeads()];
            largest[at] = length == 0 ? 0 : largestUpTo[at][Math.min(length, largestUpTo[at].length) - 1];
        }
        return largest;
    }

    @Override
    public final void truncate(int sequence, int length) {
        use.run(() -> drop(sequence, length));
    }

    private void drop(int sequence, int length) {
        requireSequence(sequence);
        if (length < 0 || length > lengths[sequence]) {
            throw new InvalidInputException("sequence " + sequence + " of the key/value cache cannot be truncated to "
                    + Numbers.count(length, "token") + ": it holds " + lengths[sequence]);
        }
        lengths[sequence] = length;
        truncated(sequence, length);
    }

    @Override
    public final void reset() {
        use.run(() -> {
            for (int sequence = 0; sequence < lengths.length; sequence++) {
                drop(sequence, 0);
            }
        });
    }

    /** Called when tokens are dropped: those from {@code length} on. */
    protected void truncated(int sequence, int length) {}

    /** Frees the memory; called once. */
    protected abstract void release();

    @Override
    public final void close() {
        use.close(() -> {
            Arrays.fill(lengths, 0);
            release();
        });
    }

    public final void requireOpen() {
        use.requireOpen();
    }

    /** Runs what reads the cache, such as a decoding step; nobody can change or close it meanwhile. */
    public final void exclusively(Runnable reading) {
        use.run(reading);
    }

    /** Checks what a decoding step is given against its sizes. */
    public final void requireStep(AttentionShape step, Tensor q, Tensor ridge, LlaResult result) {
        requireOpen();
        if (!Arrays.equals(q.dims(), step.queryDims())) {
            throw new InvalidInputException("q has shape " + Tensor.shapeString(q.dims())
                    + ", but this decode plan takes (B,H,1,D) = " + Tensor.shapeString(step.queryDims()));
        }
        if (ridge != null && !Arrays.equals(ridge.dims(), step.rowDims())) {
            throw new InvalidInputException("the ridge has shape " + Tensor.shapeString(ridge.dims())
                    + ", but this decode plan takes (B,H,1) = " + Tensor.shapeString(step.rowDims()));
        }
        LlaInputs.requireRidges(ridge);
        if (!result.shape().equals(step)) {
            throw new InvalidInputException("the result is of shape " + result.shape() + ", but this decode plan needs "
                    + step + ": make it with newResult()");
        }
        result.requireApart(use.device(), "q", q);
        result.requireApart(use.device(), "the ridge", ridge);
        Checks.requireShared("q", q);
        Checks.requireShared("the ridge", ridge);
        Checks.requireShared(result);
    }

    private void requireSequence(int sequence) {
        if (sequence < 0 || sequence >= shape.batch()) {
            throw new InvalidInputException("there is no sequence " + sequence + " in a key/value cache of "
                    + shape.batch() + " (they count from 0)");
        }
    }

    private void requireRange(String name, Tensor tensor) {
        if (shape.type() != DataType.FLOAT16) {
            return;
        }
        for (long i = 0; i < tensor.size(); i++) {
            if (!(Math.abs(tensor.get(i)) < FLOAT16_OVERFLOW)) { // NaN too
                throw new InvalidInputException(name + " holds " + tensor.get(i) + " at " + tensor.coordinates(i)
                        + ", which a float16 cache cannot store: use a float32 one");
            }
        }
    }

    private static Tensor prepend(Tensor tensor) {
        long[] dims = new long[tensor.rank() + 1];
        dims[0] = 1;
        System.arraycopy(tensor.dims(), 0, dims, 1, tensor.rank());
        return tensor.reshape(dims);
    }

    private static void requireDims(String name, Tensor tensor, String wanted, long... dims) {
        if (!Arrays.equals(tensor.dims(), dims)) {
            throw new InvalidInputException(name + " has shape " + Tensor.shapeString(tensor.dims())
                    + ", but this append takes " + wanted + " = " + Tensor.shapeString(dims)
                    + " with n tokens, the same for k and v");
        }
    }
}
