package io.github.flashlla.tornado.kernels.tile;

import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.ROWS;
import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.TINY;
import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.VECTORS;

import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.collections.VectorFloat16;
import uk.ac.manchester.tornado.api.types.vectors.Float16;

/**
 * Conjugate gradients for a block of queries, one per lane, between sweeps over the keys that apply A: the part of both
 * passes that sees no keys.
 *
 * <p>The part of the first {@value KeptResiduals#MOST} residuals is taken off each later one, to which they are orthogonal but for rounding.
 * Left in, it takes iterations of its own, and their number depends on the order of sums.
 *
 * <p>A query freezes once ||r|| &lt;= tol ||b||: its steps are 0 from then on. What belongs to the solve lies together in
 * the worker's scratch memory, from a position called {@code state}:
 *
 * <pre>
 *   state     {@value #STATE_ROWS} rows of scalars, one per query
 *   mean      D rows: kbar, relative to the keys' centre
 *   x, r, y   D rows each: solution, residual, direction
 *   inverse   D rows: 1 / diag(A), with {@link Masking#JACOBI} only
 *   kept      the first residuals, D rows each, and for each a row of r.z and one of its part in the latest residual
 *   sums      D rows, or Dv where those are more: sum_j w_ij k_j of the last sweep
 * </pre>
 */
public final class CpuSolve {
    // rows of scalars
    public static final int MAX = 0;
    public static final int TOTAL = 1;
    /** What makes exponentials weights. */
    public static final int FACTOR = 2;
    /** The key behind the last that a query sees. */
    public static final int SEES = 3;
    public static final int RIDGE = 4;
    /** What a sweep takes off its products with the keys. */
    public static final int SHIFT = 5;
    /** Sum of a sweep's weights. */
    public static final int SUM = 6;
    /** Iterations. */
    public static final int COUNT = 7;
    /** Square of the relative residual. */
    public static final int RESIDUAL = 8;
    /** 1 for a query that sees more than one key, otherwise 0. */
    public static final int MANY = 9;
    /** 1 for a query that sees a key, otherwise 0. */
    public static final int ANY = 10;
    private static final int BB = 11;
    private static final int RZ = 12;
    private static final int ACTIVE = 13;
    private static final int PRODUCT = 14;
    private static final int RR = 15;
    private static final int STEP = 16;
    private static final int TURN = 17;
    /** First key that a query sees. */
    public static final int FIRST = 18;
    /** The first row for what a pass has of its own. */
    public static final int OWN = 19;
    public static final int STATE_ROWS = 23;
    // with a first step along f
    private static final int FF = OWN;
    private static final int FAF = OWN + 1;
    /** No product of a sound direction. */
    private static final float HUGE = 1e37f;
    private static final int KEPT = KeptResiduals.MOST;

    private CpuSolve() {}

    /** Rows of a solve's scratch memory up to the sums. */
    public static int rows(int dims, int jacobi) {
        return STATE_ROWS + (4 + (jacobi != 0 ? 1 : 0) + kept(dims)) * dims + 2 * kept(dims);
    }

    /** Residuals kept: there are no more than D orthogonal ones. */
    private static int kept(int dims) {
        return Math.min(KEPT, dims);
    }

    // positions, from that of the state and the padded head dim

    public static int mean(int state) {
        return state + STATE_ROWS * VECTORS;
    }

    public static int x(int state, int dims) {
        return state + (STATE_ROWS + dims) * VECTORS;
    }

    public static int r(int state, int dims) {
        return state + (STATE_ROWS + 2 * dims) * VECTORS;
    }

    public static int y(int state, int dims) {
        return state + (STATE_ROWS + 3 * dims) * VECTORS;
    }

    public static int inverse(int state, int dims) {
        return state + (STATE_ROWS + 4 * dims) * VECTORS;
    }

    private static int kept(int state, int dims, int jacobi) {
        return state + (STATE_ROWS + (4 + (jacobi != 0 ? 1 : 0)) * dims) * VECTORS;
    }

    public static int sums(int state, int dims, int jacobi) {
        return state + rows(dims, jacobi) * VECTORS;
    }

    /** Scalars of the query in {@code lane}, which sees keys {@code first} up to {@code end}, before the first sweep. */
    public static void begin(FloatArray scratch, int state, int lane, int first, int end, float ridge) {
        int at = state * Lanes.COUNT + lane;
        float sees = end - first;
        scratch.set(at + TOTAL * ROWS, 0f);
        scratch.set(at + FACTOR * ROWS, 1f);
        scratch.set(at + SEES * ROWS, end);
        scratch.set(at + FIRST * ROWS, first);
        scratch.set(at + RIDGE * ROWS, ridge);
        scratch.set(at + SHIFT * ROWS, 0f);
        scratch.set(at + COUNT * ROWS, 0f);
        // with one key A = ridge I, to the letter; with none there is nothing to solve
        scratch.set(at + MANY * ROWS, Math.max(0f, Math.min(1f, sees - 1f)));
        scratch.set(at + ANY * ROWS, Math.min(1f, sees));
    }

