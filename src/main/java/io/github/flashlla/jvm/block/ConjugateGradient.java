package io.github.flashlla.jvm.block;

import static io.github.flashlla.jvm.block.BlockLoops.ROWS;

/**
 * Solves A_i x_i = b_i for all rows of a block together, one row per lane; vectors are {@code [dim][lane]}.
 *
 * <p>A row freezes (its step length is 0) once ||r|| &lt;= tolerance ||b||, so what it returns does not depend on which rows
 * share its block; the block stops when all its rows are frozen.
 *
 * <p>In exact arithmetic every residual is orthogonal to all earlier ones. In float32 rounding destroys that along the
 * directions solved first, and CG solves them again. The first {@value #KEPT} residuals are therefore kept, and each later
 * one is re-orthogonalised against them: iteration counts are those of exact arithmetic, whatever the order of sums.
 * Keeping one residual adds as much work per iteration as one more key.
 *
 * <p>Where A f is known for some f, the solve starts with the best step along f, which takes no iteration, and every direction
 * is made conjugate to f, so that it stays the best. Forward has A q from its first pass: 0.9 iterations fewer on normal inputs.
 */
final class ConjugateGradient {

    /** Access to A. */
    interface Operator {
        /** ay_i = A_i y_i for every lane. */
        void apply(float[] y, float[] ay);
    }

    private static final int KEPT = 24;

    private final BlockLoops kernels;
    private final int dim;
    private final float[][] kept;
    private final float[][] keptRz;
    private final float[][] part;
    private final float[] r;
    private final float[] y;
    private final float[] ay;
    private final float[] z;
    private final float[] bb = new float[ROWS];
    private final float[] rr = new float[ROWS];
    private final float[] rz = new float[ROWS];
    private final float[] newRz = new float[ROWS];
    private final float[] yAy = new float[ROWS];
    private final float[] step = new float[ROWS];
    private final float[] turn = new float[ROWS];
    private final float[] ff = new float[ROWS];
    private final float[] fAf = new float[ROWS];
    private final boolean[] active = new boolean[ROWS];

    /** Iterations after which each lane was solved, or the cap; written by {@link #solve}. */
    final int[] iterations = new int[ROWS];
    /** ||r|| / ||b|| of each lane; written by {@link #solve}. */
    final float[] residual = new float[ROWS];

    ConjugateGradient(BlockLoops kernels, int dim) {
        this.kernels = kernels;
        this.dim = dim;
        r = new float[dim * ROWS];
        y = new float[dim * ROWS];
        ay = new float[dim * ROWS];
        z = new float[dim * ROWS];
        int most = kept(dim);
        kept = new float[most][dim * ROWS];
        keptRz = new float[most][ROWS];
        part = new float[most][ROWS];
    }

    /** There are no more than D orthogonal vectors. */
    private static int kept(int dim) {
        return Math.min(KEPT, dim);
    }

    static long bytes(int dim) {
        return ((4L + kept(dim)) * dim + 2L * kept(dim) + 11) * ROWS * Float.BYTES;
    }

    /**
     * @param b right sides
     * @param x receives the solutions
     * @param inverseDiagonal Jacobi preconditioner 1 / diag(A) {@code [dim][lane]}, or null
     * @param f what to step along first {@code [dim][lane]}, or null; without a preconditioner only
     * @param af A f
     * @param rows lanes in use; the others get 0
     * @param known lanes below {@code rows} whose x is given already, and which take no iteration
     * @return iterations that the block ran
     */
    int solve(Operator a, float[] b, float[] x, float[] inverseDiagonal, float[] f, float[] af, int rows, boolean[] known,
            double tolerance, int maxIterations) {
        double tolerance2 = tolerance * tolerance;
        System.arraycopy(b, 0, r, 0, r.length);
        kernels.dotInAnyOrder(dim, r, r, bb);
        System.arraycopy(bb, 0, rr, 0, ROWS);
        int left = 0;
        for (int lane = 0; lane < ROWS; lane++) {
            active[lane] = lane < rows && !known[lane] && bb[lane] > 0;
            left += active[lane] ? 1 : 0;
            iterations[lane] = 0;
            if (lane >= rows || !known[lane]) {
                clearLane(x, lane);
            }
            if (!active[lane]) {
                clearLane(r, lane);
                rr[lane] = 0;
            }
        }
        if (f != null) {
            left = stepAlong(f, af, x, tolerance2, left);
        }
        precondition(inverseDiagonal);
        kernels.dotInAnyOrder(dim, r, direction(inverseDiagonal), rz);
        System.arraycopy(direction(inverseDiagonal), 0, y, 0, y.length);
        conjugate(f, af);

        int iteration = 0;
        while (left > 0 && iteration < maxIterations) {
            iteration++;
            if (iteration <= kept.length) {
                System.arraycopy(r, 0, kept[iteration - 1], 0, r.length);
                System.arraycopy(rz, 0, keptRz[iteration - 1], 0, ROWS);
            }
            a.apply(y, ay);
            kernels.dotInAnyOrder(dim, y, ay, yAy);
            for (int lane = 0; lane < ROWS; lane++) {
                if (active[lane] && !(yAy[lane] > 0)) { // the direction is lost to rounding: keep the solution so far
                    active[lane] = false;
                    iterations[lane] = maxIterations;
                    left--;
                }
                step[lane] = active[lane] ? rz[lane] / yAy[lane] : 0;
            }
            kernels.addScaled(dim, x, step, y);
            negate(step);
            kernels.addScaled(dim, r, step, ay);
            precondition(inverseDiagonal);
            if (f != null) {
                subtractPart(r, f, f, ff);
            }
            orthogonalize(direction(inverseDiagonal), Math.min(iteration, kept.length));
            kernels.dotInAnyOrder(dim, r, r, turn);
            for (int lane = 0; lane < ROWS; lane++) {
                if (active[lane]) {
                    rr[lane] = turn[lane];
                    iterations[lane] = iteration;
                    if (rr[lane] <= tolerance2 * bb[lane]) {
                        active[lane] = false;
                        left--;
                    }
                }
            }
            if (left == 0) {
                break;
            }
            precondition(inverseDiagonal);
            if (inverseDiagonal == null) {
                System.arraycopy(turn, 0, newRz, 0, ROWS);
            } else {
                kernels.dotInAnyOrder(dim, r, z, newRz);
            }
            for (int lane = 0; lane < ROWS; lane++) {
                turn[lane] = active[lane] ? newRz[lane] / rz[lane] : 0;
                rz[lane] = newRz[lane];
            }
            kernels.scaleAndAdd(dim, y, turn, direction(inverseDiagonal));
            conjugate(f, af);
        }
        for (int lane = 0; lane < ROWS; lane++) {
            residual[lane] = bb[lane] == 0 ? 0 : (float) Math.sqrt((double) rr[lane] / bb[lane]); // NaN stays NaN
        }
        return iteration;
    }

