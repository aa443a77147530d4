package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.tornado.kernels.tile.KeptResiduals;
import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * The three FlashLLA passes in one kernel as in {@link GpuForward}, for head dims up to 256 and with preconditioning.
 *
 * <p>Register tiles are arrays here, so that one source serves every tile shape; DP is the larger of D and Dv rounded up to a
 * power of two:
 *
 * <pre>
 *   block   BM = 8 R queries, BN = 8 C keys a tile         (DP = 64: 64 queries, 32 keys)
 *   scores  thread (ty, tx) holds rows ty + 8 i, i &lt; R, and keys tx + 8 j, j &lt; C
 *   sums    the same rows, columns tx + 8 c, c &lt; CW = DP / 8
 *   local   Q and Y (BM x DP), K or V (BN x DP), W (BM x BN): 48 KB for DP = 64
 * </pre>
 *
 * <p>Within a row of a tile, columns are permuted by the low three bits of the row, so that threads that read one column
 * of different rows hit different banks.
 *
 * <pre>
 *   pass      1 softmax   2 solve, Jacobi or plain   3 output; one loop over sweeps, in which each is a mode
 *   group     64 threads; block 64 queries; tile 32 keys, at DP = 64; fewer at larger DP
 *   registers arrays; 255 at DP = 128, 24 bytes spilled; 255 at 256, 1840 bytes (nvcc 13, sm_90)
 *   for       float32, every D and Dv to 256
 *   measured  docs/kernels/gpu.md, bench/results/h200/forward.json
 * </pre>
 */
public final class GpuWideForward {
    public static final int THREADS = 64;

    /** Loads in flight per thread while a tile is copied to local memory. */
    private static final int STAGE = 16;

    // what a sweep over the keys is for
    private static final int SOFTMAX = 0;
    private static final int SOLVE = 1;
    private static final int OUTPUT = 2;
    private static final int DONE = 3;

    private GpuWideForward() {}

    /** Head dim rounded up to what the thread grid covers. */
    public static int paddedDim(int headDim, int valueDim) {
        int dim = Math.max(headDim, valueDim);
        return dim <= 16 ? 16 : dim <= 32 ? 32 : dim <= 64 ? 64 : dim <= 128 ? 128 : 256;
    }

    /** Queries of one work-group. */
    public static int blockRows(int paddedDim) {
        return paddedDim <= 64 ? 64 : 4096 / paddedDim;
    }

