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
 * dk and dv of one block of keys: the queries of all heads of the group that see it go by, BN at a time. Keys and values
 * stay in local memory; u, x, q and g of the queries take turns in one tile, first for the products, then for the sums.
 *
 * <pre>
 *   pass      backward, of 3: solve, then queries, then keys
 *   group     128 threads; block 64 keys at DP = 64; tile 32 queries
 *   registers arrays; 212 at DP = 64, no spills (nvcc 13, sm_90)
 *   for       GPUs, float32, every D and Dv to 256
 *   measured  docs/kernels/gpu.md
 * </pre>
 */
public final class GpuBackwardKeys {
    private GpuBackwardKeys() {}

    /**
     * Launched as B Hkv ceil(Sk / BM) groups of {@link GpuBackward#THREADS}.
     *
     * @param q (B,H,Sq,D)
     * @param k (B,Hkv,Sk,D)
     * @param v (B,Hkv,Sk,Dv)
     * @param centre (B,Hkv,D), near the mean key
     * @param g dL/do (B,H,Sq,Dv); these, dk and dv lie as the sizes say
     * @param x solution that forward saved (B,H,Sq,D)
     * @param u from {@link GpuBackwardSolve} (B,H,Sq,D)
     * @param rows from {@link GpuBackwardQueries} (B,H,Sq,{@value BackwardRow#ROW_SCALARS})
     * @param dk out (B,Hkv,Sk,D)
     * @param dv out (B,Hkv,Sk,Dv)
     * @param visited out (B,Hkv,Sk): queries that the key's block went through
     * @param sizes {@link ProblemData}
     * @param settings {@link ProblemData}
     */
    public static void keys(KernelContext ctx, FloatArray q, FloatArray k, FloatArray v, FloatArray centre, FloatArray g,
            FloatArray x, FloatArray u, FloatArray rows, FloatArray dk, FloatArray dv, FloatArray visited, IntArray sizes,
            FloatArray settings, int D, int Dv, int flags) {
        // these fold to constants: scalars are compiled in
        int widest = Math.max(D, Dv);
        int dp = widest <= 16 ? 16 : widest <= 32 ? 32 : widest <= 64 ? 64 : widest <= 128 ? 128 : 256;
        int R = Math.min(4, 256 / dp);
        int C = R;
        int CW = dp / 8;
        int bm = 16 * R;
        int bn = 8 * C;
        int stages = Math.min(STAGE, bn * dp / THREADS);
        float[] own = ctx.allocateFloatLocalArray(2 * bm * dp); // keys, then values
        float[] qt = ctx.allocateFloatLocalArray(bn * dp); // u, x, q, g in turn
        float[] wt = ctx.allocateFloatLocalArray(bm * bn);
        float[] dkSum = new float[32];
        float[] dvSum = new float[32];
        float[] s = new float[16]; // q.k, then dS
        float[] a = new float[16]; // x.k, then - p h
        float[] h = new float[16]; // u.k + g.v
        float[] product = new float[16];
        float[] stage = new float[STAGE];
        float[] kf = new float[4];

        int group = sizes.get(ProblemData.GROUP);
        int Sq = sizes.get(ProblemData.SQ);
        int Sk = sizes.get(ProblemData.SK);
        int tid = ctx.localIdx;
        int ty = tid / 8;
        int tx = tid % 8;
        int swy = ty & 7;
        int tr = tid / dp; // of a tile that is loaded: the first row, and the column
        int tc = tid % dp;
        int blocks = (Sk + bm - 1) / bm;
        int kvHead = ctx.groupIdx / blocks;
        int j0 = ctx.groupIdx % blocks * bm; // keys that most queries see first
        int queryStride = Views.rowStride(sizes, Views.Q, D, flags);
        int gradientStride = Views.rowStride(sizes, Views.G, Dv, flags);
        int keyStride = Views.rowStride(sizes, Views.K, D, flags);
        int key0 = Views.keyHead(sizes, Views.K, kvHead, Sk, D, flags);
        int valueStride = Views.rowStride(sizes, Views.V, Dv, flags);
        int value0 = Views.keyHead(sizes, Views.V, kvHead, Sk, Dv, flags);
        int dkStride = Views.rowStride(sizes, Views.DK, D, flags);
        int dk0 = Views.keyHead(sizes, Views.DK, kvHead, Sk, D, flags);
        int dvStride = Views.rowStride(sizes, Views.DV, Dv, flags);
        int dv0 = Views.keyHead(sizes, Views.DV, kvHead, Sk, Dv, flags);
        int firstQuery = Masking.firstQuery(sizes, j0, Sq, Sk, flags);
        int endQuery = Masking.endQuery(sizes, Math.min(j0 + bm, Sk) - 1, Sq, flags);
        int count = 0;

        for (int n = tid; n < bm * dp; n += THREADS) {
            int at = n / dp * dp + (n % dp ^ (n / dp & 7));
            own[at] = GpuBackward.key(k, centre, kvHead, key0, keyStride, j0 + n / dp, Sk, n % dp, D);
            own[bm * dp + at] = GpuBackward.element(v, k, value0, valueStride, j0 + n / dp, Sk, n % dp, Dv, flags);
        }
        for (int e = 0; e < R * CW; e++) {
            dkSum[e] = 0f;
            dvSum[e] = 0f;
        }

        for (int member = 0; member < group; member++) {
            int head = kvHead * group + member;
            int query0 = Views.queryHead(sizes, Views.Q, head, Sq, D, flags);
            int gradient0 = Views.queryHead(sizes, Views.G, head, Sq, Dv, flags);
            for (int i0 = firstQuery; i0 < endQuery; i0 += bn) {
                int row0 = head * Sq + i0;
                int rowsEnd = head * Sq + Sq;
                count += Math.min(bn, endQuery - i0);
                // parts 0 to 3: products with u, x, q, g; parts 3 to 6: sums of g, u, x, q
                for (int part = 0; part < 7; part++) {
                    int rowsLeft = sizes.get(ProblemData.SQ) - i0 - tr;
                    ctx.localBarrier();
                    for (int n0 = 0; n0 < bn * dp; n0 += stages * THREADS) {
                        if ((part & 3) == 0) {
                            for (int e = 0; e < stages; e++) {
                                int n = n0 + e * THREADS;
                                stage[e] = GpuBackward.element(u, (row0 + tr) * D, D, n / dp, rowsLeft, n % dp + tc, D);
                            }
                        }
                        if ((part & 3) == 1) {
                            for (int e = 0; e < stages; e++) {
                                int n = n0 + e * THREADS;
                                stage[e] = GpuBackward.element(x, (row0 + tr) * D, D, n / dp, rowsLeft, n % dp + tc, D);
                            }
                        }
                        if ((part & 3) == 2) {
                            for (int e = 0; e < stages; e++) {
                                int n = n0 + e * THREADS;
                                stage[e] = GpuBackward.element(q, k, query0 + (i0 + tr) * queryStride, queryStride, n / dp, rowsLeft, n % dp + tc, D, flags);
                            }
                        }
                        if (part == 3) {
                            for (int e = 0; e < stages; e++) {
                                int n = n0 + e * THREADS;
                                stage[e] = GpuBackward.element(g, gradient0 + (i0 + tr) * gradientStride, gradientStride, n / dp, rowsLeft, n % dp + tc, Dv);
                            }
                        }
                        for (int e = 0; e < stages; e++) {
                            int n = n0 + e * THREADS;
                            int row = n / dp + tr;
                            qt[row * dp + (n % dp + tc ^ (row & 7))] = stage[e];
                        }
                    }
                    ctx.localBarrier();
                    if (part < 4) {
                        int with = part == 3 ? bm * dp : 0;
                        for (int e = 0; e < R * C; e++) {
                            product[e] = 0f;
                        }
                        for (int d = 0; d < dp; d++) {
                            int ka = with + ty * dp + (d ^ swy);
                            int qa = tx * dp + (d ^ tx);
                            for (int i = 0; i < R; i++) {
                                kf[i] = own[ka + 16 * i * dp];
                            }
                            for (int j = 0; j < C; j++) {
                                float value = qt[qa + 8 * j * dp];
                                for (int i = 0; i < R; i++) {
                                    product[i * C + j] += kf[i] * value;
                                }
                            }
                        }
                        for (int e = 0; e < R * C; e++) {
                            if (part == 0) {
                                h[e] = product[e];
                            }
                            if (part == 1) {
                                a[e] = product[e];
                            }
                            if (part == 2) {
                                s[e] = product[e];
                            }
                            if (part == 3) {
                                h[e] += product[e];
                            }
                        }
                    }
                    if (part == 3) {
                        float scale = settings.get(ProblemData.SCALE); // read anew where it is used: it needs no register in between
                        int queries = sizes.get(ProblemData.SQ);
                        int keys = sizes.get(ProblemData.SK);
                        for (int j = 0; j < C; j++) {
                            int i = i0 + tx + 8 * j;
                            int first = Masking.first(sizes, Math.min(i, queries - 1), flags) - j0;
                            int end = Masking.endOrNone(sizes, i, queries, keys, flags) - j0;
                            int at = Math.min(row0 + tx + 8 * j, rowsEnd - 1) * ROW_SCALARS;
                            float m = rows.get(at + BackwardRow.LSE);
                            float factor = rows.get(at + BackwardRow.FACTOR);
                            float xMean = rows.get(at + BackwardRow.X_KBAR);
                            float hShift = rows.get(at + BackwardRow.H_SHIFT);
                            float mu = rows.get(at + BackwardRow.MU);
                            for (int r = 0; r < R; r++) {
                                int e = r * C + j;
                                float p = Masking.sees(ty + 16 * r, first, end, flags) > 0 ? TornadoMath.exp(scale * s[e] - m) * factor : 0f;
                                float pe = p * (1f + xMean - a[e]);
                                float difference = h[e] + hShift;
                                wt[(ty + 16 * r) * bn + ((tx + 8 * j) ^ swy)] = pe;
                                s[e] = scale * (pe * difference - p * mu);
                                a[e] = -p * difference;
                            }
                        }
                        ctx.localBarrier();
                        for (int j = 0; j < bn; j++) {
                            int wa = ty * bn + (j ^ swy);
                            int ka = j * dp + (tx ^ (j & 7));
                            for (int i = 0; i < R; i++) {
                                kf[i] = wt[wa + 16 * i * bn];
                            }
                            for (int c = 0; c < CW; c++) {
                                float value = qt[ka + 8 * c];
                                for (int i = 0; i < R; i++) {
                                    dvSum[i * CW + c] += kf[i] * value;
                                }
                            }
                        }
                    }
                    if (part > 4) {
                        for (int r = 0; r < R; r++) {
                            for (int j = 0; j < C; j++) {
                                wt[(ty + 16 * r) * bn + ((tx + 8 * j) ^ swy)] = part == 5 ? a[r * C + j] : s[r * C + j];
                            }
                        }
                        ctx.localBarrier();
                    }
                    if (part > 3) {
                        for (int j = 0; j < bn; j++) {
                            int wa = ty * bn + (j ^ swy);
                            int ka = j * dp + (tx ^ (j & 7));
                            for (int i = 0; i < R; i++) {
                                kf[i] = wt[wa + 16 * i * bn];
                            }
                            for (int c = 0; c < CW; c++) {
                                float value = qt[ka + 8 * c];
                                for (int i = 0; i < R; i++) {
                                    dkSum[i * CW + c] += kf[i] * value;
                                }
                            }
                        }
                    }
                }
            }
        }

        for (int i = 0; i < R; i++) {
            int row = ty + 16 * i;
            if (j0 + row < Sk) {
                for (int c = 0; c < CW; c++) {
                    int d = tx + 8 * c;
                    if (d < D) {
                        dk.set(dk0 + (j0 + row) * dkStride + d, dkSum[i * CW + c]);
                    }
                    if (d < Dv) {
                        dv.set(dv0 + (j0 + row) * dvStride + d, dvSum[i * CW + c]);
                    }
                }
                if (tx == 7) {
                    visited.set(kvHead * Sk + j0 + row, count);
                }
            }
        }
    }
}