    /** The step along f that leaves r orthogonal to it; returns how many lanes it leaves unsolved. */
    private int stepAlong(float[] f, float[] af, float[] x, double tolerance2, int left) {
        kernels.dotInAnyOrder(dim, f, f, ff);
        kernels.dotInAnyOrder(dim, f, af, fAf);
        kernels.dotInAnyOrder(dim, f, r, step);
        for (int lane = 0; lane < ROWS; lane++) {
            boolean sound = fAf[lane] > 0 && ff[lane] > 0 && Float.isFinite(fAf[lane]);
            step[lane] = active[lane] && sound ? step[lane] / fAf[lane] : 0;
            if (!sound) { // as if f were 0
                ff[lane] = Float.POSITIVE_INFINITY;
                fAf[lane] = Float.POSITIVE_INFINITY;
            }
        }
        kernels.addScaled(dim, x, step, f);
        negate(step);
        kernels.addScaled(dim, r, step, af);
        kernels.dotInAnyOrder(dim, r, r, rr);
        int unsolved = left;
        for (int lane = 0; lane < ROWS; lane++) {
            if (active[lane] && rr[lane] <= tolerance2 * bb[lane]) {
                active[lane] = false;
                unsolved--;
            }
        }
        return unsolved;
    }

    /** Makes the direction y conjugate to f. */
    private void conjugate(float[] f, float[] af) {
        if (f != null) {
            subtractPart(y, af, f, fAf);
        }
    }

    /** vector -= (vector.along / size) f */
    private void subtractPart(float[] vector, float[] along, float[] f, float[] size) {
        kernels.dotInAnyOrder(dim, vector, along, turn);
        for (int lane = 0; lane < ROWS; lane++) {
            turn[lane] = active[lane] ? -turn[lane] / size[lane] : 0;
        }
        kernels.addScaled(dim, vector, turn, f);
    }

    /** Subtracts from r its projections on the first {@code n} residuals, in their own inner product. */
    private void orthogonalize(float[] direction, int n) {
        for (int i = 0; i < n; i++) {
            kernels.dotInAnyOrder(dim, kept[i], direction, part[i]);
            for (int lane = 0; lane < ROWS; lane++) {
                part[i][lane] = active[lane] ? -part[i][lane] / keptRz[i][lane] : 0;
            }
        }
        kernels.addAllScaled(dim, r, n, part, kept);
    }

    private float[] direction(float[] inverseDiagonal) {
        return inverseDiagonal == null ? r : z;
    }

    private void precondition(float[] inverseDiagonal) {
        if (inverseDiagonal != null) {
            for (int i = 0; i < z.length; i++) {
                z[i] = r[i] * inverseDiagonal[i];
            }
        }
    }

    private static void negate(float[] lanes) {
        for (int lane = 0; lane < ROWS; lane++) {
            lanes[lane] = -lanes[lane];
        }
    }

    private static void clearLane(float[] vectors, int lane) {
        for (int at = lane; at < vectors.length; at += ROWS) {
            vectors[at] = 0;
        }
    }
}
