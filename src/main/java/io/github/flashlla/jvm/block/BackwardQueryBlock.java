package io.github.flashlla.jvm.block;

import static io.github.flashlla.jvm.block.BlockWeights.TILE_KEYS;
import static io.github.flashlla.jvm.block.BlockLoops.ROWS;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Preconditioner;
import java.util.Arrays;

/**
 * The backward pass for one block of queries: the second solve, dq and dridge, with one thread's scratch memory.
 *
 * <p>With e_ij = 1 - a_ij and h_ij = G_ij - Gbar_i + b_ij the specification's P_ij is Gbar_i + kappa_i . kbar_i + e_ij h_ij.
 * What does not depend on j cancels in dS, so no difference of large numbers is left:
 *
 * <pre>
 *     dS_ij   = p_ij (e_ij h_ij - mu_i),  mu_i = sum_j p_ij e_ij h_ij
 *     dq_i    = scale sum_j dS_ij k_j - u_i = scale (sum_j p_ij e_ij h_ij k_j - mu_i kbar_i) - u_i
 * </pre>
 */
public final class BackwardQueryBlock {

    private final BlockLoops kernels;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final float scale;
    private final int dim;
    private final int valueDim;
    private final boolean keepWeights;

    private final BlockWeights weights;
    private final KeyCovariance a;
    private final ConjugateGradient solver;
    private final float[] g;
    private final float[] gv;
    private final float[] c;
    private final float[] x;
    private final float[] u;
    private final float[] inverseDiagonal;
    private final float[] squaredTile;
    private final float[] w = new float[TILE_KEYS * ROWS];
    private final float[] gbar = new float[ROWS];
    private final float[] xKbar = new float[ROWS];
    private final float[] hShift = new float[ROWS];
    private final float[] mu = new float[ROWS];
    private final float[] logSumExp = new float[ROWS];
    private final float[] lanes = new float[ROWS];
    private final boolean[] known = new boolean[ROWS];
    private final float[] rowBuffer;
    private long pairIterations;

    /** @param keepWeights whether to keep a block's weights p_ij and products G_ij, rather than recompute them */
    public BackwardQueryBlock(BlockLoops kernels, AttentionShape shape, LlaOptions options, boolean keepWeights) {
        this.kernels = kernels;
        this.shape = shape;
        this.options = options;
        this.keepWeights = keepWeights;
        this.scale = (float) options.scaleFor(shape.headDim());
        this.dim = BlockLoops.padded(shape.headDim());
        this.valueDim = BlockLoops.padded(shape.valueDim());
        boolean jacobi = options.preconditioner() == Preconditioner.JACOBI;
        this.weights = new BlockWeights(kernels, dim, BlockWeights.most(shape, options), keepWeights);
        this.a = new KeyCovariance(kernels, dim, weights, w);
        this.solver = new ConjugateGradient(kernels, dim);
        this.g = new float[valueDim * ROWS];
        this.gv = new float[(keepWeights ? BlockLoops.padded(BlockWeights.most(shape, options)) : TILE_KEYS) * ROWS];
        this.c = new float[dim * ROWS];
        this.x = new float[dim * ROWS];
        this.u = new float[dim * ROWS];
        this.inverseDiagonal = jacobi ? new float[dim * ROWS] : null;
        this.squaredTile = jacobi ? new float[TILE_KEYS * dim] : null;
        this.rowBuffer = new float[Math.max(dim, valueDim)];
    }

    /** Bytes of one block's scratch memory. */
    public static long bytes(AttentionShape shape, LlaOptions options, boolean keepWeights) {
        int dim = BlockLoops.padded(shape.headDim());
        long vectors = (5 + (options.preconditioner() == Preconditioner.JACOBI ? 3 : 0)) * dim
                + BlockLoops.padded(shape.valueDim()) + TILE_KEYS
                + (keepWeights ? BlockLoops.padded(BlockWeights.most(shape, options)) : TILE_KEYS);
        return BlockWeights.bytes(shape, options, keepWeights) + ConjugateGradient.bytes(dim) + vectors * ROWS * Float.BYTES;
    }

