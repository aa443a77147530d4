package io.github.flashlla.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.collections.VectorFloat16;
import uk.ac.manchester.tornado.api.types.vectors.Float16;

/**
 * The three FlashLLA passes for the cores of a CPU: one query per lane, no work-groups, no barriers.
 *
 * <p>A work-item is a worker: it takes blocks of {@value #ROWS} queries of one head, the longest first, and keeps each until
 * its output is written. What belongs to a block is a row of {@value #ROWS} floats, one per query, in the worker's slice of
 * {@code scratch}: a row for every dim of q, kbar, x, r, y and the sums, one for every key of a tile of weights. Keys are
 * read as scalars and broadcast, so both products of a pass are one loop each on row-major keys, in register tiles of 4 rows
 * by {@value #ROWS} lanes, and every per-query step is lane-wise. The last block's surplus lanes repeat the last query.
 *
 * <p>The weights p_ij of a block are kept between passes where {@code flags} say so, and computed anew in each elsewhere.
 *
 * <p>Keys are held relative to {@code centre}: any shift of all keys leaves the estimator as it is, and sums of keys far
 * from 0 keep their digits. What the weighted relative products do not add up to 0 by is taken off the solve's sum; the
 * output is made whole where the factors of v do not add up to 1. See bench/NOTES.md for what each gives.
 */
public final class CpuForward {
    /** Queries of one block. */
    public static final int ROWS = 32;
    /** Bits of {@code flags}. */
    public static final int CAUSAL = GpuForward.CAUSAL;
    public static final int JACOBI = GpuWideForward.JACOBI;
    public static final int KEEP_WEIGHTS = 4;

    /** Keys of one tile: tile, keys and the block's vectors stay in the first two cache levels together. */
    private static final int TILE = 64;
    private static final int VECTORS = ROWS / Lanes.COUNT;
    private static final float LOW = -1e30f;
    /** What to divide 0 by instead of 0. */
    private static final float TINY = 1e-37f;
    /** Sums of p (1 - a) this close to 1 are as good as 1: below the rounding of the output. */
    private static final float NEGLIGIBLE = 2e-6f;

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

    // rows of per-query scalars
    private static final int MAX = 0;
    private static final int TOTAL = 1;
    private static final int FACTOR = 2;
    private static final int SEES = 3;
    private static final int RIDGE = 4;
    private static final int SHIFT = 5;
    private static final int SUM = 6;
    private static final int BB = 7;
    private static final int RZ = 8;
    private static final int ACTIVE = 9;
    private static final int COUNT = 10;
    private static final int RESIDUAL = 11;
    private static final int PRODUCT = 12;
    private static final int RR = 13;
    private static final int STEP = 14;
    private static final int TURN = 15;
    private static final int MANY = 16;
    private static final int ANY = 17;
    private static final int STATE_ROWS = 18;

    private CpuForward() {}

    /** Floats of one worker's slice of the scratch memory. */
    public static long scratchFloats(int Sk, int D, int Dv, int flags) {
        long keys = (flags & KEEP_WEIGHTS) != 0 ? pad(Sk) + tiles(Sk) : TILE + 1;
        return (vectorRows(D, Dv, flags) + STATE_ROWS + TILE + keys) * ROWS;
    }

    private static int vectorRows(int D, int Dv, int flags) {
        int widest = Math.max(pad(D), pad(Dv));
        return ((flags & JACOBI) != 0 ? 6 : 5) * pad(D) + 2 * widest;
    }

    private static int pad(int n) {
        return (n + 3) / 4 * 4;
    }

    private static int tiles(int keys) {
        return (keys + TILE - 1) / TILE;
    }

