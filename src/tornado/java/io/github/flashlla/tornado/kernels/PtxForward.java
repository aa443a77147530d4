package io.github.flashlla.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * The three FlashLLA passes in one kernel, for GPUs and head dims up to 64.
 *
 * <p>A work-group of {@value #THREADS} threads takes one block of queries of one head and keeps it until its output is
 * written; conjugate gradients iterate inside, with no host round trip. Threads form a grid of TY rows by TX columns,
 * TX = DP / 4, where DP is the larger of D and Dv rounded up to 16, 32 or 64:
 *
 * <pre>
 *   block   BM = 4 TY queries, BN = 2 TX keys a tile        (DP = 64: 64 queries, 32 keys)
 *   scores  thread (ty, tx) holds rows ty + TY i, i &lt; 4, and keys tx + TX j, j &lt; 2
 *   sums    the same rows, columns 4 tx + c, c &lt; 4
 *   local   Q and Y (BM x DP), K or V (BN x DP), W (BM x BN): 48 KB for DP = 64
 * </pre>
 *
 * <p>Tiles are row-major; within a row, groups of four floats are permuted by the low bits of the row, so that threads
 * that read one column of different rows hit different banks. The register tiles are scalars, not arrays: PTX keeps
 * arrays in slow local memory (1.7 against 19 TFLOP/s in a matrix product).
 */
public final class PtxForward {
    public static final int THREADS = 256;
    /** Largest padded head dim of this kernel. */
    public static final int MAX_DIM = 64;
    /** Bit of {@code flags}: query i sees keys j &lt;= i + (Sk - Sq) only. */
    public static final int CAUSAL = 1;
    /** Bit of {@code flags}: precondition with the diagonal of A, kept behind x in its buffer. */
    public static final int JACOBI = 2;

    private static final float LOW = -1e30f;

    // what a sweep over the keys is for
    private static final int SOFTMAX = 0;
    private static final int SOLVE = 1;
    private static final int OUTPUT = 2;
    private static final int DONE = 3;

    private PtxForward() {}

    /** Head dim rounded up to what the thread grid covers. */
    public static int paddedDim(int headDim, int valueDim) {
        int dim = Math.max(headDim, valueDim);
        return dim <= 16 ? 16 : dim <= 32 ? 32 : 64;
    }

    /** Queries of one work-group. */
    public static int blockRows(int paddedDim) {
        return 4 * (THREADS / (paddedDim / 4));
    }

    /** Bytes of local memory. */
    public static int localBytes(int paddedDim) {
        int rows = blockRows(paddedDim);
        int keys = paddedDim / 2;
        return (2 * rows * paddedDim + keys * paddedDim + rows * Math.max(keys, paddedDim / 4)) * Float.BYTES;
    }

    /**
     * Launched as B H ceil(Sq / BM) groups of {@value #THREADS}.
     *
     * @param q (B,H,Sq,D)
     * @param k (B,Hkv,Sk,D)
     * @param v (B,Hkv,Sk,Dv)
     * @param ridge (B,H,Sq)
     * @param o out (B,H,Sq,Dv)
     * @param lse out (B,H,Sq)
     * @param kbar out (B,H,Sq,D)
     * @param x out (B,H,Sq,D); behind it as much again for the diagonal with {@link #JACOBI}, and for the residual when
     *     D &gt; Dv; otherwise {@code o}, which is written last, holds the residual
     * @param stats out (B,H,Sq,2): iterations, relative residual
     * @param group query heads per key/value head
     */
    public static void forward(KernelContext ctx, FloatArray q, FloatArray k, FloatArray v, FloatArray ridge, FloatArray o,
            FloatArray lse, FloatArray kbar, FloatArray x, FloatArray stats, int group, int Sq, int Sk,
            int D, int Dv, float scale, int flags, float tol, int maxIterations) {
        // all of these fold to constants: scalars are compiled in
        int dp = Math.max(D, Dv) <= 16 ? 16 : Math.max(D, Dv) <= 32 ? 32 : 64;
        int tx4 = dp / 4; // TX
        int ty4 = THREADS / tx4; // TY
        int bm = 4 * ty4;
        int bn = 2 * tx4;
        int slot = bm * tx4; // one float per row and column thread: room for a row-wise sum; wt holds two of them
        float[] qt = ctx.allocateFloatLocalArray(4096);
        float[] yt = ctx.allocateFloatLocalArray(4096);
        float[] kt = ctx.allocateFloatLocalArray(bn * dp);
        float[] wt = ctx.allocateFloatLocalArray(bm * bn);

        int tid = ctx.localIdx;
        int ty = tid / tx4;
        int tx = tid % tx4;
        int blocks = (Sq + bm - 1) / bm;
        int head = ctx.groupIdx / blocks;
        // the longest causal rows first, so that no group is left with them at the end
        int i0 = (blocks - 1 - ctx.groupIdx % blocks) * bm;
        int row0 = head * Sq + i0;
        int key0 = (head / group) * Sk;
        int last = Math.min(i0 + bm, Sq) - 1;
        int keysEnd = sees(last, Sq, Sk, flags);
        int diagonal = lse.getSize() * D; // where it starts in x
        int behind = (flags & JACOBI) != 0 ? 2 * diagonal : diagonal; // where the residual does when o cannot hold it

        int maskD = Math.min(7, tx4 - 1);
        int maskW = Math.min(7, bn / 4 - 1);
        int swq = ty & maskD;
        int sww = ty & maskW;
        int swk = tx & maskD;
        int col = 4 * tx;
        int own = (tx ^ swq) << 2; // this thread's four columns in its rows of qt and yt

        int sees0 = sees(i0 + ty + 0 * ty4, Sq, Sk, flags);
        float ridge0 = i0 + ty + 0 * ty4 < Sq ? ridge.get(row0 + ty + 0 * ty4) : 1f;
        int sees1 = sees(i0 + ty + 1 * ty4, Sq, Sk, flags);
        float ridge1 = i0 + ty + 1 * ty4 < Sq ? ridge.get(row0 + ty + 1 * ty4) : 1f;
        int sees2 = sees(i0 + ty + 2 * ty4, Sq, Sk, flags);
        float ridge2 = i0 + ty + 2 * ty4 < Sq ? ridge.get(row0 + ty + 2 * ty4) : 1f;
        int sees3 = sees(i0 + ty + 3 * ty4, Sq, Sk, flags);
        float ridge3 = i0 + ty + 3 * ty4 < Sq ? ridge.get(row0 + ty + 3 * ty4) : 1f;

        for (int n = tid; n < bm * dp; n += THREADS) {
            int i = n / dp;
            int d = n % dp;
            float value = 0f;
            if (i0 + i < Sq && d < D) {
                value = q.get((row0 + i) * D + d);
            }
            qt[i * dp + (((d >> 2) ^ (i & maskD)) << 2) + (d & 3)] = value;
        }

        // running maximum and total weight in pass 1, log-sum-exp and y.kbar afterwards
        float m0 = LOW;
        float l0 = 0f;
        float yk0 = 0f;
        float m1 = LOW;
        float l1 = 0f;
        float yk1 = 0f;
        float m2 = LOW;
        float l2 = 0f;
        float yk2 = 0f;
        float m3 = LOW;
        float l3 = 0f;
        float yk3 = 0f;
        float[] bb = new float[4];
        float[] rho = new float[4]; // r.r, or r.z when preconditioned
        float[] residual = new float[4];
        int[] iterations = new int[4];
        int iteration = 0;
        int mode = SOFTMAX;

        while (mode != DONE) {
            float a00 = 0f;
            float a01 = 0f;
            float a02 = 0f;
            float a03 = 0f;
            float a10 = 0f;
            float a11 = 0f;
            float a12 = 0f;
            float a13 = 0f;
            float a20 = 0f;
            float a21 = 0f;
            float a22 = 0f;
            float a23 = 0f;
            float a30 = 0f;
            float a31 = 0f;
            float a32 = 0f;
            float a33 = 0f;
            for (int j0 = 0; j0 < keysEnd; j0 += bn) {
                ctx.localBarrier();
                for (int n = tid; n < bn * dp; n += THREADS) {
                    int j = n / dp;
                    int d = n % dp;
                    float value = 0f;
                    if (j0 + j < Sk && d < D) {
                        value = k.get((key0 + j0 + j) * D + d);
                    }
                    kt[j * dp + (((d >> 2) ^ (j & maskD)) << 2) + (d & 3)] = value;
                }
                ctx.localBarrier();

                float s00 = 0f;
                float s01 = 0f;
                float u00 = 0f;
                float u01 = 0f;
                float s10 = 0f;
                float s11 = 0f;
                float u10 = 0f;
                float u11 = 0f;
                float s20 = 0f;
                float s21 = 0f;
                float u20 = 0f;
                float u21 = 0f;
                float s30 = 0f;
                float s31 = 0f;
                float u30 = 0f;
                float u31 = 0f;
                if (mode == SOFTMAX) {
                    for (int c = 0; c < tx4; c++) {
                        int qa = ty * dp + ((c ^ swq) << 2);
                        int ka = tx * dp + ((c ^ swk) << 2);
                        for (int e = 0; e < 4; e++) {
                            float k0 = kt[ka + e];
                            float k1 = kt[ka + tx4 * dp + e];
                            float q0 = qt[qa + 0 * ty4 * dp + e];
                            float q1 = qt[qa + 1 * ty4 * dp + e];
                            float q2 = qt[qa + 2 * ty4 * dp + e];
                            float q3 = qt[qa + 3 * ty4 * dp + e];
                            s00 += q0 * k0;
                            s01 += q0 * k1;
                            s10 += q1 * k0;
                            s11 += q1 * k1;
                            s20 += q2 * k0;
                            s21 += q2 * k1;
                            s30 += q3 * k0;
                            s31 += q3 * k1;
                        }
                    }
                }
                if (mode != SOFTMAX) {
                    for (int c = 0; c < tx4; c++) {
                        int qa = ty * dp + ((c ^ swq) << 2);
                        int ka = tx * dp + ((c ^ swk) << 2);
                        for (int e = 0; e < 4; e++) {
                            float k0 = kt[ka + e];
                            float k1 = kt[ka + tx4 * dp + e];
                            float q0 = qt[qa + 0 * ty4 * dp + e];
                            float q1 = qt[qa + 1 * ty4 * dp + e];
                            float q2 = qt[qa + 2 * ty4 * dp + e];
                            float q3 = qt[qa + 3 * ty4 * dp + e];
                            float y0 = yt[qa + 0 * ty4 * dp + e];
                            float y1 = yt[qa + 1 * ty4 * dp + e];
                            float y2 = yt[qa + 2 * ty4 * dp + e];
                            float y3 = yt[qa + 3 * ty4 * dp + e];
                            s00 += q0 * k0;
                            s01 += q0 * k1;
                            s10 += q1 * k0;
                            s11 += q1 * k1;
                            s20 += q2 * k0;
                            s21 += q2 * k1;
                            s30 += q3 * k0;
                            s31 += q3 * k1;
                            u00 += y0 * k0;
                            u01 += y0 * k1;
                            u10 += y1 * k0;
                            u11 += y1 * k1;
                            u20 += y2 * k0;
                            u21 += y2 * k1;
                            u30 += y3 * k0;
                            u31 += y3 * k1;
                        }
                    }
                }

                int ja = j0 + tx;
                int jb = ja + tx4;
                if (mode == SOFTMAX) {
                    s00 = ja < sees0 ? scale * s00 : LOW;
                    s01 = jb < sees0 ? scale * s01 : LOW;
                    wt[(ty + 0 * ty4) * tx4 + tx] = Math.max(s00, s01);
                    s10 = ja < sees1 ? scale * s10 : LOW;
                    s11 = jb < sees1 ? scale * s11 : LOW;
                    wt[(ty + 1 * ty4) * tx4 + tx] = Math.max(s10, s11);
                    s20 = ja < sees2 ? scale * s20 : LOW;
                    s21 = jb < sees2 ? scale * s21 : LOW;
                    wt[(ty + 2 * ty4) * tx4 + tx] = Math.max(s20, s21);
                    s30 = ja < sees3 ? scale * s30 : LOW;
                    s31 = jb < sees3 ? scale * s31 : LOW;
                    wt[(ty + 3 * ty4) * tx4 + tx] = Math.max(s30, s31);
                    ctx.localBarrier();
                    float n0 = m0;
                    float n1 = m1;
                    float n2 = m2;
                    float n3 = m3;
                    for (int t = 0; t < tx4; t++) {
                        n0 = Math.max(n0, wt[(ty + 0 * ty4) * tx4 + t]);
                        n1 = Math.max(n1, wt[(ty + 1 * ty4) * tx4 + t]);
                        n2 = Math.max(n2, wt[(ty + 2 * ty4) * tx4 + t]);
                        n3 = Math.max(n3, wt[(ty + 3 * ty4) * tx4 + t]);
                    }
                    ctx.localBarrier();
                    float fade0 = TornadoMath.exp(m0 - n0);
                    s00 = ja < sees0 ? TornadoMath.exp(s00 - n0) : 0f;
                    s01 = jb < sees0 ? TornadoMath.exp(s01 - n0) : 0f;
                    l0 = l0 * fade0 + s00 + s01;
                    m0 = n0;
                    a00 *= fade0;
                    a01 *= fade0;
                    a02 *= fade0;
                    a03 *= fade0;
                    float fade1 = TornadoMath.exp(m1 - n1);
                    s10 = ja < sees1 ? TornadoMath.exp(s10 - n1) : 0f;
                    s11 = jb < sees1 ? TornadoMath.exp(s11 - n1) : 0f;
                    l1 = l1 * fade1 + s10 + s11;
                    m1 = n1;
                    a10 *= fade1;
                    a11 *= fade1;
                    a12 *= fade1;
                    a13 *= fade1;
                    float fade2 = TornadoMath.exp(m2 - n2);
                    s20 = ja < sees2 ? TornadoMath.exp(s20 - n2) : 0f;
                    s21 = jb < sees2 ? TornadoMath.exp(s21 - n2) : 0f;
                    l2 = l2 * fade2 + s20 + s21;
                    m2 = n2;
                    a20 *= fade2;
                    a21 *= fade2;
                    a22 *= fade2;
                    a23 *= fade2;
                    float fade3 = TornadoMath.exp(m3 - n3);
                    s30 = ja < sees3 ? TornadoMath.exp(s30 - n3) : 0f;
                    s31 = jb < sees3 ? TornadoMath.exp(s31 - n3) : 0f;
                    l3 = l3 * fade3 + s30 + s31;
                    m3 = n3;
                    a30 *= fade3;
                    a31 *= fade3;
                    a32 *= fade3;
                    a33 *= fade3;
                }
                if (mode != SOFTMAX) {
                    s00 = ja < sees0 ? TornadoMath.exp(scale * s00 - m0) : 0f;
                    s01 = jb < sees0 ? TornadoMath.exp(scale * s01 - m0) : 0f;
                    s10 = ja < sees1 ? TornadoMath.exp(scale * s10 - m1) : 0f;
                    s11 = jb < sees1 ? TornadoMath.exp(scale * s11 - m1) : 0f;
                    s20 = ja < sees2 ? TornadoMath.exp(scale * s20 - m2) : 0f;
                    s21 = jb < sees2 ? TornadoMath.exp(scale * s21 - m2) : 0f;
                    s30 = ja < sees3 ? TornadoMath.exp(scale * s30 - m3) : 0f;
                    s31 = jb < sees3 ? TornadoMath.exp(scale * s31 - m3) : 0f;
                    if (mode == SOLVE) {
                        s00 *= u00 - yk0;
                        s01 *= u01 - yk0;
                        s10 *= u10 - yk1;
                        s11 *= u11 - yk1;
                        s20 *= u20 - yk2;
                        s21 *= u21 - yk2;
                        s30 *= u30 - yk3;
                        s31 *= u31 - yk3;
                    }
                    if (mode == OUTPUT) {
                        s00 *= 1f - (u00 - yk0);
                        s01 *= 1f - (u01 - yk0);
                        s10 *= 1f - (u10 - yk1);
                        s11 *= 1f - (u11 - yk1);
                        s20 *= 1f - (u20 - yk2);
                        s21 *= 1f - (u21 - yk2);
                        s30 *= 1f - (u30 - yk3);
                        s31 *= 1f - (u31 - yk3);
                    }
                }
                int wa = ty * bn + (((tx >> 2) ^ sww) << 2) + (tx & 3);
                int wb = ty * bn + ((((tx + tx4) >> 2) ^ sww) << 2) + (tx & 3);
                wt[wa + 0 * ty4 * bn] = s00;
                wt[wb + 0 * ty4 * bn] = s01;
                wt[wa + 1 * ty4 * bn] = s10;
                wt[wb + 1 * ty4 * bn] = s11;
                wt[wa + 2 * ty4 * bn] = s20;
                wt[wb + 2 * ty4 * bn] = s21;
                wt[wa + 3 * ty4 * bn] = s30;
                wt[wb + 3 * ty4 * bn] = s31;
                if (mode == OUTPUT) {
                    ctx.localBarrier();
                    for (int n = tid; n < bn * dp; n += THREADS) {
                        int j = n / dp;
                        int d = n % dp;
                        float value = 0f;
                        if (j0 + j < Sk && d < Dv) {
                            value = v.get((key0 + j0 + j) * Dv + d);
                        }
                        kt[j * dp + (((d >> 2) ^ (j & maskD)) << 2) + (d & 3)] = value;
                    }
                }
                ctx.localBarrier();

                for (int c = 0; c < bn / 4; c++) {
                    int wi = ty * bn + ((c ^ sww) << 2);
                    for (int e = 0; e < 4; e++) {
                        int j = 4 * c + e;
                        int ka = j * dp + ((tx ^ (j & maskD)) << 2);
                        float k0 = kt[ka];
                        float k1 = kt[ka + 1];
                        float k2 = kt[ka + 2];
                        float k3 = kt[ka + 3];
                        float w0 = wt[wi + 0 * ty4 * bn + e];
                        float w1 = wt[wi + 1 * ty4 * bn + e];
                        float w2 = wt[wi + 2 * ty4 * bn + e];
                        float w3 = wt[wi + 3 * ty4 * bn + e];
                        a00 += w0 * k0;
                        a01 += w0 * k1;
                        a02 += w0 * k2;
                        a03 += w0 * k3;
                        a10 += w1 * k0;
                        a11 += w1 * k1;
                        a12 += w1 * k2;
                        a13 += w1 * k3;
                        a20 += w2 * k0;
                        a21 += w2 * k1;
                        a22 += w2 * k2;
                        a23 += w2 * k3;
                        a30 += w3 * k0;
                        a31 += w3 * k1;
                        a32 += w3 * k2;
                        a33 += w3 * k3;
                    }
                }
            }
            ctx.localBarrier();

            int next = mode;
            if (mode == SOFTMAX) {
                // total weight, kbar, and the right-hand side b = kbar - q, which is the first residual
                wt[(ty + 0 * ty4) * tx4 + tx] = l0;
                wt[(ty + 1 * ty4) * tx4 + tx] = l1;
                wt[(ty + 2 * ty4) * tx4 + tx] = l2;
                wt[(ty + 3 * ty4) * tx4 + tx] = l3;
                ctx.localBarrier();
                for (int i = 0; i < 4; i++) {
                    int row = ty + ty4 * i;
                    float total = 0f;
                    for (int t = 0; t < tx4; t++) {
                        total += wt[row * tx4 + t];
                    }
                    float inverse = total > 0f ? 1f / total : 0f;
                    float bSum = 0f;
                    float ykSum = 0f;
                    for (int c = 0; c < 4; c++) {
                        float mean = pick(i, pick(c, a00, a01, a02, a03), pick(c, a10, a11, a12, a13),
                                pick(c, a20, a21, a22, a23), pick(c, a30, a31, a32, a33)) * inverse;
                        float b = total > 0f ? mean - qt[row * dp + own + c] : 0f;
                        yt[row * dp + own + c] = b;
                        bSum += b * b;
                        ykSum += b * mean;
                        if (i0 + row < Sq && col + c < D) {
                            kbar.set((row0 + row) * D + col + c, mean);
                            x.set((row0 + row) * D + col + c, 0f);
                            setResidual(o, x, row0 + row, col + c, D, Dv, behind, b);
                        }
                    }
                    wt[slot + row * tx4 + tx] = bSum;
                    bb[i] = ykSum;
                    residual[i] = total;
                }
                ctx.localBarrier();
                for (int i = 0; i < 4; i++) {
                    int row = ty + ty4 * i;
                    float sum = 0f;
                    for (int t = 0; t < tx4; t++) {
                        sum += wt[slot + row * tx4 + t];
                    }
                    wt[row * tx4 + tx] = bb[i];
                    bb[i] = sum;
                    rho[i] = sum;
                    iterations[i] = 0;
                }
                m0 = residual[0] > 0f ? m0 + TornadoMath.log(residual[0]) : 0f;
                m1 = residual[1] > 0f ? m1 + TornadoMath.log(residual[1]) : 0f;
                m2 = residual[2] > 0f ? m2 + TornadoMath.log(residual[2]) : 0f;
                m3 = residual[3] > 0f ? m3 + TornadoMath.log(residual[3]) : 0f;
                for (int i = 0; i < 4; i++) {
                    residual[i] = bb[i] > 0f ? 1f : 0f;
                }
                next = SOLVE;
            }
            if (mode == SOLVE) {
                // alpha = r.z / y.Ay; a row that is done keeps its x and r
                for (int i = 0; i < 4; i++) {
                    int row = ty + ty4 * i;
                    float sum = 0f;
                    for (int c = 0; c < 4; c++) {
                        float y = yt[row * dp + own + c];
                        sum += y * (pick(i, pick(c, a00, a01, a02, a03), pick(c, a10, a11, a12, a13),
                                pick(c, a20, a21, a22, a23), pick(c, a30, a31, a32, a33)) + pick(i, ridge0, ridge1, ridge2, ridge3) * y);
                    }
                    wt[row * tx4 + tx] = sum;
                }
                ctx.localBarrier();
                for (int i = 0; i < 4; i++) {
                    int row = ty + ty4 * i;
                    float yAy = 0f;
                    for (int t = 0; t < tx4; t++) {
                        yAy += wt[row * tx4 + t];
                    }
                    float alpha = 0f;
                    if (residual[i] > tol && yAy > 0f) {
                        alpha = rho[i] / yAy;
                    }
                    float sum = 0f;
                    for (int c = 0; c < 4; c++) {
                        if (i0 + row < Sq && col + c < D) {
                            float y = yt[row * dp + own + c];
                            int at = (row0 + row) * D + col + c;
                            float ay = pick(i, pick(c, a00, a01, a02, a03), pick(c, a10, a11, a12, a13),
                                pick(c, a20, a21, a22, a23), pick(c, a30, a31, a32, a33)) + pick(i, ridge0, ridge1, ridge2, ridge3) * y;
                            float left = residual(o, x, row0 + row, col + c, D, Dv, behind) - alpha * ay;
                            x.set(at, x.get(at) + alpha * y);
                            setResidual(o, x, row0 + row, col + c, D, Dv, behind, left);
                            sum += left * left;
                        }
                    }
                    wt[slot + row * tx4 + tx] = sum;
                }
                ctx.localBarrier();
                iteration++;
                for (int i = 0; i < 4; i++) {
                    int row = ty + ty4 * i;
                    float rr = 0f;
                    for (int t = 0; t < tx4; t++) {
                        rr += wt[slot + row * tx4 + t];
                    }
                    float beta = 0f;
                    if (residual[i] > tol) {
                        beta = rr / rho[i];
                        iterations[i] = iteration;
                        residual[i] = TornadoMath.sqrt(rr / bb[i]);
                        rho[i] = rr;
                    }
                    float sum = 0f;
                    for (int c = 0; c < 4; c++) {
                        if (i0 + row < Sq && col + c < D) {
                            float y = residual(o, x, row0 + row, col + c, D, Dv, behind) + beta * yt[row * dp + own + c];
                            yt[row * dp + own + c] = y;
                            sum += y * kbar.get((row0 + row) * D + col + c);
                        }
                    }
                    wt[row * tx4 + tx] = sum;
                }
            }
            if (mode == OUTPUT) {
                for (int i = 0; i < 4; i++) {
                    int row = ty + ty4 * i;
                    if (i0 + row < Sq) {
                        for (int c = 0; c < 4; c++) {
                            if (col + c < Dv) {
                                o.set((row0 + row) * Dv + col + c, pick(i, pick(c, a00, a01, a02, a03), pick(c, a10, a11, a12, a13),
                                pick(c, a20, a21, a22, a23), pick(c, a30, a31, a32, a33)));
                            }
                        }
                        if (tx == 0) {
                            lse.set(row0 + row, sees(i0 + row, Sq, Sk, flags) > 0 ? pick(i, m0, m1, m2, m3) : Float.NEGATIVE_INFINITY);
                            stats.set(2 * (row0 + row), iterations[i]);
                            stats.set(2 * (row0 + row) + 1, residual[i]);
                        }
                    }
                }
                next = DONE;
            }
            if (mode != OUTPUT) {
                // every row done? and y.kbar of the next product, or x.kbar when that is the output's
                float active = 0f;
                for (int i = 0; i < 4; i++) {
                    active = residual[i] > tol ? 1f : active;
                }
                if (tx == 0) {
                    kt[ty] = active; // no thread reads the key tile until the next sweep loads it
                }
                ctx.localBarrier();
                active = 0f;
                for (int t = 0; t < ty4; t++) {
                    active += kt[t];
                }
                if (active == 0f || iteration >= maxIterations) {
                    next = OUTPUT;
                }
                if (next == OUTPUT) {
                    ctx.localBarrier();
                    for (int i = 0; i < 4; i++) {
                        int row = ty + ty4 * i;
                        float sum = 0f;
                        for (int c = 0; c < 4; c++) {
                            if (i0 + row < Sq && col + c < D) {
                                float solved = x.get((row0 + row) * D + col + c);
                                yt[row * dp + own + c] = solved;
                                sum += solved * kbar.get((row0 + row) * D + col + c);
                            }
                        }
                        wt[row * tx4 + tx] = sum;
                    }
                    ctx.localBarrier();
                }
                yk0 = 0f;
                yk1 = 0f;
                yk2 = 0f;
                yk3 = 0f;
                for (int t = 0; t < tx4; t++) {
                    yk0 += wt[(ty + 0 * ty4) * tx4 + t];
                    yk1 += wt[(ty + 1 * ty4) * tx4 + t];
                    yk2 += wt[(ty + 2 * ty4) * tx4 + t];
                    yk3 += wt[(ty + 3 * ty4) * tx4 + t];
                }
            }
            mode = next;
        }
    }

    private static float residual(FloatArray o, FloatArray x, int row, int column, int D, int Dv, int behind) {
        float value;
        if (Dv >= D) {
            value = o.get(row * Dv + column);
        } else {
            value = x.get(behind + row * D + column);
        }
        return value;
    }

    private static void setResidual(FloatArray o, FloatArray x, int row, int column, int D, int Dv, int behind, float value) {
        if (Dv >= D) {
            o.set(row * Dv + column, value);
        } else {
            x.set(behind + row * D + column, value);
        }
    }

    private static float pick(int i, float a, float b, float c, float d) {
        float low = i == 0 ? a : b;
        float high = i == 2 ? c : d;
        return i < 2 ? low : high;
    }

    private static int sees(int i, int Sq, int Sk, int flags) {
        int all = (flags & CAUSAL) != 0 ? Math.max(0, Math.min(Sk, i + 1 + Sk - Sq)) : Sk;
        return i < Sq ? all : 0;
    }
}
