package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import io.github.flashlla.tornado.kernels.tile.Views;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.vectors.Float4;

/**
 * Pass 3 of the float32 forward pass on GPUs: o = sum p (1 - x.(k - kbar)) v.
 *
 * <pre>
 *   pass      3 output
 *   group     128 threads; block 64 queries; tile 32 keys, at D = Dv = 64 (others: {@link GpuTiles} of the larger)
 *   registers Float4; 128 at D = 64, 167 at 128, no spills (nvcc 13, sm_90)
 *   for       float32, D and Dv to 256; 48 KB of local memory
 *   measured  docs/kernels/gpu.md
 * </pre>
 */
public final class GpuOutput {
    private GpuOutput() {}

    /**
     * Launched as {@link GpuMean#mean}; arrays as {@link GpuSolve} leaves them.
     *
     * @param v (B,Hkv,Sk,Dv)
     * @param lse in and out: what was relative to the centre no longer is
     * @param kbar in and out, likewise
     * @param o out (B,H,Sq,Dv)
     * @param stats out (B,H,Sq,2): iterations behind the first step, relative residual
     */
    public static void output(KernelContext ctx, FloatArray q, FloatArray k, FloatArray v, FloatArray centre, FloatArray lse, FloatArray kbar,
            FloatArray x, FloatArray o, FloatArray stats, FloatArray scratch, IntArray sizes, FloatArray settings, int D, int Dv, int flags) {
        int dims = GpuTiles.dims(Math.max(D, Dv));
        int TX = dims / 8;
        int TY = GpuTiles.rows(dims);
        int T = TX * TY;
        int bm = 4 * TY;
        int bn = 4 * TX;
        int ds = GpuTiles.keyDims(dims);
        int ks = GpuTiles.keyRows(dims);
        int step = T / ds;
        float[] qt = ctx.allocateFloatLocalArray(bm * dims);
        float[] yt = ctx.allocateFloatLocalArray(bm * dims);
        float[] kt = ctx.allocateFloatLocalArray(bn * ds);
        float[] wt = ctx.allocateFloatLocalArray(bm * bn);

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
        int valueStride = Views.rowStride(sizes, Views.V, Dv, flags);
        int value0 = Views.keyHead(sizes, Views.V, kvHead, Sk, Dv, flags);
        int outputStride = Views.rowStride(sizes, Views.O, Dv, flags);
        int output0 = Views.queryHead(sizes, Views.O, head, Sq, Dv, flags) + i0 * outputStride;
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
        int last = head * Sq + Sq - 1;
        float m0 = lse.get(Math.min(row0 + ty, last));
        float m1 = lse.get(Math.min(row0 + ty + TY, last));
        float m2 = lse.get(Math.min(row0 + ty + 2 * TY, last));
        float m3 = lse.get(Math.min(row0 + ty + 3 * TY, last));

        int numbers = GpuTiles.numbersAt(rows, D);

        for (int n = tid; n < bm * dims; n += T) {
            int i = n / dims;
            int d = n % dims;
            float query = 0f;
            float other = 0f;
            if (i0 + i < Sq && d < D) {
                query = Views.get(q, k, Views.at(query0, queryStride, row0, i, D, flags) + d, flags);
                other = x.get((row0 + i) * D + d);
            }
            qt[GpuTiles.queryAt(i, d, dims)] = query;
            yt[GpuTiles.queryAt(i, d, dims)] = other;
        }
        int live = Math.min(bm, Sq - i0);
        for (int i = ty; i < bm; i += TY) {
            float sum = 0f;
            if (i < live) {
                for (int d = tx; d < D; d += TX) {
                    sum += x.get((row0 + i) * D + d) * kbar.get((row0 + i) * D + d);
                }
            }
            wt[i * TX + tx] = sum;
        }
        ctx.localBarrier();
        float xk0 = 1f;
        float xk1 = 1f;
        float xk2 = 1f;
        float xk3 = 1f;
        for (int t = 0; t < TX; t++) {
            xk0 += wt[ty * TX + t];
            xk1 += wt[(ty + TY) * TX + t];
            xk2 += wt[(ty + 2 * TY) * TX + t];
            xk3 += wt[(ty + 3 * TY) * TX + t];
        }

        Float4 a0 = GpuTiles.spread(0f);
        Float4 a1 = GpuTiles.spread(0f);
        Float4 a2 = GpuTiles.spread(0f);
        Float4 a3 = GpuTiles.spread(0f);
        Float4 b0 = GpuTiles.spread(0f);
        Float4 b1 = GpuTiles.spread(0f);
        Float4 b2 = GpuTiles.spread(0f);
        Float4 b3 = GpuTiles.spread(0f);
        for (int j0 = keysBegin; j0 < keysEnd; j0 += bn) {
            Float4 s0 = GpuTiles.spread(0f);
            Float4 s1 = GpuTiles.spread(0f);
            Float4 s2 = GpuTiles.spread(0f);
            Float4 s3 = GpuTiles.spread(0f);
            Float4 u0 = GpuTiles.spread(0f);
            Float4 u1 = GpuTiles.spread(0f);
            Float4 u2 = GpuTiles.spread(0f);
            Float4 u3 = GpuTiles.spread(0f);
            for (int d0 = 0; d0 < D; d0 += ds) {
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
                        u0 = GpuTiles.fma(u0, yt[qa + e], key);
                        u1 = GpuTiles.fma(u1, yt[qa + TY * dims + e], key);
                        u2 = GpuTiles.fma(u2, yt[qa + 2 * TY * dims + e], key);
                        u3 = GpuTiles.fma(u3, yt[qa + 3 * TY * dims + e], key);
                    }
                }
            }
            int key = j0 + tx;
            s0 = GpuTiles.weighted(GpuTiles.weights(s0, scale, m0, key, TX, first0, end0, flags), xk0, -1f, u0);
            s1 = GpuTiles.weighted(GpuTiles.weights(s1, scale, m1, key, TX, first1, end1, flags), xk1, -1f, u1);
            s2 = GpuTiles.weighted(GpuTiles.weights(s2, scale, m2, key, TX, first2, end2, flags), xk2, -1f, u2);
            s3 = GpuTiles.weighted(GpuTiles.weights(s3, scale, m3, key, TX, first3, end3, flags), xk3, -1f, u3);
            for (int j = 0; j < 4; j++) {
                int wa = ty * bn + ((((tx + TX * j) >> 2) ^ sww) << 2) + (tx & 3);
                wt[wa] = GpuTiles.pick(j, s0);
                wt[wa + TY * bn] = GpuTiles.pick(j, s1);
                wt[wa + 2 * TY * bn] = GpuTiles.pick(j, s2);
                wt[wa + 3 * TY * bn] = GpuTiles.pick(j, s3);
            }
            for (int k0 = 0; k0 < bn; k0 += ks) {
                if (ds < dims) {
                    ctx.localBarrier();
                    for (int d = tid; d < dims; d += T) {
                        int tc = Math.min(d, Dv - 1);
                        Float4 t0 = GpuTiles.column(v, k, value0, j0 + k0, 1, Sk - 1, valueStride, tc, flags);
                        Float4 t1 = GpuTiles.column(v, k, value0, j0 + k0 + 4, 1, Sk - 1, valueStride, tc, flags);
                        Float4 t2 = GpuTiles.column(v, k, value0, j0 + k0 + 8, 1, Sk - 1, valueStride, tc, flags);
                        Float4 t3 = GpuTiles.column(v, k, value0, j0 + k0 + 12, 1, Sk - 1, valueStride, tc, flags);
                        float one = d < Dv ? 1f : 0f;
                        for (int e = 0; e < 4; e++) {
                            int ka = GpuTiles.keyAt(e, d, dims);
                            kt[ka] = GpuTiles.padded(GpuTiles.pick(e, t0), one, Dv < dims);
                            kt[ka + 4 * dims] = GpuTiles.padded(GpuTiles.pick(e, t1), one, Dv < dims);
                            if (ks > 8) {
                                kt[ka + 8 * dims] = GpuTiles.padded(GpuTiles.pick(e, t2), one, Dv < dims);
                                kt[ka + 12 * dims] = GpuTiles.padded(GpuTiles.pick(e, t3), one, Dv < dims);
                            }
                        }
                    }
                }
                if (ds == dims) {
                int td = tid % ds;
                int tj = tid / ds;
                int tc = Math.min(td, Dv - 1);
                float one = td < Dv ? 1f : 0f;
                ctx.localBarrier();
                for (int j = tj; j < bn; j += 16 * step) { // sixteen loads in flight
                    Float4 t0 = GpuTiles.column(v, k, value0, j0 + j, step, Sk - 1, valueStride, tc, flags);
                    Float4 t1 = GpuTiles.column(v, k, value0, j0 + j + 4 * step, step, Sk - 1, valueStride, tc, flags);
                    Float4 t2 = GpuTiles.column(v, k, value0, j0 + j + 8 * step, step, Sk - 1, valueStride, tc, flags);
                    Float4 t3 = GpuTiles.column(v, k, value0, j0 + j + 12 * step, step, Sk - 1, valueStride, tc, flags);
                    for (int e = 0; e < 4; e++) {
                        kt[GpuTiles.keyAt(j + e * step, td, ds)] = GpuTiles.padded(GpuTiles.pick(e, t0), one, Dv < dims);
                        if (4 * step < bn) {
                            kt[GpuTiles.keyAt(j + (4 + e) * step, td, ds)] = GpuTiles.padded(GpuTiles.pick(e, t1), one, Dv < dims);
                            kt[GpuTiles.keyAt(j + (8 + e) * step, td, ds)] = GpuTiles.padded(GpuTiles.pick(e, t2), one, Dv < dims);
                            kt[GpuTiles.keyAt(j + (12 + e) * step, td, ds)] = GpuTiles.padded(GpuTiles.pick(e, t3), one, Dv < dims);
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
                        float w0 = wt[wa + e];
                        float w1 = wt[wa + TY * bn + e];
                        float w2 = wt[wa + 2 * TY * bn + e];
                        float w3 = wt[wa + 3 * TY * bn + e];
                        a0 = GpuTiles.fma(a0, w0, left);
                        a1 = GpuTiles.fma(a1, w1, left);
                        a2 = GpuTiles.fma(a2, w2, left);
                        a3 = GpuTiles.fma(a3, w3, left);
                        b0 = GpuTiles.fma(b0, w0, right);
                        b1 = GpuTiles.fma(b1, w1, right);
                        b2 = GpuTiles.fma(b2, w2, right);
                        b3 = GpuTiles.fma(b3, w3, right);
                    }
                }
            }
        }
        GpuTiles.storeIf(i0 + ty, Sq, o, Views.at(output0, outputStride, row0, ty, Dv, flags), tx, dims, Dv, a0, b0);
        GpuTiles.storeIf(i0 + ty + TY, Sq, o, Views.at(output0, outputStride, row0, ty + TY, Dv, flags), tx, dims, Dv, a1, b1);
        GpuTiles.storeIf(i0 + ty + 2 * TY, Sq, o, Views.at(output0, outputStride, row0, ty + 2 * TY, Dv, flags), tx, dims, Dv, a2, b2);
        GpuTiles.storeIf(i0 + ty + 3 * TY, Sq, o, Views.at(output0, outputStride, row0, ty + 3 * TY, Dv, flags), tx, dims, Dv, a3, b3);
        for (int i = ty; i < live; i += TY) {
            int visible = Masking.end(sizes, i0 + i, Sq, Sk, flags) - Masking.first(sizes, i0 + i, flags);
            for (int d = tx; d < D; d += TX) {
                int at = (row0 + i) * D + d;
                kbar.set(at, kbar.get(at) + (visible > 0 ? centre.get(kvHead * D + d) : 0f));
            }
            if (tx == TX - 1) { // never the only thread of a launch without its grid, which then leaves stats unwritten
                float shift = 0f;
                for (int d = 0; d < D; d++) {
                    shift += Views.get(q, k, Views.at(query0, queryStride, row0, i, D, flags) + d, flags) * centre.get(kvHead * D + d);
                }
                lse.set(row0 + i, visible > 0 ? lse.get(row0 + i) + scale * shift : Float.NEGATIVE_INFINITY);
                stats.set(2 * (row0 + i), scratch.get(numbers + 4 * (row0 + i) + 2));
                stats.set(2 * (row0 + i) + 1, scratch.get(numbers + 4 * (row0 + i) + 3));
            }
        }
    }
}