    /** Bytes of local memory. */
    public static int localBytes(int paddedDim) {
        int rows = blockRows(paddedDim);
        int keys = rows / 2;
        return (2 * rows * paddedDim + keys * paddedDim + Math.max(rows * keys, 4 * 8 * rows)) * Float.BYTES;
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
     * @param x out (B,H,Sq,D); behind it as much again for the diagonal with {@link Masking#JACOBI}, and for the residual when
     *     D &gt; Dv; otherwise {@code o}, which is written last, holds the residual
     * @param stats out (B,H,Sq,2): iterations, relative residual
     * @param earlier (n,B,H,Sq,D): the first n residuals, each divided by the root of r.z; n is the sizes' {@link ProblemData#KEPT}
     * @param sizes see {@link ProblemData}
     * @param settings see {@link ProblemData}
     * @param flags see {@link Masking}, with {@link KeptResiduals#UNIT} where n is not 0
     */
    public static void forward(KernelContext ctx, FloatArray q, FloatArray k, FloatArray v, FloatArray ridge,
            FloatArray centre, FloatArray o, FloatArray lse, FloatArray kbar, FloatArray x, FloatArray stats, FloatArray earlier,
            IntArray sizes, FloatArray settings, int D, int Dv, int flags) {
        int Sq = sizes.get(ProblemData.SQ);
        int Sk = sizes.get(ProblemData.SK);
        // these fold to constants: scalars are compiled in
        boolean keeps = flags / KeptResiduals.UNIT > 0;
        int widest = Math.max(D, Dv);
        int dp = widest <= 16 ? 16 : widest <= 32 ? 32 : widest <= 64 ? 64 : widest <= 128 ? 128 : 256;
        int R = dp <= 64 ? 8 : 512 / dp;
        int C = R / 2;
        int CW = dp / 8;
        int bm = 8 * R;
        int bn = 8 * C;
        int slot = 8 * bm; // one float per row and column thread: room for a row-wise sum, four of them in wt

        float[] qt = ctx.allocateFloatLocalArray(bm * dp);
        float[] yt = ctx.allocateFloatLocalArray(bm * dp);
        float[] kt = ctx.allocateFloatLocalArray(bn * dp);
        float[] wt = ctx.allocateFloatLocalArray(Math.max(bm * bn, 4 * slot));
        float[] acc = new float[64];
        float[] square = new float[64];
        float[] s = new float[32];
        float[] u = new float[32];
        float[] stage = new float[STAGE];
        float[] qf = new float[8];
        float[] yf = new float[8];
        float[] m = new float[8]; // running maximum in pass 1, log-sum-exp afterwards
        float[] l = new float[8]; // total weight of this thread's keys
        float[] excess = new float[8]; // sum of weighted relative products: 0 but for kbar's rounding
        float[] yk = new float[8]; // y.kbar
        float[] bb = new float[8];
        float[] rho = new float[8]; // r.z
        float[] residual = new float[8];
        float[] count = new float[8];

        int tid = ctx.localIdx;
        int ty = tid / 8;
        int tx = tid % 8;
        int blocks = (Sq + bm - 1) / bm;
        int head = ctx.groupIdx / blocks;
        // the longest causal rows first, so that no group is left with them at the end
        int i0 = (blocks - 1 - ctx.groupIdx % blocks) * bm;
        int row0 = head * Sq + i0;
        int kvHead = head / sizes.get(ProblemData.GROUP);
        int key0 = kvHead * Sk;
        int keysEnd = Masking.visibleOrNone(Math.min(i0 + bm, Sq) - 1, Sq, Sk, flags);

        for (int n = tid; n < bm * dp; n += THREADS) {
            int i = n / dp;
            int d = n % dp;
            float value = 0f;
            if (i0 + i < Sq && d < D) {
                value = q.get((row0 + i) * D + d);
            }
            qt[i * dp + (d ^ (i & 7))] = value;
        }
        for (int i = 0; i < R; i++) {
            m[i] = Masking.LOW;
            l[i] = 0f;
            yk[i] = 0f;
            count[i] = 0f;
        }
        int iteration = 0;
        int mode = SOFTMAX;

        while (mode != DONE) {
            for (int e = 0; e < 64; e++) {
                acc[e] = 0f;
                square[e] = 0f;
            }
            for (int i = 0; i < R; i++) {
                excess[i] = 0f;
            }
            for (int j0 = 0; j0 < keysEnd; j0 += bn) {
                int lastKey = sizes.get(ProblemData.SK) - 1; // read anew where it is used: it needs no register in between
                ctx.localBarrier();
                for (int n0 = 0; n0 < bn * dp; n0 += THREADS * STAGE) {
                    for (int e = 0; e < STAGE; e++) {
                        int n = n0 + e * THREADS + tid;
                        int d = n % dp;
                        int key = Math.min(j0 + n / dp, lastKey); // keys past the end weigh nothing
                        stage[e] = k.get((key0 + key) * D + Math.min(d, D - 1));
                    }
                    for (int e = 0; e < STAGE; e++) {
                        int n = n0 + e * THREADS + tid;
                        int d = n % dp;
                        int j = n / dp;
                        if (n < bn * dp) {
                            kt[j * dp + (d ^ (j & 7))] = d < D ? stage[e] - centre.get(kvHead * D + d) : 0f;
                        }
                    }
                }
                ctx.localBarrier();

                for (int e = 0; e < 32; e++) {
                    s[e] = 0f;
                    u[e] = 0f;
                }
                if (mode == SOFTMAX) {
                    for (int d = 0; d < dp; d++) {
                        int qa = ty * dp + (d ^ ty);
                        int ka = tx * dp + (d ^ tx);
                        for (int i = 0; i < R; i++) {
                            qf[i] = qt[qa + 8 * i * dp];
                        }
                        for (int j = 0; j < C; j++) {
                            float key = kt[ka + 8 * j * dp];
                            for (int i = 0; i < R; i++) {
                                s[i * C + j] += qf[i] * key;
                            }
                        }
                    }
                }
                if (mode != SOFTMAX) {
                    for (int d = 0; d < dp; d++) {
                        int qa = ty * dp + (d ^ ty);
                        int ka = tx * dp + (d ^ tx);
                        for (int i = 0; i < R; i++) {
                            qf[i] = qt[qa + 8 * i * dp];
                            yf[i] = yt[qa + 8 * i * dp];
                        }
                        for (int j = 0; j < C; j++) {
                            float key = kt[ka + 8 * j * dp];
                            for (int i = 0; i < R; i++) {
                                s[i * C + j] += qf[i] * key;
                                u[i * C + j] += yf[i] * key;
                            }
                        }
                    }
                }

                float scale = settings.get(ProblemData.SCALE);
                int queries = sizes.get(ProblemData.SQ);
                int keys = sizes.get(ProblemData.SK);
                if (mode == SOFTMAX) {
                    // the block's running maximum, then weights relative to it
                    for (int i = 0; i < R; i++) {
                        int visible = Masking.visibleOrNone(i0 + ty + 8 * i, queries, keys, flags);
                        float largest = Masking.LOW;
                        for (int j = 0; j < C; j++) {
                            float score = j0 + tx + 8 * j < visible ? scale * s[i * C + j] : Masking.LOW;
                            s[i * C + j] = score;
                            largest = Math.max(largest, score);
                        }
                        wt[(ty + 8 * i) * 8 + tx] = largest;
                    }
                    ctx.localBarrier();
                    for (int i = 0; i < R; i++) {
                        float largest = m[i];
                        for (int t = 0; t < 8; t++) {
                            largest = Math.max(largest, wt[(ty + 8 * i) * 8 + t]);
                        }
                        float fade = TornadoMath.exp(m[i] - largest);
                        m[i] = largest;
                        float sum = 0f;
                        for (int j = 0; j < C; j++) {
                            float score = s[i * C + j];
                            float weight = score > Masking.LOW ? TornadoMath.exp(score - largest) : 0f;
                            s[i * C + j] = weight;
                            sum += weight;
                        }
                        l[i] = l[i] * fade + sum;
                        for (int c = 0; c < CW; c++) {
                            acc[i * CW + c] *= fade;
                            square[i * CW + c] *= fade;
                        }
                    }
                    ctx.localBarrier();
                }
                if (mode != SOFTMAX) {
                    for (int i = 0; i < R; i++) {
                        int visible = Masking.visibleOrNone(i0 + ty + 8 * i, queries, keys, flags);
                        for (int j = 0; j < C; j++) {
                            float p = j0 + tx + 8 * j < visible ? TornadoMath.exp(scale * s[i * C + j] - m[i]) : 0f;
                            float relative = u[i * C + j] - yk[i];
                            s[i * C + j] = p * (mode == SOLVE ? relative : 1f - relative);
                            excess[i] += s[i * C + j];
                        }
                    }
                }
                for (int i = 0; i < R; i++) {
                    for (int j = 0; j < C; j++) {
                        wt[(ty + 8 * i) * bn + ((tx + 8 * j) ^ ty)] = s[i * C + j];
                    }
                }
                if (mode == OUTPUT) {
                    int lastValue = sizes.get(ProblemData.SK) - 1;
                    ctx.localBarrier();
                    for (int n0 = 0; n0 < bn * dp; n0 += THREADS * STAGE) {
                        for (int e = 0; e < STAGE; e++) {
                            int n = n0 + e * THREADS + tid;
                            int d = n % dp;
                            int key = Math.min(j0 + n / dp, lastValue);
                            stage[e] = v.get((key0 + key) * Dv + Math.min(d, Dv - 1));
                        }
                        for (int e = 0; e < STAGE; e++) {
                            int n = n0 + e * THREADS + tid;
                            int d = n % dp;
                            int j = n / dp;
                            if (n < bn * dp) {
                                kt[j * dp + (d ^ (j & 7))] = d < Dv ? stage[e] : 0f;
                            }
                        }
                    }
                }
                ctx.localBarrier();

                for (int j = 0; j < bn; j++) {
                    int wa = ty * bn + (j ^ ty);
                    int ka = j * dp + (tx ^ (j & 7));
                    for (int i = 0; i < R; i++) {
                        qf[i] = wt[wa + 8 * i * bn];
                    }
                    for (int c = 0; c < CW; c++) {
                        float key = kt[ka + 8 * c];
                        for (int i = 0; i < R; i++) {
                            acc[i * CW + c] += qf[i] * key;
                        }
                    }
                }
                if ((flags & Masking.JACOBI) != 0 && mode == SOFTMAX) {
                    for (int j = 0; j < bn; j++) {
                        int wa = ty * bn + (j ^ ty);
                        int ka = j * dp + (tx ^ (j & 7));
                        for (int c = 0; c < CW; c++) {
                            float key = kt[ka + 8 * c];
                            for (int i = 0; i < R; i++) {
                                square[i * CW + c] += wt[wa + 8 * i * bn] * key * key;
                            }
                        }
                    }
                }
            }
            ctx.localBarrier();

            int rows = sizes.get(ProblemData.SQ) - i0; // of the block
            int diagonal = sizes.get(ProblemData.HEADS) * sizes.get(ProblemData.SQ) * D; // where it starts in x
            int behind = (flags & Masking.JACOBI) != 0 ? 2 * diagonal : diagonal; // where the residual does when o cannot hold it
            float tol = settings.get(ProblemData.TOLERANCE);
            int next = mode;
            if (mode == SOFTMAX) {
                // total weight, kbar, and the right-hand side b = kbar - q, which is the first residual
                for (int i = 0; i < R; i++) {
                    wt[(ty + 8 * i) * 8 + tx] = l[i];
                }
                ctx.localBarrier();
                for (int i = 0; i < R; i++) {
                    int row = ty + 8 * i;
                    float total = 0f;
                    for (int t = 0; t < 8; t++) {
                        total += wt[row * 8 + t];
                    }
                    l[i] = total;
                    float inverse = total > 0f ? 1f / total : 0f;
                    float bSum = 0f;
                    float zSum = 0f;
                    for (int c = 0; c < CW; c++) {
                        int d = tx + 8 * c;
                        int own = row * dp + (d ^ ty);
                        float y = 0f;
                        if (row < rows && d < D) {
                            int at = (row0 + row) * D + d;
                            float mean = acc[i * CW + c] * inverse;
                            float b = total > 0f ? mean + centre.get(kvHead * D + d) - qt[own] : 0f;
                            y = b;
                            if ((flags & Masking.JACOBI) != 0) {
                                float diag = Math.max(square[i * CW + c] * inverse - mean * mean, 0f) + ridge.get(row0 + row);
                                x.set(diagonal + at, diag);
                                y = b / diag;
                            }
                            kbar.set(at, mean);
                            x.set(at, 0f);
                            KeptResiduals.setResidual(o, x, row0 + row, d, D, Dv, behind, b);
                            bSum += b * b;
                            zSum += b * y;
                        }
                        yt[own] = y;
                    }
                    wt[slot + row * 8 + tx] = bSum;
                    wt[2 * slot + row * 8 + tx] = zSum;
                }
                ctx.localBarrier();
                for (int i = 0; i < R; i++) {
                    int row = ty + 8 * i;
                    float bSum = 0f;
                    float zSum = 0f;
                    for (int t = 0; t < 8; t++) {
                        bSum += wt[slot + row * 8 + t];
                        zSum += wt[2 * slot + row * 8 + t];
                    }
                    bb[i] = bSum;
                    rho[i] = zSum;
                    residual[i] = bSum > 0f ? 1f : 0f;
                    m[i] = l[i] > 0f ? m[i] + TornadoMath.log(l[i]) : 0f;
                }
                next = SOLVE;
            }
            if (mode == SOLVE) {
                for (int i = 0; i < R; i++) {
                    int row = ty + 8 * i;
                    float lambda = ridge.get(row0 + Math.min(row, rows - 1));
                    float sum = 0f;
                    for (int c = 0; c < CW; c++) {
                        float y = yt[row * dp + ((tx + 8 * c) ^ ty)];
                        acc[i * CW + c] += lambda * y;
                        sum += y * acc[i * CW + c];
                    }
                    wt[row * 8 + tx] = sum;
                    wt[slot + row * 8 + tx] = excess[i];
                }
                ctx.localBarrier();
                // alpha = r.z / y.Ay; a row that is done keeps its x and r
                for (int i = 0; i < R; i++) {
                    int row = ty + 8 * i;
                    float yAy = 0f;
                    float over = 0f;
                    for (int t = 0; t < 8; t++) {
                        yAy += wt[row * 8 + t];
                        over += wt[slot + row * 8 + t];
                    }
                    excess[i] = over;
                    yAy -= over * yk[i];
                    float alpha = 0f;
                    if (residual[i] > tol && yAy > 0f) {
                        alpha = rho[i] / yAy;
                    }
                    float rSum = 0f;
                    float zSum = 0f;
                    for (int c = 0; c < CW; c++) {
                        int d = tx + 8 * c;
                        if (row < rows && d < D) {
                            int at = (row0 + row) * D + d;
                            x.set(at, x.get(at) + alpha * yt[row * dp + (d ^ ty)]);
                            float r = KeptResiduals.residual(o, x, row0 + row, d, D, Dv, behind);
                            if (keeps) { // apart, so that it is not compiled where none is kept
                                if (iteration < sizes.get(ProblemData.KEPT)) {
                                    earlier.set(iteration * diagonal + at, rho[i] > 0f ? r / TornadoMath.sqrt(rho[i]) : 0f);
                                }
                            }
                            r -= alpha * (acc[i * CW + c] - excess[i] * kbar.get(at));
                            KeptResiduals.setResidual(o, x, row0 + row, d, D, Dv, behind, r);
                            float z = r;
                            if ((flags & Masking.JACOBI) != 0) {
                                z = r / x.get(diagonal + at);
                            }
                            rSum += r * r;
                            zSum += r * z;
                        }
                    }
                    wt[2 * slot + row * 8 + tx] = rSum;
                    wt[3 * slot + row * 8 + tx] = zSum;
                }
                ctx.localBarrier();
                iteration++;
                if (keeps) {
                    int n = Math.min(iteration, sizes.get(ProblemData.KEPT));
                    for (int e = 0; e < n; e++) {
                        int from = e * diagonal;
                        int place = (e & 1) * slot; // the other one may still be read
                        for (int i = 0; i < R; i++) {
                            int row = ty + 8 * i;
                            float sum = 0f;
                            for (int c = 0; c < CW; c++) {
                                int d = tx + 8 * c;
                                if (row < rows && d < D) {
                                    int at = (row0 + row) * D + d;
                                    float z = KeptResiduals.residual(o, x, row0 + row, d, D, Dv, behind);
                                    if ((flags & Masking.JACOBI) != 0) {
                                        z = z / x.get(diagonal + at);
                                    }
                                    sum += earlier.get(from + at) * z;
                                }
                            }
                            wt[place + row * 8 + tx] = sum;
                        }
                        ctx.localBarrier();
                        for (int i = 0; i < R; i++) {
                            int row = ty + 8 * i;
                            float part = 0f;
                            for (int t = 0; t < 8; t++) {
                                part += wt[place + row * 8 + t];
                            }
                            float rSum = 0f;
                            float zSum = 0f;
                            for (int c = 0; c < CW; c++) {
                                int d = tx + 8 * c;
                                if (row < rows && d < D) {
                                    int at = (row0 + row) * D + d;
                                    float r = KeptResiduals.residual(o, x, row0 + row, d, D, Dv, behind);
                                    if (residual[i] > tol) {
                                        r -= part * earlier.get(from + at);
                                        KeptResiduals.setResidual(o, x, row0 + row, d, D, Dv, behind, r);
                                    }
                                    float z = r;
                                    if ((flags & Masking.JACOBI) != 0) {
                                        z = r / x.get(diagonal + at);
                                    }
                                    rSum += r * r;
                                    zSum += r * z;
                                }
                            }
                            wt[2 * slot + row * 8 + tx] = rSum;
                            wt[3 * slot + row * 8 + tx] = zSum;
                        }
                    }
                    ctx.localBarrier();
                }
                for (int i = 0; i < R; i++) {
                    int row = ty + 8 * i;
                    float rSum = 0f;
                    float zSum = 0f;
                    for (int t = 0; t < 8; t++) {
                        rSum += wt[2 * slot + row * 8 + t];
                        zSum += wt[3 * slot + row * 8 + t];
                    }
                    if (residual[i] > tol) {
                        float beta = zSum / rho[i];
                        rho[i] = zSum;
                        count[i] = iteration;
                        residual[i] = TornadoMath.sqrt(rSum / bb[i]);
                        for (int c = 0; c < CW; c++) {
                            int d = tx + 8 * c;
                            if (row < rows && d < D) {
                                int own = row * dp + (d ^ ty);
                                float z = KeptResiduals.residual(o, x, row0 + row, d, D, Dv, behind);
                                if ((flags & Masking.JACOBI) != 0) {
                                    z = z / x.get(diagonal + (row0 + row) * D + d);
                                }
                                yt[own] = z + beta * yt[own];
                            }
                        }
                    }
                }
            }
            if (mode == OUTPUT) {
                for (int i = 0; i < R; i++) {
                    int row = ty + 8 * i;
                    if (row < rows) {
                        for (int c = 0; c < CW; c++) {
                            if (tx + 8 * c < Dv) {
                                o.set((row0 + row) * Dv + tx + 8 * c, acc[i * CW + c]);
                            }
                        }
                        int visible = Masking.visibleOrNone(i0 + row, sizes.get(ProblemData.SQ), sizes.get(ProblemData.SK), flags);
                        for (int c = 0; c < CW; c++) {
                            int d = tx + 8 * c;
                            if (d < D && visible > 0) {
                                int at = (row0 + row) * D + d;
                                kbar.set(at, kbar.get(at) + centre.get(kvHead * D + d));
                            }
                        }
                        if (tx == 7) { // never the only thread of a launch without its grid, which then leaves stats unwritten
                            float shift = 0f;
                            for (int d = 0; d < D; d++) {
                                shift += qt[row * dp + (d ^ ty)] * centre.get(kvHead * D + d);
                            }
                            lse.set(row0 + row, visible > 0 ? m[i] + settings.get(ProblemData.SCALE) * shift : Float.NEGATIVE_INFINITY);
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
                for (int i = 0; i < R; i++) {
                    active = Math.max(active, residual[i] > tol ? 1f : 0f);
                }
                if (tx == 0) {
                    kt[ty] = active; // no thread reads the key tile until the next sweep loads it
                }
                ctx.localBarrier();
                active = 0f;
                for (int t = 0; t < 8; t++) {
                    active += kt[t];
                }
                if (active == 0f || iteration >= sizes.get(ProblemData.MAX_ITERATIONS)) {
                    next = OUTPUT;
                }
                // what the next sweep multiplies the keys with: y, or x for the output; and its product with kbar
                for (int i = 0; i < R; i++) {
                    int row = ty + 8 * i;
                    float sum = 0f;
                    for (int c = 0; c < CW; c++) {
                        int d = tx + 8 * c;
                        if (row < rows && d < D) {
                            int at = (row0 + row) * D + d;
                            int own = row * dp + (d ^ ty);
                            if (next == OUTPUT) {
                                yt[own] = x.get(at);
                            }
                            sum += yt[own] * kbar.get(at);
                        }
                    }
                    wt[row * 8 + tx] = sum;
                }
                ctx.localBarrier();
                for (int i = 0; i < R; i++) {
                    float sum = 0f;
                    for (int t = 0; t < 8; t++) {
                        sum += wt[(ty + 8 * i) * 8 + t];
                    }
                    yk[i] = sum;
                }
            }
            mode = next;
        }
    }
}
