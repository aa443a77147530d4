package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.tornado.kernels.tile.KeptResiduals;
import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import io.github.flashlla.tornado.kernels.tile.Views;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.vectors.Float4;

/**
 * Pass 1 of the float32 forward pass on GPUs: the online softmax, its log-sum-exp and kbar, and a first step of conjugate gradients
 * along q that costs no pass of its own, since A q falls out of the same weights:
 *
 * <pre>
 *   e = score - maximum    A q = 1 / scale (sum p e k - (sum p e) kbar) + lambda q
 *   x = alpha q            r = kbar - q - alpha A q        alpha = q.(kbar - q) / q.A q
 * </pre>
 *
 * <p>With the Jacobi preconditioner there is no such step, and the diagonal of A, from sum p k^2, takes the place of A q.
 *
 * <p>Keys are held relative to {@code centre}: any shift of all keys leaves the estimator as it is (weights change by a factor
 * per query), and sums of keys far from 0 keep their digits. {@link GpuOutput} shifts kbar and the log-sum-exp back.
 *
 * <pre>
 *   pass      1 softmax; 2 is {@link GpuSolve}, 3 {@link GpuOutput}
 *   group     128 threads; block 64 queries; tile 32 keys, at D = 64 (others: {@link GpuTiles})
 *   registers Float4; 215 at D = 64, 225 at 128, no spills (nvcc 13, sm_90)
 *   for       float32, D to 256; 40 KB of local memory
 *   measured  docs/kernels/gpu.md
 * </pre>
 *
 * <p>What the next passes need of rows = B H Sq is in {@code scratch}:
 *
 * <pre>
 *   A q, or the diagonal of A (rows, D)
 *   numbers (rows, 4): b.b; q.A q, 0 without the step; r.z, later the count of iterations; |r| / |b|
 *   kept residuals (n, rows, D), each over the root of r.z
 * </pre>
 */
public final class GpuMean {
    /** Scales below do not tell q's product with A from the scores. */
    private static final float FLAT = 1e-20f;

    private GpuMean() {}

