package io.github.flashlla.tornado.kernels.backward;

import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.ROWS;
import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.TILE;
import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.VECTORS;

import io.github.flashlla.tornado.kernels.tile.BackwardRow;
import io.github.flashlla.tornado.kernels.tile.CpuBlockLoops;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import io.github.flashlla.tornado.kernels.tile.Lanes;
import io.github.flashlla.tornado.kernels.tile.Masking;
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
     * @param g dL/do (B,H,Sq,Dv)
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
            int firstQuery = (flags & Masking.CAUSAL) != 0 ? Math.max(0, j0 - (Sk - Sq)) : 0;
            int count = 0;

            for (int lane = 0; lane < lanes; lane++) {
                int j = Math.min(j0 + lane, Sk - 1);
                int row = head * Sk + j;
                scratch.set(places * Lanes.COUNT + lane, j + 1);
                for (int d = 0; d < D; d++) {
                    scratch.set(ks * Lanes.COUNT + d * ROWS + lane, k.get(row * D + d) - centre.get(head * D + d));
                }
                for (int d = 0; d < Dv; d++) {
                    scratch.set(vs * Lanes.COUNT + d * ROWS + lane, v.get(row * Dv + d));
                }
            }
            CpuBlockLoops.clear(t, dks, dims + valueDims);

            for (int member = 0; member < group; member++) {
                for (int i0 = firstQuery; i0 < Sq; i0 += TILE) {
                    int row0 = (head * group + member) * Sq + i0;
                    int last = Sq - 1 - i0;
                    int queries = Math.min(TILE, Sq - i0);
                    int m = CpuBlockLoops.pad(queries);
                    count += queries;
                    CpuBlockLoops.multiply(t, ks, scores, m, q, row0, last, D, CpuBlockLoops.AS_THEY_ARE, centre, 0);
                    CpuBlockLoops.multiply(t, ks, relative, m, x, row0, last, D, CpuBlockLoops.AS_THEY_ARE, centre, 0);
                    CpuBlockLoops.multiply(t, vs, products, m, g, row0, last, Dv, CpuBlockLoops.AS_THEY_ARE, centre, 0);
                    CpuBlockLoops.multiply(t, ks, slopes, m, u, row0, last, D, CpuBlockLoops.AS_THEY_ARE, centre, 0);
                    for (int h = 0; h < vectors; h++) {
                        Float16 keys = t.get(places + h);
                        for (int i = 0; i < m; i++) {
                            int at = i * VECTORS + h;
                            int own = (row0 + Math.min(i, last)) * BackwardRow.ROW_SCALARS;
                            Float16 s = Float16.mult(t.get(scores + at), Lanes.spread(scale));
                            if ((flags & Masking.CAUSAL) != 0) {
                                Float16 sees = Lanes.spread(Masking.visible(i0 + i, Sq, Sk, flags));
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
                    CpuBlockLoops.accumulate(t, scores, dks, queries, q, row0, D, CpuBlockLoops.AS_THEY_ARE, centre, 0, 0);
                    CpuBlockLoops.accumulate(t, relative, dks, queries, u, row0, D, CpuBlockLoops.AS_THEY_ARE, centre, 0, 0);
                    CpuBlockLoops.accumulate(t, products, dks, queries, x, row0, D, CpuBlockLoops.AS_THEY_ARE, centre, 0, 0);
                    CpuBlockLoops.accumulate(t, relative, dvs, queries, g, row0, Dv, CpuBlockLoops.AS_THEY_ARE, centre, 0, 0);
                }
            }

            for (int lane = 0; lane < lanes; lane++) {
                int row = head * Sk + Math.min(j0 + lane, Sk - 1);
                for (int d = 0; d < D; d++) {
                    dk.set(row * D + d, scratch.get(dks * Lanes.COUNT + d * ROWS + lane));
                }
                for (int d = 0; d < Dv; d++) {
                    dv.set(row * Dv + d, scratch.get(dvs * Lanes.COUNT + d * ROWS + lane));
                }
                visited.set(row, count);
            }
        }
    }
}
