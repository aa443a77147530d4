package io.github.flashlla.tornado.kernels.backward;

import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.ROWS;
import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.TILE;
import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.VECTORS;

import io.github.flashlla.tornado.kernels.forward.CpuForward;
import io.github.flashlla.tornado.kernels.tile.BackwardRow;
import io.github.flashlla.tornado.kernels.tile.CpuBlockLoops;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import io.github.flashlla.tornado.kernels.tile.CpuSolve;
import io.github.flashlla.tornado.kernels.tile.Lanes;
import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.Views;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.collections.VectorFloat16;
import uk.ac.manchester.tornado.api.types.vectors.Float16;

/**
 * The backward pass over blocks of queries for the cores of a CPU: the second solve, u = -A^-1 c, then dq and the ridge's
 * gradient, and of each query what {@link CpuBackwardKeys} wants to know. Blocks, workers and their scratch memory are those
 * of {@link CpuForward}, the formulas those of {@link GpuBackward}.
 *
 * <p>The weights p_ij of a block and its products G_ij = g_i.v_j are kept between sweeps where {@code keepWeights} is 1, and
 * computed anew in each elsewhere.
 *
 * <pre>
 *   pass      backward, of 2: queries with their solve, then keys
 *   group     1 work-item, a worker; block 32 queries; tile 64 keys
 *   registers 4 rows by 32 lanes
 *   for       CPUs, float32, every D and Dv to 256, Jacobi or plain
 *   measured  docs/kernels/cpu-opencl.md
 * </pre>
 */
public final class CpuBackwardQueries {
    // what a sweep over the keys is for
    /** sum p and Gbar */
    private static final int MEAN = 0;
    /** the diagonal of A, when preconditioning */
    private static final int DIAGONAL = 1;
    /** c */
    private static final int GATHER = 2;
    private static final int SOLVE = 3;
    /** mu and dq */
    private static final int EMIT = 4;
    private static final int DONE = 5;

    // the products of a tile with q, with y or x, and with u
    private static final int SCORES = 0;
    private static final int RELATIVE = 1;
    private static final int SLOPE = 2;

    // rows of scalars beside those of the solve
    private static final int GBAR = CpuSolve.OWN;
    private static final int X_KBAR = CpuSolve.OWN + 1;
    private static final int H_SHIFT = CpuSolve.OWN + 2;
    private static final int U_X = CpuSolve.OWN + 3;

    private CpuBackwardQueries() {}

    /**
     * Floats of one worker's slice of the scratch memory.
     *
     * @param strip most keys of a block
     */
    public static long scratchFloats(int strip, int D, int Dv, int flags, int keepWeights) {
        return (long) sliceRows(strip, D, Dv, flags, keepWeights) * ROWS;
    }

    private static int sliceRows(int strip, int D, int Dv, int flags, int keepWeights) {
        int dims = CpuBlockLoops.pad(D);
        int keys = keepWeights != 0 ? CpuBlockLoops.pad(strip) : TILE;
        return CpuSolve.rows(dims, flags & Masking.JACOBI) + 3 * dims + CpuBlockLoops.pad(Dv) + 2 * TILE + 2 * keys + 1;
    }

