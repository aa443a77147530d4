package io.github.flashlla.tornado.kernels.backward;

import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.ROWS;
import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.TILE;
import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.VECTORS;

import io.github.flashlla.tornado.kernels.tile.BackwardRow;
import io.github.flashlla.tornado.kernels.tile.CpuBlockLoops;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import io.github.flashlla.tornado.kernels.tile.Lanes;
import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.Views;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.collections.VectorFloat16;
import uk.ac.manchester.tornado.api.types.vectors.Float16;

/**
 * The backward pass over blocks of keys for the cores of a CPU, one key per lane: dk and dv. The queries of all heads of the
 * group that see the block go by, a tile of them at a time, always in the same order. The last block's surplus lanes repeat the
 * last key.
 *
 * <pre>
 *   pass      backward, of 2: queries with their solve, then keys
 *   group     1 work-item, a worker; block 32 keys; tile 64 queries
 *   registers 4 rows by 32 lanes
 *   for       CPUs, float32, every D and Dv to 256
 *   measured  docs/kernels/cpu-opencl.md
 * </pre>
 */
public final class CpuBackwardKeys {
    /** Tiles of weights: scores, x.k, g.v and u.k. */
    private static final int TILES = 4;

    private CpuBackwardKeys() {}

    /** Floats of one worker's slice of the scratch memory. */
    public static long scratchFloats(int D, int Dv) {
        return (long) sliceRows(D, Dv) * ROWS;
    }

    private static int sliceRows(int D, int Dv) {
        return 1 + 2 * (CpuBlockLoops.pad(D) + CpuBlockLoops.pad(Dv)) + TILES * TILE + 1;
    }

