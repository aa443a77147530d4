package io.github.flashlla.tornado.kernels.softmax;

import io.github.flashlla.tornado.kernels.tile.Masking;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Softmax attention for GPUs: pass 1 of {@link io.github.flashlla.tornado.kernels.forward.GpuMean} with the mean of the values
 * instead of the keys, in the same register tiles.
 *
 * <p>A work-group of {@value #THREADS} threads takes one block of queries of one head. Threads form a grid of TY rows by TX columns,
 * TX = DP / 8, where DP is the larger of D and Dv rounded up to a power of two from 16 to 256:
 *
 * <pre>
 *   block   BM = 4 TY queries, BN = 4 TX keys a tile       (DP = 64: 64 queries, 32 keys; 128: 32 queries, 64 keys)
 *   scores  thread (ty, tx) holds rows ty + TY i, i &lt; 4, and keys tx + TX j, j &lt; 4
 *   sums    the same rows i, columns tx + TX c, c &lt; 8
 *   local   Q (BM x DP), keys or values 16 KB at a time (BN keys x CW dims, VK keys x DP), W (BM x BN), M (BM x TX)
 * </pre>
 *
 * <p>Local memory gives a float per lane and cycle against four multiply-adds, and compilers do not merge its loads: there are 16
 * multiply-adds for 8 loads in the scores and 32 for 12 in the sums, where LLA's later passes have 32 for 12 in both. Within a row of
 * Q, K and W, groups of four floats are permuted by the low bits of the row, and from the 8th column thread on a group's elements are read in another
 * order: so threads that read one column of different rows hit different banks. Register tiles are scalars, since PTX keeps arrays in memory.
 *
 * <pre>
 *   pass      online softmax, one sweep over the keys
 *   group     128 threads; block 64 queries; tile 32 keys, at DP = 64
 *   registers scalars; 128 at DP = 64, 168 at 128, no spills (nvcc 13, sm_90)
 *   for       float32, D and Dv to 256; 34 KB of local memory at DP = 64, 42 KB above
 *   measured  docs/kernels/softmax.md
 * </pre>
 */
public final class GpuSoftmax {
    public static final int THREADS = 128;
    /** Largest head dim. */
    public static final int MAX_DIM = 256;

    private GpuSoftmax() {}

    /** Head dim rounded up to what the thread grid covers. */
    static int paddedDim(int D, int Dv) {
        return Math.max(16, Integer.highestOneBit(2 * Math.max(D, Dv) - 1));
    }

    /** Queries of one work-group. */
    static int blockRows(int paddedDim) {
        return 4 * THREADS * 8 / paddedDim;
    }

    /** Bytes of local memory. */
    static int localBytes(int paddedDim) {
        int keys = paddedDim / 2;
        int tile = Math.min(4096, keys * paddedDim);
        return (blockRows(paddedDim) * (paddedDim + keys + paddedDim / 8) + tile) * Float.BYTES;
    }

    /**
     * Launched as B H ceil(Sq / BM) groups of {@value #THREADS}.
     *
     * @param q (B,H,Sq,D)
     * @param k (B,Hkv,Sk,D)
     * @param v (B,Hkv,Sk,Dv)
     * @param o out (B,H,Sq,Dv)
     * @param lse out (B,H,Sq)
     * @param sizes see {@link SoftmaxData}
     * @param scale one element
     */
    public static void softmax(KernelContext ctx, FloatArray q, FloatArray k, FloatArray v, FloatArray o, FloatArray lse, IntArray sizes,
            FloatArray scale, int D, int Dv) {
        // these fold to constants: scalars are compiled in
        int widest = Math.max(D, Dv);
        int dp = widest <= 16 ? 16 : widest <= 32 ? 32 : widest <= 64 ? 64 : widest <= 128 ? 128 : 256;
        int TX = dp / 8;
        int TY = THREADS / TX;
        int bm = 4 * TY;
        int bn = 4 * TX;
        int cw = Math.min(dp, 4096 / bn); // dims of a key that are in local memory at a time
        int vk = Math.min(bn, 4096 / dp); // values
        int kMask = Math.min(TX, 8) - 1;
        int qMask = Math.min(dp / 4, 8) - 1;
        float[] qt = ctx.allocateFloatLocalArray(4096);
        float[] kt = ctx.allocateFloatLocalArray(bn * cw);
        float[] wt = ctx.allocateFloatLocalArray(bm * bn);
        float[] mt = ctx.allocateFloatLocalArray(bm * TX);

        int Sq = sizes.get(SoftmaxData.SQ);
        int Sk = sizes.get(SoftmaxData.SK);
        int firstSees = sizes.get(SoftmaxData.FIRST_SEES);
        float factor = scale.get(0);
        int tid = ctx.localIdx;
        int ty = tid / TX;
        int tx = tid % TX;
        int blocks = (Sq + bm - 1) / bm;
        int head = ctx.groupIdx / blocks;
        // the longest causal rows first, so that no group is left with them at the end
        int i0 = (blocks - 1 - ctx.groupIdx % blocks) * bm;
        int row0 = head * Sq + i0;
        int key0 = head / sizes.get(SoftmaxData.GROUP) * Sk;
        int keysEnd = SoftmaxData.sees(Math.min(i0 + bm, Sq) - 1, firstSees, Sk);
        int swq = ty & qMask;
        int swk = tx & kMask;
        int sww = ty & (TX - 1);
        int turn = dp > 64 ? tx >> 3 & 3 : 0;

        for (int n = tid; n < bm * dp; n += THREADS) {
            int i = n / dp;
            int d = n % dp;
            float value = 0f;
            if (i0 + i < Sq && d < D) {
                value = q.get((row0 + i) * D + d);
            }
            qt[i * dp + (((d >> 2) ^ (i % TY & qMask)) << 2) + (d & 3)] = value;
        }

        float a00 = 0f, a01 = 0f, a02 = 0f, a03 = 0f, a04 = 0f, a05 = 0f, a06 = 0f, a07 = 0f;
        float a10 = 0f, a11 = 0f, a12 = 0f, a13 = 0f, a14 = 0f, a15 = 0f, a16 = 0f, a17 = 0f;
        float a20 = 0f, a21 = 0f, a22 = 0f, a23 = 0f, a24 = 0f, a25 = 0f, a26 = 0f, a27 = 0f;
        float a30 = 0f, a31 = 0f, a32 = 0f, a33 = 0f, a34 = 0f, a35 = 0f, a36 = 0f, a37 = 0f;
        // running maximum of each row, and the weight of this thread's keys relative to it
        float m0 = Masking.LOW, m1 = Masking.LOW, m2 = Masking.LOW, m3 = Masking.LOW;
        float l0 = 0f, l1 = 0f, l2 = 0f, l3 = 0f;
        int sees0 = SoftmaxData.sees(i0 + ty + 0 * TY, firstSees, Sk);
        int sees1 = SoftmaxData.sees(i0 + ty + 1 * TY, firstSees, Sk);
        int sees2 = SoftmaxData.sees(i0 + ty + 2 * TY, firstSees, Sk);
        int sees3 = SoftmaxData.sees(i0 + ty + 3 * TY, firstSees, Sk);

        for (int j0 = 0; j0 < keysEnd; j0 += bn) {
            float s00 = 0f, s01 = 0f, s02 = 0f, s03 = 0f;
            float s10 = 0f, s11 = 0f, s12 = 0f, s13 = 0f;
            float s20 = 0f, s21 = 0f, s22 = 0f, s23 = 0f;
            float s30 = 0f, s31 = 0f, s32 = 0f, s33 = 0f;
            for (int d0 = 0; d0 < dp; d0 += cw) {
                ctx.localBarrier();
                for (int n = 0; n < bn * cw; n += 8 * THREADS) {
                    // all in flight together
                    int td = tid % cw;
                    int tj = n / cw + tid / cw;
                    int at = Math.min(d0 + td, D - 1);
                    float t0 = k.get((key0 + Math.min(j0 + tj + 0 * THREADS / cw, Sk - 1)) * D + at);
                    float t1 = k.get((key0 + Math.min(j0 + tj + 1 * THREADS / cw, Sk - 1)) * D + at);
                    float t2 = k.get((key0 + Math.min(j0 + tj + 2 * THREADS / cw, Sk - 1)) * D + at);
                    float t3 = k.get((key0 + Math.min(j0 + tj + 3 * THREADS / cw, Sk - 1)) * D + at);
                    float t4 = k.get((key0 + Math.min(j0 + tj + 4 * THREADS / cw, Sk - 1)) * D + at);
                    float t5 = k.get((key0 + Math.min(j0 + tj + 5 * THREADS / cw, Sk - 1)) * D + at);
                    float t6 = k.get((key0 + Math.min(j0 + tj + 6 * THREADS / cw, Sk - 1)) * D + at);
                    float t7 = k.get((key0 + Math.min(j0 + tj + 7 * THREADS / cw, Sk - 1)) * D + at);
                    kt[(tj + 0 * THREADS / cw) * cw + (((td >> 2) ^ ((tj + 0 * THREADS / cw) & kMask)) << 2) + (td & 3)] = d0 + td < D ? t0 : 0f;
                    kt[(tj + 1 * THREADS / cw) * cw + (((td >> 2) ^ ((tj + 1 * THREADS / cw) & kMask)) << 2) + (td & 3)] = d0 + td < D ? t1 : 0f;
                    if (2 * THREADS < bn * cw) {
                        kt[(tj + 2 * THREADS / cw) * cw + (((td >> 2) ^ ((tj + 2 * THREADS / cw) & kMask)) << 2) + (td & 3)] = d0 + td < D ? t2 : 0f;
                    }
                    if (3 * THREADS < bn * cw) {
                        kt[(tj + 3 * THREADS / cw) * cw + (((td >> 2) ^ ((tj + 3 * THREADS / cw) & kMask)) << 2) + (td & 3)] = d0 + td < D ? t3 : 0f;
                    }
                    if (4 * THREADS < bn * cw) {
                        kt[(tj + 4 * THREADS / cw) * cw + (((td >> 2) ^ ((tj + 4 * THREADS / cw) & kMask)) << 2) + (td & 3)] = d0 + td < D ? t4 : 0f;
                    }
                    if (5 * THREADS < bn * cw) {
                        kt[(tj + 5 * THREADS / cw) * cw + (((td >> 2) ^ ((tj + 5 * THREADS / cw) & kMask)) << 2) + (td & 3)] = d0 + td < D ? t5 : 0f;
                    }
                    if (6 * THREADS < bn * cw) {
                        kt[(tj + 6 * THREADS / cw) * cw + (((td >> 2) ^ ((tj + 6 * THREADS / cw) & kMask)) << 2) + (td & 3)] = d0 + td < D ? t6 : 0f;
                    }
                    if (7 * THREADS < bn * cw) {
                        kt[(tj + 7 * THREADS / cw) * cw + (((td >> 2) ^ ((tj + 7 * THREADS / cw) & kMask)) << 2) + (td & 3)] = d0 + td < D ? t7 : 0f;
                    }
                }
                ctx.localBarrier();
                for (int c = 0; c < cw / 4; c++) {
                    int qa = ty * dp + (((d0 / 4 + c) ^ swq) << 2);
                    int ka = tx * cw + ((c ^ swk) << 2);
                    for (int e = 0; e < 4; e++) {
                        int x = e ^ turn;
                        float k0 = kt[ka + 0 * TX * cw + x];
                        float k1 = kt[ka + 1 * TX * cw + x];
                        float k2 = kt[ka + 2 * TX * cw + x];
                        float k3 = kt[ka + 3 * TX * cw + x];
                        float q0 = qt[qa + 0 * TY * dp + x];
                        float q1 = qt[qa + 1 * TY * dp + x];
                        float q2 = qt[qa + 2 * TY * dp + x];
                        float q3 = qt[qa + 3 * TY * dp + x];
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

            int at0 = j0 + tx + 0 * TX;
            int at1 = j0 + tx + 1 * TX;
            int at2 = j0 + tx + 2 * TX;
            int at3 = j0 + tx + 3 * TX;
            s00 = at0 < sees0 ? factor * s00 : Masking.LOW;
            s01 = at1 < sees0 ? factor * s01 : Masking.LOW;
            s02 = at2 < sees0 ? factor * s02 : Masking.LOW;
            s03 = at3 < sees0 ? factor * s03 : Masking.LOW;
            s10 = at0 < sees1 ? factor * s10 : Masking.LOW;
            s11 = at1 < sees1 ? factor * s11 : Masking.LOW;
            s12 = at2 < sees1 ? factor * s12 : Masking.LOW;
            s13 = at3 < sees1 ? factor * s13 : Masking.LOW;
            s20 = at0 < sees2 ? factor * s20 : Masking.LOW;
            s21 = at1 < sees2 ? factor * s21 : Masking.LOW;
            s22 = at2 < sees2 ? factor * s22 : Masking.LOW;
            s23 = at3 < sees2 ? factor * s23 : Masking.LOW;
            s30 = at0 < sees3 ? factor * s30 : Masking.LOW;
            s31 = at1 < sees3 ? factor * s31 : Masking.LOW;
            s32 = at2 < sees3 ? factor * s32 : Masking.LOW;
            s33 = at3 < sees3 ? factor * s33 : Masking.LOW;
            mt[(ty + 0 * TY) * TX + tx] = Math.max(Math.max(s00, s01), Math.max(s02, s03));
            mt[(ty + 1 * TY) * TX + tx] = Math.max(Math.max(s10, s11), Math.max(s12, s13));
            mt[(ty + 2 * TY) * TX + tx] = Math.max(Math.max(s20, s21), Math.max(s22, s23));
            mt[(ty + 3 * TY) * TX + tx] = Math.max(Math.max(s30, s31), Math.max(s32, s33));
            ctx.localBarrier();
            float top0 = m0;
            float top1 = m1;
            float top2 = m2;
            float top3 = m3;
            for (int t = 0; t < TX; t++) {
                top0 = Math.max(top0, mt[(ty + 0 * TY) * TX + t]);
                top1 = Math.max(top1, mt[(ty + 1 * TY) * TX + t]);
                top2 = Math.max(top2, mt[(ty + 2 * TY) * TX + t]);
                top3 = Math.max(top3, mt[(ty + 3 * TY) * TX + t]);
            }
            float fade0 = TornadoMath.exp(m0 - top0);
            m0 = top0;
            s00 = weight(s00, top0);
            s01 = weight(s01, top0);
            s02 = weight(s02, top0);
            s03 = weight(s03, top0);
            l0 = l0 * fade0 + (s00 + s01) + (s02 + s03);
            a00 *= fade0;
            a01 *= fade0;
            a02 *= fade0;
            a03 *= fade0;
            a04 *= fade0;
            a05 *= fade0;
            a06 *= fade0;
            a07 *= fade0;
            float fade1 = TornadoMath.exp(m1 - top1);
            m1 = top1;
            s10 = weight(s10, top1);
            s11 = weight(s11, top1);
            s12 = weight(s12, top1);
            s13 = weight(s13, top1);
            l1 = l1 * fade1 + (s10 + s11) + (s12 + s13);
            a10 *= fade1;
            a11 *= fade1;
            a12 *= fade1;
            a13 *= fade1;
            a14 *= fade1;
            a15 *= fade1;
            a16 *= fade1;
            a17 *= fade1;
            float fade2 = TornadoMath.exp(m2 - top2);
            m2 = top2;
            s20 = weight(s20, top2);
            s21 = weight(s21, top2);
            s22 = weight(s22, top2);
            s23 = weight(s23, top2);
            l2 = l2 * fade2 + (s20 + s21) + (s22 + s23);
            a20 *= fade2;
            a21 *= fade2;
            a22 *= fade2;
            a23 *= fade2;
            a24 *= fade2;
            a25 *= fade2;
            a26 *= fade2;
            a27 *= fade2;
            float fade3 = TornadoMath.exp(m3 - top3);
            m3 = top3;
            s30 = weight(s30, top3);
            s31 = weight(s31, top3);
            s32 = weight(s32, top3);
            s33 = weight(s33, top3);
            l3 = l3 * fade3 + (s30 + s31) + (s32 + s33);
            a30 *= fade3;
            a31 *= fade3;
            a32 *= fade3;
            a33 *= fade3;
            a34 *= fade3;
            a35 *= fade3;
            a36 *= fade3;
            a37 *= fade3;
            int w0 = ty * bn + ((((tx + 0 * TX) >> 2) ^ sww) << 2) + ((tx + 0 * TX) & 3);
            int w1 = ty * bn + ((((tx + 1 * TX) >> 2) ^ sww) << 2) + ((tx + 1 * TX) & 3);
            int w2 = ty * bn + ((((tx + 2 * TX) >> 2) ^ sww) << 2) + ((tx + 2 * TX) & 3);
            int w3 = ty * bn + ((((tx + 3 * TX) >> 2) ^ sww) << 2) + ((tx + 3 * TX) & 3);
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

            for (int g0 = 0; g0 < bn; g0 += vk) {
                ctx.localBarrier();
                for (int n = 0; n < vk * dp; n += 8 * THREADS) {
                    float t0 = value(v, n + 0 * THREADS + tid, dp, key0, j0 + g0, Sk, Dv);
                    float t1 = value(v, n + 1 * THREADS + tid, dp, key0, j0 + g0, Sk, Dv);
                    float t2 = value(v, n + 2 * THREADS + tid, dp, key0, j0 + g0, Sk, Dv);
                    float t3 = value(v, n + 3 * THREADS + tid, dp, key0, j0 + g0, Sk, Dv);
                    float t4 = value(v, n + 4 * THREADS + tid, dp, key0, j0 + g0, Sk, Dv);
                    float t5 = value(v, n + 5 * THREADS + tid, dp, key0, j0 + g0, Sk, Dv);
                    float t6 = value(v, n + 6 * THREADS + tid, dp, key0, j0 + g0, Sk, Dv);
                    float t7 = value(v, n + 7 * THREADS + tid, dp, key0, j0 + g0, Sk, Dv);
                    kt[n + 0 * THREADS + tid] = t0;
                    kt[n + 1 * THREADS + tid] = t1;
                    if (2 * THREADS < vk * dp) {
                        kt[n + 2 * THREADS + tid] = t2;
                    }
                    if (3 * THREADS < vk * dp) {
                        kt[n + 3 * THREADS + tid] = t3;
                    }
                    if (4 * THREADS < vk * dp) {
                        kt[n + 4 * THREADS + tid] = t4;
                    }
                    if (5 * THREADS < vk * dp) {
                        kt[n + 5 * THREADS + tid] = t5;
                    }
                    if (6 * THREADS < vk * dp) {
                        kt[n + 6 * THREADS + tid] = t6;
                    }
                    if (7 * THREADS < vk * dp) {
                        kt[n + 7 * THREADS + tid] = t7;
                    }
                }
                ctx.localBarrier();
                for (int c = 0; c < vk / 4; c++) {
                    int wa = ty * bn + (((g0 / 4 + c) ^ sww) << 2);
                    for (int e = 0; e < 4; e++) {
                        int va = (4 * c + e) * dp + tx;
                        float p0 = wt[wa + 0 * TY * bn + e];
                        float p1 = wt[wa + 1 * TY * bn + e];
                        float p2 = wt[wa + 2 * TY * bn + e];
                        float p3 = wt[wa + 3 * TY * bn + e];
                        float v0 = kt[va + 0 * TX];
                        float v1 = kt[va + 1 * TX];
                        float v2 = kt[va + 2 * TX];
                        float v3 = kt[va + 3 * TX];
                        float v4 = kt[va + 4 * TX];
                        float v5 = kt[va + 5 * TX];
                        float v6 = kt[va + 6 * TX];
                        float v7 = kt[va + 7 * TX];
                        a00 += p0 * v0;
                        a01 += p0 * v1;
                        a02 += p0 * v2;
                        a03 += p0 * v3;
                        a04 += p0 * v4;
                        a05 += p0 * v5;
                        a06 += p0 * v6;
                        a07 += p0 * v7;
                        a10 += p1 * v0;
                        a11 += p1 * v1;
                        a12 += p1 * v2;
                        a13 += p1 * v3;
                        a14 += p1 * v4;
                        a15 += p1 * v5;
                        a16 += p1 * v6;
                        a17 += p1 * v7;
                        a20 += p2 * v0;
                        a21 += p2 * v1;
                        a22 += p2 * v2;
                        a23 += p2 * v3;
                        a24 += p2 * v4;
                        a25 += p2 * v5;
                        a26 += p2 * v6;
                        a27 += p2 * v7;
                        a30 += p3 * v0;
                        a31 += p3 * v1;
                        a32 += p3 * v2;
                        a33 += p3 * v3;
                        a34 += p3 * v4;
                        a35 += p3 * v5;
                        a36 += p3 * v6;
                        a37 += p3 * v7;
                    }
                }
            }
        }

        ctx.localBarrier();
        mt[(ty + 0 * TY) * TX + tx] = l0;
        mt[(ty + 1 * TY) * TX + tx] = l1;
        mt[(ty + 2 * TY) * TX + tx] = l2;
        mt[(ty + 3 * TY) * TX + tx] = l3;
        ctx.localBarrier();
        float t0 = 0f, t1 = 0f, t2 = 0f, t3 = 0f;
        for (int t = 0; t < TX; t++) {
            t0 += mt[(ty + 0 * TY) * TX + t];
            t1 += mt[(ty + 1 * TY) * TX + t];
            t2 += mt[(ty + 2 * TY) * TX + t];
            t3 += mt[(ty + 3 * TY) * TX + t];
        }
        SoftmaxOutput.store(o, row0 + ty + 0 * TY, i0 + ty + 0 * TY < Sq, tx, TX, Dv, t0 > 0f ? 1f / t0 : 0f, a00, a01, a02, a03, a04, a05, a06, a07);
        SoftmaxOutput.store(o, row0 + ty + 1 * TY, i0 + ty + 1 * TY < Sq, tx, TX, Dv, t1 > 0f ? 1f / t1 : 0f, a10, a11, a12, a13, a14, a15, a16, a17);
        SoftmaxOutput.store(o, row0 + ty + 2 * TY, i0 + ty + 2 * TY < Sq, tx, TX, Dv, t2 > 0f ? 1f / t2 : 0f, a20, a21, a22, a23, a24, a25, a26, a27);
        SoftmaxOutput.store(o, row0 + ty + 3 * TY, i0 + ty + 3 * TY < Sq, tx, TX, Dv, t3 > 0f ? 1f / t3 : 0f, a30, a31, a32, a33, a34, a35, a36, a37);
        if (tx == TX - 1) { // never the only thread of a launch without its grid, which then leaves lse unwritten
            if (i0 + ty + 0 * TY < Sq) {
                lse.set(row0 + ty + 0 * TY, t0 > 0f ? m0 + TornadoMath.log(t0) : Float.NEGATIVE_INFINITY);
            }
            if (i0 + ty + 1 * TY < Sq) {
                lse.set(row0 + ty + 1 * TY, t1 > 0f ? m1 + TornadoMath.log(t1) : Float.NEGATIVE_INFINITY);
            }
            if (i0 + ty + 2 * TY < Sq) {
                lse.set(row0 + ty + 2 * TY, t2 > 0f ? m2 + TornadoMath.log(t2) : Float.NEGATIVE_INFINITY);
            }
            if (i0 + ty + 3 * TY < Sq) {
                lse.set(row0 + ty + 3 * TY, t3 > 0f ? m3 + TornadoMath.log(t3) : Float.NEGATIVE_INFINITY);
            }
        }
    }

    /** What element {@code n} of a tile of values is: 0 beyond Dv, the last value beyond the last key, which weighs nothing. */
    private static float value(FloatArray v, int n, int dp, int key0, int j0, int Sk, int Dv) {
        int d = n % dp;
        float value = v.get((key0 + Math.min(j0 + n / dp, Sk - 1)) * Dv + Math.min(d, Dv - 1));
        return d < Dv ? value : 0f;
    }

    private static float weight(float score, float top) {
        return score > Masking.LOW ? TornadoMath.exp(score - top) : 0f;
    }
}