    /** The factor, once the total is known: 0 for a query without keys, whose total means nothing. */
    public static void normalise(FloatArray scratch, int state, int lanes) {
        for (int lane = 0; lane < lanes; lane++) {
            int at = state * Lanes.COUNT + lane;
            scratch.set(at + FACTOR * ROWS, scratch.get(at + ANY * ROWS) / Math.max(scratch.get(at + TOTAL * ROWS), TINY));
        }
    }

    /** sum_j p_ij k_j^2 becomes 1 / diag(A). */
    public static void invertDiagonal(VectorFloat16 t, int state, int dims, int depth, int vectors) {
        int inverse = inverse(state, dims);
        for (int h = 0; h < vectors; h++) {
            Float16 ridges = t.get(state + RIDGE * VECTORS + h);
            for (int d = 0; d < depth; d++) {
                int at = inverse + d * VECTORS + h;
                Float16 kb = t.get(mean(state) + d * VECTORS + h);
                // rounding may take a variance below 0
                Float16 variance = Lanes.max(Lanes.sub(t.get(at), Float16.mult(kb, kb)), Lanes.spread(0f));
                t.set(at, Float16.div(Lanes.spread(1f), Float16.add(variance, ridges)));
            }
        }
    }

    /**
     * Takes up a solve whose right side is in r: y = r, preconditioned.
     *
     * @param along 1 to step along f first, which leaves r orthogonal to it, and to keep directions conjugate to it; without a
     *              preconditioner only
     * @param f where f lies, D rows
     * @param af where A f lies, D rows
     */
    public static void start(VectorFloat16 t, FloatArray scratch, int state, int dims, int depth, int vectors, int lanes, int jacobi,
            int along, int f, int af, float tol) {
        int rs = r(state, dims);
        int ys = y(state, dims);
        int inverse = inverse(state, dims);
        for (int h = 0; h < vectors; h++) {
            Float16 bb = Lanes.spread(0f);
            Float16 rz = Lanes.spread(0f);
            for (int d = 0; d < depth; d++) {
                int at = d * VECTORS + h;
                Float16 r = t.get(rs + at);
                Float16 z = r;
                if (jacobi != 0) {
                    z = Float16.mult(r, t.get(inverse + at));
                }
                t.set(ys + at, z);
                bb = Float16.add(bb, Float16.mult(r, r));
                rz = Float16.add(rz, Float16.mult(r, z));
            }
            t.set(state + BB * VECTORS + h, bb);
            t.set(state + RZ * VECTORS + h, rz);
        }
        for (int lane = 0; lane < lanes; lane++) {
            int at = state * Lanes.COUNT + lane;
            float active = CpuBlockLoops.positive(scratch.get(at + BB * ROWS));
            scratch.set(at + ACTIVE * ROWS, active);
            scratch.set(at + RESIDUAL * ROWS, active);
        }
        if (along != 0) {
            stepAlong(t, scratch, state, dims, depth, vectors, lanes, f, af, tol);
        }
    }

    private static void stepAlong(VectorFloat16 t, FloatArray scratch, int state, int dims, int depth, int vectors, int lanes, int f,
            int af, float tol) {
        int xs = x(state, dims);
        int rs = r(state, dims);
        int ys = y(state, dims);
        dot(t, state + FF * VECTORS, f, f, depth);
        dot(t, state + FAF * VECTORS, f, af, depth);
        dot(t, state + STEP * VECTORS, f, rs, depth);
        for (int lane = 0; lane < lanes; lane++) {
            int at = state * Lanes.COUNT + lane;
            float ff = scratch.get(at + FF * ROWS);
            float fAf = scratch.get(at + FAF * ROWS);
            float sound = CpuBlockLoops.positive(ff) * CpuBlockLoops.positive(fAf) * CpuBlockLoops.positive(HUGE - fAf);
            float inverse = sound / Math.max(fAf, TINY);
            scratch.set(at + FF * ROWS, sound / Math.max(ff, TINY));
            scratch.set(at + FAF * ROWS, inverse);
            scratch.set(at + STEP * ROWS, scratch.get(at + ACTIVE * ROWS) * inverse * scratch.get(at + STEP * ROWS));
        }
        for (int h = 0; h < vectors; h++) {
            Float16 step = t.get(state + STEP * VECTORS + h);
            Float16 rr = Lanes.spread(0f);
            for (int d = 0; d < depth; d++) {
                int at = d * VECTORS + h;
                t.set(xs + at, Float16.add(t.get(xs + at), Float16.mult(step, t.get(f + at))));
                Float16 r = Lanes.sub(t.get(rs + at), Float16.mult(step, t.get(af + at)));
                t.set(rs + at, r);
                t.set(ys + at, r);
                rr = Float16.add(rr, Float16.mult(r, r));
            }
            t.set(state + RZ * VECTORS + h, rr);
        }
        for (int lane = 0; lane < lanes; lane++) {
            int at = state * Lanes.COUNT + lane;
            float rr = scratch.get(at + RZ * ROWS);
            float bb = scratch.get(at + BB * ROWS);
            scratch.set(at + RESIDUAL * ROWS, rr / Math.max(bb, TINY));
            scratch.set(at + ACTIVE * ROWS, scratch.get(at + ACTIVE * ROWS) * CpuBlockLoops.positive(rr - tol * tol * bb));
        }
        takePart(t, state, ys, af, f, FAF, depth, vectors);
    }