    /**
     * Launched with local size 1 as at most as many work-items as {@code scratch} has slices of {@link #scratchFloats}.
     *
     * @param q (B,H,Sq,D)
     * @param k (B,Hkv,Sk,D)
     * @param v (B,Hkv,Sk,Dv)
     * @param ridge (B,H,Sq)
     * @param centre (B,Hkv,D), near the mean key
     * @param g dL/do (B,H,Sq,Dv); these and dq lie as the sizes say
     * @param lse log-sum-exp that forward saved (B,H,Sq)
     * @param kbar weighted mean keys that forward saved (B,H,Sq,D)
     * @param x solution that forward saved (B,H,Sq,D)
     * @param u out (B,H,Sq,D)
     * @param rows out (B,H,Sq,{@value BackwardRow#ROW_SCALARS})
     * @param dq out (B,H,Sq,D)
     * @param dridge out (B,H,Sq)
     * @param sizes from {@link ProblemData#sizes}
     * @param settings from {@link ProblemData#settings}
     * @param keepWeights 1 or 0
     */
    public static void queries(KernelContext ctx, FloatArray q, FloatArray k, FloatArray v, FloatArray ridge, FloatArray centre,
            FloatArray g, FloatArray lse, FloatArray kbar, FloatArray x, FloatArray u, FloatArray rows, FloatArray dq,
            FloatArray dridge, FloatArray scratch, IntArray sizes, FloatArray settings, int flags, int keepWeights) {
        int worker = ctx.globalIdx;
        int workers = ctx.globalGroupSizeX;
        // sizes that TornadoVM takes for variable, so that it leaves the loops over them loops: local ids are 0
        int vectors = VECTORS + ctx.localIdx;
        int lanes = ROWS + ctx.localIdx;
        VectorFloat16 t = new VectorFloat16(scratch); // a view: nothing is allocated
        int heads = sizes.get(ProblemData.HEADS);
        int group = sizes.get(ProblemData.GROUP);
        int Sq = sizes.get(ProblemData.SQ);
        int Sk = sizes.get(ProblemData.SK);
        int D = sizes.get(ProblemData.D);
        int Dv = sizes.get(ProblemData.DV);
        int maxIterations = sizes.get(ProblemData.MAX_ITERATIONS);
        float scale = settings.get(ProblemData.SCALE);
        float tol = settings.get(ProblemData.TOLERANCE);
        int dims = CpuBlockLoops.pad(D);
        int jacobi = flags & Masking.JACOBI;
        int most = sizes.get(ProblemData.STRIP);
        int strip = keepWeights != 0 ? CpuBlockLoops.pad(most) : TILE;
        int blocks = (Sq + ROWS - 1) / ROWS;
        int queryStride = Views.rowStride(sizes, Views.Q, D, flags);
        int keyStride = Views.rowStride(sizes, Views.K, D, flags);
        int valueStride = Views.rowStride(sizes, Views.V, Dv, flags);
        int gradientStride = Views.rowStride(sizes, Views.G, Dv, flags);
        int dqStride = Views.rowStride(sizes, Views.DQ, D, flags);
        // where each part of the worker's slice starts; the solve's x is u
        int state = worker * sliceRows(most, D, Dv, flags, keepWeights) * VECTORS;
        int mean = CpuSolve.mean(state);
        int us = CpuSolve.x(state, dims);
        int rs = CpuSolve.r(state, dims);
        int ys = CpuSolve.y(state, dims);
        int sums = CpuSolve.sums(state, dims, jacobi);
        int qs = sums + dims * VECTORS;
        int xs = qs + dims * VECTORS;
        int gs = xs + dims * VECTORS;
        int tile = gs + CpuBlockLoops.pad(Dv) * VECTORS;
        int slopes = tile + TILE * VECTORS;
        int products = slopes + TILE * VECTORS;
        int weights = products + strip * VECTORS;

        for (int n = worker; n < blocks * heads; n += workers) {
            int head = n % heads;
            int i0 = (blocks - 1 - n / heads) * ROWS;
            int kvHead = head / group;
            int query0 = Views.queryHead(sizes, Views.Q, head, Sq, D, flags);
            int key0 = Views.start(Views.keyHead(sizes, Views.K, kvHead, Sk, D, flags), flags);
            int value0 = Views.start(Views.keyHead(sizes, Views.V, kvHead, Sk, Dv, flags), flags);
            int row0 = Views.rowZero(kvHead, Sk, flags);
            int gradient0 = Views.queryHead(sizes, Views.G, head, Sq, Dv, flags);
            int dq0 = Views.queryHead(sizes, Views.DQ, head, Sq, D, flags);
            int centre0 = kvHead * D;
            int lastQuery = Math.min(i0 + ROWS, Sq) - 1;
            int keysBegin = Masking.first(sizes, i0, flags) / TILE * TILE;
            int keysEnd = Masking.end(sizes, lastQuery, Sq, Sk, flags);
            int seenByAll = Masking.end(sizes, i0, Sq, Sk, flags);
            int notBySome = Masking.first(sizes, lastQuery, flags);

            for (int lane = 0; lane < lanes; lane++) {
                int i = Math.min(i0 + lane, Sq - 1);
                int row = head * Sq + i;
                int firstKey = Masking.first(sizes, i, flags);
                int endKey = Masking.end(sizes, i, Sq, Sk, flags);
                int sees = endKey - firstKey;
                float any = Math.min(1, sees);
                float moved = 0f;
                for (int d = 0; d < D; d++) {
                    int at = d * ROWS + lane;
                    float c = centre.get(centre0 + d);
                    float value = Views.get(q, k, query0 + i * queryStride + d, flags);
                    moved += value * c;
                    scratch.set(qs * Lanes.COUNT + at, value);
                    scratch.set(xs * Lanes.COUNT + at, x.get(row * D + d));
                    scratch.set(mean * Lanes.COUNT + at, kbar.get(row * D + d) - any * c);
                }
                for (int d = 0; d < Dv; d++) {
                    scratch.set(gs * Lanes.COUNT + d * ROWS + lane, g.get(gradient0 + i * gradientStride + d));
                }
                CpuSolve.begin(scratch, state, lane, firstKey, endKey, ridge.get(row));
                int at = (state + CpuSolve.MAX * VECTORS) * Lanes.COUNT + lane;
                if (sees > 0) {
                    scratch.set(at, lse.get(row) - scale * moved);
                } else {
                    scratch.set(at, 0f);
                }
            }

            int iteration = 0;
            int mode = MEAN;
            for (int sweep = 0; mode < DONE; sweep++) {
                int first = CpuBlockLoops.is(mode, MEAN);
                int gathers = CpuBlockLoops.is(mode, GATHER);
                int solves = CpuBlockLoops.is(mode, SOLVE);
                int emits = CpuBlockLoops.is(mode, EMIT);
                int diagonal = jacobi != 0 ? CpuBlockLoops.is(mode, DIAGONAL) : 0;
                int target = sums + diagonal * (CpuSolve.inverse(state, dims) - sums);
                CpuBlockLoops.clear(t, target, dims);
                CpuBlockLoops.clear(t, state + CpuSolve.SUM * VECTORS, lanes / ROWS);
                int firstProduct = keepWeights != 0 ? RELATIVE - first : SCORES;
                int lastProduct = solves + emits * SLOPE;
                int usesG = keepWeights != 0 ? first : first + gathers + emits;
                // w_ij = p_ij (offset + sign (G_ij, or y_i.k_j or x_i.k_j, less its mean))
                int fromG = first + gathers;
                float offset = emits;
                float sign = 1 - 2 * emits;

                for (int j0 = keysBegin; j0 < keysEnd; j0 += TILE) {
                    int m = Math.min(TILE, CpuBlockLoops.pad(keysEnd - j0));
                    int keys = Math.min(m, Sk - j0);
                    int p = weights + (keepWeights != 0 ? j0 - keysBegin : 0) * VECTORS;
                    int gv = products + (keepWeights != 0 ? j0 - keysBegin : 0) * VECTORS;
                    if (usesG > 0) {
                        if ((flags & Masking.PACKED) != 0) {
                            CpuBlockLoops.multiply(t, gs, gv, m, k, value0, row0 + j0, valueStride, Sk - 1 - j0, Dv,
                                    CpuBlockLoops.AS_THEY_ARE, centre, centre0);
                        } else {
                            CpuBlockLoops.multiply(t, gs, gv, m, v, value0, row0 + j0, valueStride, Sk - 1 - j0, Dv,
                                    CpuBlockLoops.AS_THEY_ARE, centre, centre0);
                        }
                    }
                    for (int product = firstProduct; product <= lastProduct; product++) {
                        int second = CpuBlockLoops.is(product, RELATIVE);
                        int third = CpuBlockLoops.is(product, SLOPE);
                        int operand = qs + second * (ys + emits * (xs - ys) - qs) + third * (us - qs);
                        int into = p + second * (tile - p) + third * (slopes - p);
                        CpuBlockLoops.multiply(t, operand, into, m, k, key0, row0 + j0, keyStride, Sk - 1 - j0, D,
                                CpuBlockLoops.FROM_CENTRE, centre, centre0);
                    }
                    for (int h = 0; h < vectors; h++) {
                        if (firstProduct < RELATIVE) {
                            Float16 max = t.get(state + CpuSolve.MAX * VECTORS + h);
                            CpuBlockLoops.scores(t, p + h, m, scale, state + CpuSolve.SEES * VECTORS + h, j0 + m - seenByAll,
                                    state + CpuSolve.FIRST * VECTORS + h, notBySome - j0, j0, max, flags);
                            Float16 sum = CpuBlockLoops.exponentials(t, p + h, m, max, t.get(state + CpuSolve.FACTOR * VECTORS + h));
                            if (first > 0) {
                                Float16 total = t.get(state + CpuSolve.TOTAL * VECTORS + h);
                                t.set(state + CpuSolve.TOTAL * VECTORS + h, Float16.add(total, sum));
                            }
                        }
                        Float16 sum = CpuBlockLoops.weigh(t, tile + fromG * (gv - tile) + h, p + h, tile + h, m,
                                t.get(state + CpuSolve.SHIFT * VECTORS + h), offset, sign);
                        if (emits > 0) {
                            Float16 shift = t.get(state + H_SHIFT * VECTORS + h);
                            sum = Lanes.spread(0f);
                            for (int i = 0; i < m; i++) {
                                int at = i * VECTORS + h;
                                Float16 b = Float16.add(Float16.add(t.get(gv + at), t.get(slopes + at)), shift);
                                Float16 w = Float16.mult(t.get(tile + at), b);
                                t.set(tile + at, w);
                                sum = Float16.add(sum, w);
                            }
                        }
                        t.set(state + CpuSolve.SUM * VECTORS + h,
                                Float16.add(t.get(state + CpuSolve.SUM * VECTORS + h), sum));
                    }
                    if (mode > MEAN) {
                        CpuBlockLoops.accumulate(t, tile + diagonal * (p - tile), target, keys, k, key0, row0 + j0, keyStride, D,
                                CpuBlockLoops.FROM_CENTRE, centre, centre0, diagonal);
                    }
                }

                int next = SOLVE + emits * (DONE - SOLVE);
                if (first > 0) {
                    CpuSolve.normalise(scratch, state, lanes);
                    for (int h = 0; h < vectors; h++) {
                        Float16 factor = t.get(state + CpuSolve.FACTOR * VECTORS + h);
                        Float16 gbar = Float16.mult(t.get(state + CpuSolve.SUM * VECTORS + h), factor);
                        t.set(state + GBAR * VECTORS + h, gbar);
                        t.set(state + CpuSolve.SHIFT * VECTORS + h, gbar); // until there is a y
                        if (keepWeights != 0) {
                            CpuBlockLoops.scale(t, weights + h, CpuBlockLoops.pad(Math.max(0, keysEnd - keysBegin)), factor);
                        }
                    }
                    next = jacobi != 0 ? DIAGONAL : GATHER;
                }
                if (diagonal > 0) {
                    CpuSolve.invertDiagonal(t, state, dims, D, vectors);
                    next = GATHER;
                }
                if (gathers > 0) {
                    // r = -c
                    for (int h = 0; h < vectors; h++) {
                        Float16 many = t.get(state + CpuSolve.MANY * VECTORS + h);
                        Float16 sum = t.get(state + CpuSolve.SUM * VECTORS + h);
                        for (int d = 0; d < D; d++) {
                            int at = d * VECTORS + h;
                            Float16 c = Lanes.sub(Float16.mult(sum, t.get(mean + at)), t.get(sums + at));
                            t.set(rs + at, Float16.mult(c, many));
                            t.set(us + at, Lanes.spread(0f));
                        }
                    }
                    CpuSolve.start(t, scratch, state, dims, D, vectors, lanes, jacobi, 0, 0, 0, tol);
                }
                if (solves > 0) {
                    iteration++;
                    CpuSolve.step(t, scratch, state, dims, D, vectors, lanes, jacobi, iteration, tol, maxIterations, 0, 0, 0);
                }
                if (CpuBlockLoops.is(next, SOLVE) > 0) {
                    int open = CpuSolve.open(scratch, state, lanes, iteration, maxIterations);
                    next = EMIT - open * (EMIT - SOLVE);
                    // the next sweep multiplies the keys with y, or with x
                    CpuSolve.dot(t, state + CpuSolve.SHIFT * VECTORS, xs + open * (ys - xs), mean, D);
                }
                if (CpuBlockLoops.is(next, EMIT) > 0) {
                    CpuSolve.dot(t, state + U_X * VECTORS, us, xs, D);
                    CpuSolve.dot(t, state + H_SHIFT * VECTORS, us, mean, D);
                    for (int h = 0; h < vectors; h++) {
                        Float16 sum = Float16.add(t.get(state + H_SHIFT * VECTORS + h), t.get(state + GBAR * VECTORS + h));
                        t.set(state + H_SHIFT * VECTORS + h, Lanes.sub(Lanes.spread(0f), sum));
                        t.set(state + X_KBAR * VECTORS + h, t.get(state + CpuSolve.SHIFT * VECTORS + h));
                    }
                }
                mode = next;
            }

            for (int lane = 0; lane < lanes; lane++) {
                int i = Math.min(i0 + lane, Sq - 1);
                int row = head * Sq + i;
                int at = state * Lanes.COUNT + lane;
                float mu = scratch.get(at + CpuSolve.SUM * ROWS);
                for (int d = 0; d < D; d++) {
                    int dim = d * ROWS + lane;
                    float un = scratch.get(us * Lanes.COUNT + dim);
                    float sum = scratch.get(sums * Lanes.COUNT + dim) - mu * scratch.get(mean * Lanes.COUNT + dim);
                    u.set(row * D + d, un);
                    dq.set(dq0 + i * dqStride + d, scale * sum - un);
                }
                dridge.set(row, -scratch.get(at + U_X * ROWS));
                int own = row * BackwardRow.ROW_SCALARS;
                rows.set(own + BackwardRow.LSE, scratch.get(at + CpuSolve.MAX * ROWS));
                rows.set(own + BackwardRow.FACTOR, scratch.get(at + CpuSolve.FACTOR * ROWS));
                rows.set(own + BackwardRow.GBAR, scratch.get(at + GBAR * ROWS));
                rows.set(own + BackwardRow.X_KBAR, scratch.get(at + X_KBAR * ROWS));
                rows.set(own + BackwardRow.H_SHIFT, scratch.get(at + H_SHIFT * ROWS));
                rows.set(own + BackwardRow.MU, mu);
                rows.set(own + BackwardRow.ITERATIONS, scratch.get(at + CpuSolve.COUNT * ROWS));
                rows.set(own + BackwardRow.RESIDUAL, TornadoMath.sqrt(scratch.get(at + CpuSolve.RESIDUAL * ROWS)));
            }
        }
    }
}