    /**
     * Launched with local size 1 as at most as many work-items as {@code scratch} has slices of {@link #scratchFloats}.
     *
     * @param q (B,H,Sq,D)
     * @param k (B,Hkv,Sk,D)
     * @param v (B,Hkv,Sk,Dv)
     * @param centre (B,Hkv,D), near the mean key
     * @param g dL/do (B,H,Sq,Dv); these, dk and dv lie as the sizes say
     * @param x solution that forward saved (B,H,Sq,D)
     * @param u from {@link CpuBackwardQueries} (B,H,Sq,D)
     * @param rows from {@link CpuBackwardQueries} (B,H,Sq,{@value BackwardRow#ROW_SCALARS})
     * @param dk out (B,Hkv,Sk,D)
     * @param dv out (B,Hkv,Sk,Dv)
     * @param visited out (B,Hkv,Sk): queries that the key's block went through
     * @param sizes from {@link ProblemData#sizes}
     * @param settings from {@link ProblemData#settings}
     * @param group query heads per key/value head
     */
    public static void keys(KernelContext ctx, FloatArray q, FloatArray k, FloatArray v, FloatArray centre, FloatArray g,
            FloatArray x, FloatArray u, FloatArray rows, FloatArray dk, FloatArray dv, FloatArray visited, FloatArray scratch,
            IntArray sizes, FloatArray settings, int flags, int group) {
        int worker = ctx.globalIdx;
        int workers = ctx.globalGroupSizeX;
        // sizes that TornadoVM takes for variable, so that it leaves the loops over them loops: local ids are 0
        int vectors = VECTORS + ctx.localIdx;
        int lanes = ROWS + ctx.localIdx;
        VectorFloat16 t = new VectorFloat16(scratch); // a view: nothing is allocated
        int heads = sizes.get(ProblemData.HEADS) / group;
        int Sq = sizes.get(ProblemData.SQ);
        int Sk = sizes.get(ProblemData.SK);
        int D = sizes.get(ProblemData.D);
        int Dv = sizes.get(ProblemData.DV);
        float scale = settings.get(ProblemData.SCALE);
        int dims = CpuBlockLoops.pad(D);
        int valueDims = CpuBlockLoops.pad(Dv);
        int blocks = (Sk + ROWS - 1) / ROWS;
        int queryStride = Views.rowStride(sizes, Views.Q, D, flags);
        int keyStride = Views.rowStride(sizes, Views.K, D, flags);
        int valueStride = Views.rowStride(sizes, Views.V, Dv, flags);
        int gradientStride = Views.rowStride(sizes, Views.G, Dv, flags);
        int dkStride = Views.rowStride(sizes, Views.DK, D, flags);
        int dvStride = Views.rowStride(sizes, Views.DV, Dv, flags);
        // where each part of the worker's slice starts
        int places = worker * sliceRows(D, Dv) * VECTORS; // how many keys there are up to each
        int ks = places + VECTORS;
        int vs = ks + dims * VECTORS;
        int dks = vs + valueDims * VECTORS;
        int dvs = dks + dims * VECTORS;
        int scores = dvs + valueDims * VECTORS;
        int relative = scores + TILE * VECTORS;
        int products = relative + TILE * VECTORS;
        int slopes = products + TILE * VECTORS;

        // the keys that most queries see first
        for (int n = worker; n < blocks * heads; n += workers) {
            int head = n % heads;
            int j0 = n / heads * ROWS;
            int key0 = Views.keyHead(sizes, Views.K, head, Sk, D, flags);
            int value0 = Views.keyHead(sizes, Views.V, head, Sk, Dv, flags);
            int dk0 = Views.keyHead(sizes, Views.DK, head, Sk, D, flags);
            int dv0 = Views.keyHead(sizes, Views.DV, head, Sk, Dv, flags);
            // neither the first nor the last query that sees a key is before that of the key before it
            int firstQuery = Masking.firstQuery(sizes, j0, Sq, Sk, flags);
            int endQuery = Masking.endQuery(sizes, Math.min(j0 + ROWS, Sk) - 1, Sq, flags);
            int count = 0;

            for (int lane = 0; lane < lanes; lane++) {
                int j = Math.min(j0 + lane, Sk - 1);
                scratch.set(places * Lanes.COUNT + lane, j + 1);
                for (int d = 0; d < D; d++) {
                    scratch.set(ks * Lanes.COUNT + d * ROWS + lane, k.get(key0 + j * keyStride + d) - centre.get(head * D + d));
                }
                for (int d = 0; d < Dv; d++) {
                    scratch.set(vs * Lanes.COUNT + d * ROWS + lane, Views.get(v, k, value0 + j * valueStride + d, flags));
                }
            }
            CpuBlockLoops.clear(t, dks, dims + valueDims);

            for (int member = 0; member < group; member++) {
                int queryHead = head * group + member;
                int query0 = Views.start(Views.queryHead(sizes, Views.Q, queryHead, Sq, D, flags), flags);
                int gradient0 = Views.start(Views.queryHead(sizes, Views.G, queryHead, Sq, Dv, flags), flags);
                int headRow = Views.rowZero(queryHead, Sq, flags);
                for (int i0 = firstQuery; i0 < endQuery; i0 += TILE) {
                    int row0 = queryHead * Sq + i0;
                    int last = endQuery - 1 - i0;
                    int queries = Math.min(TILE, endQuery - i0);
                    int m = CpuBlockLoops.pad(queries);
                    count += queries;
                    if ((flags & Masking.PACKED) != 0) {
                        CpuBlockLoops.multiply(t, ks, scores, m, k, query0, headRow + i0, queryStride, last, D, CpuBlockLoops.AS_THEY_ARE, centre, 0);
                    } else {
                        CpuBlockLoops.multiply(t, ks, scores, m, q, query0, headRow + i0, queryStride, last, D, CpuBlockLoops.AS_THEY_ARE, centre, 0);
                    }
                    CpuBlockLoops.multiply(t, ks, relative, m, x, 0, row0, D, last, D, CpuBlockLoops.AS_THEY_ARE, centre, 0);
                    CpuBlockLoops.multiply(t, vs, products, m, g, gradient0, headRow + i0, gradientStride, last, Dv, CpuBlockLoops.AS_THEY_ARE, centre, 0);
                    CpuBlockLoops.multiply(t, ks, slopes, m, u, 0, row0, D, last, D, CpuBlockLoops.AS_THEY_ARE, centre, 0);
                    for (int h = 0; h < vectors; h++) {
                        Float16 keys = t.get(places + h);
                        for (int i = 0; i < m; i++) {
                            int at = i * VECTORS + h;
                            int own = (row0 + Math.min(i, last)) * BackwardRow.ROW_SCALARS;
                            Float16 s = Float16.mult(t.get(scores + at), Lanes.spread(scale));
                            if ((flags & (Masking.CAUSAL | Masking.SPANS)) != 0) {
                                int query = Math.min(i0 + i, Sq - 1);
                                Float16 sees = Lanes.spread(Masking.end(sizes, query, Sq, Sk, flags));
                                if ((flags & Masking.SPANS) != 0) {
                                    Float16 first = Lanes.spread(1f + Masking.first(sizes, query, flags));
                                    s = Float16.add(s, CpuBlockLoops.masked(keys, first));
                                }
                                s = Float16.add(s, CpuBlockLoops.masked(sees, keys));
                            }
                            Float16 e = Lanes.exp(Lanes.sub(s, Lanes.spread(rows.get(own + BackwardRow.LSE))));
                            Float16 p = Float16.mult(e, Lanes.spread(rows.get(own + BackwardRow.FACTOR)));
                            Float16 a = Lanes.sub(t.get(relative + at), Lanes.spread(rows.get(own + BackwardRow.X_KBAR)));
                            Float16 pe = Float16.mult(Lanes.sub(Lanes.spread(1f), a), p);
                            Float16 b = Float16.add(Float16.add(t.get(products + at), t.get(slopes + at)),
                                    Lanes.spread(rows.get(own + BackwardRow.H_SHIFT)));
                            Float16 dS = Lanes.sub(Float16.mult(pe, b), Float16.mult(p, Lanes.spread(rows.get(own + BackwardRow.MU))));
                            t.set(scores + at, Float16.mult(dS, Lanes.spread(scale)));
                            t.set(relative + at, pe);
                            t.set(products + at, Lanes.sub(Lanes.spread(0f), Float16.mult(p, b)));
                        }
                    }
                    if ((flags & Masking.PACKED) != 0) {
                        CpuBlockLoops.accumulate(t, scores, dks, queries, k, query0, headRow + i0, queryStride, D, CpuBlockLoops.AS_THEY_ARE, centre,
                                0, 0);
                    } else {
                        CpuBlockLoops.accumulate(t, scores, dks, queries, q, query0, headRow + i0, queryStride, D, CpuBlockLoops.AS_THEY_ARE, centre,
                                0, 0);
                    }
                    CpuBlockLoops.accumulate(t, relative, dks, queries, u, 0, row0, D, D, CpuBlockLoops.AS_THEY_ARE, centre,
                            0, 0);
                    CpuBlockLoops.accumulate(t, products, dks, queries, x, 0, row0, D, D, CpuBlockLoops.AS_THEY_ARE, centre,
                            0, 0);
                    CpuBlockLoops.accumulate(t, relative, dvs, queries, g, gradient0, headRow + i0, gradientStride, Dv, CpuBlockLoops.AS_THEY_ARE, centre,
                            0, 0);
                }
            }

            for (int lane = 0; lane < lanes; lane++) {
                int j = Math.min(j0 + lane, Sk - 1);
                for (int d = 0; d < D; d++) {
                    dk.set(dk0 + j * dkStride + d, scratch.get(dks * Lanes.COUNT + d * ROWS + lane));
                }
                for (int d = 0; d < Dv; d++) {
                    dv.set(dv0 + j * dvStride + d, scratch.get(dvs * Lanes.COUNT + d * ROWS + lane));
                }
                visited.set(head * Sk + j, count);
            }
        }
    }
}
