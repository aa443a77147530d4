package io.github.flashlla.tornado.kernels.backward;

import static io.github.flashlla.tornado.kernels.backward.GpuBackward.SLOTS;
import static io.github.flashlla.tornado.kernels.backward.GpuBackward.STAGE;
import static io.github.flashlla.tornado.kernels.backward.GpuBackward.THREADS;
import static io.github.flashlla.tornado.kernels.tile.BackwardRow.ROW_SCALARS;
import static io.github.flashlla.tornado.kernels.tile.Masking.JACOBI;

import io.github.flashlla.tornado.kernels.tile.BackwardRow;
import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import io.github.flashlla.tornado.kernels.tile.Views;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * The second solve, u = -A^-1 c, for one block of queries: all sweeps over the keys in one launch, no host round trip.
 *
 * <pre>
 *   sweep 0   sum p, Gbar, and the diagonal of A when preconditioning
 *   sweep 1   c
 *   others    one iteration of conjugate gradients each
 * </pre>
 *
 * <pre>
 *   pass      backward, of 3: solve, then queries, then keys
 *   group     128 threads; block 64 queries at DP = 64; tile 32 keys
 *   registers arrays; 255 at DP = 64, no spills (nvcc 13, sm_90)
 *   for       GPUs, float32, every D and Dv to 256, Jacobi or plain
 *   measured  docs/kernels/gpu.md
 * </pre>
 */
public final class GpuBackwardSolve {
    private static final int MEAN = 0;
    private static final int GATHER = 1;

    private GpuBackwardSolve() {}