    /** Iterations of the blocks run since the last call, summed over the visible pairs they ran on. */
    public long takePairIterations() {
        long taken = pairIterations;
        pairIterations = 0;
        return taken;
    }

    /**
     * Computes dq and the ridge's gradient of queries i0 to i0+rows-1 of one head, and fills u and the scalars of
     * {@code own}.
     *
     * @param head b * H + h
     * @param keyValues the head's keys and values
     */
    public void run(long head, int i0, int rows, BackwardHead own, KeyValueHead keyValues, LlaInputs inputs, LlaResult saved, LlaGradients gradients) {
        long firstRow = head * shape.queryLength() + i0;
        long firstQ = firstRow * shape.headDim();
        begin(firstRow, i0, rows, own, keyValues, inputs, saved);
        weights.restore(a.scaledQ, logSumExp);
        gather(keyValues);
        int iterations = solve(rows);
        emit(keyValues);

        kernels.dot(dim, u, x, lanes);
        for (int row = 0; row < rows; row++) {
            pairIterations += (long) iterations * weights.visible(row);
            lanes[row] = -lanes[row];
            int at = (i0 + row) * BlockLoops.ROW_SCALARS;
            own.scalars[at + BlockLoops.LSE] = weights.max[row];
            own.scalars[at + BlockLoops.FACTOR] = weights.factor[row];
            own.scalars[at + BlockLoops.X_KBAR] = xKbar[row];
            own.scalars[at + BlockLoops.H_SHIFT] = hShift[row];
            own.scalars[at + BlockLoops.MU] = mu[row];
            for (int d = 0; d < dim; d++) {
                own.u[(i0 + row) * dim + d] = u[d * ROWS + row];
            }
        }
        TensorRows.store(lanes, 0, rows, gradients.dridge(), firstRow);
        TensorRows.storeTransposed(c, rows, shape.headDim(), gradients.dq(), firstQ, rowBuffer);
        System.arraycopy(solver.iterations, 0, gradients.iterations(), (int) firstRow, rows);
        System.arraycopy(solver.residual, 0, gradients.residual(), (int) firstRow, rows);
    }

    private void begin(long firstRow, int i0, int rows, BackwardHead own, KeyValueHead keyValues, LlaInputs inputs,
            LlaResult saved) {
        a.begin(keyValues);
        TensorRows.transpose(own.scaledQ, 0, i0, rows, dim, a.scaledQ);
        TensorRows.transpose(own.g, 0, i0, rows, valueDim, g);
        TensorRows.transpose(own.x, 0, i0, rows, dim, x);
        TensorRows.loadTransposed(saved.kbar(), firstRow * shape.headDim(), rows, shape.headDim(), a.kbar, rowBuffer);
        TensorRows.load(saved.logSumExp(), firstRow, logSumExp, 0, rows);
        for (int d = 0; d < dim; d++) {
            for (int lane = 0; lane < rows; lane++) { // both saved values are those of the keys as given
                a.kbar[d * ROWS + lane] -= keyValues.centre[d];
                logSumExp[lane] -= a.scaledQ[d * ROWS + lane] * keyValues.centre[d];
            }
        }
        Arrays.fill(a.ridge, (float) options.ridge());
        if (inputs.ridge() != null) {
            TensorRows.load(inputs.ridge(), firstRow, a.ridge, 0, rows);
        }
        weights.begin(shape, options, i0, rows, keyValues);
    }

