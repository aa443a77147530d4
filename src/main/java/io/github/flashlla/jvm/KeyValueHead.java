package io.github.flashlla.jvm;

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
final class KeyValueHead {

    /** k_j - centre (Sk,D) */
    final float[] keys;
    /** (Sk,Dv) */
    final float[] values;
    /** Mean key (D) */
    final float[] centre;

    private final AttentionShape shape;
    private final double[] sum;

    KeyValueHead(AttentionShape shape) {
        this.shape = shape;
        int length = TileKernels.padded(shape.keyLength());
        int dim = TileKernels.padded(shape.headDim());
        keys = new float[Math.multiplyExact(length, dim)];
        values = new float[Math.multiplyExact(length, TileKernels.padded(shape.valueDim()))];
        centre = new float[dim];
        sum = new double[dim];
    }

    static long bytes(AttentionShape shape) {
        long dim = TileKernels.padded(shape.headDim());
        return (long) TileKernels.padded(shape.keyLength()) * (dim + TileKernels.padded(shape.valueDim())) * Float.BYTES
                + dim * (Float.BYTES + Double.BYTES);
    }

    /** @param kvHead b * Hkv + hkv */
    void load(LlaInputs inputs, long kvHead) {
        int length = shape.keyLength();
        int dim = TileKernels.padded(shape.headDim());
        TensorRows.loadHead(inputs.v(), kvHead, length, shape.valueDim(), values);
        TensorRows.loadHead(inputs.k(), kvHead, length, shape.headDim(), keys);
        Arrays.fill(sum, 0);
        for (int j = 0; j < length; j++) {
            for (int d = 0; d < dim; d++) {
                sum[d] += keys[j * dim + d];
            }
        }
        for (int d = 0; d < dim; d++) {
            centre[d] = (float) (sum[d] / length);
        }
        for (int j = 0; j < length; j++) {
            for (int d = 0; d < dim; d++) {
                keys[j * dim + d] -= centre[d];
            }
        }
    }
}
