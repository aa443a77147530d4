package io.github.flashlla.tornado.kernels.softmax;

import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.ROWS;
import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.TILE;
import static io.github.flashlla.tornado.kernels.tile.CpuBlockLoops.VECTORS;

import io.github.flashlla.tornado.kernels.tile.CpuBlockLoops;
import io.github.flashlla.tornado.kernels.tile.Lanes;
import io.github.flashlla.tornado.kernels.tile.Masking;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.collections.VectorFloat16;
import uk.ac.manchester.tornado.api.types.vectors.Float16;

/**
 * Softmax attention for the cores of a CPU: pass 1 of {@link io.github.flashlla.tornado.kernels.forward.CpuForward} with the mean of
 * the values instead of the keys, in the same blocks, lanes and tiles.
 *
 * <p>A worker's slice of {@code scratch} has rows of {@value CpuBlockLoops#ROWS} floats, one per query: the largest score, the total
 * weight and the number of visible keys; Dv of the sums; D of q; a tile of weights, and one row behind it that is read and not used.
 *
 * <pre>
 *   pass      online softmax, one sweep over the keys
 *   group     1 work-item, a worker; block 32 queries; tile 64 keys
 *   registers 4 rows by 32 lanes
 *   for       CPUs, float32, every D and Dv to 256
 *   measured  docs/kernels/softmax.md
 * </pre>
 */
public final class CpuSoftmax {
    // rows of scalars
    private static final int MAX = 0;
    private static final int TOTAL = 1;
    private static final int SEES = 2;
    private static final int SCALARS = 3;

    private CpuSoftmax() {}

    /** Floats of one worker's slice of the scratch memory. */
    static long sliceFloats(int D, int Dv) {
        return (long) sliceRows(D, Dv) * ROWS;
    }

    private static int sliceRows(int D, int Dv) {
        return SCALARS + CpuBlockLoops.pad(Dv) + CpuBlockLoops.pad(D) + TILE + 1;
    }

    /**
     * Launched with local size 1 as at most as many work-items as {@code scratch} has slices of {@link #sliceFloats}.
     *
     * @param q (B,H,Sq,D)
     * @param k (B,Hkv,Sk,D)
     * @param v (B,Hkv,Sk,Dv)
     * @param o out (B,H,Sq,Dv)
     * @param lse out (B,H,Sq)
     * @param sizes see {@link SoftmaxData}
     * @param scale one element
     */
    public static void softmax(KernelContext ctx, FloatArray q, FloatArray k, FloatArray v, FloatArray o, FloatArray lse,
            FloatArray scratch, IntArray sizes, FloatArray scale) {
        int worker = ctx.globalIdx;
        int workers = ctx.globalGroupSizeX;
        // sizes that TornadoVM takes for variable, so that it leaves the loops over them loops: local ids are 0
        int vectors = VECTORS + ctx.localIdx;
        int lanes = ROWS + ctx.localIdx;
        VectorFloat16 t = new VectorFloat16(scratch); // a view: nothing is allocated
        int heads = sizes.get(SoftmaxData.HEADS);
        int group = sizes.get(SoftmaxData.GROUP);
        int Sq = sizes.get(SoftmaxData.SQ);
        int Sk = sizes.get(SoftmaxData.SK);
        int D = sizes.get(SoftmaxData.D);
        int Dv = sizes.get(SoftmaxData.DV);
        int firstSees = sizes.get(SoftmaxData.FIRST_SEES);
        float factor = scale.get(0);
        int blocks = (Sq + ROWS - 1) / ROWS;
        // where each part of the worker's slice starts, in vectors
        int state = worker * sliceRows(D, Dv) * VECTORS;
        int sums = state + SCALARS * VECTORS;
        int qs = sums + CpuBlockLoops.pad(Dv) * VECTORS;
        int weights = qs + CpuBlockLoops.pad(D) * VECTORS;

        for (int n = worker; n < blocks * heads; n += workers) {
            int head = n % heads;
            int i0 = (blocks - 1 - n / heads) * ROWS; // the longest causal blocks first
            int key0 = head / group * Sk;
            int keysEnd = SoftmaxData.sees(Math.min(i0 + ROWS, Sq) - 1, firstSees, Sk);
            int seenByAll = SoftmaxData.sees(i0, firstSees, Sk);

            // the last block's surplus lanes repeat the last query
            for (int lane = 0; lane < lanes; lane++) {
                int i = Math.min(i0 + lane, Sq - 1);
                int row = head * Sq + i;
                for (int d = 0; d < D; d++) {
                    scratch.set(qs * Lanes.COUNT + d * ROWS + lane, q.get(row * D + d));
                }
                int at = state * Lanes.COUNT + lane;
                scratch.set(at + MAX * ROWS, Masking.LOW);
                scratch.set(at + TOTAL * ROWS, 0f);
                scratch.set(at + SEES * ROWS, SoftmaxData.sees(i, firstSees, Sk));
            }
            CpuBlockLoops.clear(t, sums, CpuBlockLoops.pad(Dv));

            for (int j0 = 0; j0 < keysEnd; j0 += TILE) {
                int m = Math.min(TILE, CpuBlockLoops.pad(keysEnd - j0));
                CpuBlockLoops.multiply(t, qs, weights, m, k, 0, key0 + j0, D, Sk - 1 - j0, D, CpuBlockLoops.AS_THEY_ARE, k, 0);
                for (int h = 0; h < vectors; h++) {
                    Float16 oldMax = t.get(state + MAX * VECTORS + h);
                    Float16 max = CpuBlockLoops.scores(t, weights + h, m, factor, state + SEES * VECTORS + h, j0 + m - seenByAll, 0, 0,
                            j0, oldMax, 0);
                    Float16 sum = CpuBlockLoops.exponentials(t, weights + h, m, max, Lanes.spread(1f));
                    Float16 shrink = Lanes.exp(Lanes.sub(oldMax, max));
                    Float16 total = t.get(state + TOTAL * VECTORS + h);
                    t.set(state + MAX * VECTORS + h, max);
                    t.set(state + TOTAL * VECTORS + h, Float16.add(Float16.mult(total, shrink), sum));
                    CpuBlockLoops.scale(t, sums + h, Dv, shrink);
                }
                CpuBlockLoops.accumulate(t, weights, sums, Math.min(m, Sk - j0), v, 0, key0 + j0, Dv, Dv,
                        CpuBlockLoops.AS_THEY_ARE, v, 0, 0);
            }

            for (int lane = 0; lane < lanes; lane++) {
                int i = Math.min(i0 + lane, Sq - 1);
                int row = head * Sq + i;
                int at = state * Lanes.COUNT + lane;
                int seen = SoftmaxData.sees(i, firstSees, Sk);
                float total = Math.max(scratch.get(at + TOTAL * ROWS), CpuBlockLoops.TINY);
                // what a query without keys has summed means nothing
                float inverse = Math.min(seen, 1) / total;
                for (int d = 0; d < Dv; d++) {
                    o.set(row * Dv + d, scratch.get(sums * Lanes.COUNT + d * ROWS + lane) * inverse);
                }
                float sum = scratch.get(at + MAX * ROWS) + TornadoMath.log(total);
                if (seen > 0) {
                    lse.set(row, sum);
                } else {
                    lse.set(row, Float.NEGATIVE_INFINITY);
                }
            }
        }
    }
}
