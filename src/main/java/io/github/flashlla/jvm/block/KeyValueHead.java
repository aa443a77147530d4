package io.github.flashlla.jvm.block;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaInputs;
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

    private KeyValueHead(AttentionShape shape, float[] floats, int keys) {
        int dim = BlockLoops.padded(shape.headDim());
        this.shape = shape;
        this.floats = floats;
        this.keys = keys;
        this.values = keys + BlockLoops.padded(shape.keyLength()) * dim;
        this.centre = new float[dim];
        this.sum = new double[dim];
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
                + dim * (Float.BYTES + Double.BYTES);
    }

    /** @param kvHead b * Hkv + hkv */
    public void load(LlaInputs inputs, long kvHead) {
        int length = shape.keyLength();
        int dim = BlockLoops.padded(shape.headDim());
        TensorRows.loadHead(inputs.v(), kvHead, length, shape.valueDim(), floats, values);
        TensorRows.loadHead(inputs.k(), kvHead, length, shape.headDim(), floats, keys);
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
