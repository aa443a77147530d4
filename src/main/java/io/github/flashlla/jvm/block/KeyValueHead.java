package io.github.flashlla.jvm.block;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.precise.DoubleLoops;
import io.github.flashlla.precise.KeySizes;
import java.util.Arrays;

/**
 * One key/value head in float32, row-major, rows and dims padded with zeros.
 *
 * <p>Keys are held relative to their mean. Every k_j - kbar_i stays as it is and so do the softmax weights, but products with
 * keys that share a large common part no longer lose their difference to rounding: with keys ten standard deviations
 * from 0 the output is off by 6e-6 instead of 5e-4.
 */
public final class KeyValueHead {

    /** Heads share an array up to this many floats, for G1 gives a large array whole regions: one each would take up to twice its size. */
    private static final int SHARED_FLOATS = 1 << 26;

    /** Keys, values and those of other heads. */
    final float[] floats;
    /** Where k_j - centre (Sk,D) begin. */
    final int keys;
    /** Where v_j (Sk,Dv) begin. */
    final int values;
    /** Mean key (D) */
    final float[] centre;

    private final AttentionShape shape;
    private final double[] sum;
    private final float[] largest;

    private KeyValueHead(AttentionShape shape, float[] floats, int keys) {
        int dim = BlockLoops.padded(shape.headDim());
        this.shape = shape;
        this.floats = floats;
        this.keys = keys;
        this.values = keys + BlockLoops.padded(shape.keyLength()) * dim;
        this.centre = new float[dim];
        this.sum = new double[dim];
        this.largest = new float[Math.max(dim, BlockLoops.padded(shape.valueDim()))];
    }

    /** Room for {@code count} heads. */
    public static KeyValueHead[] allocate(AttentionShape shape, int count) {
        int each = Math.multiplyExact(BlockLoops.padded(shape.keyLength()),
                BlockLoops.padded(shape.headDim()) + BlockLoops.padded(shape.valueDim()));
        int sharing = Math.max(1, SHARED_FLOATS / each);
        KeyValueHead[] heads = new KeyValueHead[count];
        float[] floats = null;
        for (int head = 0; head < count; head++) {
            if (head % sharing == 0) {
                floats = new float[Math.min(sharing, count - head) * each];
            }
            heads[head] = new KeyValueHead(shape, floats, head % sharing * each);
        }
        return heads;
    }

    public static long bytes(AttentionShape shape) {
        long dim = BlockLoops.padded(shape.headDim());
        return (long) BlockLoops.padded(shape.keyLength()) * (dim + BlockLoops.padded(shape.valueDim())) * Float.BYTES
                + dim * (2L * Float.BYTES + Double.BYTES);
    }

    /** @param kvHead b * Hkv + hkv */
    public void load(LlaInputs inputs, long kvHead) {
        read(inputs, kvHead);
        centre();
    }

    /** The same, with a look at the sizes of what is loaded. */
    public KeySizes measure(LlaInputs inputs, long kvHead) {
        read(inputs, kvHead);
        float key = largest(keys, centre.length);
        float value = largest(values, BlockLoops.padded(shape.valueDim()));
        centre();
        double spread = 0;
        for (int j = 0; j < shape.keyLength(); j++) {
            int at = keys + j * centre.length;
            spread = Math.max(spread, DoubleLoops.dot(floats, at, floats, at, centre.length));
        }
        return new KeySizes(key, value, new double[] {Math.sqrt(spread)});
    }

    private void read(LlaInputs inputs, long kvHead) {
        TensorRows.loadHead(inputs.v(), kvHead, shape.keyLength(), shape.valueDim(), floats, values);
        TensorRows.loadHead(inputs.k(), kvHead, shape.keyLength(), shape.headDim(), floats, keys);
    }

    /** Largest absolute value of rows of {@code width} elements, column by column, so that the loop is one of vectors. */
    private float largest(int from, int width) {
        Arrays.fill(largest, 0);
        for (int j = 0; j < shape.keyLength(); j++) {
            for (int d = 0; d < width; d++) {
                largest[d] = Math.max(largest[d], Math.abs(floats[from + j * width + d]));
            }
        }
        float most = 0;
        for (float one : largest) {
            most = Math.max(most, one);
        }
        return most;
    }

    private void centre() {
        int length = shape.keyLength();
        int dim = centre.length;
        Arrays.fill(sum, 0);
        for (int j = 0; j < length; j++) {
            for (int d = 0; d < dim; d++) {
                sum[d] += floats[keys + j * dim + d];
            }
        }
        for (int d = 0; d < dim; d++) {
            centre[d] = (float) (sum[d] / length);
        }
        for (int j = 0; j < length; j++) {
            for (int d = 0; d < dim; d++) {
                floats[keys + j * dim + d] -= centre[d];
            }
        }
    }
}