    /**
     * Gbar_i = sum_j p_ij G_ij, and c_i = sum_j w_ij k_j - (sum_j w_ij) kbar_i with w_ij = p_ij (G_ij - Gbar_i).
     *
     * <p>The sum of w is 0 but for rounding. Subtracting it all the same takes the rounding of Gbar out of c: where one key
     * has nearly all the weight, c is a small difference, and without this dridge is off by 2e-2 on such rows.
     */
    private void gather(KeyValueHead head) {
        Arrays.fill(gbar, 0);
        Arrays.fill(lanes, 0);
        for (int j0 = weights.first(); j0 < weights.keys(); j0 += TILE_KEYS) {
            int p = weights.tile(a.scaledQ, j0);
            int at = products(head, j0);
            kernels.weigh(weights.tileRows(j0), weights.p(), p, gv, at, lanes, w, 0, gbar);
        }
        for (int lane = 0; lane < ROWS; lane++) {
            hShift[lane] = -gbar[lane];
        }
        Arrays.fill(c, 0);
        for (int j0 = weights.first(); j0 < weights.keys(); j0 += TILE_KEYS) {
            int m = weights.tileRows(j0);
            int p = weights.tile(a.scaledQ, j0);
            int at = keepWeights ? (j0 - weights.first()) * ROWS : products(head, j0);
            kernels.weigh(m, weights.p(), p, gv, at, hShift, w, 0, lanes);
            kernels.accumulate(m, dim, head.floats, head.keys + j0 * dim, dim, w, 0, c);
        }
        for (int lane = 0; lane < ROWS; lane++) {
            lanes[lane] = -lanes[lane];
        }
        kernels.addScaled(dim, c, lanes, a.kbar);
    }

    /** G_ij = g_i . v_j of the tile at key {@code j0}; returns its position in {@code gv}. */
    private int products(KeyValueHead head, int j0) {
        int at = keepWeights ? (j0 - weights.first()) * ROWS : 0;
        kernels.multiply(weights.tileRows(j0), valueDim, head.floats, head.values + j0 * valueDim, valueDim, g, gv, at);
        return at;
    }

    /** u = -A^-1 c; leaves -c in c. */
    private int solve(int rows) {
        for (int at = 0; at < c.length; at++) {
            c[at] = -c[at];
        }
        for (int lane = 0; lane < rows; lane++) {
            known[lane] = weights.visible(lane) <= 1;
            if (known[lane]) { // one key: G = Gbar and k = kbar, so c is exactly 0
                for (int at = lane; at < c.length; at += ROWS) {
                    c[at] = 0;
                    u[at] = 0;
                }
            }
        }
        if (inverseDiagonal != null) {
            a.inverseDiagonal(inverseDiagonal, squaredTile);
        }
        return solver.solve(a, c, u, inverseDiagonal, null, null, rows, known, options.tolerance(), options.maxIterations());
    }

    /** mu, and dq in c. */
    private void emit(KeyValueHead head) {
        kernels.dot(dim, x, a.kbar, xKbar);
        kernels.dot(dim, u, a.kbar, hShift);
        for (int lane = 0; lane < ROWS; lane++) {
            hShift[lane] = -gbar[lane] - hShift[lane];
        }
        Arrays.fill(mu, 0);
        Arrays.fill(c, 0);
        for (int j0 = weights.first(); j0 < weights.keys(); j0 += TILE_KEYS) {
            int m = weights.tileRows(j0);
            int p = weights.tile(a.scaledQ, j0);
            int at = keepWeights ? (j0 - weights.first()) * ROWS : products(head, j0);
            kernels.multiplyWeighted(m, dim, head.floats, head.keys + j0 * dim, dim, x, weights.p(), p, 1, -1, xKbar, w, 0);
            kernels.multiplyAdd(m, dim, head.floats, head.keys + j0 * dim, dim, u, gv, at);
            kernels.weigh(m, w, 0, gv, at, hShift, w, 0, mu);
            kernels.accumulate(m, dim, head.floats, head.keys + j0 * dim, dim, w, 0, c);
        }
        for (int d = 0; d < dim; d++) {
            for (int lane = 0; lane < ROWS; lane++) {
                int at = d * ROWS + lane;
                c[at] = scale * (c[at] - mu[lane] * a.kbar[at]) - u[at];
            }
        }
    }
}
