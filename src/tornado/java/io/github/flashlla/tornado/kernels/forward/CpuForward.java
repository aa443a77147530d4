package io.github.flashlla.tornado.kernels.forward;

import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.ROWS;
import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.TILE;
import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.VECTORS;

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
 * The three FlashLLA passes for the cores of a CPU: one query per lane, no work-groups, no barriers.
 *
 * <p>A work-item is a worker: it takes blocks of {@value CpuBlockLoops#ROWS} queries of one head, the longest first, and keeps each until
 * its output is written. What belongs to a block is a row of {@value CpuBlockLoops#ROWS} floats, one per query, in the worker's slice of
 * {@code scratch}: a row for every dim of q, kbar, x, r, y and the sums, one for every key of a tile of weights. Keys are
 * read as scalars and broadcast, so both products of a pass are one loop each on row-major keys, in register tiles of 4 rows
 * by {@value CpuBlockLoops#ROWS} lanes, and every per-query step is lane-wise. The last block's surplus lanes repeat the last query.
 *
 * <p>Without a preconditioner, pass 1 also sums p (s - max) (k - centre), which makes A q, and the solve starts with the step along
 * q: see docs/algorithms/forward.md.
 *
 * <p>The weights p_ij of a block are kept between passes where {@code keepWeights} is 1, and computed anew in each elsewhere.
 *
 * <p>Keys are held relative to {@code centre}: any shift of all keys leaves the estimator as it is, and sums of keys far
 * from 0 keep their digits. What the weighted relative products do not add up to 0 by is taken off the solve's sum; the
 * output is made whole where the factors of v do not add up to 1. See docs/algorithms/accuracy.md for what each gives.
 *
 * <pre>
 *   pass      1 softmax   2 solve   3 output; one loop over sweeps, in which each is a mode
 *   group     1 work-item, a worker; block 32 queries; tile 64 keys
 *   registers 4 rows by 32 lanes
 *   for       CPUs, float32, every D and Dv to 256, Jacobi or plain
 *   measured  docs/kernels/cpu-opencl.md
 * </pre>
 */
public final class CpuForward {
    // what a sweep over the keys is for. What depends on it is computed and not branched for: TornadoVM's switches do not
    // compile, nor do, for SPIR-V, conditions joined by "or" and the choice of a value by most comparisons
    private static final int SOFTMAX = 0;
    private static final int DIAGONAL = 1;
    private static final int SOLVE = 2;
    private static final int OUTPUT = 3;
    private static final int WHOLE = 4;
    private static final int DONE = 5;

    // the two products of a tile: scores from q, relative products from y or x
    private static final int SCORES = 0;
    private static final int RELATIVE = 1;

    /** Sums of p (1 - a) this close to 1 are as good as 1: below the rounding of the output. */
    private static final float NEGLIGIBLE = 2e-6f;

    private CpuForward() {}

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
        int widest = Math.max(dims, CpuBlockLoops.pad(Dv));
        int weights = keepWeights != 0 ? CpuBlockLoops.pad(strip) + CpuBlockLoops.count(strip) : TILE + 1;
        return CpuSolve.rows(dims, flags & Masking.JACOBI) + 2 * widest + ((flags & Masking.JACOBI) != 0 ? 1 : 2) * dims + TILE + weights;
    }

    /**
     * Launched with local size 1 as at most as many work-items as {@code scratch} has slices of {@link #scratchFloats}.
     *
     * @param q (B,H,Sq,D)
     * @param k (B,Hkv,Sk,D)
     * @param v (B,Hkv,Sk,Dv); these and o lie as the sizes say
     * @param ridge (B,H,Sq)
     * @param centre (B,Hkv,D), near the mean key
     * @param o out (B,H,Sq,Dv)
     * @param lse out (B,H,Sq)
     * @param kbar out (B,H,Sq,D)
     * @param x out (B,H,Sq,D)
     * @param stats out (B,H,Sq,2): iterations, relative residual
     * @param sizes from {@link ProblemData#sizes}
     * @param settings from {@link ProblemData#settings}
     * @param keepWeights 1 or 0
     */
    public static void forward(KernelContext ctx, FloatArray q, FloatArray k, FloatArray v, FloatArray ridge, FloatArray centre,
            FloatArray o, FloatArray lse, FloatArray kbar, FloatArray x, FloatArray stats, FloatArray scratch, IntArray sizes,
            FloatArray settings, int flags, int keepWeights) {
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
        int strip = sizes.get(ProblemData.STRIP);
        int maxIterations = sizes.get(ProblemData.MAX_ITERATIONS);
        float scale = settings.get(ProblemData.SCALE);
        float unscaled = settings.get(ProblemData.UNSCALED);
        float tol = settings.get(ProblemData.TOLERANCE);
        int dims = CpuBlockLoops.pad(D);
        int widest = Math.max(dims, CpuBlockLoops.pad(Dv));
        int jacobi = flags & Masking.JACOBI;
        int along = jacobi != 0 ? 0 : 1;
        int blocks = (Sq + ROWS - 1) / ROWS;
        int queryStride = Views.rowStride(sizes, Views.Q, D, flags);
        int keyStride = Views.rowStride(sizes, Views.K, D, flags);
        int valueStride = Views.rowStride(sizes, Views.V, Dv, flags);
        int outputStride = Views.rowStride(sizes, Views.O, Dv, flags);
        // where each part of the worker's slice starts
        int state = worker * sliceRows(strip, D, Dv, flags, keepWeights) * VECTORS;
        int mean = CpuSolve.mean(state);
        int xs = CpuSolve.x(state, dims);
        int rs = CpuSolve.r(state, dims);
        int ys = CpuSolve.y(state, dims);
        int sums = CpuSolve.sums(state, dims, jacobi);
        int plain = sums + widest * VECTORS;
        int qs = plain + widest * VECTORS;
        int aqs = qs + dims * VECTORS;
        int tile = aqs + along * dims * VECTORS;
        int weights = tile + TILE * VECTORS;
        int tops = weights + (keepWeights != 0 ? CpuBlockLoops.pad(strip) : TILE) * VECTORS;

        for (int n = worker; n < blocks * heads; n += workers) {
            int head = n % heads;
            int i0 = (blocks - 1 - n / heads) * ROWS;
            int kvHead = head / group;
            int query0 = Views.queryHead(sizes, Views.Q, head, Sq, D, flags);
            int key0 = Views.start(Views.keyHead(sizes, Views.K, kvHead, Sk, D, flags), flags);
            int value0 = Views.start(Views.keyHead(sizes, Views.V, kvHead, Sk, Dv, flags), flags);
            int row0 = Views.rowZero(kvHead, Sk, flags);
            int output0 = Views.queryHead(sizes, Views.O, head, Sq, Dv, flags);
            int centre0 = kvHead * D;
            // neither the first nor the last key that a query sees is before that of the query before it
            int lastQuery = Math.min(i0 + ROWS, Sq) - 1;
            int keysBegin = Masking.first(sizes, i0, flags) / TILE * TILE;
            int keysEnd = Masking.end(sizes, lastQuery, Sq, Sk, flags);
            int seenByAll = Masking.end(sizes, i0, Sq, Sk, flags);
            int notBySome = Masking.first(sizes, lastQuery, flags);

            for (int lane = 0; lane < lanes; lane++) {
                int i = Math.min(i0 + lane, Sq - 1);
                int row = head * Sq + i;
                for (int d = 0; d < D; d++) {
                    scratch.set(qs * Lanes.COUNT + d * ROWS + lane, Views.get(q, k, query0 + i * queryStride + d, flags));
                }
                CpuSolve.begin(scratch, state, lane, Masking.first(sizes, i, flags), Masking.end(sizes, i, Sq, Sk, flags), ridge.get(row));
                scratch.set((state + CpuSolve.MAX * VECTORS) * Lanes.COUNT + lane, Masking.LOW);
            }

            if (along != 0) {
                CpuBlockLoops.clear(t, aqs, dims);
            }
            int iteration = 0;
            int mode = SOFTMAX;
            for (int sweep = 0; mode < DONE; sweep++) {
                int solves = CpuBlockLoops.is(mode, SOLVE);
                int outputs = CpuBlockLoops.is(mode, OUTPUT);
                int values = outputs + CpuBlockLoops.is(mode, WHOLE);
                int target = mean * CpuBlockLoops.is(mode, SOFTMAX) + CpuSolve.inverse(state, dims) * CpuBlockLoops.is(mode, DIAGONAL)
                        + sums * (solves + outputs) + plain * CpuBlockLoops.is(mode, WHOLE);
                CpuBlockLoops.clear(t, target, dims + values * (CpuBlockLoops.pad(Dv) - dims));
                CpuBlockLoops.clear(t, state + CpuSolve.SUM * VECTORS, lanes / ROWS);
                int firstProduct = keepWeights != 0 ? RELATIVE - CpuBlockLoops.is(mode, SOFTMAX) : SCORES;
                int lastProduct = solves + outputs;
                int operand = ys + outputs * (xs - ys);
                // w_ij = p_ij (offset + sign (y_i.(k_j - kbar_i)))
                float offset = outputs;
                float sign = 1 - 2 * outputs;

                for (int j0 = keysBegin; j0 < keysEnd; j0 += TILE) {
                    int m = Math.min(TILE, CpuBlockLoops.pad(keysEnd - j0));
                    int p = weights + (keepWeights != 0 ? j0 - keysBegin : 0) * VECTORS;
                    int top = tops + (keepWeights != 0 ? (j0 - keysBegin) / TILE : 0) * VECTORS;
                    for (int product = firstProduct; product <= lastProduct; product++) {
                        CpuBlockLoops.multiply(t, qs + product * (operand - qs), p + product * (tile - p), m, k, key0, row0 + j0,
                                keyStride, Sk - 1 - j0, D, CpuBlockLoops.FROM_CENTRE, centre, centre0);
                        for (int h = 0; h < vectors; h++) {
                            if (product < RELATIVE) {
                                Float16 oldMax = t.get(state + CpuSolve.MAX * VECTORS + h);
                                // only in pass 1 is any score above the max, and the factor is 1 until then
                                Float16 max = CpuBlockLoops.scores(t, p + h, m, scale, state + CpuSolve.SEES * VECTORS + h,
                                        j0 + m - seenByAll, state + CpuSolve.FIRST * VECTORS + h, notBySome - j0, j0, oldMax, flags);
                                if (along != 0 && mode < DIAGONAL) {
                                    CpuBlockLoops.depths(t, p + h, tile + h, m, max);
                                }
                                Float16 sum = CpuBlockLoops.exponentials(t, p + h, m, max,
                                        t.get(state + CpuSolve.FACTOR * VECTORS + h));
                                if (mode < DIAGONAL) {
                                    Float16 total = t.get(state + CpuSolve.TOTAL * VECTORS + h);
                                    Float16 fall = Lanes.max(Lanes.sub(oldMax, max), Lanes.spread(CpuBlockLoops.DEEPEST));
                                    Float16 rescale = Lanes.exp(fall);
                                    if (along != 0) {
                                        // sums of p (s - max) so far become those relative to the new max
                                        Float16 slope = Float16.add(t.get(state + CpuSolve.SHIFT * VECTORS + h), Float16.mult(fall, total));
                                        Float16 more = CpuBlockLoops.weigh(t, tile + h, p + h, tile + h, m, Lanes.spread(0f), 0f, 1f);
                                        t.set(state + CpuSolve.SHIFT * VECTORS + h, Float16.add(Float16.mult(slope, rescale), more));
                                        for (int d = 0; d < D; d++) {
                                            int at = d * VECTORS + h;
                                            Float16 moved = Float16.add(t.get(aqs + at), Float16.mult(fall, t.get(mean + at)));
                                            t.set(aqs + at, Float16.mult(moved, rescale));
                                        }
                                    }
                                    t.set(state + CpuSolve.MAX * VECTORS + h, max);
                                    t.set(top + h, max);
                                    t.set(state + CpuSolve.TOTAL * VECTORS + h, Float16.add(Float16.mult(total, rescale), sum));
                                    CpuBlockLoops.scale(t, mean + h, D, rescale);
                                }
                            }
                            if (product > SCORES) {
                                Float16 sum = CpuBlockLoops.weigh(t, tile + h, p + h, tile + h, m,
                                        t.get(state + CpuSolve.SHIFT * VECTORS + h), offset, sign);
                                t.set(state + CpuSolve.SUM * VECTORS + h,
                                        Float16.add(t.get(state + CpuSolve.SUM * VECTORS + h), sum));
                            }
                        }
                    }

                    // target += sum_j w_ij k_j, or v_j
                    int w = p + lastProduct * (tile - p);
                    int keys = Math.min(m, Sk - j0);
                    if (mode < OUTPUT) {
                        CpuBlockLoops.accumulate(t, w, target, keys, k, key0, row0 + j0, keyStride, D,
                                CpuBlockLoops.FROM_CENTRE, centre, centre0, jacobi != 0 ? CpuBlockLoops.is(mode, DIAGONAL) : 0);
                        if (along != 0 && mode < DIAGONAL) {
                            CpuBlockLoops.accumulate(t, tile, aqs, keys, k, key0, row0 + j0, keyStride, D, CpuBlockLoops.FROM_CENTRE,
                                    centre, centre0, 0);
                        }
                    } else {
                        if ((flags & Masking.PACKED) != 0) {
                            CpuBlockLoops.accumulate(t, w, target, keys, k, value0, row0 + j0, valueStride, Dv,
                                    CpuBlockLoops.AS_THEY_ARE, centre, centre0, 0);
                        } else {
                            CpuBlockLoops.accumulate(t, w, target, keys, v, value0, row0 + j0, valueStride, Dv,
                                    CpuBlockLoops.AS_THEY_ARE, centre, centre0, 0);
                        }
                    }
                }

                int next = SOLVE + values * (DONE - SOLVE);
                if (mode < DIAGONAL) {
                    CpuSolve.normalise(scratch, state, lanes);
                    for (int h = 0; h < vectors; h++) {
                        Float16 factor = t.get(state + CpuSolve.FACTOR * VECTORS + h);
                        CpuBlockLoops.scale(t, mean + h, D, factor);
                        if (along != 0) {
                            // A q, for (k - kbar).q is (s - sbar) / scale; or 0
                            Float16 slope = Float16.mult(t.get(state + CpuSolve.SHIFT * VECTORS + h), factor);
                            Float16 ridges = Float16.mult(t.get(state + CpuSolve.RIDGE * VECTORS + h),
                                    Lanes.spread(CpuBlockLoops.positive(Math.max(unscaled, -unscaled))));
                            for (int d = 0; d < D; d++) {
                                int at = d * VECTORS + h;
                                Float16 a = Lanes.sub(Float16.mult(t.get(aqs + at), factor), Float16.mult(slope, t.get(mean + at)));
                                t.set(aqs + at, Float16.add(Float16.mult(a, Lanes.spread(unscaled)), Float16.mult(ridges, t.get(qs + at))));
                            }
                        }
                        if (keepWeights != 0) {
                            // kept weights are relative to the max of their own time
                            Float16 max = t.get(state + CpuSolve.MAX * VECTORS + h);
                            for (int j = 0; j < keysEnd - keysBegin; j += TILE) {
                                Float16 top = t.get(tops + j / TILE * VECTORS + h);
                                Float16 f = Float16.mult(Lanes.exp(Lanes.sub(top, max)), factor);
                                CpuBlockLoops.scale(t, weights + j * VECTORS + h, Math.min(TILE, CpuBlockLoops.pad(keysEnd - keysBegin - j)), f);
                            }
                        }
                    }
                    if (jacobi != 0) {
                        next = DIAGONAL;
                    }
                }
                if (jacobi != 0 && CpuBlockLoops.is(mode, DIAGONAL) > 0) {
                    CpuSolve.invertDiagonal(t, state, dims, D, vectors);
                }
                if (CpuBlockLoops.is(mode, jacobi != 0 ? DIAGONAL : SOFTMAX) > 0) {
                    // r = kbar - q
                    for (int h = 0; h < vectors; h++) {
                        Float16 ridges = t.get(state + CpuSolve.RIDGE * VECTORS + h);
                        Float16 many = t.get(state + CpuSolve.MANY * VECTORS + h);
                        Float16 any = t.get(state + CpuSolve.ANY * VECTORS + h);
                        for (int d = 0; d < D; d++) {
                            int at = d * VECTORS + h;
                            Float16 b = Lanes.sub(t.get(mean + at), t.get(qs + at));
                            b = Float16.add(b, Lanes.spread(centre.get(centre0 + d)));
                            Float16 r = Float16.mult(b, many);
                            t.set(xs + at, Float16.mult(Float16.div(Lanes.sub(b, r), ridges), any));
                            t.set(rs + at, r);
                        }
                    }
                    CpuSolve.start(t, scratch, state, dims, D, vectors, lanes, jacobi, along, qs, aqs, tol);
                }
                if (solves > 0) {
                    iteration++;
                    CpuSolve.step(t, scratch, state, dims, D, vectors, lanes, jacobi, iteration, tol, maxIterations, along, qs, aqs);
                }
                if (CpuBlockLoops.is(next, SOLVE) > 0) {
                    int open = CpuSolve.open(scratch, state, lanes, iteration, maxIterations);
                    next = OUTPUT - open * (OUTPUT - SOLVE);
                    // the next sweep multiplies the keys with y, or with x for the output
                    CpuSolve.dot(t, state + CpuSolve.SHIFT * VECTORS, xs + open * (ys - xs), mean, D);
                }
                if (outputs > 0) {
                    // the factors of v add up to 1, but for rounding; what is missing of 1 belongs to vbar
                    float most = 0f;
                    for (int lane = 0; lane < lanes; lane++) {
                        int at = state * Lanes.COUNT + lane;
                        float any = scratch.get(at + CpuSolve.ANY * ROWS);
                        float missing = any * (1f - scratch.get(at + CpuSolve.SUM * ROWS));
                        scratch.set(at + CpuSolve.SHIFT * ROWS, missing);
                        most = Math.max(most, Math.max(missing, -missing));
                    }
                    next = DONE - (int) Math.min(1f, most / NEGLIGIBLE) * (DONE - WHOLE);
                }
                if (mode > OUTPUT) {
                    for (int h = 0; h < vectors; h++) {
                        Float16 missing = t.get(state + CpuSolve.SHIFT * VECTORS + h);
                        for (int d = 0; d < Dv; d++) {
                            int at = d * VECTORS + h;
                            t.set(sums + at, Float16.add(t.get(sums + at), Float16.mult(missing, t.get(plain + at))));
                        }
                    }
                }
                mode = next;
            }

            for (int lane = 0; lane < lanes; lane++) {
                int i = Math.min(i0 + lane, Sq - 1);
                int row = head * Sq + i;
                int at = state * Lanes.COUNT + lane;
                float any = scratch.get(at + CpuSolve.ANY * ROWS);
                float shift = 0f;
                for (int d = 0; d < D; d++) {
                    float c = centre.get(centre0 + d);
                    shift += scratch.get(qs * Lanes.COUNT + d * ROWS + lane) * c;
                    kbar.set(row * D + d, scratch.get(mean * Lanes.COUNT + d * ROWS + lane) + any * c);
                    x.set(row * D + d, scratch.get(xs * Lanes.COUNT + d * ROWS + lane));
                }
                for (int d = 0; d < Dv; d++) {
                    o.set(output0 + i * outputStride + d, scratch.get(sums * Lanes.COUNT + d * ROWS + lane));
                }
                float sum = scratch.get(at + CpuSolve.MAX * ROWS) + TornadoMath.log(scratch.get(at + CpuSolve.TOTAL * ROWS))
                        + scale * shift;
                if (Masking.end(sizes, i, Sq, Sk, flags) > Masking.first(sizes, i, flags)) {
                    lse.set(row, sum);
                } else {
                    lse.set(row, Float.NEGATIVE_INFINITY);
                }
                stats.set(2 * row, scratch.get(at + CpuSolve.COUNT * ROWS));
                stats.set(2 * row + 1, TornadoMath.sqrt(scratch.get(at + CpuSolve.RESIDUAL * ROWS)));
            }
        }
    }
}
