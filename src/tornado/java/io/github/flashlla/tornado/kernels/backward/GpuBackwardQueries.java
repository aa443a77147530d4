package io.github.flashlla.tornado.kernels.backward;

import static io.github.flashlla.tornado.kernels.backward.GpuBackward.STAGE;
import static io.github.flashlla.tornado.kernels.backward.GpuBackward.THREADS;
import static io.github.flashlla.tornado.kernels.tile.BackwardRow.ROW_SCALARS;

import io.github.flashlla.tornado.kernels.tile.BackwardRow;
import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import io.github.flashlla.tornado.kernels.tile.Views;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * dq and the ridge's gradient of one block of queries, in one sweep over the keys. q stays in local memory; g, u and x take
 * turns in the other tile of rows, as four do not fit.
 *
 * <pre>
 *   pass      backward, of 3: solve, then queries, then keys
 *   group     128 threads; block 64 queries at DP = 64; tile 32 keys
 *   registers arrays; 244 at DP = 64, no spills (nvcc 13, sm_90)
 *   for       GPUs, float32, every D and Dv to 256
 *   measured  docs/kernels/gpu.md
 * </pre>
 */
public final class GpuBackwardQueries {
    private GpuBackwardQueries() {}

    /**
     * Launched as B H ceil(Sq / BM) groups of {@link GpuBackward#THREADS}.
     *
     * @param q (B,H,Sq,D)
     * @param k (B,Hkv,Sk,D)
     * @param v (B,Hkv,Sk,Dv)
     * @param centre (B,Hkv,D), near the mean key
     * @param g dL/do (B,H,Sq,Dv); these and dq lie as the sizes say
     * @param kbar weighted mean keys that forward saved (B,H,Sq,D)
     * @param x solution that forward saved (B,H,Sq,D)
     * @param u from {@link GpuBackwardSolve} (B,H,Sq,D)
     * @param rows from {@link GpuBackwardSolve}; completed here (B,H,Sq,{@value BackwardRow#ROW_SCALARS})
     * @param dq out (B,H,Sq,D)
     * @param dridge out (B,H,Sq)
     * @param sizes {@link ProblemData}
     * @param settings {@link ProblemData}
     */
    public static void queries(KernelContext ctx, FloatArray q, FloatArray k, FloatArray v, FloatArray centre, FloatArray g,
            FloatArray kbar, FloatArray x, FloatArray u, FloatArray rows, FloatArray dq, FloatArray dridge, IntArray sizes,
            FloatArray settings, int D, int Dv, int flags) {
        // these fold to constants: scalars are compiled in
        int widest = Math.max(D, Dv);
        int dp = widest <= 16 ? 16 : widest <= 32 ? 32 : widest <= 64 ? 64 : widest <= 128 ? 128 : 256;
        int R = Math.min(4, 256 / dp);
        int C = R;
        int CW = dp / 8;
        int bm = 16 * R;
        int bn = 8 * C;
        int slot = 8 * bm;
        int stages = Math.min(STAGE, bn * dp / THREADS);
        float[] qt = ctx.allocateFloatLocalArray(bm * dp);
        float[] yt = ctx.allocateFloatLocalArray(bm * dp); // g, u, x in turn
        float[] kt = ctx.allocateFloatLocalArray(bn * dp);
        float[] wt = ctx.allocateFloatLocalArray(Math.max(bm * bn, 3 * slot));
        float[] acc = new float[32];
        float[] s = new float[16];
        float[] h = new float[16];
        float[] a = new float[16];
        float[] stage = new float[STAGE];
        float[] qf = new float[4];
        float[] yf = new float[4];
        float[] m = new float[4];
        float[] factor = new float[4];
        float[] xMean = new float[4]; // x.kbar
        float[] hShift = new float[4]; // - Gbar - u.kbar
        float[] mu = new float[4]; // sum of this thread's weights

        int group = sizes.get(ProblemData.GROUP);
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
        int i0 = (blocks - 1 - ctx.groupIdx % blocks) * bm; // the longest causal rows first
        int row0 = head * Sq + i0;
        int rowsEnd = head * Sq + Sq;
        int kvHead = head / group;
        int queryStride = Views.rowStride(sizes, Views.Q, D, flags);
        int query0 = Views.queryHead(sizes, Views.Q, head, Sq, D, flags);
        int gradientStride = Views.rowStride(sizes, Views.G, Dv, flags);
        int gradient0 = Views.queryHead(sizes, Views.G, head, Sq, Dv, flags);
        int dqStride = Views.rowStride(sizes, Views.DQ, D, flags);
        int dq0 = Views.queryHead(sizes, Views.DQ, head, Sq, D, flags);
        int keyStride = Views.rowStride(sizes, Views.K, D, flags);
        int key0 = Views.keyHead(sizes, Views.K, kvHead, Sk, D, flags);
        int valueStride = Views.rowStride(sizes, Views.V, Dv, flags);
        int value0 = Views.keyHead(sizes, Views.V, kvHead, Sk, Dv, flags);
        int keysBegin = Masking.first(sizes, i0, flags);
        int keysEnd = Masking.end(sizes, Math.min(i0 + bm, Sq) - 1, Sq, Sk, flags);

        for (int n = tid; n < bm * dp; n += THREADS) {
            qt[n / dp * dp + (n % dp ^ (n / dp & 7))] = GpuBackward.element(q, k, query0, queryStride, i0 + n / dp, Sq, n % dp, D, flags);
        }
        // x.kbar, u.kbar and u.x of every row
        for (int i = 0; i < R; i++) {
            int row = ty + 16 * i;
            float xSum = 0f;
            float uSum = 0f;
            float xu = 0f;
            for (int c = 0; c < CW; c++) {
                int d = tx + 8 * c;
                if (i0 + row < Sq && d < D) {
                    int at = (row0 + row) * D + d;
                    float mean = kbar.get(at) - centre.get(kvHead * D + d);
                    xSum += x.get(at) * mean;
                    uSum += u.get(at) * mean;
                    xu += x.get(at) * u.get(at);
                }
            }
            wt[row * 8 + tx] = xSum;
            wt[slot + row * 8 + tx] = uSum;
            wt[2 * slot + row * 8 + tx] = xu;
        }
        ctx.localBarrier();
        for (int i = 0; i < R; i++) {
            int row = ty + 16 * i;
            int at = Math.min(row0 + row, rowsEnd - 1) * ROW_SCALARS;
            float xSum = 0f;
            float uSum = 0f;
            float xu = 0f;
            for (int e = 0; e < 8; e++) {
                xSum += wt[row * 8 + e];
                uSum += wt[slot + row * 8 + e];
                xu += wt[2 * slot + row * 8 + e];
            }
            m[i] = rows.get(at + BackwardRow.LSE);
            factor[i] = rows.get(at + BackwardRow.FACTOR);
            xMean[i] = xSum;
            hShift[i] = -rows.get(at + BackwardRow.GBAR) - uSum;
            mu[i] = 0f;
            if (i0 + row < Sq && tx == 7) {
                dridge.set(row0 + row, -xu);
            }
        }
        for (int e = 0; e < R * CW; e++) {
            acc[e] = 0f;
        }

        for (int j0 = keysBegin; j0 < keysEnd; j0 += bn) {
            for (int e = 0; e < R * C; e++) {
                s[e] = 0f;
            }
            int queries = sizes.get(ProblemData.SQ); // read anew where it is used: it needs no register in between
            int rowsLeft = queries - i0 - tr;
            int keysLeft = sizes.get(ProblemData.SK) - j0 - tr;
            // h = g.v, then + u.k with s = q.k, then a = x.k
            for (int part = 0; part < 3; part++) {
                ctx.localBarrier();
                if (part < 2) {
                    for (int n0 = 0; n0 < bn * dp; n0 += stages * THREADS) {
                        if (part == 0) {
                            for (int e = 0; e < stages; e++) {
                                int n = n0 + e * THREADS;
                                stage[e] = GpuBackward.element(v, k, value0 + (j0 + tr) * valueStride, valueStride, n / dp, keysLeft, n % dp + tc, Dv, flags);
                            }
                        }
                        if (part == 1) {
                            for (int e = 0; e < stages; e++) {
                                int n = n0 + e * THREADS;
                                stage[e] = GpuBackward.key(k, centre, kvHead, key0 + (j0 + tr) * keyStride, keyStride, n / dp, keysLeft, n % dp + tc, D);
                            }
                        }
                        for (int e = 0; e < stages; e++) {
                            int n = n0 + e * THREADS;
                            int row = n / dp + tr;
                            kt[row * dp + (n % dp + tc ^ (row & 7))] = stage[e];
                        }
                    }
                }
                for (int n0 = 0; n0 < bm * dp; n0 += stages * THREADS) {
                    if (part == 0) {
                        for (int e = 0; e < stages; e++) {
                            int n = n0 + e * THREADS;
                            stage[e] = GpuBackward.element(g, gradient0 + (i0 + tr) * gradientStride, gradientStride, n / dp, rowsLeft, n % dp + tc, Dv);
                        }
                    }
                    if (part == 1) {
                        for (int e = 0; e < stages; e++) {
                            int n = n0 + e * THREADS;
                            stage[e] = GpuBackward.element(u, (row0 + tr) * D, D, n / dp, rowsLeft, n % dp + tc, D);
                        }
                    }
                    if (part == 2) {
                        for (int e = 0; e < stages; e++) {
                            int n = n0 + e * THREADS;
                            stage[e] = GpuBackward.element(x, (row0 + tr) * D, D, n / dp, rowsLeft, n % dp + tc, D);
                        }
                    }
                    for (int e = 0; e < stages; e++) {
                        int n = n0 + e * THREADS;
                        int row = n / dp + tr;
                        yt[row * dp + (n % dp + tc ^ (row & 7))] = stage[e];
                    }
                }
                ctx.localBarrier();
                if (part == 1) {
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
                                h[i * C + j] += yf[i] * key;
                            }
                        }
                    }
                }
                if (part != 1) {
                    for (int e = 0; e < R * C; e++) {
                        a[e] = 0f;
                    }
                    for (int d = 0; d < dp; d++) {
                        int qa = ty * dp + (d ^ swy);
                        int ka = tx * dp + (d ^ tx);
                        for (int i = 0; i < R; i++) {
                            yf[i] = yt[qa + 16 * i * dp];
                        }
                        for (int j = 0; j < C; j++) {
                            float value = kt[ka + 8 * j * dp];
                            for (int i = 0; i < R; i++) {
                                a[i * C + j] += yf[i] * value;
                            }
                        }
                    }
                }
                if (part == 0) {
                    for (int e = 0; e < R * C; e++) {
                        h[e] = a[e];
                    }
                }
            }
            float scale = settings.get(ProblemData.SCALE);
            for (int i = 0; i < R; i++) {
                int row = ty + 16 * i;
                int first = Masking.first(sizes, Math.min(i0 + row, sizes.get(ProblemData.SQ) - 1), flags);
                int end = Masking.endOrNone(sizes, i0 + row, sizes.get(ProblemData.SQ), sizes.get(ProblemData.SK), flags);
                for (int j = 0; j < C; j++) {
                    int column = tx + 8 * j;
                    float p = Masking.sees(j0 + column, first, end, flags) > 0 ? TornadoMath.exp(scale * s[i * C + j] - m[i]) * factor[i] : 0f;
                    float w = p * (1f + xMean[i] - a[i * C + j]) * (h[i * C + j] + hShift[i]);
                    mu[i] += w;
                    wt[row * bn + (column ^ swy)] = w;
                }
            }
            ctx.localBarrier();
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
        ctx.localBarrier();
        for (int i = 0; i < R; i++) {
            wt[(ty + 16 * i) * 8 + tx] = mu[i];
        }
        ctx.localBarrier();
        for (int i = 0; i < R; i++) {
            int row = ty + 16 * i;
            float sum = 0f;
            for (int e = 0; e < 8; e++) {
                sum += wt[row * 8 + e];
            }
            if (i0 + row < sizes.get(ProblemData.SQ)) {
                for (int c = 0; c < CW; c++) {
                    int d = tx + 8 * c;
                    if (d < D) {
                        int at = (row0 + row) * D + d;
                        float mean = kbar.get(at) - centre.get(kvHead * D + d);
                        dq.set(dq0 + (i0 + row) * dqStride + d, settings.get(ProblemData.SCALE) * (acc[i * CW + c] - sum * mean) - u.get(at));
                    }
                }
                if (tx == 7) {
                    int at = (row0 + row) * ROW_SCALARS;
                    rows.set(at + BackwardRow.X_KBAR, xMean[i]);
                    rows.set(at + BackwardRow.H_SHIFT, hShift[i]);
                    rows.set(at + BackwardRow.MU, sum);
                }
            }
        }
    }
}
