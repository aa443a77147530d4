package io.github.flashlla.jvm.block;

import static io.github.flashlla.jvm.block.BlockWeights.TILE_KEYS;
import static io.github.flashlla.jvm.block.BlockLoops.ROWS;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.precise.KeptState;
import io.github.flashlla.precise.SolveSizes;
import java.util.Arrays;

/** FlashLLA's three passes over the keys for one block of queries, with one thread's scratch memory. */
public final class ForwardBlock {

    /** Sums of p (1 - a) this close to 1 are as good as 1: below the rounding of the output. */
    private static final float NEGLIGIBLE = 2e-6f;
    /** Scales below this leave scores too few digits to find A q from them. */
    private static final float SMALLEST_SCALE = 0x1p-60f;

    private final BlockLoops kernels;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final float scale;
    private final int dim;
    private final int valueDim;

    private final BlockWeights weights;
    private final ConjugateGradient solver;
    private final float[] q;
    /** A q, where the solve starts with a step along q; otherwise null. */
    private final float[] aq;
    private final KeyCovariance a;
    private final float[] b;
    private final float[] x;
    private final float[] output;
    private final float[] vbar;
    private final float[] inverseDiagonal;
    private final float[] squaredTile;
    private final float[] w = new float[TILE_KEYS * ROWS];
    private final float[] xKbar = new float[ROWS];
    private final float[] sum = new float[ROWS];
    private final float[] logSumExp = new float[ROWS];
    private final double[] sums = new double[ROWS];
    private final boolean[] known = new boolean[ROWS];
    private final float[] rowBuffer;
    private long pairIterations;

    public ForwardBlock(BlockLoops kernels, AttentionShape shape, LlaOptions options, boolean keepWeights) {
        this.kernels = kernels;
        this.shape = shape;
        this.options = options;
        this.scale = (float) options.scaleFor(shape.headDim());
        this.dim = BlockLoops.padded(shape.headDim());
        this.valueDim = BlockLoops.padded(shape.valueDim());
        boolean jacobi = options.preconditioner() == Preconditioner.JACOBI;
        this.weights = new BlockWeights(kernels, dim, BlockWeights.most(shape, options), keepWeights);
        this.solver = new ConjugateGradient(kernels, dim);
        this.q = new float[dim * ROWS];
        this.aq = jacobi || !(Math.abs(scale) >= SMALLEST_SCALE) ? null : new float[dim * ROWS];
        this.a = new KeyCovariance(kernels, dim, weights, w);
        this.b = new float[dim * ROWS];
        this.x = new float[dim * ROWS];
        this.output = new float[valueDim * ROWS];
        this.vbar = new float[valueDim * ROWS];
        this.inverseDiagonal = jacobi ? new float[dim * ROWS] : null;
        this.squaredTile = jacobi ? new float[TILE_KEYS * dim] : null;
        this.rowBuffer = new float[Math.max(dim, valueDim)];
    }

    /** Bytes of one block's scratch memory. */
    public static long bytes(AttentionShape shape, LlaOptions options, boolean keepWeights) {
        int dim = BlockLoops.padded(shape.headDim());
        long vectors = (6 + (options.preconditioner() == Preconditioner.JACOBI ? 3 : 0)) * dim
                + BlockLoops.padded(shape.valueDim()) + TILE_KEYS;
        return BlockWeights.bytes(shape, options, keepWeights) + ConjugateGradient.bytes(dim) + vectors * ROWS * Float.BYTES;
    }

    /** Iterations of the blocks run since the last call, summed over the visible pairs they ran on. */
    public long takePairIterations() {
        long taken = pairIterations;
        pairIterations = 0;
        return taken;
    }

    /**
     * Computes queries i0 to i0+rows-1 of one head.
     *
     * @param head b * H + h
     * @param keyValues this head's keys and values
     * @param kept receives kbar and x; may be null
     * @param sizes receives what the solves came to; null where {@code kept} is
     * @param outputNorms receives ||o_i|| of each query of all heads
     */
    public void run(long head, int i0, int rows, KeyValueHead keyValues, LlaInputs inputs, LlaResult result,
            KeptState kept, SolveSizes sizes, double[] outputNorms) {
        float[] centre = keyValues.centre;
        a.begin(keyValues);
        long firstRow = head * shape.queryLength() + i0;
        long firstQ = firstRow * shape.headDim();
        TensorRows.loadTransposed(inputs.q(), firstQ, rows, shape.headDim(), q, rowBuffer);
        for (int at = 0; at < q.length; at++) {
            a.scaledQ[at] = q[at] * scale;
        }
        Arrays.fill(a.ridge, (float) options.ridge());
        if (inputs.ridge() != null) {
            TensorRows.load(inputs.ridge(), firstRow, a.ridge, 0, rows);
        }
        weights.begin(shape, options, i0, rows, keyValues);

        if (aq == null) {
            weights.softmax(a.scaledQ, a.kbar);
        } else {
            weights.softmaxWithSlope(a.scaledQ, a.kbar, aq, w);
            for (int d = 0; d < dim; d++) {
                for (int lane = 0; lane < ROWS; lane++) {
                    int at = d * ROWS + lane;
                    aq[at] = aq[at] / scale + a.ridge[lane] * q[at]; // (k - kbar).q is (s - sbar) / scale
                }
            }
        }
        int iterations = solve(rows, centre);
        output(rows, keyValues);

        for (int row = 0; row < rows; row++) {
            pairIterations += (long) iterations * weights.visible(row);
        }
        weights.logSumExp(a.scaledQ, centre, logSumExp);
        TensorRows.storeTransposed(output, rows, shape.valueDim(), result.output(), firstRow * shape.valueDim(), rowBuffer);
        TensorRows.store(logSumExp, 0, rows, result.logSumExp(), firstRow);
        products(valueDim, output, output, sums);
        for (int row = 0; row < rows; row++) {
            outputNorms[(int) firstRow + row] = Math.sqrt(sums[row]);
        }
        if (kept != null) {
            measure((int) firstRow, rows, sizes);
            for (int d = 0; d < dim; d++) {
                for (int row = 0; row < rows; row++) {
                    a.kbar[d * ROWS + row] += weights.visible(row) == 0 ? 0 : centre[d];
                }
            }
            TensorRows.storeTransposed(a.kbar, rows, shape.headDim(), kept.kbar(), firstQ, rowBuffer);
            TensorRows.storeTransposed(x, rows, shape.headDim(), kept.x(), firstQ, rowBuffer);
        }
        System.arraycopy(solver.iterations, 0, result.iterations(), (int) firstRow, rows);
        System.arraycopy(solver.residual, 0, result.residual(), (int) firstRow, rows);
    }