    /**
     * Launched as B H ceil(Sq / BM) groups of {@link GpuBackward#THREADS}.
     *
     * @param q (B,H,Sq,D)
     * @param k (B,Hkv,Sk,D)
     * @param v (B,Hkv,Sk,Dv)
     * @param ridge (B,H,Sq)
     * @param centre (B,Hkv,D), near the mean key
     * @param g dL/do (B,H,Sq,Dv); these lie as the sizes say
     * @param lse log-sum-exp that forward saved (B,H,Sq)
     * @param kbar weighted mean keys that forward saved (B,H,Sq,D)
     * @param u out (B,H,Sq,D), and behind it as much again for the diagonal of A with {@link Masking#JACOBI}
     * @param r scratch (B,H,Sq,D): the residual
     * @param rows out (B,H,Sq,{@value BackwardRow#ROW_SCALARS}), in part
     * @param sizes {@link ProblemData}
     * @param settings {@link ProblemData}
     */
    public static void solve(KernelContext ctx, FloatArray q, FloatArray k, FloatArray v, FloatArray ridge, FloatArray centre,
            FloatArray g, FloatArray lse, FloatArray kbar, FloatArray u, FloatArray r, FloatArray rows,
            IntArray sizes, FloatArray settings, int D, int Dv, int flags) {
        // these fold to constants: scalars are compiled in
        int widest = Math.max(D, Dv);
        int dp = widest <= 16 ? 16 : widest <= 32 ? 32 : widest <= 64 ? 64 : widest <= 128 ? 128 : 256;
        int R = Math.min(4, 256 / dp);
        int C = R;
        int CW = dp / 8;
        int bm = 16 * R;
        int bn = 8 * C;
        int slot = 8 * bm; // one float per row and column thread: room for a row-wise sum
        int stages = Math.min(STAGE, bn * dp / THREADS);
        float[] qt = ctx.allocateFloatLocalArray(bm * dp);
        float[] yt = ctx.allocateFloatLocalArray(bm * dp); // g, then CG's direction y
        float[] kt = ctx.allocateFloatLocalArray(bn * dp);
        float[] wt = ctx.allocateFloatLocalArray(Math.max(bm * bn, SLOTS * slot));
        float[] acc = new float[32];
        float[] s = new float[16];
        float[] t = new float[16];
        float[] stage = new float[STAGE];
        float[] qf = new float[4];
        float[] yf = new float[4];
        float[] m = new float[4]; // log-sum-exp
        float[] factor = new float[4];
        float[] gbar = new float[4];
        float[] shift = new float[4]; // what is taken off t: nothing, Gbar, then y.kbar
        float[] total = new float[4]; // of this thread's p
        float[] excess = new float[4]; // of its weights w, whose row-wise sums are 0 but for rounding
        float[] bb = new float[4];
        float[] rho = new float[4]; // r.z
        float[] residual = new float[4];
        float[] count = new float[4];

        int Sq = sizes.get(ProblemData.SQ);
        int Sk = sizes.get(ProblemData.SK);
        int tid = ctx.localIdx;
        int ty = tid / 8;
        int tx = tid % 8;
        int swy = ty & 7;
        int tr = tid / dp; // of a tile that is loaded: the first row, and the column
        int tc = tid % dp;
        int blocks = (Sq + bm - 1) / bm;
        int head = ctx.groupIdx / blocks;
        // the longest causal rows first, so that no group is left with them at the end
        int i0 = (blocks - 1 - ctx.groupIdx % blocks) * bm;
        int row0 = head * Sq + i0;
        int rowsEnd = head * Sq + Sq;
        int kvHead = head / sizes.get(ProblemData.GROUP);
        int queryStride = Views.rowStride(sizes, Views.Q, D, flags);
        int query0 = Views.queryHead(sizes, Views.Q, head, Sq, D, flags);
        int gradientStride = Views.rowStride(sizes, Views.G, Dv, flags);
        int gradient0 = Views.queryHead(sizes, Views.G, head, Sq, Dv, flags);
        int keyStride = Views.rowStride(sizes, Views.K, D, flags);
        int key0 = Views.keyHead(sizes, Views.K, kvHead, Sk, D, flags);
        int valueStride = Views.rowStride(sizes, Views.V, Dv, flags);
        int value0 = Views.keyHead(sizes, Views.V, kvHead, Sk, Dv, flags);
        int keysBegin = Masking.first(sizes, i0, flags);
        int keysEnd = Masking.end(sizes, Math.min(i0 + bm, Sq) - 1, Sq, Sk, flags);

        for (int n = tid; n < bm * dp; n += THREADS) {
            int i = n / dp;
            int d = n % dp;
            qt[i * dp + (d ^ (i & 7))] = GpuBackward.element(q, k, query0, queryStride, i0 + i, Sq, d, D, flags);
            yt[i * dp + (d ^ (i & 7))] = GpuBackward.element(g, gradient0, gradientStride, i0 + i, Sq, d, Dv);
        }
        for (int i = 0; i < R; i++) {
            int row = ty + 16 * i;
            float moved = 0f;
            for (int d = 0; d < D; d++) {
                moved += Views.get(q, k, query0 + Math.min(i0 + row, Sq - 1) * queryStride + d, flags) * centre.get(kvHead * D + d);
            }
            float known = lse.get(Math.min(row0 + row, rowsEnd - 1));
            m[i] = Masking.seen(sizes, i0 + row, Sq, Sk, flags) > 0 ? known - settings.get(ProblemData.SCALE) * moved : 0f;
            factor[i] = 1f;
            shift[i] = 0f;
            count[i] = 0f;
            residual[i] = 0f;
        }

        int sweeps = 2 + sizes.get(ProblemData.MAX_ITERATIONS);
        for (int sweep = 0; sweep < sweeps; sweep++) {
            for (int e = 0; e < R * CW; e++) {
                acc[e] = 0f;
            }
            for (int i = 0; i < R; i++) {
                total[i] = 0f;
                excess[i] = 0f;
            }
            for (int j0 = keysBegin; j0 < keysEnd; j0 += bn) {
                for (int e = 0; e < R * C; e++) {
                    s[e] = 0f;
                    t[e] = 0f;
                }
                int keysLeft = sizes.get(ProblemData.SK) - j0 - tr; // read anew where it is used: it needs no register in between
                if (sweep <= GATHER) {
                    // G_ij
                    ctx.localBarrier();
                    for (int n0 = 0; n0 < bn * dp; n0 += stages * THREADS) {
                        for (int e = 0; e < stages; e++) {
                            int n = n0 + e * THREADS;
                            stage[e] = GpuBackward.element(v, k, value0 + (j0 + tr) * valueStride, valueStride, n / dp, keysLeft, n % dp + tc, Dv, flags);
                        }
                        for (int e = 0; e < stages; e++) {
                            int n = n0 + e * THREADS;
                            int row = n / dp + tr;
                            kt[row * dp + (n % dp + tc ^ (row & 7))] = stage[e];
                        }
                    }
                    ctx.localBarrier();
                    for (int d = 0; d < dp; d++) {
                        int qa = ty * dp + (d ^ swy);
                        int ka = tx * dp + (d ^ tx);
                        for (int i = 0; i < R; i++) {
                            yf[i] = yt[qa + 16 * i * dp];
                        }
                        for (int j = 0; j < C; j++) {
                            float value = kt[ka + 8 * j * dp];
                            for (int i = 0; i < R; i++) {
                                t[i * C + j] += yf[i] * value;
                            }
                        }
                    }
                }
                ctx.localBarrier();
                for (int n0 = 0; n0 < bn * dp; n0 += stages * THREADS) {
                    for (int e = 0; e < stages; e++) {
                        int n = n0 + e * THREADS;
                        stage[e] = GpuBackward.key(k, centre, kvHead, key0 + (j0 + tr) * keyStride, keyStride, n / dp, keysLeft, n % dp + tc, D);
                    }
                    for (int e = 0; e < stages; e++) {
                        int n = n0 + e * THREADS;
                        int row = n / dp + tr;
                        kt[row * dp + (n % dp + tc ^ (row & 7))] = stage[e];
                    }
                }
                ctx.localBarrier();
                if (sweep <= GATHER) {
                    for (int d = 0; d < dp; d++) {
                        int qa = ty * dp + (d ^ swy);
                        int ka = tx * dp + (d ^ tx);
                        for (int i = 0; i < R; i++) {
                            qf[i] = qt[qa + 16 * i * dp];
                        }
                        for (int j = 0; j < C; j++) {
                            float key = kt[ka + 8 * j * dp];
                            for (int i = 0; i < R; i++) {
                                s[i * C + j] += qf[i] * key;
                            }
                        }
                    }
                }
                if (sweep > GATHER) {
                    for (int d = 0; d < dp; d++) {
                        int qa = ty * dp + (d ^ swy);
                        int ka = tx * dp + (d ^ tx);
                        for (int i = 0; i < R; i++) {
                            qf[i] = qt[qa + 16 * i * dp];
                            yf[i] = yt[qa + 16 * i * dp];
                        }
                        for (int j = 0; j < C; j++) {
                            float key = kt[ka + 8 * j * dp];
                            for (int i = 0; i < R; i++) {
                                s[i * C + j] += qf[i] * key;
                                t[i * C + j] += yf[i] * key;
                            }
                        }
                    }
                }
                float scale = settings.get(ProblemData.SCALE);
                int queries = sizes.get(ProblemData.SQ);
                for (int i = 0; i < R; i++) {
                    int row = ty + 16 * i;
                    int first = Masking.first(sizes, Math.min(i0 + row, queries - 1), flags);
                    int end = Masking.endOrNone(sizes, i0 + row, queries, sizes.get(ProblemData.SK), flags);
                    for (int j = 0; j < C; j++) {
                        int column = tx + 8 * j;
                        float p = Masking.sees(j0 + column, first, end, flags) > 0 ? TornadoMath.exp(scale * s[i * C + j] - m[i]) * factor[i] : 0f;
                        float w = p * (t[i * C + j] - shift[i]);
                        total[i] += p;
                        excess[i] += w;
                        wt[row * bn + (column ^ swy)] = sweep == MEAN ? p : w;
                    }
                }
                ctx.localBarrier();
                if (sweep > MEAN) {
                    for (int j = 0; j < bn; j++) {
                        int wa = ty * bn + (j ^ swy);
                        int ka = j * dp + (tx ^ (j & 7));
                        for (int i = 0; i < R; i++) {
                            qf[i] = wt[wa + 16 * i * bn];
                        }
                        for (int c = 0; c < CW; c++) {
                            float key = kt[ka + 8 * c];
                            for (int i = 0; i < R; i++) {
                                acc[i * CW + c] += qf[i] * key;
                            }
                        }
                    }
                }
                if ((flags & Masking.JACOBI) != 0 && sweep == MEAN) {
                    for (int j = 0; j < bn; j++) {
                        int wa = ty * bn + (j ^ swy);
                        int ka = j * dp + (tx ^ (j & 7));
                        for (int i = 0; i < R; i++) {
                            qf[i] = wt[wa + 16 * i * bn];
                        }
                        for (int c = 0; c < CW; c++) {
                            float key = kt[ka + 8 * c];
                            for (int i = 0; i < R; i++) {
                                acc[i * CW + c] += qf[i] * key * key;
                            }
                        }
                    }
                }
            }
            ctx.localBarrier();

            int queries = sizes.get(ProblemData.SQ);
            int diagonal = sizes.get(ProblemData.HEADS) * queries * D; // where it starts in u
            float tol = settings.get(ProblemData.TOLERANCE);
            // what every sweep has: row-wise sums of p, w and, while solving, y.(a + ridge y)
            for (int i = 0; i < R; i++) {
                int row = ty + 16 * i;
                float lambda = ridge.get(Math.min(row0 + row, head * queries + queries - 1));
                float sum = 0f;
                if (sweep > GATHER) {
                    for (int c = 0; c < CW; c++) {
                        float y = yt[row * dp + ((tx + 8 * c) ^ swy)];
                        acc[i * CW + c] += lambda * y;
                        sum += y * acc[i * CW + c];
                    }
                }
                wt[row * 8 + tx] = excess[i];
                wt[slot + row * 8 + tx] = sweep == MEAN ? total[i] : sum;
            }
            ctx.localBarrier();
            for (int i = 0; i < R; i++) {
                int row = ty + 16 * i;
                float wSum = 0f;
                float other = 0f;
                for (int e = 0; e < 8; e++) {
                    wSum += wt[row * 8 + e];
                    other += wt[slot + row * 8 + e];
                }
                if (sweep == MEAN) {
                    factor[i] = other > 0f ? 1f / other : 0f;
                    gbar[i] = wSum * factor[i];
                    shift[i] = gbar[i];
                }
                float alpha = 0f; // r.z / y.Ay; a row that is done keeps its u and r
                float yAy = other - wSum * shift[i];
                if (sweep > GATHER && residual[i] > tol && yAy > 0f) {
                    alpha = rho[i] / yAy;
                }
                int visible = Masking.seen(sizes, i0 + row, queries, sizes.get(ProblemData.SK), flags);
                float rSum = 0f;
                float zSum = 0f;
                for (int c = 0; c < CW; c++) {
                    int d = tx + 8 * c;
                    int own = row * dp + (d ^ swy);
                    int at = (row0 + row) * D + d;
                    if (i0 + row < queries && d < D) {
                        float mean = visible > 0 ? kbar.get(at) - centre.get(kvHead * D + d) : 0f;
                        if (sweep == MEAN && (flags & Masking.JACOBI) != 0) {
                            u.set(diagonal + at, Math.max(acc[i * CW + c] * factor[i] - mean * mean, 0f)
                                    + ridge.get(row0 + row));
                        }
                        float ay = acc[i * CW + c] - wSum * mean;
                        float residualNow = 0f;
                        if (sweep == GATHER) {
                            residualNow = visible > 1 ? -ay : 0f; // one key: G = Gbar, so c is 0, to the letter
                            u.set(at, 0f);
                        }
                        if (sweep > GATHER) {
                            u.set(at, u.get(at) + alpha * yt[own]);
                            residualNow = r.get(at) - alpha * ay;
                        }
                        if (sweep > MEAN) {
                            r.set(at, residualNow);
                            float z = residualNow;
                            if ((flags & Masking.JACOBI) != 0) {
                                z = residualNow / u.get(diagonal + at);
                            }
                            rSum += residualNow * residualNow;
                            zSum += residualNow * z;
                        }
                    }
                }
                wt[2 * slot + row * 8 + tx] = rSum;
                wt[3 * slot + row * 8 + tx] = zSum;
            }
            ctx.localBarrier();

            if (sweep > MEAN) {
                float active = 0f;
                for (int i = 0; i < R; i++) {
                    int row = ty + 16 * i;
                    float rSum = 0f;
                    float zSum = 0f;
                    for (int e = 0; e < 8; e++) {
                        rSum += wt[2 * slot + row * 8 + e];
                        zSum += wt[3 * slot + row * 8 + e];
                    }
                    float fresh = 0f; // y = fresh z + beta y: a row that is done keeps its y
                    float beta = 1f;
                    if (sweep == GATHER) {
                        fresh = 1f;
                        beta = 0f;
                        bb[i] = rSum;
                        residual[i] = rSum > 0f ? 1f : 0f;
                        rho[i] = zSum;
                    }
                    if (sweep > GATHER && residual[i] > tol) {
                        fresh = 1f;
                        beta = zSum / rho[i];
                        count[i] = sweep - GATHER;
                        residual[i] = TornadoMath.sqrt(rSum / bb[i]);
                        rho[i] = zSum;
                    }
                    float yMean = 0f; // y.kbar, which the next sweep takes off y.k
                    for (int c = 0; c < CW; c++) {
                        int d = tx + 8 * c;
                        int own = row * dp + (d ^ swy);
                        int at = (row0 + row) * D + d;
                        float y = 0f;
                        if (i0 + row < queries && d < D) {
                            float z = r.get(at);
                            if ((flags & Masking.JACOBI) != 0) {
                                z = z / u.get(diagonal + at);
                            }
                            y = fresh * z + beta * yt[own];
                            yMean += y * (kbar.get(at) - centre.get(kvHead * D + d));
                        }
                        yt[own] = y;
                    }
                    active = Math.max(active, residual[i] > tol ? 1f : 0f);
                    wt[row * 8 + tx] = yMean;
                }
                if (tx == 0) {
                    kt[ty] = active; // no thread reads the key tile until the next sweep loads it
                }
                ctx.localBarrier();
                float left = 0f;
                for (int e = 0; e < 16; e++) {
                    left += kt[e];
                }
                for (int i = 0; i < R; i++) {
                    float yMean = 0f;
                    for (int e = 0; e < 8; e++) {
                        yMean += wt[(ty + 16 * i) * 8 + e];
                    }
                    shift[i] = yMean;
                }
                sweeps = left > 0f ? sweeps : sweep;
            }
        }

        if (tx == 7) { // never the only thread of a launch without its grid, which then leaves rows unwritten
            for (int i = 0; i < R; i++) {
                int row = ty + 16 * i;
                if (i0 + row < sizes.get(ProblemData.SQ)) {
                    int at = (row0 + row) * ROW_SCALARS;
                    rows.set(at + BackwardRow.LSE, m[i]);
                    rows.set(at + BackwardRow.FACTOR, factor[i]);
                    rows.set(at + BackwardRow.GBAR, gbar[i]);
                    rows.set(at + BackwardRow.ITERATIONS, count[i]);
                    rows.set(at + BackwardRow.RESIDUAL, residual[i]);
                }
            }
        }
    }
}