    /**
     * Launched with local size 1 as at most as many work-items as {@code scratch} has slices of {@link #scratchFloats}.
     *
     * @param q (B,H,Sq,D)
     * @param k (B,Hkv,Sk,D)
     * @param v (B,Hkv,Sk,Dv)
     * @param ridge (B,H,Sq)
     * @param centre (B,Hkv,D), near the mean key
     * @param o out (B,H,Sq,Dv)
     * @param lse out (B,H,Sq)
     * @param kbar out (B,H,Sq,D)
     * @param x out (B,H,Sq,D)
     * @param stats out (B,H,Sq,2): iterations, relative residual
     */
    public static void forward(KernelContext ctx, FloatArray q, FloatArray k, FloatArray v, FloatArray ridge, FloatArray centre,
            FloatArray o, FloatArray lse, FloatArray kbar, FloatArray x, FloatArray stats, FloatArray scratch, int Sq, int Sk,
            int D, int Dv, float scale, int flags, float tol, int maxIterations) {
        VectorFloat16 t = new VectorFloat16(scratch); // a view: nothing is allocated
        Float16 zero = Lanes.spread(0f);
        int dims = pad(D);
        int widest = Math.max(dims, pad(Dv));
        int kept = flags & KEEP_WEIGHTS;
        int jacobi = flags & JACOBI;
        int heads = lse.getSize() / Sq;
        int group = heads / (centre.getSize() / D);
        int blocks = (Sq + ROWS - 1) / ROWS;
        int slice = (((jacobi != 0 ? 6 : 5) * dims + 2 * widest) + STATE_ROWS + TILE
                + (kept != 0 ? pad(Sk) + tiles(Sk) : TILE + 1)) * VECTORS;
        // where each part of the slice starts, in vectors
        int qs = ctx.globalIdx * slice;
        int mean = qs + dims * VECTORS;
        int xs = mean + dims * VECTORS;
        int rs = xs + dims * VECTORS;
        int ys = rs + dims * VECTORS;
        int sums = ys + dims * VECTORS;
        int plain = sums + widest * VECTORS;
        int inverse = plain + widest * VECTORS;
        int state = inverse + (jacobi != 0 ? dims : 0) * VECTORS;
        int tile = state + STATE_ROWS * VECTORS;
        int weights = tile + TILE * VECTORS;
        int tops = weights + (kept != 0 ? pad(Sk) : TILE) * VECTORS;
        // sizes that TornadoVM takes for variable, so that it leaves the loops over them loops: local ids are 0
        int vectors = VECTORS + ctx.localIdx;
        int lanes = ROWS + ctx.localIdx;
        int depth = D + ctx.localIdx;
        int valueDepth = Dv + ctx.localIdx;

        for (int n = ctx.globalIdx; n < blocks * heads; n += ctx.globalGroupSizeX) {
            int head = n % heads;
            int i0 = (blocks - 1 - n / heads) * ROWS;
            int kvHead = head / group;
            int key0 = kvHead * Sk;
            int centre0 = kvHead * D;
            int keysEnd = sees(Math.min(i0 + ROWS, Sq) - 1, Sq, Sk, flags) + ctx.localIdx;
            int seenByAll = sees(i0, Sq, Sk, flags);

            for (int lane = 0; lane < lanes; lane++) {
                int i = Math.min(i0 + lane, Sq - 1);
                int row = head * Sq + i;
                for (int d = 0; d < depth; d++) {
                    int at = d * ROWS + lane;
                    scratch.set(qs * Lanes.COUNT + at, q.get(row * D + d));
                    scratch.set(xs * Lanes.COUNT + at, 0f);
                }
                int at = state * Lanes.COUNT + lane;
                scratch.set(at + MAX * ROWS, LOW);
                scratch.set(at + TOTAL * ROWS, 0f);
                scratch.set(at + FACTOR * ROWS, 1f);
                scratch.set(at + SEES * ROWS, sees(i, Sq, Sk, flags));
                scratch.set(at + RIDGE * ROWS, ridge.get(row));
                scratch.set(at + COUNT * ROWS, 0f);
                // with one key A = ridge I, to the letter; with none there is nothing to solve
                scratch.set(at + MANY * ROWS, Math.max(0, Math.min(1, sees(i, Sq, Sk, flags) - 1)));
                scratch.set(at + ANY * ROWS, Math.min(1, sees(i, Sq, Sk, flags)));
            }

            int iteration = 0;
            int mode = SOFTMAX;
            for (int sweep = 0; mode < DONE; sweep++) {
                int solves = is(mode, SOLVE);
                int outputs = is(mode, OUTPUT);
                int values = outputs + is(mode, WHOLE);
                int target = mean * is(mode, SOFTMAX) + inverse * is(mode, DIAGONAL) + sums * (solves + outputs)
                        + plain * is(mode, WHOLE);
                int rows = dims + values * (pad(Dv) - dims);
                for (int d = 0; d < rows * vectors; d++) {
                    t.set(target + d, zero);
                }
                for (int h = 0; h < vectors; h++) {
                    t.set(state + SUM * VECTORS + h, zero);
                }
                int firstProduct = kept != 0 ? RELATIVE - is(mode, SOFTMAX) : SCORES;
                int lastProduct = solves + outputs;
                int operand = ys + outputs * (xs - ys);
                // w_ij = p_ij (offset + sign (y_i.(k_j - kbar_i)))
                float offset = outputs;
                float sign = 1 - 2 * outputs;

                for (int j0 = 0; j0 < keysEnd; j0 += TILE) {
                    int m = Math.min(TILE, pad(keysEnd - j0));
                    int p = weights + (kept != 0 ? j0 : 0) * VECTORS;
                    int top = tops + (kept != 0 ? j0 / TILE : 0) * VECTORS;
                    for (int product = firstProduct; product <= lastProduct; product++) {
                        int from = qs + product * (operand - qs);
                        int into = p + product * (tile - p);
                        for (int i = 0; i < m; i += 4) {
                            int k0 = (key0 + Math.min(j0 + i, Sk - 1)) * D;
                            int k1 = (key0 + Math.min(j0 + i + 1, Sk - 1)) * D;
                            int k2 = (key0 + Math.min(j0 + i + 2, Sk - 1)) * D;
                            int k3 = (key0 + Math.min(j0 + i + 3, Sk - 1)) * D;
                            Float16 c00 = zero;
                            Float16 c01 = zero;
                            Float16 c10 = zero;
                            Float16 c11 = zero;
                            Float16 c20 = zero;
                            Float16 c21 = zero;
                            Float16 c30 = zero;
                            Float16 c31 = zero;
                            Float16 b0 = t.get(from);
                            Float16 b1 = t.get(from + 1);
                            for (int d = 0; d < depth; d++) {
                                float c = centre.get(centre0 + d);
                                Float16 a = Lanes.spread(k.get(k0 + d) - c);
                                c00 = Lanes.fma(a, b0, c00);
                                c01 = Lanes.fma(a, b1, c01);
                                a = Lanes.spread(k.get(k1 + d) - c);
                                c10 = Lanes.fma(a, b0, c10);
                                c11 = Lanes.fma(a, b1, c11);
                                a = Lanes.spread(k.get(k2 + d) - c);
                                c20 = Lanes.fma(a, b0, c20);
                                c21 = Lanes.fma(a, b1, c21);
                                a = Lanes.spread(k.get(k3 + d) - c);
                                c30 = Lanes.fma(a, b0, c30);
                                c31 = Lanes.fma(a, b1, c31);
                                b0 = t.get(from + (d + 1) * VECTORS);
                                b1 = t.get(from + (d + 1) * VECTORS + 1);
                            }
                            int at = into + i * VECTORS;
                            t.set(at, c00);
                            t.set(at + 1, c01);
                            t.set(at + 2, c10);
                            t.set(at + 3, c11);
                            t.set(at + 4, c20);
                            t.set(at + 5, c21);
                            t.set(at + 6, c30);
                            t.set(at + 7, c31);
                        }
                        for (int h = 0; h < vectors; h++) {
                            if (product < RELATIVE) {
                                if (j0 + m > seenByAll) {
                                    Float16 sees = t.get(state + SEES * VECTORS + h);
                                    for (int i = 0; i < m; i++) {
                                        int at = p + i * VECTORS + h;
                                        t.set(at, Float16.add(t.get(at), masked(sees, j0 + i)));
                                    }
                                }
                                // only in pass 1 is any score above the max, and the factor is 1 until then
                                Float16 oldMax = t.get(state + MAX * VECTORS + h);
                                Float16 max = oldMax;
                                for (int i = 0; i < m; i++) {
                                    int at = p + i * VECTORS + h;
                                    Float16 s = Float16.mult(t.get(at), Lanes.spread(scale));
                                    t.set(at, s);
                                    max = Lanes.max(max, s);
                                }
                                Float16 factor = t.get(state + FACTOR * VECTORS + h);
                                Float16 sum = zero;
                                for (int i = 0; i < m; i++) {
                                    int at = p + i * VECTORS + h;
                                    Float16 e = Float16.mult(Lanes.exp(Lanes.sub(t.get(at), max)), factor);
                                    t.set(at, e);
                                    sum = Float16.add(sum, e);
                                }
                                if (mode < DIAGONAL) {
                                    Float16 rescale = Lanes.exp(Lanes.sub(oldMax, max));
                                    t.set(state + MAX * VECTORS + h, max);
                                    t.set(top + h, max);
                                    Float16 total = t.get(state + TOTAL * VECTORS + h);
                                    t.set(state + TOTAL * VECTORS + h, Float16.add(Float16.mult(total, rescale), sum));
                                    for (int d = 0; d < depth; d++) {
                                        int at = mean + d * VECTORS + h;
                                        t.set(at, Float16.mult(t.get(at), rescale));
                                    }
                                }
                            }
                            if (product > SCORES) {
                                Float16 shift = t.get(state + SHIFT * VECTORS + h);
                                Float16 sum = t.get(state + SUM * VECTORS + h);
                                for (int i = 0; i < m; i++) {
                                    int at = tile + i * VECTORS + h;
                                    Float16 a = Float16.mult(Lanes.sub(t.get(at), shift), Lanes.spread(sign));
                                    Float16 w = Float16.mult(Float16.add(a, Lanes.spread(offset)), t.get(p + i * VECTORS + h));
                                    t.set(at, w);
                                    sum = Float16.add(sum, w);
                                }
                                t.set(state + SUM * VECTORS + h, sum);
                            }
                        }
                    }

                    // target += sum_j w_ij k_j, or v_j
                    int w = p + lastProduct * (tile - p);
                    int keys = Math.min(m, Sk - j0);
                    if (mode < OUTPUT) {
                        for (int d = 0; d < depth; d += 4) {
                            int d1 = beside(d, 1, D);
                            int d2 = beside(d, 2, D);
                            int d3 = beside(d, 3, D);
                            float c0 = centre.get(centre0 + d);
                            float c1 = centre.get(centre0 + d1);
                            float c2 = centre.get(centre0 + d2);
                            float c3 = centre.get(centre0 + d3);
                            Float16 a00 = zero;
                            Float16 a01 = zero;
                            Float16 a10 = zero;
                            Float16 a11 = zero;
                            Float16 a20 = zero;
                            Float16 a21 = zero;
                            Float16 a30 = zero;
                            Float16 a31 = zero;
                            Float16 w0 = t.get(w);
                            Float16 w1 = t.get(w + 1);
                            for (int i = 0; i < keys; i++) {
                                int at = (key0 + j0 + i) * D;
                                float k0 = k.get(at + d) - c0;
                                float k1 = k.get(at + d1) - c1;
                                float k2 = k.get(at + d2) - c2;
                                float k3 = k.get(at + d3) - c3;
                                if (jacobi != 0 && is(mode, DIAGONAL) > 0) {
                                    k0 = k0 * k0;
                                    k1 = k1 * k1;
                                    k2 = k2 * k2;
                                    k3 = k3 * k3;
                                }
                                Float16 s = Lanes.spread(k0);
                                a00 = Lanes.fma(s, w0, a00);
                                a01 = Lanes.fma(s, w1, a01);
                                s = Lanes.spread(k1);
                                a10 = Lanes.fma(s, w0, a10);
                                a11 = Lanes.fma(s, w1, a11);
                                s = Lanes.spread(k2);
                                a20 = Lanes.fma(s, w0, a20);
                                a21 = Lanes.fma(s, w1, a21);
                                s = Lanes.spread(k3);
                                a30 = Lanes.fma(s, w0, a30);
                                a31 = Lanes.fma(s, w1, a31);
                                w0 = t.get(w + (i + 1) * VECTORS);
                                w1 = t.get(w + (i + 1) * VECTORS + 1);
                            }
                            int at = target + d * VECTORS;
                            t.set(at, Float16.add(t.get(at), a00));
                            t.set(at + 1, Float16.add(t.get(at + 1), a01));
                            t.set(at + 2, Float16.add(t.get(at + 2), a10));
                            t.set(at + 3, Float16.add(t.get(at + 3), a11));
                            t.set(at + 4, Float16.add(t.get(at + 4), a20));
                            t.set(at + 5, Float16.add(t.get(at + 5), a21));
                            t.set(at + 6, Float16.add(t.get(at + 6), a30));
                            t.set(at + 7, Float16.add(t.get(at + 7), a31));
                        }
                    }
                    if (mode >= OUTPUT) {
                        for (int d = 0; d < valueDepth; d += 4) {
                            int d1 = beside(d, 1, Dv);
                            int d2 = beside(d, 2, Dv);
                            int d3 = beside(d, 3, Dv);
                            Float16 a00 = zero;
                            Float16 a01 = zero;
                            Float16 a10 = zero;
                            Float16 a11 = zero;
                            Float16 a20 = zero;
                            Float16 a21 = zero;
                            Float16 a30 = zero;
                            Float16 a31 = zero;
                            Float16 w0 = t.get(w);
                            Float16 w1 = t.get(w + 1);
                            for (int i = 0; i < keys; i++) {
                                int at = (key0 + j0 + i) * Dv;
                                Float16 s = Lanes.spread(v.get(at + d));
                                a00 = Lanes.fma(s, w0, a00);
                                a01 = Lanes.fma(s, w1, a01);
                                s = Lanes.spread(v.get(at + d1));
                                a10 = Lanes.fma(s, w0, a10);
                                a11 = Lanes.fma(s, w1, a11);
                                s = Lanes.spread(v.get(at + d2));
                                a20 = Lanes.fma(s, w0, a20);
                                a21 = Lanes.fma(s, w1, a21);
                                s = Lanes.spread(v.get(at + d3));
                                a30 = Lanes.fma(s, w0, a30);
                                a31 = Lanes.fma(s, w1, a31);
                                w0 = t.get(w + (i + 1) * VECTORS);
                                w1 = t.get(w + (i + 1) * VECTORS + 1);
                            }
                            int at = target + d * VECTORS;
                            t.set(at, Float16.add(t.get(at), a00));
                            t.set(at + 1, Float16.add(t.get(at + 1), a01));
                            t.set(at + 2, Float16.add(t.get(at + 2), a10));
                            t.set(at + 3, Float16.add(t.get(at + 3), a11));
                            t.set(at + 4, Float16.add(t.get(at + 4), a20));
                            t.set(at + 5, Float16.add(t.get(at + 5), a21));
                            t.set(at + 6, Float16.add(t.get(at + 6), a30));
                            t.set(at + 7, Float16.add(t.get(at + 7), a31));
                        }
                    }
                }

                int next = SOLVE + values * (DONE - SOLVE);
                if (mode < DIAGONAL) {
                    for (int lane = 0; lane < lanes; lane++) {
                        int at = state * Lanes.COUNT + lane;
                        // 0 for a query without keys, whose total means nothing
                        float any = scratch.get(at + ANY * ROWS);
                        scratch.set(at + FACTOR * ROWS, any / Math.max(scratch.get(at + TOTAL * ROWS), TINY));
                    }
                    for (int h = 0; h < vectors; h++) {
                        Float16 factor = t.get(state + FACTOR * VECTORS + h);
                        for (int d = 0; d < depth; d++) {
                            int at = mean + d * VECTORS + h;
                            t.set(at, Float16.mult(t.get(at), factor));
                        }
                        if (kept != 0) {
                            // kept weights are relative to the max of their own time
                            Float16 max = t.get(state + MAX * VECTORS + h);
                            for (int j = 0; j < keysEnd; j += TILE) {
                                Float16 top = t.get(tops + j / TILE * VECTORS + h);
                                Float16 f = Float16.mult(Lanes.exp(Lanes.sub(top, max)), factor);
                                for (int i = 0; i < Math.min(TILE, pad(keysEnd - j)); i++) {
                                    int at = weights + (j + i) * VECTORS + h;
                                    t.set(at, Float16.mult(t.get(at), f));
                                }
                            }
                        }
                    }
                    if (jacobi != 0) {
                        next = DIAGONAL;
                    }
                }
                if (jacobi != 0 && is(mode, DIAGONAL) > 0) {
                    for (int h = 0; h < vectors; h++) {
                        Float16 ridges = t.get(state + RIDGE * VECTORS + h);
                        for (int d = 0; d < depth; d++) {
                            int at = inverse + d * VECTORS + h;
                            Float16 kb = t.get(mean + d * VECTORS + h);
                            // rounding may take a variance below 0
                            Float16 variance = Lanes.max(Lanes.sub(t.get(at), Float16.mult(kb, kb)), zero);
                            t.set(at, Float16.div(Lanes.spread(1f), Float16.add(variance, ridges)));
                        }
                    }
                }
                if (is(mode, jacobi != 0 ? DIAGONAL : SOFTMAX) > 0) {
                    // r = kbar - q, and y = r, preconditioned
                    for (int h = 0; h < vectors; h++) {
                        Float16 ridges = t.get(state + RIDGE * VECTORS + h);
                        Float16 many = t.get(state + MANY * VECTORS + h);
                        Float16 any = t.get(state + ANY * VECTORS + h);
                        Float16 bb = zero;
                        Float16 rz = zero;
                        for (int d = 0; d < depth; d++) {
                            int at = d * VECTORS + h;
                            Float16 b = Lanes.sub(t.get(mean + at), t.get(qs + at));
                            b = Float16.add(b, Lanes.spread(centre.get(centre0 + d)));
                            Float16 r = Float16.mult(b, many);
                            t.set(xs + at, Float16.mult(Float16.div(Lanes.sub(b, r), ridges), any));
                            t.set(rs + at, r);
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
                        float active = positive(scratch.get(at + BB * ROWS));
                        scratch.set(at + ACTIVE * ROWS, active);
                        scratch.set(at + RESIDUAL * ROWS, active);
                    }
                }
                if (solves > 0) {
                    iteration++;
                    for (int h = 0; h < vectors; h++) {
                        Float16 sum = t.get(state + SUM * VECTORS + h);
                        Float16 ridges = t.get(state + RIDGE * VECTORS + h);
                        Float16 yAy = zero;
                        for (int d = 0; d < depth; d++) {
                            int at = d * VECTORS + h;
                            Float16 y = t.get(ys + at);
                            Float16 ay = Lanes.sub(t.get(sums + at), Float16.mult(sum, t.get(mean + at)));
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
                        float sound = positive(yAy);
                        float count = scratch.get(at + COUNT * ROWS);
                        // where rounding has eaten the direction, keep what there is, and say that it was not solved
                        float counted = sound * iteration + (1f - sound) * maxIterations;
                        scratch.set(at + COUNT * ROWS, count + active * (counted - count));
                        scratch.set(at + ACTIVE * ROWS, active * sound);
                        scratch.set(at + STEP * ROWS, active * sound * scratch.get(at + RZ * ROWS) / Math.max(yAy, TINY));
                    }
                    for (int h = 0; h < vectors; h++) {
                        Float16 step = t.get(state + STEP * VECTORS + h);
                        Float16 rr = zero;
                        Float16 rz = zero;
                        for (int d = 0; d < depth; d++) {
                            int at = d * VECTORS + h;
                            t.set(xs + at, Float16.add(t.get(xs + at), Float16.mult(step, t.get(ys + at))));
                            Float16 r = Lanes.sub(t.get(rs + at), Float16.mult(step, t.get(sums + at)));
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
                        float active = scratch.get(at + ACTIVE * ROWS) * positive(rr - tol * tol * bb);
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
                }
                if (is(next, SOLVE) > 0) {
                    float active = 0f;
                    for (int lane = 0; lane < lanes; lane++) {
                        active += scratch.get((state + ACTIVE * VECTORS) * Lanes.COUNT + lane);
                    }
                    int open = (int) Math.min(1f, active) * Math.min(1, maxIterations - iteration);
                    next = OUTPUT - open * (OUTPUT - SOLVE);
                    // what the next sweep multiplies the keys with: y, or x for the output; and its product with kbar
                    int vector = xs + open * (ys - xs);
                    for (int h = 0; h < vectors; h++) {
                        Float16 shift = zero;
                        for (int d = 0; d < depth; d++) {
                            int at = d * VECTORS + h;
                            shift = Float16.add(shift, Float16.mult(t.get(vector + at), t.get(mean + at)));
                        }
                        t.set(state + SHIFT * VECTORS + h, shift);
                    }
                }
                if (outputs > 0) {
                    // the factors of v add up to 1, but for rounding; what is missing of 1 belongs to vbar
                    float most = 0f;
                    for (int lane = 0; lane < lanes; lane++) {
                        int at = state * Lanes.COUNT + lane;
                        float any = scratch.get(at + ANY * ROWS);
                        float missing = any * (1f - scratch.get(at + SUM * ROWS));
                        scratch.set(at + SHIFT * ROWS, missing);
                        most = Math.max(most, Math.max(missing, -missing));
                    }
                    next = DONE - (int) Math.min(1f, most / NEGLIGIBLE) * (DONE - WHOLE);
                }
                if (mode > OUTPUT) {
                    for (int h = 0; h < vectors; h++) {
                        Float16 missing = t.get(state + SHIFT * VECTORS + h);
                        for (int d = 0; d < valueDepth; d++) {
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
                float any = scratch.get(at + ANY * ROWS);
                float shift = 0f;
                for (int d = 0; d < depth; d++) {
                    float c = centre.get(centre0 + d);
                    shift += scratch.get(qs * Lanes.COUNT + d * ROWS + lane) * c;
                    kbar.set(row * D + d, scratch.get(mean * Lanes.COUNT + d * ROWS + lane) + any * c);
                    x.set(row * D + d, scratch.get(xs * Lanes.COUNT + d * ROWS + lane));
                }
                for (int d = 0; d < valueDepth; d++) {
                    o.set(row * Dv + d, scratch.get(sums * Lanes.COUNT + d * ROWS + lane));
                }
                float sum = scratch.get(at + MAX * ROWS) + TornadoMath.log(scratch.get(at + TOTAL * ROWS)) + scale * shift;
                if (sees(i, Sq, Sk, flags) > 0) {
                    lse.set(row, sum);
                } else {
                    lse.set(row, Float.NEGATIVE_INFINITY);
                }
                stats.set(2 * row, scratch.get(at + COUNT * ROWS));
                stats.set(2 * row + 1, TornadoMath.sqrt(scratch.get(at + RESIDUAL * ROWS)));
            }
        }
    }

    /** Keys that query i sees. */
    private static int sees(int i, int Sq, int Sk, int flags) {
        return (flags & CAUSAL) != 0 ? Math.max(0, Math.min(Sk, i + 1 + Sk - Sq)) : Sk;
    }

    /** 1 where the modes are the same, otherwise 0. */
    private static int is(int mode, int which) {
        return 1 << which >> mode & 1;
    }

    /** 1 where a &gt; 0, otherwise 0. */
    private static float positive(float a) {
        float p = Math.max(0f, Math.min(a, 1f));
        return Math.min(1f, Math.min(1f, p * 0x1p100f) * 0x1p100f);
    }

    /** Dim d + n, or the last one where that is beyond it. */
    private static int beside(int d, int n, int dims) {
        return dims % 4 == 0 ? d + n : Math.min(d + n, dims - 1);
    }

    /** 0 for the queries that see key j, and far below every score for the others. */
    private static Float16 masked(Float16 sees, float j) {
        Float16 beyond = Lanes.sub(Lanes.spread(j + 1f), sees);
        return Float16.mult(Lanes.max(beyond, Lanes.spread(0f)), Lanes.spread(LOW));
    }
}
