package io.github.flashlla.jvm.block;

import static io.github.flashlla.jvm.block.BlockWeights.TILE_KEYS;
import static io.github.flashlla.jvm.block.BlockLoops.ROWS;

import java.util.Arrays;

/**
 * The matrices A_i = sum_j p_ij (k_j - kbar_i)(k_j - kbar_i)^T + ridge_i I of one block of queries, never formed: what both
 * solves, forward's and backward's, iterate with.
 */
final class KeyCovariance implements ConjugateGradient.Operator {

    private final BlockLoops kernels;
    private final int dim;
    private final BlockWeights weights;
    private final float[] w;
    private final float[] centre = new float[ROWS];
    private final float[] sum = new float[ROWS];
    private KeyValueHead head;

    /** Scale times the block's queries {@code [dim][lane]}. */
    final float[] scaledQ;
    /** Weighted mean keys {@code [dim][lane]}. */
    final float[] kbar;
    /** Ridges. */
    final float[] ridge = new float[ROWS];

    /** @param w scratch for one tile */
    KeyCovariance(BlockLoops kernels, int dim, BlockWeights weights, float[] w) {
        this.kernels = kernels;
        this.dim = dim;
        this.weights = weights;
        this.w = w;
        this.scaledQ = new float[dim * ROWS];
        this.kbar = new float[dim * ROWS];
    }

    /** Takes on the keys of the block's head. */
    void begin(KeyValueHead keyValues) {
        head = keyValues;
    }

    /**
     * The Jacobi preconditioner 1 / diag(A_i), with diag(A_i) = sum_j p_ij k_j k_j - kbar_i kbar_i + ridge_i elementwise.
     *
     * @param squaredTile scratch for one tile of keys
     */
    void inverseDiagonal(float[] inverse, float[] squaredTile) {
        Arrays.fill(inverse, 0);
        for (int j0 = weights.first(); j0 < weights.keys(); j0 += TILE_KEYS) {
            int m = weights.tileRows(j0);
            int p = weights.tile(scaledQ, j0);
            for (int i = 0; i < m * dim; i++) {
                float k = head.floats[head.keys + j0 * dim + i];
                squaredTile[i] = k * k;
            }
            kernels.accumulate(m, dim, squaredTile, 0, dim, weights.p(), p, inverse);
        }
        for (int d = 0; d < dim; d++) {
            for (int lane = 0; lane < ROWS; lane++) {
                int at = d * ROWS + lane;
                float variance = Math.max(0, inverse[at] - kbar[at] * kbar[at]); // rounding may take it below 0
                inverse[at] = 1 / (variance + ridge[lane]);
            }
        }
    }

    /**
     * ay_i = sum_j w_ij k_j - (sum_j w_ij) kbar_i + ridge_i y_i with w_ij = p_ij (k_j - kbar_i) . y_i.
     *
     * <p>The w add up to 0, but for the rounding of kbar; where the ridge is small beside |kbar|^2 that much is worth taking off.
     */
    @Override
    public void apply(float[] y, float[] ay) {
        kernels.dot(dim, y, kbar, centre);
        Arrays.fill(ay, 0);
        Arrays.fill(sum, 0);
        for (int j0 = weights.first(); j0 < weights.keys(); j0 += TILE_KEYS) {
            int m = weights.tileRows(j0);
            int p = weights.tile(scaledQ, j0);
            kernels.multiplyWeighted(m, dim, head.floats, head.keys + j0 * dim, dim, y, weights.p(), p, 0, 1, centre, w, 0);
            kernels.sum(m, w, 0, sum);
            kernels.accumulate(m, dim, head.floats, head.keys + j0 * dim, dim, w, 0, ay);
        }
        for (int lane = 0; lane < ROWS; lane++) {
            sum[lane] = -sum[lane];
        }
        kernels.addScaled(dim, ay, sum, kbar);
        kernels.addScaled(dim, ay, ridge, y);
    }
}
