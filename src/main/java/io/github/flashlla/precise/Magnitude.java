package io.github.flashlla.precise;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.stream.IntStream;

/** Sizes of a tensor's rows and elements, on all processors. */
final class Magnitude {
    private static final int CHUNK = 1 << 14;
    /** Elements that one processor reads in the time that it takes to wake another. */
    private static final int ALONE = 1 << 18;

    private static final ValueLayout.OfInt BITS_OF_FLOAT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final ValueLayout.OfShort BITS_OF_HALF = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final ThreadLocal<int[]> BITS = ThreadLocal.withInitial(() -> new int[CHUNK]);
    /** Of each thread, so that runs allocate nothing to speak of. */
    private static final ThreadLocal<float[]> BUFFER = ThreadLocal.withInitial(() -> new float[CHUNK]);

    private Magnitude() {}

    /** This thread's own, until the next call. */
    static float[] buffer() {
        return BUFFER.get();
    }

    /** Indices below {@code count}, side by side where {@code elements} are enough to be worth waking another processor. */
    static IntStream indices(int count, long elements) {
        IntStream indices = IntStream.range(0, count);
        return count > 1 && elements > ALONE ? indices.parallel() : indices;
    }

    /** Largest absolute value; NaN or infinity where there is one. */
    static float largest(Tensor tensor) {
        return largest(new Tensor[] {tensor})[0];
    }

    /** The same of several tensors at a time. */
    static float[] largest(Tensor... tensors) {
        int[] firstChunk = new int[tensors.length + 1];
        long elements = 0;
        for (int i = 0; i < tensors.length; i++) {
            firstChunk[i + 1] = Math.addExact(firstChunk[i], Math.toIntExact(Math.ceilDiv(tensors[i].size(), CHUNK)));
            elements += tensors[i].size();
        }
        int[] most = new int[firstChunk[tensors.length]];
        indices(most.length, elements).forEach(chunk -> {
            int i = 0;
            while (chunk >= firstChunk[i + 1]) {
                i++;
            }
            most[chunk] = largestBits(tensors[i], (long) (chunk - firstChunk[i]) * CHUNK);
        });
        float[] largest = new float[tensors.length];
        for (int i = 0; i < tensors.length; i++) {
            largest[i] = largest(most, firstChunk[i], firstChunk[i + 1]);
        }
        return largest;
    }

    /** Of a chunk's elements. Without their sign, bits of floats are in the order of the floats, NaN last. */
    private static int largestBits(Tensor tensor, long from) {
        return largestBits(tensor, from, (int) Math.min(CHUNK, tensor.size() - from));
    }

    private static int largestBits(Tensor tensor, long from, int count) {
        if (tensor.type() == DataType.FLOAT16 && tensor.isRowMajor()) {
            return Float.floatToRawIntBits(Float.float16ToFloat(largestHalfBits(tensor, from, count)));
        }
        int[] values = BITS.get();
        bits(tensor, from, count, values);
        int most = 0;
        for (int i = 0; i < count; i++) {
            most = Math.max(most, values[i] & Integer.MAX_VALUE);
        }
        return most;
    }

    /** The same order holds for float16, so that only one element has to be widened. Two of them are read as one number: a loop over ints becomes vectors. */
    private static short largestHalfBits(Tensor tensor, long from, int count) {
        int[] pairs = BITS.get();
        MemorySegment.copy(tensor.segment(), BITS_OF_FLOAT, from * Short.BYTES, pairs, 0, count / 2);
        int low = 0;
        int high = 0;
        for (int i = 0; i < count / 2; i++) {
            low = Math.max(low, pairs[i] & Short.MAX_VALUE);
            high = Math.max(high, pairs[i] & Short.MAX_VALUE << Short.SIZE);
        }
        int last = count % 2 == 0 ? 0 : tensor.segment().get(BITS_OF_HALF, (from + count - 1) * Short.BYTES) & Short.MAX_VALUE;
        return (short) Math.max(last, Math.max(low, high >>> Short.SIZE));
    }

    /** Whether neither infinity nor NaN is among the elements. */
    static boolean allFinite(Tensor... tensors) {
        float[] largest = largest(tensors);
        for (int i = 0; i < tensors.length; i++) {
            // a float64 element may be beyond float32
            if (!Float.isFinite(largest[i]) && !(tensors[i].type() == DataType.FLOAT64 && tensors[i].firstNonFinite() < 0)) {
                return false;
            }
        }
        return true;
    }

    /** The same of all four gradients. */
    static boolean allFinite(LlaGradients gradients) {
        return allFinite(gradients.dq(), gradients.dk(), gradients.dv(), gradients.dridge());
    }

    private static void bits(Tensor tensor, long from, int count, int[] bits) {
        if (tensor.type() == DataType.FLOAT32 && tensor.isRowMajor()) {
            MemorySegment.copy(tensor.segment(), BITS_OF_FLOAT, from * Float.BYTES, bits, 0, count);
            return;
        }
        float[] values = BUFFER.get();
        tensor.copyTo(from, values, 0, count);
        for (int i = 0; i < count; i++) {
            bits[i] = Float.floatToRawIntBits(values[i]);
        }
    }

