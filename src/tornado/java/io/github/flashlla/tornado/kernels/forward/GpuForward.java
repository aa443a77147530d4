package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.tornado.kernels.tile.KeptResiduals;
import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * The three FlashLLA passes in one kernel, for GPUs and head dims up to 64.
 *
 * <p>A work-group of {@value #THREADS} threads takes one block of queries of one head and keeps it until its output is
 * written; conjugate gradients iterate inside, with no host round trip. Threads form a grid of TY rows by TX columns,
 * TX = DP / 8, where DP is the larger of D and Dv rounded up to 16, 32 or 64:
 *
 * <pre>
 *   block   BM = 4 TY queries, BN = 4 TX keys a tile        (DP = 64: 64 queries, 32 keys)
 *   scores  thread (ty, tx) holds rows ty + TY i, i &lt; 4, and keys tx + TX j, j &lt; 4: s_ij and, beside it, u_ij = y_i.k_j
 *   sums    the same rows i, columns 4 tx + e and DP / 2 + 4 tx + e, e &lt; 4
 *   local   Q and Y (BM x DP), K or V (BN x DP), W (BM x BN): 48 KB for DP = 64
 * </pre>
 *
 * <p>Tiles are row-major; within a row, groups of four floats are permuted by the low bits of the row, so that threads
 * that read one column of different rows hit different banks. Local memory gives a float per lane and cycle against four
 * multiply-adds, so what counts is multiply-adds per load: 32 for 12 loads here. The register tiles are scalars, not
 * arrays: PTX keeps arrays in slow local memory (1.3 against 15.7 TFLOP/s for this pass structure on an H200).
 *
 * <p>Keys are held relative to {@code centre}: any shift of all keys leaves the estimator as it is (weights change by a
 * factor per query), and sums of keys far from 0 keep their digits.
 *
 * <pre>
 *   pass      1 softmax   2 solve (conjugate gradients)   3 output; one loop over sweeps, in which each is a mode
 *   group     128 threads; block 64 queries; tile 32 keys, at DP = 64
 *   registers scalars; 255 at DP = 64, no spills (nvcc 13, sm_90)
 *   for       float32, D and Dv to 64, no preconditioner; 48 KB of local memory
 *   measured  docs/kernels/gpu.md, bench/results/h200/forward.json
 * </pre>
 */
public final class GpuForward {
    public static final int THREADS = 128;
    /** Largest padded head dim of this kernel. */
    public static final int MAX_DIM = 64;

    // what a sweep over the keys is for
    private static final int SOFTMAX = 0;
    private static final int SOLVE = 1;
    private static final int OUTPUT = 2;
    private static final int DONE = 3;

    private GpuForward() {}

    /** Head dim rounded up to what the thread grid covers. */
    public static int paddedDim(int headDim, int valueDim) {
        int dim = Math.max(headDim, valueDim);
        return dim <= 16 ? 16 : dim <= 32 ? 32 : 64;
    }

    /** Queries of one work-group. */
    public static int blockRows(int paddedDim) {
        return 4 * (THREADS / (paddedDim / 8));
    }

    /** Bytes of local memory. */
    public static int localBytes(int paddedDim) {
        int rows = blockRows(paddedDim);
        int keys = paddedDim / 2;
        return (2 * rows * paddedDim + keys * paddedDim + rows * keys) * Float.BYTES;
    }

    /**
     * Launched as B H ceil(Sq / BM) groups of {@value #THREADS}.
     *
     * @param q (B,H,Sq,D)
     * @param k (B,Hkv,Sk,D)
     * @param v (B,Hkv,Sk,Dv)
     * @param ridge (B,H,Sq)
     * @param centre (B,Hkv,D), near the mean key
     * @param o out (B,H,Sq,Dv)
     * @param lse out (B,H,Sq)
     * @param kbar out (B,H,Sq,D)
     * @param x out (B,H,Sq,D), and behind it as much again for the residual when D &gt; Dv; otherwise {@code o}, which is
     *     written last, holds the residual
     * @param stats out (B,H,Sq,2): iterations, relative residual
     * @param earlier (n,B,H,Sq,D): the first n residuals, each divided by its length; n is the sizes' {@link ProblemData#KEPT}
     * @param sizes see {@link ProblemData}
     * @param settings see {@link ProblemData}
     * @param flags see {@link Masking}, with {@link KeptResiduals#UNIT} where n is not 0
     */
    public static void forward(KernelContext ctx, FloatArray q, FloatArray k, FloatArray v, FloatArray ridge, FloatArray centre,
            FloatArray o, FloatArray lse, FloatArray kbar, FloatArray x, FloatArray stats, FloatArray earlier,
            IntArray sizes, FloatArray settings, int D, int Dv, int flags) {
        int Sq = sizes.get(ProblemData.SQ);
        int Sk = sizes.get(ProblemData.SK);
        int widest = Math.max(D, Dv);
        int dp = widest <= 16 ? 16 : widest <= 32 ? 32 : 64;
        int TX = dp / 8;
        int TY = THREADS / TX;
        int bm = 4 * TY;
        int bn = 4 * TX;
        int mask = TX - 1; // rows whose low bits differ permute their columns differently
        int slot = bm * TX; // one float per row and column thread: room for a row-wise sum; wt holds four of them
        float[] qt = ctx.allocateFloatLocalArray(4096);
        float[] yt = ctx.allocateFloatLocalArray(4096);
        float[] kt = ctx.allocateFloatLocalArray(bn * dp);
        float[] wt = ctx.allocateFloatLocalArray(bm * bn);

        int tid = ctx.localIdx;
        int ty = tid / TX;
        int tx = tid % TX;
        int blocks = (Sq + bm - 1) / bm;
        int head = ctx.groupIdx / blocks;
        // the longest causal rows first, so that no group is left with them at the end
        int i0 = (blocks - 1 - ctx.groupIdx % blocks) * bm;
        int row0 = head * Sq + i0;
        int kvHead = head / sizes.get(ProblemData.GROUP);
        int key0 = kvHead * Sk;
        int keysEnd = Masking.visibleOrNone(Math.min(i0 + bm, Sq) - 1, Sq, Sk, flags);
        int swy = ty & mask;
        int swx = tx & mask;

        int sees0 = Masking.visibleOrNone(i0 + ty + 0 * TY, Sq, Sk, flags);
        int sees1 = Masking.visibleOrNone(i0 + ty + 1 * TY, Sq, Sk, flags);
        int sees2 = Masking.visibleOrNone(i0 + ty + 2 * TY, Sq, Sk, flags);
        int sees3 = Masking.visibleOrNone(i0 + ty + 3 * TY, Sq, Sk, flags);

        for (int n = tid; n < bm * dp; n += THREADS) {
            int i = n / dp;
            int d = n % dp;
            float value = 0f;
            if (i0 + i < Sq && d < D) {
                value = q.get((row0 + i) * D + d);
            }
            qt[i * dp + (((d >> 2) ^ (i & mask)) << 2) + (d & 3)] = value;
        }

        // m: running maximum in pass 1, log-sum-exp afterwards; l: weight of this thread's keys; yk: y.kbar
        float m0 = Masking.LOW;
        float l0 = 0f;
        float yk0 = 0f;
        float m1 = Masking.LOW;
        float l1 = 0f;
        float yk1 = 0f;
        float m2 = Masking.LOW;
        float l2 = 0f;
        float yk2 = 0f;
        float m3 = Masking.LOW;
        float l3 = 0f;
        float yk3 = 0f;
        float[] bb = new float[4];
        float[] rho = new float[4]; // r.r
        float[] residual = new float[4];
        float[] count = new float[4];
        int iteration = 0;
        int mode = SOFTMAX;

        while (mode != DONE) {
            float a00 = 0f;
            float a01 = 0f;
            float a02 = 0f;
            float a03 = 0f;
            float a04 = 0f;
            float a05 = 0f;
            float a06 = 0f;
            float a07 = 0f;
            float a10 = 0f;
            float a11 = 0f;
            float a12 = 0f;
            float a13 = 0f;
            float a14 = 0f;
            float a15 = 0f;
            float a16 = 0f;
            float a17 = 0f;
            float a20 = 0f;
            float a21 = 0f;
            float a22 = 0f;
            float a23 = 0f;
            float a24 = 0f;
            float a25 = 0f;
            float a26 = 0f;
            float a27 = 0f;
            float a30 = 0f;
            float a31 = 0f;
            float a32 = 0f;
            float a33 = 0f;
            float a34 = 0f;
            float a35 = 0f;
            float a36 = 0f;
            float a37 = 0f;
            if (mode != SOFTMAX) {
                l0 = 0f;
                l1 = 0f;
                l2 = 0f;
                l3 = 0f;
            }
            for (int j0 = 0; j0 < keysEnd; j0 += bn) {
                // a tile is 16 TX^2 / 64 = 16 floats a thread for DP = 64, loaded all at once: their latencies overlap
                int td = tid % dp;
                int tj = tid / dp;
                int lastKey = sizes.get(ProblemData.SK) - 1; // read anew where it is used: it needs no register in between
                int ta = Math.min(td, D - 1);
                float t0 = k.get((key0 + Math.min(j0 + tj + 0 * THREADS / dp, lastKey)) * D + ta);
                float t1 = k.get((key0 + Math.min(j0 + tj + 1 * THREADS / dp, lastKey)) * D + ta);
                float t2 = k.get((key0 + Math.min(j0 + tj + 2 * THREADS / dp, lastKey)) * D + ta);
                float t3 = k.get((key0 + Math.min(j0 + tj + 3 * THREADS / dp, lastKey)) * D + ta);
                float t4 = k.get((key0 + Math.min(j0 + tj + 4 * THREADS / dp, lastKey)) * D + ta);
                float t5 = k.get((key0 + Math.min(j0 + tj + 5 * THREADS / dp, lastKey)) * D + ta);
                float t6 = k.get((key0 + Math.min(j0 + tj + 6 * THREADS / dp, lastKey)) * D + ta);
                float t7 = k.get((key0 + Math.min(j0 + tj + 7 * THREADS / dp, lastKey)) * D + ta);
                float t8 = k.get((key0 + Math.min(j0 + tj + 8 * THREADS / dp, lastKey)) * D + ta);
                float t9 = k.get((key0 + Math.min(j0 + tj + 9 * THREADS / dp, lastKey)) * D + ta);
                float t10 = k.get((key0 + Math.min(j0 + tj + 10 * THREADS / dp, lastKey)) * D + ta);
                float t11 = k.get((key0 + Math.min(j0 + tj + 11 * THREADS / dp, lastKey)) * D + ta);
                float t12 = k.get((key0 + Math.min(j0 + tj + 12 * THREADS / dp, lastKey)) * D + ta);
                float t13 = k.get((key0 + Math.min(j0 + tj + 13 * THREADS / dp, lastKey)) * D + ta);
                float t14 = k.get((key0 + Math.min(j0 + tj + 14 * THREADS / dp, lastKey)) * D + ta);
                float t15 = k.get((key0 + Math.min(j0 + tj + 15 * THREADS / dp, lastKey)) * D + ta);
                float shift = centre.get(kvHead * D + ta);
                ctx.localBarrier();
                kt[(tj + 0 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 0 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < D ? t0 - shift : 0f;
                if (1 * THREADS / dp < bn) {
                    kt[(tj + 1 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 1 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < D ? t1 - shift : 0f;
                }
                if (2 * THREADS / dp < bn) {
                    kt[(tj + 2 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 2 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < D ? t2 - shift : 0f;
                }
                if (3 * THREADS / dp < bn) {
                    kt[(tj + 3 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 3 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < D ? t3 - shift : 0f;
                }
                if (4 * THREADS / dp < bn) {
                    kt[(tj + 4 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 4 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < D ? t4 - shift : 0f;
                }
                if (5 * THREADS / dp < bn) {
                    kt[(tj + 5 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 5 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < D ? t5 - shift : 0f;
                }
                if (6 * THREADS / dp < bn) {
                    kt[(tj + 6 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 6 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < D ? t6 - shift : 0f;
                }
                if (7 * THREADS / dp < bn) {
                    kt[(tj + 7 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 7 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < D ? t7 - shift : 0f;
                }
                if (8 * THREADS / dp < bn) {
                    kt[(tj + 8 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 8 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < D ? t8 - shift : 0f;
                }
                if (9 * THREADS / dp < bn) {
                    kt[(tj + 9 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 9 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < D ? t9 - shift : 0f;
                }
                if (10 * THREADS / dp < bn) {
                    kt[(tj + 10 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 10 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < D ? t10 - shift : 0f;
                }
                if (11 * THREADS / dp < bn) {
                    kt[(tj + 11 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 11 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < D ? t11 - shift : 0f;
                }
                if (12 * THREADS / dp < bn) {
                    kt[(tj + 12 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 12 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < D ? t12 - shift : 0f;
                }
                if (13 * THREADS / dp < bn) {
                    kt[(tj + 13 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 13 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < D ? t13 - shift : 0f;
                }
                if (14 * THREADS / dp < bn) {
                    kt[(tj + 14 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 14 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < D ? t14 - shift : 0f;
                }
                if (15 * THREADS / dp < bn) {
                    kt[(tj + 15 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 15 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < D ? t15 - shift : 0f;
                }
                ctx.localBarrier();

                float s00 = 0f;
                float s01 = 0f;
                float s02 = 0f;
                float s03 = 0f;
                float s10 = 0f;
                float s11 = 0f;
                float s12 = 0f;
                float s13 = 0f;
                float s20 = 0f;
                float s21 = 0f;
                float s22 = 0f;
                float s23 = 0f;
                float s30 = 0f;
                float s31 = 0f;
                float s32 = 0f;
                float s33 = 0f;
                float u00 = 0f;
                float u01 = 0f;
                float u02 = 0f;
                float u03 = 0f;
                float u10 = 0f;
                float u11 = 0f;
                float u12 = 0f;
                float u13 = 0f;
                float u20 = 0f;
                float u21 = 0f;
                float u22 = 0f;
                float u23 = 0f;
                float u30 = 0f;
                float u31 = 0f;
                float u32 = 0f;
                float u33 = 0f;
                if (mode == SOFTMAX) {
                    for (int c = 0; c < dp / 4; c++) {
                        int qa = ty * dp + ((c ^ swy) << 2);
                        int ka = tx * dp + ((c ^ swx) << 2);
                        for (int e = 0; e < 4; e++) {
                            float k0 = kt[ka + 0 * TX * dp + e];
                            float k1 = kt[ka + 1 * TX * dp + e];
                            float k2 = kt[ka + 2 * TX * dp + e];
                            float k3 = kt[ka + 3 * TX * dp + e];
                            float q0 = qt[qa + 0 * TY * dp + e];
                            float q1 = qt[qa + 1 * TY * dp + e];
                            float q2 = qt[qa + 2 * TY * dp + e];
                            float q3 = qt[qa + 3 * TY * dp + e];
                            s00 += q0 * k0;
                            s01 += q0 * k1;
                            s02 += q0 * k2;
                            s03 += q0 * k3;
                            s10 += q1 * k0;
                            s11 += q1 * k1;
                            s12 += q1 * k2;
                            s13 += q1 * k3;
                            s20 += q2 * k0;
                            s21 += q2 * k1;
                            s22 += q2 * k2;
                            s23 += q2 * k3;
                            s30 += q3 * k0;
                            s31 += q3 * k1;
                            s32 += q3 * k2;
                            s33 += q3 * k3;
                        }
                    }
                }
                if (mode != SOFTMAX) {
                    for (int c = 0; c < dp / 4; c++) {
                        int qa = ty * dp + ((c ^ swy) << 2);
                        int ka = tx * dp + ((c ^ swx) << 2);
                        for (int e = 0; e < 4; e++) {
                            float k0 = kt[ka + 0 * TX * dp + e];
                            float k1 = kt[ka + 1 * TX * dp + e];
                            float k2 = kt[ka + 2 * TX * dp + e];
                            float k3 = kt[ka + 3 * TX * dp + e];
                            float q0 = qt[qa + 0 * TY * dp + e];
                            float q1 = qt[qa + 1 * TY * dp + e];
                            float q2 = qt[qa + 2 * TY * dp + e];
                            float q3 = qt[qa + 3 * TY * dp + e];
                            float y0 = yt[qa + 0 * TY * dp + e];
                            float y1 = yt[qa + 1 * TY * dp + e];
                            float y2 = yt[qa + 2 * TY * dp + e];
                            float y3 = yt[qa + 3 * TY * dp + e];
                            s00 += q0 * k0;
                            s01 += q0 * k1;
                            s02 += q0 * k2;
                            s03 += q0 * k3;
                            s10 += q1 * k0;
                            s11 += q1 * k1;
                            s12 += q1 * k2;
                            s13 += q1 * k3;
                            s20 += q2 * k0;
                            s21 += q2 * k1;
                            s22 += q2 * k2;
                            s23 += q2 * k3;
                            s30 += q3 * k0;
                            s31 += q3 * k1;
                            s32 += q3 * k2;
                            s33 += q3 * k3;
                            u00 += y0 * k0;
                            u01 += y0 * k1;
                            u02 += y0 * k2;
                            u03 += y0 * k3;
                            u10 += y1 * k0;
                            u11 += y1 * k1;
                            u12 += y1 * k2;
                            u13 += y1 * k3;
                            u20 += y2 * k0;
                            u21 += y2 * k1;
                            u22 += y2 * k2;
                            u23 += y2 * k3;
                            u30 += y3 * k0;
                            u31 += y3 * k1;
                            u32 += y3 * k2;
                            u33 += y3 * k3;
                        }
                    }
                }

                float scale = settings.get(ProblemData.SCALE);
                int at0 = j0 + tx + 0 * TX;
                int at1 = j0 + tx + 1 * TX;
                int at2 = j0 + tx + 2 * TX;
                int at3 = j0 + tx + 3 * TX;
                if (mode == SOFTMAX) {
                    // the block's running maximum, then weights relative to it
                    s00 = at0 < sees0 ? scale * s00 : Masking.LOW;
                    s01 = at1 < sees0 ? scale * s01 : Masking.LOW;
                    s02 = at2 < sees0 ? scale * s02 : Masking.LOW;
                    s03 = at3 < sees0 ? scale * s03 : Masking.LOW;
                    s10 = at0 < sees1 ? scale * s10 : Masking.LOW;
                    s11 = at1 < sees1 ? scale * s11 : Masking.LOW;
                    s12 = at2 < sees1 ? scale * s12 : Masking.LOW;
                    s13 = at3 < sees1 ? scale * s13 : Masking.LOW;
                    s20 = at0 < sees2 ? scale * s20 : Masking.LOW;
                    s21 = at1 < sees2 ? scale * s21 : Masking.LOW;
                    s22 = at2 < sees2 ? scale * s22 : Masking.LOW;
                    s23 = at3 < sees2 ? scale * s23 : Masking.LOW;
                    s30 = at0 < sees3 ? scale * s30 : Masking.LOW;
                    s31 = at1 < sees3 ? scale * s31 : Masking.LOW;
                    s32 = at2 < sees3 ? scale * s32 : Masking.LOW;
                    s33 = at3 < sees3 ? scale * s33 : Masking.LOW;
                    wt[(ty + 0 * TY) * TX + tx] = Math.max(Math.max(s00, s01), Math.max(s02, s03));
                    wt[(ty + 1 * TY) * TX + tx] = Math.max(Math.max(s10, s11), Math.max(s12, s13));
                    wt[(ty + 2 * TY) * TX + tx] = Math.max(Math.max(s20, s21), Math.max(s22, s23));
                    wt[(ty + 3 * TY) * TX + tx] = Math.max(Math.max(s30, s31), Math.max(s32, s33));
                    ctx.localBarrier();
                    float n0 = m0;
                    float n1 = m1;
                    float n2 = m2;
                    float n3 = m3;
                    for (int t = 0; t < TX; t++) {
                        n0 = Math.max(n0, wt[(ty + 0 * TY) * TX + t]);
                        n1 = Math.max(n1, wt[(ty + 1 * TY) * TX + t]);
                        n2 = Math.max(n2, wt[(ty + 2 * TY) * TX + t]);
                        n3 = Math.max(n3, wt[(ty + 3 * TY) * TX + t]);
                    }
                    ctx.localBarrier();
                    float fade0 = TornadoMath.exp(m0 - n0);
                    s00 = at0 < sees0 ? TornadoMath.exp(s00 - n0) : 0f;
                    s01 = at1 < sees0 ? TornadoMath.exp(s01 - n0) : 0f;
                    s02 = at2 < sees0 ? TornadoMath.exp(s02 - n0) : 0f;
                    s03 = at3 < sees0 ? TornadoMath.exp(s03 - n0) : 0f;
                    l0 = l0 * fade0 + s00 + s01 + s02 + s03;
                    m0 = n0;
                    a00 *= fade0;
                    a01 *= fade0;
                    a02 *= fade0;
                    a03 *= fade0;
                    a04 *= fade0;
                    a05 *= fade0;
                    a06 *= fade0;
                    a07 *= fade0;
                    float fade1 = TornadoMath.exp(m1 - n1);
                    s10 = at0 < sees1 ? TornadoMath.exp(s10 - n1) : 0f;
                    s11 = at1 < sees1 ? TornadoMath.exp(s11 - n1) : 0f;
                    s12 = at2 < sees1 ? TornadoMath.exp(s12 - n1) : 0f;
                    s13 = at3 < sees1 ? TornadoMath.exp(s13 - n1) : 0f;
                    l1 = l1 * fade1 + s10 + s11 + s12 + s13;
                    m1 = n1;
                    a10 *= fade1;
                    a11 *= fade1;
                    a12 *= fade1;
                    a13 *= fade1;
                    a14 *= fade1;
                    a15 *= fade1;
                    a16 *= fade1;
                    a17 *= fade1;
                    float fade2 = TornadoMath.exp(m2 - n2);
                    s20 = at0 < sees2 ? TornadoMath.exp(s20 - n2) : 0f;
                    s21 = at1 < sees2 ? TornadoMath.exp(s21 - n2) : 0f;
                    s22 = at2 < sees2 ? TornadoMath.exp(s22 - n2) : 0f;
                    s23 = at3 < sees2 ? TornadoMath.exp(s23 - n2) : 0f;
                    l2 = l2 * fade2 + s20 + s21 + s22 + s23;
                    m2 = n2;
                    a20 *= fade2;
                    a21 *= fade2;
                    a22 *= fade2;
                    a23 *= fade2;
                    a24 *= fade2;
                    a25 *= fade2;
                    a26 *= fade2;
                    a27 *= fade2;
                    float fade3 = TornadoMath.exp(m3 - n3);
                    s30 = at0 < sees3 ? TornadoMath.exp(s30 - n3) : 0f;
                    s31 = at1 < sees3 ? TornadoMath.exp(s31 - n3) : 0f;
                    s32 = at2 < sees3 ? TornadoMath.exp(s32 - n3) : 0f;
                    s33 = at3 < sees3 ? TornadoMath.exp(s33 - n3) : 0f;
                    l3 = l3 * fade3 + s30 + s31 + s32 + s33;
                    m3 = n3;
                    a30 *= fade3;
                    a31 *= fade3;
                    a32 *= fade3;
                    a33 *= fade3;
                    a34 *= fade3;
                    a35 *= fade3;
                    a36 *= fade3;
                    a37 *= fade3;
                }
                if (mode != SOFTMAX) {
                    s00 = at0 < sees0 ? TornadoMath.exp(scale * s00 - m0) : 0f;
                    s01 = at1 < sees0 ? TornadoMath.exp(scale * s01 - m0) : 0f;
                    s02 = at2 < sees0 ? TornadoMath.exp(scale * s02 - m0) : 0f;
                    s03 = at3 < sees0 ? TornadoMath.exp(scale * s03 - m0) : 0f;
                    s10 = at0 < sees1 ? TornadoMath.exp(scale * s10 - m1) : 0f;
                    s11 = at1 < sees1 ? TornadoMath.exp(scale * s11 - m1) : 0f;
                    s12 = at2 < sees1 ? TornadoMath.exp(scale * s12 - m1) : 0f;
                    s13 = at3 < sees1 ? TornadoMath.exp(scale * s13 - m1) : 0f;
                    s20 = at0 < sees2 ? TornadoMath.exp(scale * s20 - m2) : 0f;
                    s21 = at1 < sees2 ? TornadoMath.exp(scale * s21 - m2) : 0f;
                    s22 = at2 < sees2 ? TornadoMath.exp(scale * s22 - m2) : 0f;
                    s23 = at3 < sees2 ? TornadoMath.exp(scale * s23 - m2) : 0f;
                    s30 = at0 < sees3 ? TornadoMath.exp(scale * s30 - m3) : 0f;
                    s31 = at1 < sees3 ? TornadoMath.exp(scale * s31 - m3) : 0f;
                    s32 = at2 < sees3 ? TornadoMath.exp(scale * s32 - m3) : 0f;
                    s33 = at3 < sees3 ? TornadoMath.exp(scale * s33 - m3) : 0f;
                    if (mode == SOLVE) {
                        s00 *= u00 - yk0;
                        s01 *= u01 - yk0;
                        s02 *= u02 - yk0;
                        s03 *= u03 - yk0;
                        s10 *= u10 - yk1;
                        s11 *= u11 - yk1;
                        s12 *= u12 - yk1;
                        s13 *= u13 - yk1;
                        s20 *= u20 - yk2;
                        s21 *= u21 - yk2;
                        s22 *= u22 - yk2;
                        s23 *= u23 - yk2;
                        s30 *= u30 - yk3;
                        s31 *= u31 - yk3;
                        s32 *= u32 - yk3;
                        s33 *= u33 - yk3;
                        l0 += s00 + s01 + s02 + s03;
                        l1 += s10 + s11 + s12 + s13;
                        l2 += s20 + s21 + s22 + s23;
                        l3 += s30 + s31 + s32 + s33;
                    }
                    if (mode == OUTPUT) {
                        s00 *= 1f - (u00 - yk0);
                        s01 *= 1f - (u01 - yk0);
                        s02 *= 1f - (u02 - yk0);
                        s03 *= 1f - (u03 - yk0);
                        s10 *= 1f - (u10 - yk1);
                        s11 *= 1f - (u11 - yk1);
                        s12 *= 1f - (u12 - yk1);
                        s13 *= 1f - (u13 - yk1);
                        s20 *= 1f - (u20 - yk2);
                        s21 *= 1f - (u21 - yk2);
                        s22 *= 1f - (u22 - yk2);
                        s23 *= 1f - (u23 - yk2);
                        s30 *= 1f - (u30 - yk3);
                        s31 *= 1f - (u31 - yk3);
                        s32 *= 1f - (u32 - yk3);
                        s33 *= 1f - (u33 - yk3);
                    }
                }
                int w0 = ty * bn + ((((tx + 0 * TX) >> 2) ^ swy) << 2) + ((tx + 0 * TX) & 3);
                int w1 = ty * bn + ((((tx + 1 * TX) >> 2) ^ swy) << 2) + ((tx + 1 * TX) & 3);
                int w2 = ty * bn + ((((tx + 2 * TX) >> 2) ^ swy) << 2) + ((tx + 2 * TX) & 3);
                int w3 = ty * bn + ((((tx + 3 * TX) >> 2) ^ swy) << 2) + ((tx + 3 * TX) & 3);
                wt[w0 + 0 * TY * bn] = s00;
                wt[w1 + 0 * TY * bn] = s01;
                wt[w2 + 0 * TY * bn] = s02;
                wt[w3 + 0 * TY * bn] = s03;
                wt[w0 + 1 * TY * bn] = s10;
                wt[w1 + 1 * TY * bn] = s11;
                wt[w2 + 1 * TY * bn] = s12;
                wt[w3 + 1 * TY * bn] = s13;
                wt[w0 + 2 * TY * bn] = s20;
                wt[w1 + 2 * TY * bn] = s21;
                wt[w2 + 2 * TY * bn] = s22;
                wt[w3 + 2 * TY * bn] = s23;
                wt[w0 + 3 * TY * bn] = s30;
                wt[w1 + 3 * TY * bn] = s31;
                wt[w2 + 3 * TY * bn] = s32;
                wt[w3 + 3 * TY * bn] = s33;
                if (mode == OUTPUT) {
                    int ra = Math.min(td, Dv - 1);
                    int lastValue = sizes.get(ProblemData.SK) - 1;
                    float r0 = v.get((key0 + Math.min(j0 + tj + 0 * THREADS / dp, lastValue)) * Dv + ra);
                    float r1 = v.get((key0 + Math.min(j0 + tj + 1 * THREADS / dp, lastValue)) * Dv + ra);
                    float r2 = v.get((key0 + Math.min(j0 + tj + 2 * THREADS / dp, lastValue)) * Dv + ra);
                    float r3 = v.get((key0 + Math.min(j0 + tj + 3 * THREADS / dp, lastValue)) * Dv + ra);
                    float r4 = v.get((key0 + Math.min(j0 + tj + 4 * THREADS / dp, lastValue)) * Dv + ra);
                    float r5 = v.get((key0 + Math.min(j0 + tj + 5 * THREADS / dp, lastValue)) * Dv + ra);
                    float r6 = v.get((key0 + Math.min(j0 + tj + 6 * THREADS / dp, lastValue)) * Dv + ra);
                    float r7 = v.get((key0 + Math.min(j0 + tj + 7 * THREADS / dp, lastValue)) * Dv + ra);
                    float r8 = v.get((key0 + Math.min(j0 + tj + 8 * THREADS / dp, lastValue)) * Dv + ra);
                    float r9 = v.get((key0 + Math.min(j0 + tj + 9 * THREADS / dp, lastValue)) * Dv + ra);
                    float r10 = v.get((key0 + Math.min(j0 + tj + 10 * THREADS / dp, lastValue)) * Dv + ra);
                    float r11 = v.get((key0 + Math.min(j0 + tj + 11 * THREADS / dp, lastValue)) * Dv + ra);
                    float r12 = v.get((key0 + Math.min(j0 + tj + 12 * THREADS / dp, lastValue)) * Dv + ra);
                    float r13 = v.get((key0 + Math.min(j0 + tj + 13 * THREADS / dp, lastValue)) * Dv + ra);
                    float r14 = v.get((key0 + Math.min(j0 + tj + 14 * THREADS / dp, lastValue)) * Dv + ra);
                    float r15 = v.get((key0 + Math.min(j0 + tj + 15 * THREADS / dp, lastValue)) * Dv + ra);
                    ctx.localBarrier();
                    kt[(tj + 0 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 0 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < Dv ? r0 : 0f;
                    if (1 * THREADS / dp < bn) {
                        kt[(tj + 1 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 1 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < Dv ? r1 : 0f;
                    }
                    if (2 * THREADS / dp < bn) {
                        kt[(tj + 2 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 2 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < Dv ? r2 : 0f;
                    }
                    if (3 * THREADS / dp < bn) {
                        kt[(tj + 3 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 3 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < Dv ? r3 : 0f;
                    }
                    if (4 * THREADS / dp < bn) {
                        kt[(tj + 4 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 4 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < Dv ? r4 : 0f;
                    }
                    if (5 * THREADS / dp < bn) {
                        kt[(tj + 5 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 5 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < Dv ? r5 : 0f;
                    }
                    if (6 * THREADS / dp < bn) {
                        kt[(tj + 6 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 6 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < Dv ? r6 : 0f;
                    }
                    if (7 * THREADS / dp < bn) {
                        kt[(tj + 7 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 7 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < Dv ? r7 : 0f;
                    }
                    if (8 * THREADS / dp < bn) {
                        kt[(tj + 8 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 8 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < Dv ? r8 : 0f;
                    }
                    if (9 * THREADS / dp < bn) {
                        kt[(tj + 9 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 9 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < Dv ? r9 : 0f;
                    }
                    if (10 * THREADS / dp < bn) {
                        kt[(tj + 10 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 10 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < Dv ? r10 : 0f;
                    }
                    if (11 * THREADS / dp < bn) {
                        kt[(tj + 11 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 11 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < Dv ? r11 : 0f;
                    }
                    if (12 * THREADS / dp < bn) {
                        kt[(tj + 12 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 12 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < Dv ? r12 : 0f;
                    }
                    if (13 * THREADS / dp < bn) {
                        kt[(tj + 13 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 13 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < Dv ? r13 : 0f;
                    }
                    if (14 * THREADS / dp < bn) {
                        kt[(tj + 14 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 14 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < Dv ? r14 : 0f;
                    }
                    if (15 * THREADS / dp < bn) {
                        kt[(tj + 15 * THREADS / dp) * dp + (((td >> 2) ^ ((tj + 15 * THREADS / dp) & mask)) << 2) + (td & 3)] = td < Dv ? r15 : 0f;
                    }
                }
                ctx.localBarrier();

                for (int c = 0; c < bn / 4; c++) {
                    int wi = ty * bn + ((c ^ swy) << 2);
                    for (int e = 0; e < 4; e++) {
                        int j = 4 * c + e;
                        int ka = j * dp + ((tx ^ (j & mask)) << 2);
                        float k0 = kt[ka + 0];
                        float k1 = kt[ka + 1];
                        float k2 = kt[ka + 2];
                        float k3 = kt[ka + 3];
                        float k4 = kt[ka + dp / 2 + 0];
                        float k5 = kt[ka + dp / 2 + 1];
                        float k6 = kt[ka + dp / 2 + 2];
                        float k7 = kt[ka + dp / 2 + 3];
                        float p0 = wt[wi + 0 * TY * bn + e];
                        float p1 = wt[wi + 1 * TY * bn + e];
                        float p2 = wt[wi + 2 * TY * bn + e];
                        float p3 = wt[wi + 3 * TY * bn + e];
                        a00 += p0 * k0;
                        a01 += p0 * k1;
                        a02 += p0 * k2;
                        a03 += p0 * k3;
                        a04 += p0 * k4;
                        a05 += p0 * k5;
                        a06 += p0 * k6;
                        a07 += p0 * k7;
                        a10 += p1 * k0;
                        a11 += p1 * k1;
                        a12 += p1 * k2;
                        a13 += p1 * k3;
                        a14 += p1 * k4;
                        a15 += p1 * k5;
                        a16 += p1 * k6;
                        a17 += p1 * k7;
                        a20 += p2 * k0;
                        a21 += p2 * k1;
                        a22 += p2 * k2;
                        a23 += p2 * k3;
                        a24 += p2 * k4;
                        a25 += p2 * k5;
                        a26 += p2 * k6;
                        a27 += p2 * k7;
                        a30 += p3 * k0;
                        a31 += p3 * k1;
                        a32 += p3 * k2;
                        a33 += p3 * k3;
                        a34 += p3 * k4;
                        a35 += p3 * k5;
                        a36 += p3 * k6;
                        a37 += p3 * k7;
                    }
                }
            }
            ctx.localBarrier();

            int rows = sizes.get(ProblemData.SQ) - i0; // of the block
            int behind = sizes.get(ProblemData.HEADS) * sizes.get(ProblemData.SQ) * D; // where the residual starts in x when o cannot hold it
            float tol = settings.get(ProblemData.TOLERANCE);
            int next = mode;
            if (mode == SOFTMAX) {
                // total weight, kbar, and the right-hand side b = kbar - q, which is the first residual
                wt[(ty + 0 * TY) * TX + tx] = l0;
                wt[(ty + 1 * TY) * TX + tx] = l1;
                wt[(ty + 2 * TY) * TX + tx] = l2;
                wt[(ty + 3 * TY) * TX + tx] = l3;
                ctx.localBarrier();
                for (int i = 0; i < 4; i++) {
                    int row = ty + TY * i;
                    float total = 0f;
                    for (int t = 0; t < TX; t++) {
                        total += wt[row * TX + t];
                    }
                    float inverse = total > 0f ? 1f / total : 0f;
                    float sum = 0f;
                    for (int e = 0; e < 8; e++) {
                        int d = 4 * tx + (e & 3) + (e >> 2) * (dp / 2);
                        int own = row * dp + (((d >> 2) ^ swy) << 2) + (d & 3);
                        float b = 0f;
                        if (row < rows && d < D) {
                            float mean = pick(i, pick8(e, a00, a01, a02, a03, a04, a05, a06, a07),
                                    pick8(e, a10, a11, a12, a13, a14, a15, a16, a17),
                                    pick8(e, a20, a21, a22, a23, a24, a25, a26, a27),
                                    pick8(e, a30, a31, a32, a33, a34, a35, a36, a37)) * inverse;
                            b = total > 0f ? mean + centre.get(kvHead * D + d) - qt[own] : 0f;
                            kbar.set((row0 + row) * D + d, mean);
                            x.set((row0 + row) * D + d, 0f);
                            KeptResiduals.setResidual(o, x, row0 + row, d, D, Dv, behind, b);
                        }
                        yt[own] = b;
                        sum += b * b;
                    }
                    wt[slot + row * TX + tx] = sum;
                    count[i] = total;
                }
                ctx.localBarrier();
                m0 = count[0] > 0f ? m0 + TornadoMath.log(count[0]) : 0f;
                m1 = count[1] > 0f ? m1 + TornadoMath.log(count[1]) : 0f;
                m2 = count[2] > 0f ? m2 + TornadoMath.log(count[2]) : 0f;
                m3 = count[3] > 0f ? m3 + TornadoMath.log(count[3]) : 0f;
                for (int i = 0; i < 4; i++) {
                    int row = ty + TY * i;
                    float sum = 0f;
                    for (int t = 0; t < TX; t++) {
                        sum += wt[slot + row * TX + t];
                    }
                    bb[i] = sum;
                    rho[i] = sum;
                    residual[i] = sum > 0f ? 1f : 0f;
                    count[i] = 0f;
                }
                next = SOLVE;
            }
            if (mode == SOLVE) {
                // Weighted relative products sum to 0 but for kbar's rounding, which l measures: A y = a - l kbar + ridge y
                wt[(ty + 0 * TY) * TX + tx] = l0;
                wt[(ty + 1 * TY) * TX + tx] = l1;
                wt[(ty + 2 * TY) * TX + tx] = l2;
                wt[(ty + 3 * TY) * TX + tx] = l3;
                for (int i = 0; i < 4; i++) {
                    int row = ty + TY * i;
                    float lambda = ridge.get(row0 + Math.min(row, rows - 1));
                    float sum = 0f;
                    for (int e = 0; e < 8; e++) {
                        int d = 4 * tx + (e & 3) + (e >> 2) * (dp / 2);
                        float y = yt[row * dp + (((d >> 2) ^ swy) << 2) + (d & 3)];
                        sum += y * (pick(i, pick8(e, a00, a01, a02, a03, a04, a05, a06, a07),
                                    pick8(e, a10, a11, a12, a13, a14, a15, a16, a17),
                                    pick8(e, a20, a21, a22, a23, a24, a25, a26, a27),
                                    pick8(e, a30, a31, a32, a33, a34, a35, a36, a37)) + lambda * y);
                    }
                    wt[slot + row * TX + tx] = sum;
                }
                ctx.localBarrier();
                // alpha = r.r / y.Ay; a row that is done keeps its x and r
                for (int i = 0; i < 4; i++) {
                    int row = ty + TY * i;
                    float yAy = 0f;
                    float excess = 0f;
                    for (int t = 0; t < TX; t++) {
                        excess += wt[row * TX + t];
                        yAy += wt[slot + row * TX + t];
                    }
                    yAy -= excess * pick(i, yk0, yk1, yk2, yk3);
                    float lambda = ridge.get(row0 + Math.min(row, rows - 1));
                    float alpha = 0f;
                    if (residual[i] > tol && yAy > 0f) {
                        alpha = rho[i] / yAy;
                    }
                    float sum = 0f;
                    for (int e = 0; e < 8; e++) {
                        int d = 4 * tx + (e & 3) + (e >> 2) * (dp / 2);
                        if (row < rows && d < D) {
                            int at = (row0 + row) * D + d;
                            float y = yt[row * dp + (((d >> 2) ^ swy) << 2) + (d & 3)];
                            float ay = pick(i, pick8(e, a00, a01, a02, a03, a04, a05, a06, a07),
                                    pick8(e, a10, a11, a12, a13, a14, a15, a16, a17),
                                    pick8(e, a20, a21, a22, a23, a24, a25, a26, a27),
                                    pick8(e, a30, a31, a32, a33, a34, a35, a36, a37)) + lambda * y - excess * kbar.get(at);
                            float r = KeptResiduals.residual(o, x, row0 + row, d, D, Dv, behind);
                            if (flags >= KeptResiduals.UNIT) { // apart, so that it is not compiled where none is kept
                                if (iteration < sizes.get(ProblemData.KEPT)) {
                                    earlier.set(iteration * behind + at, rho[i] > 0f ? r / TornadoMath.sqrt(rho[i]) : 0f);
                                }
                            }
                            r -= alpha * ay;
                            x.set(at, x.get(at) + alpha * y);
                            KeptResiduals.setResidual(o, x, row0 + row, d, D, Dv, behind, r);
                            sum += r * r;
                        }
                    }
                    wt[2 * slot + row * TX + tx] = sum;
                }
                ctx.localBarrier();
                iteration++;
                if (flags >= KeptResiduals.UNIT) {
                    int n = Math.min(iteration, sizes.get(ProblemData.KEPT));
                    for (int n0 = 0; n0 < n; n0++) {
                        int from = n0 * behind;
                        int place = (n0 & 1) * slot; // the other one may still be read
                        for (int i = 0; i < 4; i++) {
                            int row = ty + TY * i;
                            float sum = 0f;
                            for (int e = 0; e < 8; e++) {
                                int d = 4 * tx + (e & 3) + (e >> 2) * (dp / 2);
                                if (row < rows && d < D) {
                                    sum += earlier.get(from + (row0 + row) * D + d) * KeptResiduals.residual(o, x, row0 + row, d, D, Dv, behind);
                                }
                            }
                            wt[place + row * TX + tx] = sum;
                        }
                        ctx.localBarrier();
                        for (int i = 0; i < 4; i++) {
                            int row = ty + TY * i;
                            float part = 0f;
                            for (int t = 0; t < TX; t++) {
                                part += wt[place + row * TX + t];
                            }
                            float sum = 0f;
                            for (int e = 0; e < 8; e++) {
                                int d = 4 * tx + (e & 3) + (e >> 2) * (dp / 2);
                                if (row < rows && d < D) {
                                    float r = KeptResiduals.residual(o, x, row0 + row, d, D, Dv, behind);
                                    if (residual[i] > tol) {
                                        r -= part * earlier.get(from + (row0 + row) * D + d);
                                        KeptResiduals.setResidual(o, x, row0 + row, d, D, Dv, behind, r);
                                    }
                                    sum += r * r;
                                }
                            }
                            wt[2 * slot + row * TX + tx] = sum;
                        }
                    }
                    ctx.localBarrier();
                }
                for (int i = 0; i < 4; i++) {
                    int row = ty + TY * i;
                    float rr = 0f;
                    for (int t = 0; t < TX; t++) {
                        rr += wt[2 * slot + row * TX + t];
                    }
                    if (residual[i] > tol) {
                        float beta = rr / rho[i];
                        rho[i] = rr;
                        count[i] = iteration;
                        residual[i] = TornadoMath.sqrt(rr / bb[i]);
                        for (int e = 0; e < 8; e++) {
                            int d = 4 * tx + (e & 3) + (e >> 2) * (dp / 2);
                            if (row < rows && d < D) {
                                int own = row * dp + (((d >> 2) ^ swy) << 2) + (d & 3);
                                yt[own] = KeptResiduals.residual(o, x, row0 + row, d, D, Dv, behind) + beta * yt[own];
                            }
                        }
                    }
                }
            }
            if (mode == OUTPUT) {
                for (int i = 0; i < 4; i++) {
                    int row = ty + TY * i;
                    int visible = Masking.visibleOrNone(i0 + row, sizes.get(ProblemData.SQ), sizes.get(ProblemData.SK), flags);
                    if (row < rows) {
                        for (int e = 0; e < 8; e++) {
                            int d = 4 * tx + (e & 3) + (e >> 2) * (dp / 2);
                            if (d < Dv) {
                                o.set((row0 + row) * Dv + d, pick(i, pick8(e, a00, a01, a02, a03, a04, a05, a06, a07),
                                    pick8(e, a10, a11, a12, a13, a14, a15, a16, a17),
                                    pick8(e, a20, a21, a22, a23, a24, a25, a26, a27),
                                    pick8(e, a30, a31, a32, a33, a34, a35, a36, a37)));
                            }
                            if (d < D) {
                                int at = (row0 + row) * D + d;
                                kbar.set(at, kbar.get(at) + (visible > 0 ? centre.get(kvHead * D + d) : 0f));
                            }
                        }
                        if (tx == TX - 1) { // never the only thread of a launch without its grid, which then leaves stats unwritten
                            float shift = 0f;
                            for (int d = 0; d < D; d++) {
                                shift += qt[row * dp + (((d >> 2) ^ swy) << 2) + (d & 3)] * centre.get(kvHead * D + d);
                            }
                            lse.set(row0 + row, visible > 0 ? pick(i, m0, m1, m2, m3) + settings.get(ProblemData.SCALE) * shift : Float.NEGATIVE_INFINITY);
                            stats.set(2 * (row0 + row), count[i]);
                            stats.set(2 * (row0 + row) + 1, residual[i]);
                        }
                    }
                }
                next = DONE;
            }
            if (mode != OUTPUT) {
                // every row done?
                float active = 0f;
                for (int i = 0; i < 4; i++) {
                    active = Math.max(active, residual[i] > tol ? 1f : 0f);
                }
                if (tx == 0) {
                    kt[ty] = active; // no thread reads the key tile until the next sweep loads it
                }
                ctx.localBarrier();
                active = 0f;
                for (int t = 0; t < TY; t++) {
                    active += kt[t];
                }
                if (active == 0f || iteration >= sizes.get(ProblemData.MAX_ITERATIONS)) {
                    next = OUTPUT;
                }
                // what the next sweep multiplies the keys with: y, or x for the output; and its product with kbar
                for (int i = 0; i < 4; i++) {
                    int row = ty + TY * i;
                    float sum = 0f;
                    for (int e = 0; e < 8; e++) {
                        int d = 4 * tx + (e & 3) + (e >> 2) * (dp / 2);
                        if (row < rows && d < D) {
                            int at = (row0 + row) * D + d;
                            int own = row * dp + (((d >> 2) ^ swy) << 2) + (d & 3);
                            if (next == OUTPUT) {
                                yt[own] = x.get(at);
                            }
                            sum += yt[own] * kbar.get(at);
                        }
                    }
                    wt[row * TX + tx] = sum;
                }
                ctx.localBarrier();
                yk0 = 0f;
                yk1 = 0f;
                yk2 = 0f;
                yk3 = 0f;
                for (int t = 0; t < TX; t++) {
                    yk0 += wt[(ty + 0 * TY) * TX + t];
                    yk1 += wt[(ty + 1 * TY) * TX + t];
                    yk2 += wt[(ty + 2 * TY) * TX + t];
                    yk3 += wt[(ty + 3 * TY) * TX + t];
                }
            }
            mode = next;
        }
    }

    private static float pick(int i, float a, float b, float c, float d) {
        float low = i == 0 ? a : b;
        float high = i == 2 ? c : d;
        return i < 2 ? low : high;
    }

    private static float pick8(int i, float a, float b, float c, float d, float e, float f, float g, float h) {
        float low = pick(i, a, b, c, d);
        float high = pick(i - 4, e, f, g, h);
        return i < 4 ? low : high;
    }
}