    /** vector -= (vector.along inverse) f for unsolved queries. */
    private static void takePart(VectorFloat16 t, int state, int vector, int along, int f, int inverse, int depth, int vectors) {
        dot(t, state + TURN * VECTORS, vector, along, depth);
        for (int h = 0; h < vectors; h++) {
            Float16 part = t.get(state + TURN * VECTORS + h);
            // where f is not sound, its product may be no number, and counts as 0 all the same
            part = Float16.mult(Float16.mult(Lanes.within(part, HUGE), t.get(state + inverse * VECTORS + h)), t.get(state + ACTIVE * VECTORS + h));
            for (int d = 0; d < depth; d++) {
                int at = d * VECTORS + h;
                t.set(vector + at, Lanes.sub(t.get(vector + at), Float16.mult(part, t.get(f + at))));
            }
        }
    }

    /**
     * One iteration, with sum_j p_ij ((k_j - kbar_i).y_i) k_j in the sums and its sum of weights, which is 0 but for rounding,
     * in {@link #SUM}.
     *
     * @param iteration 1 for the first
     */
    public static void step(VectorFloat16 t, FloatArray scratch, int state, int dims, int depth, int vectors, int lanes, int jacobi,
            int iteration, float tol, int maxIterations, int along, int f, int af) {
        int means = mean(state);
        int xs = x(state, dims);
        int rs = r(state, dims);
        int ys = y(state, dims);
        int inverse = inverse(state, dims);
        int sums = sums(state, dims, jacobi);
        int kept = kept(state, dims, jacobi);
        int products = kept + kept(dims) * dims * VECTORS;
        int parts = products + kept(dims) * VECTORS;
        int earlier = Math.min(iteration, kept(dims));
        if (iteration <= kept(dims)) {
            int into = kept + (iteration - 1) * dims * VECTORS;
            for (int h = 0; h < vectors; h++) {
                for (int d = 0; d < depth; d++) {
                    t.set(into + d * VECTORS + h, t.get(rs + d * VECTORS + h));
                }
                t.set(products + (iteration - 1) * VECTORS + h, t.get(state + RZ * VECTORS + h));
            }
        }
        for (int h = 0; h < vectors; h++) {
            Float16 sum = t.get(state + SUM * VECTORS + h);
            Float16 ridges = t.get(state + RIDGE * VECTORS + h);
            Float16 yAy = Lanes.spread(0f);
            for (int d = 0; d < depth; d++) {
                int at = d * VECTORS + h;
                Float16 y = t.get(ys + at);
                Float16 ay = Lanes.sub(t.get(sums + at), Float16.mult(sum, t.get(means + at)));
                ay = Float16.add(ay, Float16.mult(ridges, y));
                t.set(sums + at, ay);
                yAy = Float16.add(yAy, Float16.mult(y, ay));
            }
            t.set(state + PRODUCT * VECTORS + h, yAy);
        }
        for (int lane = 0; lane < lanes; lane++) {
            int at = state * Lanes.COUNT + lane;
            float active = scratch.get(at + ACTIVE * ROWS);
            float yAy = scratch.get(at + PRODUCT * ROWS);
            float sound = CpuBlockLoops.positive(yAy);
            float count = scratch.get(at + COUNT * ROWS);
            // where rounding has eaten the direction, keep what there is, and say that it was not solved
            float counted = sound * iteration + (1f - sound) * maxIterations;
            scratch.set(at + COUNT * ROWS, count + active * (counted - count));
            scratch.set(at + ACTIVE * ROWS, active * sound);
            scratch.set(at + STEP * ROWS, active * sound * scratch.get(at + RZ * ROWS) / Math.max(yAy, TINY));
        }
        for (int h = 0; h < vectors; h++) {
            Float16 step = t.get(state + STEP * VECTORS + h);
            for (int d = 0; d < depth; d++) {
                int at = d * VECTORS + h;
                t.set(xs + at, Float16.add(t.get(xs + at), Float16.mult(step, t.get(ys + at))));
                Float16 r = Lanes.sub(t.get(rs + at), Float16.mult(step, t.get(sums + at)));
                t.set(rs + at, r);
                // z in place of A y, which has done its work
                if (jacobi != 0) {
                    r = Float16.mult(r, t.get(inverse + at));
                }
                t.set(sums + at, r);
            }
        }
        if (along != 0) {
            takePart(t, state, rs, f, f, FF, depth, vectors);
        }
        for (int i = 0; i < earlier; i++) {
            dot(t, parts + i * VECTORS, kept + i * dims * VECTORS, along != 0 ? rs : sums, depth);
        }
        for (int lane = 0; lane < lanes; lane++) {
            float active = scratch.get((state + ACTIVE * VECTORS) * Lanes.COUNT + lane);
            for (int i = 0; i < earlier; i++) {
                int at = (parts + i * VECTORS) * Lanes.COUNT + lane;
                float product = scratch.get((products + i * VECTORS) * Lanes.COUNT + lane);
                scratch.set(at, -active * scratch.get(at) / Math.max(product, TINY));
            }
        }
        for (int h = 0; h < vectors; h++) {
            Float16 rr = Lanes.spread(0f);
            Float16 rz = Lanes.spread(0f);
            for (int d = 0; d < depth; d++) {
                int at = d * VECTORS + h;
                Float16 r = t.get(rs + at);
                for (int i = 0; i < earlier; i++) {
                    r = Float16.add(r, Float16.mult(t.get(parts + i * VECTORS + h), t.get(kept + i * dims * VECTORS + at)));
                }
                t.set(rs + at, r);
                rr = Float16.add(rr, Float16.mult(r, r));
                if (jacobi != 0) {
                    rz = Float16.add(rz, Float16.mult(Float16.mult(r, t.get(inverse + at)), r));
                }
            }
            t.set(state + RR * VECTORS + h, rr);
            t.set(state + PRODUCT * VECTORS + h, jacobi != 0 ? rz : rr);
        }
        for (int lane = 0; lane < lanes; lane++) {
            int at = state * Lanes.COUNT + lane;
            float rr = scratch.get(at + RR * ROWS);
            float bb = scratch.get(at + BB * ROWS);
            float newRz = scratch.get(at + PRODUCT * ROWS);
            float rz = scratch.get(at + RZ * ROWS);
            float active = scratch.get(at + ACTIVE * ROWS) * CpuBlockLoops.positive(rr - tol * tol * bb);
            scratch.set(at + ACTIVE * ROWS, active);
            scratch.set(at + RESIDUAL * ROWS, rr / Math.max(bb, TINY));
            scratch.set(at + TURN * ROWS, active * newRz / Math.max(rz, TINY));
            scratch.set(at + RZ * ROWS, newRz);
        }
        for (int h = 0; h < vectors; h++) {
            Float16 turn = t.get(state + TURN * VECTORS + h);
            for (int d = 0; d < depth; d++) {
                int at = d * VECTORS + h;
                Float16 z = t.get(rs + at);
                if (jacobi != 0) {
                    z = Float16.mult(z, t.get(inverse + at));
                }
                t.set(ys + at, Float16.add(z, Float16.mult(turn, t.get(ys + at))));
            }
        }
        if (along != 0) {
            takePart(t, state, ys, af, f, FAF, depth, vectors);
        }
    }

    /** 1 where a query is unsolved and there may be another iteration, otherwise 0. */
    public static int open(FloatArray scratch, int state, int lanes, int iteration, int maxIterations) {
        float active = 0f;
        for (int lane = 0; lane < lanes; lane++) {
            active += scratch.get((state + ACTIVE * VECTORS) * Lanes.COUNT + lane);
        }
        return (int) Math.min(1f, active) * Math.min(1, maxIterations - iteration);
    }

    /** Row {@code into} becomes the products of two blocks of vectors, a query's with that query's. */
    public static void dot(VectorFloat16 t, int into, int a, int b, int depth) {
        Float16 sum0 = Lanes.spread(0f); // two sums side by side: each addition waits for the one before
        Float16 sum1 = sum0;
        for (int d = 0; d < depth; d++) {
            int at = d * VECTORS;
            sum0 = Float16.add(sum0, Float16.mult(t.get(a + at), t.get(b + at)));
            sum1 = Float16.add(sum1, Float16.mult(t.get(a + at + 1), t.get(b + at + 1)));
        }
        t.set(into, sum0);
        t.set(into + 1, sum1);
    }
}