    /**
     * Sizes of q, k and v, which are read once, but for the keys. A head's keys are many parts, each about as much work as
     * another: a processor with whole heads would leave the others idle.
     */
    static Units.Sizes sizes(LlaInputs inputs) {
        AttentionShape shape = inputs.shape();
        int heads = shape.batch() * shape.kvHeads();
        int d = shape.headDim();
        int rows = rowsPerChunk(d);
        int parts = Math.ceilDiv(shape.keyLength(), rows); // of a head
        int keyParts = Math.multiplyExact(heads, parts);
        int queryChunks = Math.toIntExact(Math.ceilDiv(inputs.q().size(), CHUNK));
        int[] most = new int[keyParts + queryChunks + Math.toIntExact(Math.ceilDiv(inputs.v().size(), CHUNK))];
        double[][] sums = new double[keyParts][];
        indices(most.length, inputs.q().size() + inputs.k().size() + inputs.v().size()).forEach(i -> {
            if (i < keyParts) {
                long from = firstRow(i, parts, rows, shape) * d;
                int count = rowsOf(i, parts, rows, shape) * d;
                most[i] = largestBits(inputs.k(), from, count);
                sums[i] = sums(inputs.k(), from, count, d);
            } else if (i < keyParts + queryChunks) {
                most[i] = largestBits(inputs.q(), (long) (i - keyParts) * CHUNK);
            } else {
                most[i] = largestBits(inputs.v(), (long) (i - keyParts - queryChunks) * CHUNK);
            }
        });
        double[][] means = new double[heads][d];
        for (int i = 0; i < keyParts; i++) {
            for (int c = 0; c < d; c++) {
                means[i / parts][c] += sums[i][c];
            }
        }
        for (double[] mean : means) {
            for (int c = 0; c < d; c++) {
                mean[c] /= shape.keyLength();
            }
        }
        double[] squares = new double[keyParts];
        indices(keyParts, inputs.k().size()).forEach(i -> squares[i] = largestSquare(inputs.k(), firstRow(i, parts, rows, shape) * d,
                rowsOf(i, parts, rows, shape) * d, means[i / parts]));
        double[] spread = new double[heads];
        for (int i = 0; i < keyParts; i++) {
            spread[i / parts] = Math.max(spread[i / parts], Math.sqrt(squares[i]));
        }
        KeySizes keys = new KeySizes(largest(most, 0, keyParts), largest(most, keyParts + queryChunks, most.length), spread);
        return new Units.Sizes(largest(most, keyParts, keyParts + queryChunks), keys);
    }

    /** First key of part {@code i}, counted from the first key of the first head. */
    private static long firstRow(int i, int parts, int rows, AttentionShape shape) {
        return (long) (i / parts) * shape.keyLength() + (long) (i % parts) * rows;
    }

    private static int rowsOf(int i, int parts, int rows, AttentionShape shape) {
        return Math.min(rows, shape.keyLength() - i % parts * rows);
    }

    /** Sums of the columns of rows of {@code d} elements, {@code count} elements in all. */
    private static double[] sums(Tensor k, long from, int count, int d) {
        float[] rows = BUFFER.get();
        k.copyTo(from, rows, 0, count);
        double[] sums = new double[d];
        for (int at = 0; at < count; at += d) {
            for (int c = 0; c < d; c++) {
                sums[c] += rows[at + c];
            }
        }
        return sums;
    }

    /** Largest ||k_j - mean||^2 of these rows. */
    private static double largestSquare(Tensor k, long from, int count, double[] mean) {
        float[] rows = BUFFER.get();
        k.copyTo(from, rows, 0, count);
        double largest = 0;
        for (int at = 0; at < count; at += mean.length) {
            largest = Math.max(largest, DoubleLoops.squaredDistance(rows, at, mean, mean.length));
        }
        return largest;
    }

    private static float largest(int[] bits, int from, int end) {
        int most = 0;
        for (int i = from; i < end; i++) {
            most = Math.max(most, bits[i]);
        }
        return Float.intBitsToFloat(most);
    }

    /** Elements as float32, which is how every device reads them. */
    static void read(Tensor tensor, long from, int count, double[] values) {
        float[] buffer = BUFFER.get();
        for (int done = 0; done < count; done += CHUNK) {
            int chunk = Math.min(CHUNK, count - done);
            tensor.copyTo(from + done, buffer, 0, chunk);
            for (int i = 0; i < chunk; i++) {
                values[done + i] = buffer[i];
            }
        }
    }

    /** Some elements of a tensor, as float32. */
    interface Chunk {
        void take(long at, float[] values, int count);
    }

    static void forEachChunk(Tensor tensor, Chunk chunk) {
        float[] buffer = BUFFER.get();
        for (long at = 0; at < tensor.size(); at += CHUNK) {
            int count = (int) Math.min(CHUNK, tensor.size() - at);
            tensor.copyTo(at, buffer, 0, count);
            chunk.take(at, buffer, count);
        }
    }

    static void write(float[] values, int count, Tensor to, long at) {
        to.copyFrom(values, 0, at, count);
    }

    static int rowsPerChunk(int dim) {
        return Math.max(1, CHUNK / dim);
    }

    /** ||row|| of each row of {@code dim} elements. */
    static double[] rowNorms(Tensor tensor, int dim) {
        int rows = Math.toIntExact(tensor.size() / dim);
        double[] norms = new double[rows];
        int perChunk = rowsPerChunk(dim);
        indices(Math.ceilDiv(rows, perChunk), tensor.size()).forEach(chunk -> {
            int first = chunk * perChunk;
            int count = Math.min(perChunk, rows - first);
            float[] values = dim > CHUNK ? new float[dim] : BUFFER.get();
            tensor.copyTo((long) first * dim, values, 0, count * dim);
            DoubleLoops.rowNorms(values, count * dim, dim, norms, first);
        });
        return norms;
    }
}