    /** What the solves came to; kbar is still relative to the centre of the keys. */
    private void measure(int firstRow, int rows, SolveSizes sizes) {
        products(dim, x, x, sums);
        for (int row = 0; row < rows; row++) {
            sizes.x()[firstRow + row] = Math.sqrt(sums[row]);
        }
        products(dim, b, b, sums);
        for (int row = 0; row < rows; row++) {
            sizes.b()[firstRow + row] = Math.sqrt(sums[row]);
        }
        products(dim, x, b, sums);
        System.arraycopy(sums, 0, sizes.xb(), firstRow, rows);
        products(dim, a.scaledQ, a.kbar, sums);
        for (int row = 0; row < rows; row++) { // entropy: log of the total weight less the mean score
            double entropy = weights.max[row] + Math.log(weights.total[row]) - sums[row];
            sizes.effectiveKeys()[firstRow + row] = Math.max(1, Math.exp(entropy));
        }
    }

    /** In float64: what is small beside its addends keeps its digits. */
    private static void products(int dim, float[] left, float[] right, double[] sums) {
        Arrays.fill(sums, 0);
        for (int d = 0; d < dim; d++) {
            for (int lane = 0; lane < ROWS; lane++) {
                sums[lane] += (double) left[d * ROWS + lane] * right[d * ROWS + lane];
            }
        }
    }

    /** Pass 2: x = A^-1 (kbar - q). */
    private int solve(int rows, float[] centre) {
        for (int d = 0; d < dim; d++) {
            for (int lane = 0; lane < ROWS; lane++) {
                int at = d * ROWS + lane;
                b[at] = a.kbar[at] - (q[at] - centre[d]);
            }
        }
        for (int lane = 0; lane < rows; lane++) {
            int visible = weights.visible(lane);
            known[lane] = visible <= 1;
            if (known[lane]) { // one key: A is exactly ridge I; no key: nothing to solve
                for (int d = 0; d < dim; d++) {
                    int at = d * ROWS + lane;
                    b[at] = visible == 0 ? 0 : b[at];
                    x[at] = b[at] / a.ridge[lane];
                }
            }
        }
        if (inverseDiagonal != null) {
            a.inverseDiagonal(inverseDiagonal, squaredTile);
        }
        return solver.solve(a, b, x, inverseDiagonal, aq == null ? null : q, aq, rows, known, options.tolerance(), options.maxIterations());
    }

    /**
     * Pass 3: o_i = sum_j p_ij (1 - (k_j - kbar_i) . x_i) v_j.
     *
     * <p>The factors of v add up to 1, but for the rounding of kbar, which shifts all of a row's a_ij alike. What is missing of
     * 1 belongs to vbar, so those rows take one more sum. It makes them ten times as exact where few keys carry the weight.
     */
    private void output(int rows, KeyValueHead head) {
        kernels.dot(dim, x, a.kbar, xKbar);
        Arrays.fill(output, 0);
        Arrays.fill(sum, 0);
        for (int j0 = weights.first(); j0 < weights.keys(); j0 += TILE_KEYS) {
            int m = weights.tileRows(j0);
            int p = weights.tile(a.scaledQ, j0);
            kernels.multiplyWeighted(m, dim, head.floats, head.keys + j0 * dim, dim, x, weights.p(), p, 1, -1, xKbar, w, 0);
            kernels.sum(m, w, 0, sum);
            kernels.accumulate(m, valueDim, head.floats, head.values + j0 * valueDim, valueDim, w, 0, output);
        }
        boolean any = false;
        for (int lane = 0; lane < ROWS; lane++) {
            float missing = 1 - sum[lane];
            boolean matters = lane < rows && weights.visible(lane) > 0 && Math.abs(missing) > NEGLIGIBLE;
            sum[lane] = matters ? missing : 0;
            any |= matters;
        }
        if (any) {
            Arrays.fill(vbar, 0);
            for (int j0 = weights.first(); j0 < weights.keys(); j0 += TILE_KEYS) {
                int p = weights.tile(a.scaledQ, j0);
                kernels.accumulate(weights.tileRows(j0), valueDim, head.floats, head.values + j0 * valueDim, valueDim, weights.p(), p,
                        vbar);
            }
            kernels.addScaled(valueDim, output, sum, vbar);
        }
    }
}
