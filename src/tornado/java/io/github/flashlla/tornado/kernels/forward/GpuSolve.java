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
 * Pass 2 of the float32 forward pass on GPUs: conjugate gradients from the step that {@link GpuMean} made, a sweep over the keys for each
 * iteration, until every row of the block is done.
 *
 * <pre>
 *   A y = sum p (y.k - y.kbar) k - (sum p (y.k - y.kbar)) kbar + lambda y
 *   next y = z - (z.A y / y.A y) y - (z.A q / q.A q) q        z = r, or r over the diagonal of A
 * </pre>
 *
 * <p>The term along q keeps directions conjugate to the first step. What rounding leaves of r along q would stay for good: it is taken
 * off in the next iteration, since A q is known.
 *
 * <pre>
 *   pass      2 solve, Jacobi or plain
 *   group     128 threads; block 64 queries; tile 32 keys, at D = 64 (others: {@link GpuTiles})
 *   registers Float4; 168, no spills (nvcc 13, sm_90); what a row needs between sweeps is in memory
 *   for       float32, D to 256; 48 KB of local memory
 *   measured  docs/kernels/gpu.md
 * </pre>
 */
public final class GpuSolve {
    private GpuSolve() {}

    /**
     * Launched as {@link GpuMean#mean}; arrays as that leaves them.
     *
     * @param x in and out
     * @param o holds r, or x does behind its end when D &gt; Dv
     * @param scratch numbers out: iterations and relative residual
     * @param flags see {@link Masking}, with {@link KeptResiduals#UNIT} where residuals are kept
     */
    public static void solve(KernelContext ctx, FloatArray q, FloatArray k, FloatArray ridge, FloatArray centre, FloatArray lse, FloatArray kbar,
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
        boolean keeps = flags / KeptResiduals.UNIT > 0;
        float[] qt = ctx.allocateFloatLocalArray(bm * dims);
        float[] yt = ctx.allocateFloatLocalArray(bm * dims);
        float[] kt = ctx.allocateFloatLocalArray(bn * ds);
        float[] wt = ctx.allocateFloatLocalArray(bm * bn);

        int heads = sizes.get(ProblemData.HEADS);
        int Sq = sizes.get(ProblemData.SQ);
        int Sk = sizes.get(ProblemData.SK);
        int kept = sizes.get(ProblemData.KEPT);
        int most = sizes.get(ProblemData.MAX_ITERATIONS);
        float scale = settings.get(ProblemData.SCALE);
        float tol = settings.get(ProblemData.TOLERANCE);
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
        int first0 = Masking.first(sizes, Math.min(i0 + ty, Sq - 1), flags), end0 = Masking.endOrNone(sizes, i0 + ty, Sq, Sk, flags);
        int first1 = Masking.first(sizes, Math.min(i0 + ty + TY, Sq - 1), flags), end1 = Masking.endOrNone(sizes, i0 + ty + TY, Sq, Sk, flags);
        int first2 = Masking.first(sizes, Math.min(i0 + ty + 2 * TY, Sq - 1), flags), end2 = Masking.endOrNone(sizes, i0 + ty + 2 * TY, Sq, Sk, flags);
        int first3 = Masking.first(sizes, Math.min(i0 + ty + 3 * TY, Sq - 1), flags), end3 = Masking.endOrNone(sizes, i0 + ty + 3 * TY, Sq, Sk, flags);
        int rows = heads * Sq;
        int all = rows * D;
        int last = head * Sq + Sq - 1;
        float m0 = lse.get(Math.min(row0 + ty, last));
        float m1 = lse.get(Math.min(row0 + ty + TY, last));
        float m2 = lse.get(Math.min(row0 + ty + 2 * TY, last));
        float m3 = lse.get(Math.min(row0 + ty + 3 * TY, last));

        int numbers = GpuTiles.numbersAt(rows, D);
        int keptAt = GpuTiles.keptAt(rows, D);
        int live = Math.min(bm, Sq - i0);
        // of rows ty + TY n; with an index that is no constant they take no registers during a sweep
        float[] residual = new float[4];
        float[] count = new float[4];
        float[] yk = new float[4]; // y.kbar
        float[] inverse = new float[4]; // 1 / y.A y
        float[] drift = new float[4]; // q.r / q.A q: 0 but for rounding
        float[] rz = new float[4]; // r.z

        // the first direction: z less its part along q
        for (int n = tid; n < bm * dims; n += T) {
            yt[n] = 0f;
        }
        for (int i = ty; i < live; i += TY) {
            wt[i * TX + tx] = jacobi ? 0f : KeptResiduals.dot(scratch, 0, o, x, row0 + i, tx, TX, D, Dv, all, false);
            residual[i / TY] = scratch.get(numbers + 4 * (row0 + i) + 3);
            rz[i / TY] = scratch.get(numbers + 4 * (row0 + i) + 2);
            count[i / TY] = 0f;
            drift[i / TY] = 0f;
        }
        ctx.localBarrier();
        for (int i = ty; i < live; i += TY) {
            float along = 0f;
            for (int t = 0; t < TX; t++) {
                along += wt[i * TX + t];
            }
            float qaq = scratch.get(numbers + 4 * (row0 + i) + 1);
            along = qaq > 0f ? along / qaq : 0f;
            for (int d = tx; d < D; d += TX) {
                int at = (row0 + i) * D + d;
                float r = KeptResiduals.residual(o, x, row0 + i, d, D, Dv, all);
                yt[GpuTiles.queryAt(i, d, dims)] = jacobi ? r / scratch.get(at) : r - along * Views.get(q, k, query0 + i * queryStride + d, flags);
            }
        }
        int iteration = 0;
        int go = 1;
        while (go != 0) {
            // y.kbar, whether a row goes on, and the queries, in whose place A y was
            ctx.localBarrier();
            float active = 0f;
            for (int i = ty; i < bm; i += TY) {
                float sum = 0f;
                if (i < live) {
                    for (int d = tx; d < D; d += TX) {
                        sum += yt[GpuTiles.queryAt(i, d, dims)] * kbar.get((row0 + i) * D + d);
                    }
                    active = Math.max(active, residual[i / TY] > tol ? 1f : 0f);
                }
                wt[i * TX + tx] = sum;
            }
            if (tx == 0) {
                kt[ty] = active;
            }
            for (int n = tid; n < bm * dims; n += T) {
                int i = n / dims;
                int d = n % dims;
                float value = 0f;
                if (i < live && d < D) {
                    value = Views.get(q, k, query0 + i * queryStride + d, flags);
                }
                qt[GpuTiles.queryAt(i, d, dims)] = value;
            }
            ctx.localBarrier();
            active = 0f;
            for (int t = 0; t < TY; t++) {
                active = Math.max(active, kt[t]);
            }
            float yk0 = 0f;
            float yk1 = 0f;
            float yk2 = 0f;
            float yk3 = 0f;
            for (int t = 0; t < TX; t++) {
                yk0 += wt[ty * TX + t];
                yk1 += wt[(ty + TY) * TX + t];
                yk2 += wt[(ty + 2 * TY) * TX + t];
                yk3 += wt[(ty + 3 * TY) * TX + t];
            }
            yk[0] = yk0;
            yk[1] = yk1;
            yk[2] = yk2;
            yk[3] = yk3;
            go = iteration < most ? (int) active : 0;
            int end = go != 0 ? keysEnd : 0;
            // a sweep over the keys: sum p (y.k - y.kbar) k, and the sum of these weights, 0 but for kbar's rounding
            Float4 a0 = GpuTiles.spread(0f);
            Float4 a1 = GpuTiles.spread(0f);
            Float4 a2 = GpuTiles.spread(0f);
            Float4 a3 = GpuTiles.spread(0f);
            Float4 b0 = GpuTiles.spread(0f);
            Float4 b1 = GpuTiles.spread(0f);
            Float4 b2 = GpuTiles.spread(0f);
            Float4 b3 = GpuTiles.spread(0f);
            float l0 = 0f;
            float l1 = 0f;
            float l2 = 0f;
            float l3 = 0f;
            for (int j0 = keysBegin; j0 < end; j0 += bn) {
                Float4 s0 = GpuTiles.spread(0f);
                Float4 s1 = GpuTiles.spread(0f);
                Float4 s2 = GpuTiles.spread(0f);
                Float4 s3 = GpuTiles.spread(0f);
                Float4 u0 = GpuTiles.spread(0f);
                Float4 u1 = GpuTiles.spread(0f);
                Float4 u2 = GpuTiles.spread(0f);
                Float4 u3 = GpuTiles.spread(0f);
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
                            u0 = GpuTiles.fma(u0, yt[qa + e], key);
                            u1 = GpuTiles.fma(u1, yt[qa + TY * dims + e], key);
                            u2 = GpuTiles.fma(u2, yt[qa + 2 * TY * dims + e], key);
                            u3 = GpuTiles.fma(u3, yt[qa + 3 * TY * dims + e], key);
                        }
                    }
                }
                int key = j0 + tx;
                s0 = GpuTiles.weighted(GpuTiles.weights(s0, scale, m0, key, TX, first0, end0, flags), -yk0, 1f, u0);
                s1 = GpuTiles.weighted(GpuTiles.weights(s1, scale, m1, key, TX, first1, end1, flags), -yk1, 1f, u1);
                s2 = GpuTiles.weighted(GpuTiles.weights(s2, scale, m2, key, TX, first2, end2, flags), -yk2, 1f, u2);
                s3 = GpuTiles.weighted(GpuTiles.weights(s3, scale, m3, key, TX, first3, end3, flags), -yk3, 1f, u3);
                l0 += GpuTiles.sum(s0);
                l1 += GpuTiles.sum(s1);
                l2 += GpuTiles.sum(s2);
                l3 += GpuTiles.sum(s3);
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
            if (go != 0) {
                // A y takes the queries' place until the next sweep; the weights' sums behind two slots for sums over rows
                ctx.localBarrier();
                for (int e = 0; e < 4; e++) {
                    int left = ty * dims + ((tx ^ swy) << 2) + e;
                    int right = ty * dims + (((TX + tx) ^ swy) << 2) + e;
                    qt[left] = GpuTiles.pick(e, a0);
                    qt[left + TY * dims] = GpuTiles.pick(e, a1);
                    qt[left + 2 * TY * dims] = GpuTiles.pick(e, a2);
                    qt[left + 3 * TY * dims] = GpuTiles.pick(e, a3);
                    qt[right] = GpuTiles.pick(e, b0);
                    qt[right + TY * dims] = GpuTiles.pick(e, b1);
                    qt[right + 2 * TY * dims] = GpuTiles.pick(e, b2);
                    qt[right + 3 * TY * dims] = GpuTiles.pick(e, b3);
                }
                wt[2 * slot + ty * TX + tx] = l0;
                wt[2 * slot + (ty + TY) * TX + tx] = l1;
                wt[2 * slot + (ty + 2 * TY) * TX + tx] = l2;
                wt[2 * slot + (ty + 3 * TY) * TX + tx] = l3;
                ctx.localBarrier();
                for (int i = ty; i < live; i += TY) {
                    float lambda = ridge.get(row0 + i);
                    float yAy = 0f;
                    float yr = 0f;
                    for (int d = tx; d < D; d += TX) {
                        int own = GpuTiles.queryAt(i, d, dims);
                        float y = yt[own];
                        float ay = qt[own] + lambda * y;
                        qt[own] = ay;
                        yAy += y * ay;
                        yr += y * KeptResiduals.residual(o, x, row0 + i, d, D, Dv, all);
                    }
                    wt[i * TX + tx] = yAy;
                    wt[slot + i * TX + tx] = yr;
                }
                ctx.localBarrier();
                // x += alpha y, r -= alpha A y, and what rounding left along q; a row that is done keeps its x and r
                for (int i = ty; i < live; i += TY) {
                    int n = i / TY;
                    float yAy = 0f;
                    float yr = 0f;
                    float excess = 0f;
                    for (int t = 0; t < TX; t++) {
                        yAy += wt[i * TX + t];
                        yr += wt[slot + i * TX + t];
                        excess += wt[2 * slot + i * TX + t];
                    }
                    yAy -= excess * yk[n];
                    inverse[n] = yAy > 0f ? 1f / yAy : 0f;
                    float alpha = residual[n] > tol ? yr * inverse[n] : 0f;
                    float along = residual[n] > tol ? drift[n] : 0f;
                    float unit = rz[n] > 0f ? 1f / TornadoMath.sqrt(rz[n]) : 0f;
                    for (int d = tx; d < D; d += TX) {
                        int at = (row0 + i) * D + d;
                        int own = GpuTiles.queryAt(i, d, dims);
                        float ay = qt[own] - excess * kbar.get(at);
                        qt[own] = ay;
                        float r = KeptResiduals.residual(o, x, row0 + i, d, D, Dv, all);
                        if (keeps && iteration < kept) {
                            scratch.set(keptAt + iteration * all + at, r * unit);
                        }
                        float move = alpha * yt[own];
                        r -= alpha * ay;
                        if (!jacobi) {
                            move += along * Views.get(q, k, query0 + i * queryStride + d, flags);
                            r -= along * scratch.get(at);
                        }
                        x.set(at, x.get(at) + move);
                        KeptResiduals.setResidual(o, x, row0 + i, d, D, Dv, all, r);
                    }
                }
                iteration++;
                if (keeps) {
                    int n = Math.min(iteration, kept);
                    for (int e = 0; e < n; e++) {
                        int from = keptAt + e * all;
                        ctx.localBarrier();
                        for (int i = ty; i < live; i += TY) {
                            wt[i * TX + tx] = KeptResiduals.dot(scratch, from, o, x, row0 + i, tx, TX, D, Dv, all, jacobi);
                        }
                        ctx.localBarrier();
                        for (int i = ty; i < live; i += TY) {
                            float part = 0f;
                            for (int t = 0; t < TX; t++) {
                                part += wt[i * TX + t];
                            }
                            KeptResiduals.subtract(part, residual[i / TY] > tol ? D : 0, scratch, from, o, x, row0 + i, tx, TX, D, Dv, all);
                        }
                    }
                }
                ctx.localBarrier();
                for (int i = ty; i < live; i += TY) {
                    float rr = 0f, zay = 0f, third = 0f, qr = 0f; // third: z.A q, or r.z
                    for (int d = tx; d < D; d += TX) {
                        int at = (row0 + i) * D + d;
                        float r = KeptResiduals.residual(o, x, row0 + i, d, D, Dv, all);
                        float second = scratch.get(at);
                        float z = jacobi ? r / second : r;
                        rr += r * r;
                        zay += z * qt[GpuTiles.queryAt(i, d, dims)];
                        third += z * (jacobi ? r : second);
                        qr += r * Views.get(q, k, query0 + i * queryStride + d, flags);
                    }
                    wt[i * TX + tx] = rr;
                    wt[slot + i * TX + tx] = zay;
                    wt[2 * slot + i * TX + tx] = third;
                    wt[3 * slot + i * TX + tx] = qr;
                }
                ctx.localBarrier();
                // the next direction: z less its parts along y and q, as A measures them
                for (int i = ty; i < live; i += TY) {
                    int n = i / TY;
                    float rr = 0f, zay = 0f, third = 0f, qr = 0f;
                    for (int t = 0; t < TX; t++) {
                        rr += wt[i * TX + t];
                        zay += wt[slot + i * TX + t];
                        third += wt[2 * slot + i * TX + t];
                        qr += wt[3 * slot + i * TX + t];
                    }
                    if (residual[n] > tol) {
                        float qaq = scratch.get(numbers + 4 * (row0 + i) + 1);
                        float beta = zay * inverse[n];
                        float along = !jacobi && qaq > 0f ? third / qaq : 0f;
                        drift[n] = !jacobi && qaq > 0f ? qr / qaq : 0f;
                        rz[n] = jacobi ? third : rr;
                        count[n] = iteration;
                        residual[n] = TornadoMath.sqrt(rr / scratch.get(numbers + 4 * (row0 + i)));
                        for (int d = tx; d < D; d += TX) {
                            int at = (row0 + i) * D + d;
                            int own = GpuTiles.queryAt(i, d, dims);
                            float r = KeptResiduals.residual(o, x, row0 + i, d, D, Dv, all);
                            yt[own] = (jacobi ? r / scratch.get(at) : r - along * Views.get(q, k, query0 + i * queryStride + d, flags)) - beta * yt[own];
                        }
                    }
                }
            }
        }
        if (tx == 0) {
            for (int i = ty; i < live; i += TY) {
                scratch.set(numbers + 4 * (row0 + i) + 2, count[i / TY]);
                scratch.set(numbers + 4 * (row0 + i) + 3, residual[i / TY]);
            }
        }
    }
}