    /**
     * Launched as a group of {@link GpuTiles#threads} for each {@link GpuTiles#block} rows of a head; the longest first, heads fastest.
     *
     * @param q (B,H,Sq,D)
     * @param k (B,Hkv,Sk,D)
     * @param ridge (B,H,Sq)
     * @param centre (B,Hkv,D), near the mean key
     * @param lse out (B,H,Sq), of keys relative to the centre
     * @param kbar out (B,H,Sq,D), relative to the centre
     * @param x out (B,H,Sq,D), and behind it as much again for r when D &gt; Dv; otherwise {@code o} holds r
     * @param o out (B,H,Sq,Dv)
     * @param scratch out, see above
     * @param sizes with {@code settings}: {@link ProblemData}
     * @param flags see {@link Masking}
     */
    public static void mean(KernelContext ctx, FloatArray q, FloatArray k, FloatArray ridge, FloatArray centre, FloatArray lse, FloatArray kbar,
            FloatArray x, FloatArray o, FloatArray scratch, IntArray sizes, FloatArray settings, int D, int Dv, int flags) {
        int dims = GpuTiles.dims(D);
        int TX = dims / 8;
        int TY = GpuTiles.rows(dims);
        int T = TX * TY;
        int bm = 4 * TY;
        int bn = 4 * TX;
        int ds = GpuTiles.keyDims(dims);
        int ks = GpuTiles.keyRows(dims);
        int step = T / ds;
        int slot = bm * TX;
        boolean jacobi = (flags & Masking.JACOBI) != 0;
        float[] qt = ctx.allocateFloatLocalArray(bm * dims);
        float[] kt = ctx.allocateFloatLocalArray(bn * ds);
        float[] wt = ctx.allocateFloatLocalArray(bm * bn);
        float[] et = ctx.allocateFloatLocalArray(bm * bn);

        int heads = sizes.get(ProblemData.HEADS);
        int Sq = sizes.get(ProblemData.SQ);
        int Sk = sizes.get(ProblemData.SK);
        float scale = settings.get(ProblemData.SCALE);
        int tid = ctx.localIdx;
        int tx = GpuTiles.tx(tid, dims);
        int ty = GpuTiles.ty(tid, dims);
        int swx = tx & 3;
        int swy = ty & GpuTiles.queryMask(dims);
        int sww = ty & GpuTiles.weightMask(dims);
        int head = ctx.groupIdx % heads;
        int i0 = ((Sq + bm - 1) / bm - 1 - ctx.groupIdx / heads) * bm;
        int row0 = head * Sq + i0;
        int kvHead = head / sizes.get(ProblemData.GROUP);
        int queryStride = Views.rowStride(sizes, Views.Q, D, flags);
        int query0 = Views.queryHead(sizes, Views.Q, head, Sq, D, flags) + i0 * queryStride;
        int keyStride = Views.rowStride(sizes, Views.K, D, flags);
        int key0 = Views.keyHead(sizes, Views.K, kvHead, Sk, D, flags);
        int keysBegin = Masking.first(sizes, i0, flags);
        int keysEnd = Masking.end(sizes, Math.min(i0 + bm, Sq) - 1, Sq, Sk, flags);
        int first0 = Masking.first(sizes, Math.min(i0 + ty, Sq - 1), flags);
        int end0 = Masking.endOrNone(sizes, i0 + ty, Sq, Sk, flags);
        int first1 = Masking.first(sizes, Math.min(i0 + ty + TY, Sq - 1), flags);
        int end1 = Masking.endOrNone(sizes, i0 + ty + TY, Sq, Sk, flags);
        int first2 = Masking.first(sizes, Math.min(i0 + ty + 2 * TY, Sq - 1), flags);
        int end2 = Masking.endOrNone(sizes, i0 + ty + 2 * TY, Sq, Sk, flags);
        int first3 = Masking.first(sizes, Math.min(i0 + ty + 3 * TY, Sq - 1), flags);
        int end3 = Masking.endOrNone(sizes, i0 + ty + 3 * TY, Sq, Sk, flags);
        int rows = heads * Sq;
        int all = rows * D;
        int numbers = GpuTiles.numbersAt(rows, D);

        for (int n = tid; n < bm * dims; n += T) {
            int i = n / dims;
            int d = n % dims;
            float value = 0f;
            if (i0 + i < Sq && d < D) {
                value = Views.get(q, k, query0 + i * queryStride + d, flags);
            }
            qt[GpuTiles.queryAt(i, d, dims)] = value;
        }
        // running maximum; total weight, and sum of w e, of this thread's keys
        float m0 = Masking.LOW;
        float l0 = 0f;
        float h0 = 0f;
        float m1 = Masking.LOW;
        float l1 = 0f;
        float h1 = 0f;
        float m2 = Masking.LOW;
        float l2 = 0f;
        float h2 = 0f;
        float m3 = Masking.LOW;
        float l3 = 0f;
        float h3 = 0f;
        Float4 a0 = GpuTiles.spread(0f);
        Float4 a1 = GpuTiles.spread(0f);
        Float4 a2 = GpuTiles.spread(0f);
        Float4 a3 = GpuTiles.spread(0f);
        Float4 b0 = GpuTiles.spread(0f);
        Float4 b1 = GpuTiles.spread(0f);
        Float4 b2 = GpuTiles.spread(0f);
        Float4 b3 = GpuTiles.spread(0f);
        Float4 y0 = GpuTiles.spread(0f);
        Float4 y1 = GpuTiles.spread(0f);
        Float4 y2 = GpuTiles.spread(0f);
        Float4 y3 = GpuTiles.spread(0f);
        Float4 z0 = GpuTiles.spread(0f);
        Float4 z1 = GpuTiles.spread(0f);
        Float4 z2 = GpuTiles.spread(0f);
        Float4 z3 = GpuTiles.spread(0f);
        for (int j0 = keysBegin; j0 < keysEnd; j0 += bn) {
            Float4 s0 = GpuTiles.spread(0f);
            Float4 s1 = GpuTiles.spread(0f);
            Float4 s2 = GpuTiles.spread(0f);
            Float4 s3 = GpuTiles.spread(0f);
            for (int d0 = 0; d0 < dims; d0 += ds) {
                int td = tid % ds;
                int tj = tid / ds;
                int tc = Math.min(d0 + td, D - 1);
                float shift = centre.get(kvHead * D + tc);
                float one = d0 + td < D ? 1f : 0f;
                ctx.localBarrier();
                for (int j = tj; j < bn; j += 16 * step) { // sixteen loads in flight
                    Float4 t0 = GpuTiles.column(k, key0, j0 + j, step, Sk - 1, keyStride, tc);
                    Float4 t1 = GpuTiles.column(k, key0, j0 + j + 4 * step, step, Sk - 1, keyStride, tc);
                    Float4 t2 = GpuTiles.column(k, key0, j0 + j + 8 * step, step, Sk - 1, keyStride, tc);
                    Float4 t3 = GpuTiles.column(k, key0, j0 + j + 12 * step, step, Sk - 1, keyStride, tc);
                    for (int e = 0; e < 4; e++) {
                        kt[GpuTiles.keyAt(j + e * step, td, ds)] = GpuTiles.padded(GpuTiles.pick(e, t0) - shift, one, D < dims);
                        if (4 * step < bn) {
                            kt[GpuTiles.keyAt(j + (4 + e) * step, td, ds)] = GpuTiles.padded(GpuTiles.pick(e, t1) - shift, one, D < dims);
                            kt[GpuTiles.keyAt(j + (8 + e) * step, td, ds)] = GpuTiles.padded(GpuTiles.pick(e, t2) - shift, one, D < dims);
                            kt[GpuTiles.keyAt(j + (12 + e) * step, td, ds)] = GpuTiles.padded(GpuTiles.pick(e, t3) - shift, one, D < dims);
                        }
                    }
                }
                ctx.localBarrier();
                for (int c = 0; c < ds / 4; c++) {
                    int qa = ty * dims + d0 + ((c ^ swy) << 2);
                    int ka = tx * ds + ((c ^ swx) << 2);
                    for (int e = 0; e < 4; e++) {
                        Float4 key = new Float4(kt[ka + e], kt[ka + TX * ds + e], kt[ka + 2 * TX * ds + e], kt[ka + 3 * TX * ds + e]);
                        s0 = GpuTiles.fma(s0, qt[qa + e], key);
                        s1 = GpuTiles.fma(s1, qt[qa + TY * dims + e], key);
                        s2 = GpuTiles.fma(s2, qt[qa + 2 * TY * dims + e], key);
                        s3 = GpuTiles.fma(s3, qt[qa + 3 * TY * dims + e], key);
                    }
                }
            }
            // the block's running maximum, then weights relative to it
            int key = j0 + tx;
            s0 = GpuTiles.masked(s0, scale, key, TX, first0, end0, flags);
            s1 = GpuTiles.masked(s1, scale, key, TX, first1, end1, flags);
            s2 = GpuTiles.masked(s2, scale, key, TX, first2, end2, flags);
            s3 = GpuTiles.masked(s3, scale, key, TX, first3, end3, flags);
            et[ty * TX + tx] = GpuTiles.max(s0);
            et[(ty + TY) * TX + tx] = GpuTiles.max(s1);
            et[(ty + 2 * TY) * TX + tx] = GpuTiles.max(s2);
            et[(ty + 3 * TY) * TX + tx] = GpuTiles.max(s3);
            ctx.localBarrier();
            float n0 = m0;
            float n1 = m1;
            float n2 = m2;
            float n3 = m3;
            for (int t = 0; t < TX; t++) {
                n0 = Math.max(n0, et[ty * TX + t]);
                n1 = Math.max(n1, et[(ty + TY) * TX + t]);
                n2 = Math.max(n2, et[(ty + 2 * TY) * TX + t]);
                n3 = Math.max(n3, et[(ty + 3 * TY) * TX + t]);
            }
            ctx.localBarrier();
            // with e = score - maximum: sums of w and w e move to the new maximum
            float f0 = TornadoMath.exp(m0 - n0);
            float g0 = f0 * (m0 - n0);
            y0 = GpuTiles.fma(GpuTiles.scale(y0, f0), jacobi ? 0f : g0, a0);
            z0 = GpuTiles.fma(GpuTiles.scale(z0, f0), jacobi ? 0f : g0, b0);
            a0 = GpuTiles.scale(a0, f0);
            b0 = GpuTiles.scale(b0, f0);
            m0 = n0;
            Float4 p0 = GpuTiles.relative(s0, n0);
            s0 = GpuTiles.weighted(p0, -n0, 1f, s0);
            h0 = h0 * f0 + l0 * g0 + GpuTiles.sum(s0);
            l0 = l0 * f0 + GpuTiles.sum(p0);
            float f1 = TornadoMath.exp(m1 - n1);
            float g1 = f1 * (m1 - n1);
            y1 = GpuTiles.fma(GpuTiles.scale(y1, f1), jacobi ? 0f : g1, a1);
            z1 = GpuTiles.fma(GpuTiles.scale(z1, f1), jacobi ? 0f : g1, b1);
            a1 = GpuTiles.scale(a1, f1);
            b1 = GpuTiles.scale(b1, f1);
            m1 = n1;
            Float4 p1 = GpuTiles.relative(s1, n1);
            s1 = GpuTiles.weighted(p1, -n1, 1f, s1);
            h1 = h1 * f1 + l1 * g1 + GpuTiles.sum(s1);
            l1 = l1 * f1 + GpuTiles.sum(p1);
            float f2 = TornadoMath.exp(m2 - n2);
            float g2 = f2 * (m2 - n2);
            y2 = GpuTiles.fma(GpuTiles.scale(y2, f2), jacobi ? 0f : g2, a2);
            z2 = GpuTiles.fma(GpuTiles.scale(z2, f2), jacobi ? 0f : g2, b2);
            a2 = GpuTiles.scale(a2, f2);
            b2 = GpuTiles.scale(b2, f2);
            m2 = n2;
            Float4 p2 = GpuTiles.relative(s2, n2);
            s2 = GpuTiles.weighted(p2, -n2, 1f, s2);
            h2 = h2 * f2 + l2 * g2 + GpuTiles.sum(s2);
            l2 = l2 * f2 + GpuTiles.sum(p2);
            float f3 = TornadoMath.exp(m3 - n3);
            float g3 = f3 * (m3 - n3);
            y3 = GpuTiles.fma(GpuTiles.scale(y3, f3), jacobi ? 0f : g3, a3);
            z3 = GpuTiles.fma(GpuTiles.scale(z3, f3), jacobi ? 0f : g3, b3);
            a3 = GpuTiles.scale(a3, f3);
            b3 = GpuTiles.scale(b3, f3);
            m3 = n3;
            Float4 p3 = GpuTiles.relative(s3, n3);
            s3 = GpuTiles.weighted(p3, -n3, 1f, s3);
            h3 = h3 * f3 + l3 * g3 + GpuTiles.sum(s3);
            l3 = l3 * f3 + GpuTiles.sum(p3);
            for (int j = 0; j < 4; j++) {
                int wa = ty * bn + ((((tx + TX * j) >> 2) ^ sww) << 2) + (tx & 3);
                wt[wa + 0 * TY * bn] = GpuTiles.pick(j, p0);
                et[wa + 0 * TY * bn] = GpuTiles.pick(j, s0);
                wt[wa + 1 * TY * bn] = GpuTiles.pick(j, p1);
                et[wa + 1 * TY * bn] = GpuTiles.pick(j, s1);
                wt[wa + 2 * TY * bn] = GpuTiles.pick(j, p2);
                et[wa + 2 * TY * bn] = GpuTiles.pick(j, s2);
                wt[wa + 3 * TY * bn] = GpuTiles.pick(j, p3);
                et[wa + 3 * TY * bn] = GpuTiles.pick(j, s3);
            }
            for (int k0 = 0; k0 < bn; k0 += ks) {
                if (ds < dims) {
                    ctx.localBarrier();
                    for (int d = tid; d < dims; d += T) {
                        int tc = Math.min(d, D - 1);
                        Float4 t0 = GpuTiles.column(k, key0, j0 + k0, 1, Sk - 1, keyStride, tc);
                        Float4 t1 = GpuTiles.column(k, key0, j0 + k0 + 4, 1, Sk - 1, keyStride, tc);
                        Float4 t2 = GpuTiles.column(k, key0, j0 + k0 + 8, 1, Sk - 1, keyStride, tc);
                        Float4 t3 = GpuTiles.column(k, key0, j0 + k0 + 12, 1, Sk - 1, keyStride, tc);
                        float shift = centre.get(kvHead * D + tc);
                        float one = d < D ? 1f : 0f;
                        for (int e = 0; e < 4; e++) {
                            int ka = GpuTiles.keyAt(e, d, dims);
                            kt[ka] = GpuTiles.padded(GpuTiles.pick(e, t0) - shift, one, D < dims);
                            kt[ka + 4 * dims] = GpuTiles.padded(GpuTiles.pick(e, t1) - shift, one, D < dims);
                            if (ks > 8) {
                                kt[ka + 8 * dims] = GpuTiles.padded(GpuTiles.pick(e, t2) - shift, one, D < dims);
                                kt[ka + 12 * dims] = GpuTiles.padded(GpuTiles.pick(e, t3) - shift, one, D < dims);
                            }
                        }
                    }
                }
                ctx.localBarrier();
                for (int c = 0; c < ks / 4; c++) {
                    int wa = ty * bn + (((k0 / 4 + c) ^ sww) << 2);
                    for (int e = 0; e < 4; e++) {
                        int ka = (4 * c + e) * dims + ((tx ^ e) << 2);
                        Float4 left = new Float4(kt[ka], kt[ka + 1], kt[ka + 2], kt[ka + 3]);
                        Float4 right = new Float4(kt[ka + dims / 2], kt[ka + dims / 2 + 1], kt[ka + dims / 2 + 2], kt[ka + dims / 2 + 3]);
                        float w0 = wt[wa + 0 * TY * bn + e];
                        a0 = GpuTiles.fma(a0, w0, left);
                        b0 = GpuTiles.fma(b0, w0, right);
                        float w1 = wt[wa + 1 * TY * bn + e];
                        a1 = GpuTiles.fma(a1, w1, left);
                        b1 = GpuTiles.fma(b1, w1, right);
                        float w2 = wt[wa + 2 * TY * bn + e];
                        a2 = GpuTiles.fma(a2, w2, left);
                        b2 = GpuTiles.fma(b2, w2, right);
                        float w3 = wt[wa + 3 * TY * bn + e];
                        a3 = GpuTiles.fma(a3, w3, left);
                        b3 = GpuTiles.fma(b3, w3, right);
                        if (jacobi) { // sum w k^2 in place of sum w e k
                            left = GpuTiles.square(left);
                            right = GpuTiles.square(right);
                        }
                        float v0 = jacobi ? w0 : et[wa + 0 * TY * bn + e];
                        y0 = GpuTiles.fma(y0, v0, left);
                        z0 = GpuTiles.fma(z0, v0, right);
                        float v1 = jacobi ? w1 : et[wa + 1 * TY * bn + e];
                        y1 = GpuTiles.fma(y1, v1, left);
                        z1 = GpuTiles.fma(z1, v1, right);
                        float v2 = jacobi ? w2 : et[wa + 2 * TY * bn + e];
                        y2 = GpuTiles.fma(y2, v2, left);
                        z2 = GpuTiles.fma(z2, v2, right);
                        float v3 = jacobi ? w3 : et[wa + 3 * TY * bn + e];
                        y3 = GpuTiles.fma(y3, v3, left);
                        z3 = GpuTiles.fma(z3, v3, right);
                    }
                }
            }
        }
        // raw sums, each thread's in its place; then rows by all their threads
        GpuTiles.storeIf(i0 + ty, Sq, kbar, (row0 + ty) * D, tx, dims, D, a0, b0);
        GpuTiles.storeIf(i0 + ty + TY, Sq, kbar, (row0 + ty + TY) * D, tx, dims, D, a1, b1);
        GpuTiles.storeIf(i0 + ty + 2 * TY, Sq, kbar, (row0 + ty + 2 * TY) * D, tx, dims, D, a2, b2);
        GpuTiles.storeIf(i0 + ty + 3 * TY, Sq, kbar, (row0 + ty + 3 * TY) * D, tx, dims, D, a3, b3);
        GpuTiles.storeIf(i0 + ty, Sq, scratch, (row0 + ty) * D, tx, dims, D, y0, z0);
        GpuTiles.storeIf(i0 + ty + TY, Sq, scratch, (row0 + ty + TY) * D, tx, dims, D, y1, z1);
        GpuTiles.storeIf(i0 + ty + 2 * TY, Sq, scratch, (row0 + ty + 2 * TY) * D, tx, dims, D, y2, z2);
        GpuTiles.storeIf(i0 + ty + 3 * TY, Sq, scratch, (row0 + ty + 3 * TY) * D, tx, dims, D, y3, z3);
        ctx.localBarrier();
        wt[ty * TX + tx] = l0;
        wt[(ty + TY) * TX + tx] = l1;
        wt[(ty + 2 * TY) * TX + tx] = l2;
        wt[(ty + 3 * TY) * TX + tx] = l3;
        wt[slot + ty * TX + tx] = h0;
        wt[slot + (ty + TY) * TX + tx] = h1;
        wt[slot + (ty + 2 * TY) * TX + tx] = h2;
        wt[slot + (ty + 3 * TY) * TX + tx] = h3;
        et[slot + ty * TX + tx] = m0;
        et[slot + (ty + TY) * TX + tx] = m1;
        et[slot + (ty + 2 * TY) * TX + tx] = m2;
        et[slot + (ty + 3 * TY) * TX + tx] = m3;
        ctx.localBarrier();
        ctx.globalBarrier();
        // kbar, the right-hand side b = kbar - q, and A q or the diagonal of A
        float from = Math.abs(scale) > FLAT ? 1f / scale : 0f;
        int live = Math.min(bm, Sq - i0);
        for (int i = ty; i < live; i += TY) {
            float total = 0f;
            float sum = 0f;
            for (int t = 0; t < TX; t++) {
                total += wt[i * TX + t];
                sum += wt[slot + i * TX + t];
            }
            float inverse = total > 0f ? 1f / total : 0f;
            float lambda = ridge.get(row0 + i);
            float bb = 0f;
            float qb = 0f;
            float qaq = 0f;
            float rz = 0f;
            for (int d = tx; d < D; d += TX) {
                int at = (row0 + i) * D + d;
                float mean = kbar.get(at) * inverse;
                float query = Views.get(q, k, query0 + i * queryStride + d, flags);
                float b = total > 0f ? mean + centre.get(kvHead * D + d) - query : 0f;
                float second = scratch.get(at) * inverse;
                if (jacobi) {
                    second = Math.max(second - mean * mean, 0f) + lambda;
                    rz += b * b / second;
                } else {
                    second = from * (second - sum * inverse * mean) + lambda * query;
                }
                kbar.set(at, mean);
                scratch.set(at, second);
                bb += b * b;
                qb += query * b;
                qaq += query * second;
            }
            wt[2 * slot + i * TX + tx] = bb;
            wt[3 * slot + i * TX + tx] = qb;
            et[i * TX + tx] = jacobi ? rz : qaq;
            if (tx == 0) {
                float top = et[slot + i * TX];
                lse.set(row0 + i, total > 0f ? top + TornadoMath.log(total) : 0f);
            }
        }
        ctx.localBarrier();
        // the first step, along q; none with a preconditioner
        for (int i = ty; i < live; i += TY) {
            float bb = 0f;
            float qb = 0f;
            float third = 0f;
            for (int t = 0; t < TX; t++) {
                bb += wt[2 * slot + i * TX + t];
                qb += wt[3 * slot + i * TX + t];
                third += et[i * TX + t];
            }
            float qaq = jacobi || from == 0f ? 0f : third;
            float alpha = qaq > 0f ? qb / qaq : 0f;
            float rr = 0f;
            for (int d = tx; d < D; d += TX) {
                int at = (row0 + i) * D + d;
                float query = Views.get(q, k, query0 + i * queryStride + d, flags);
                float r = bb > 0f ? kbar.get(at) + centre.get(kvHead * D + d) - query : 0f;
                if (!jacobi) {
                    r -= alpha * scratch.get(at);
                }
                x.set(at, alpha * query);
                KeptResiduals.setResidual(o, x, row0 + i, d, D, Dv, all, r);
                rr += r * r;
            }
            et[2 * slot + i * TX + tx] = rr;
            if (tx == 0) {
                scratch.set(numbers + 4 * (row0 + i), bb);
                scratch.set(numbers + 4 * (row0 + i) + 1, qaq);
                scratch.set(numbers + 4 * (row0 + i) + 2, third);
            }
        }
        ctx.localBarrier();
        if (tx == 0) {
            for (int i = ty; i < live; i += TY) {
                float rr = 0f;
                float bb = 0f;
                for (int t = 0; t < TX; t++) {
                    rr += et[2 * slot + i * TX + t];
                    bb += wt[2 * slot + i * TX + t];
                }
                if (!jacobi) {
                    scratch.set(numbers + 4 * (row0 + i) + 2, rr);
                }
                scratch.set(numbers + 4 * (row0 + i) + 3, bb > 0f ? TornadoMath.sqrt(rr / bb) : 0f);
            }
        }
    }
}
