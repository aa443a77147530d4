package io.github.flashlla.tornado.kernels.backward;

import static io.github.flashlla.tornado.kernels.backward.SplitBackward.DIMS;
import static io.github.flashlla.tornado.kernels.tile.BackwardRow.ROW_SCALARS;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.EVERY_KEY;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.quadSum;
import static io.github.flashlla.tornado.kernels.tile.TileState.BLOCK;
import static io.github.flashlla.tornado.kernels.tile.TileState.THREADS;

import io.github.flashlla.tornado.kernels.tile.BackwardRow;
import io.github.flashlla.tornado.kernels.tile.SplitPieces;
import io.github.flashlla.tornado.kernels.tile.SplitRows;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import io.github.flashlla.tornado.kernels.tile.TwoRows;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * dq and dridge of the float32 backward pass on half-precision matrix units ({@link SplitBackward}), for head dims to {@value SplitBackward#DIMS}:
 *
 * <pre>
 *   e_ij = 1 + x_i.kbar_i - x_i.k_j                h_ij = G_ij - Gbar_i - u_i.kbar_i + u_i.k_j
 *   mu_i = sum_j p_ij e_ij h_ij
 *   dq_i = scale (sum_j p_ij e_ij h_ij k_j - mu_i kbar_i) - u_i
 *   dridge_i = - u_i.x_i
 * </pre>
 *
 * <p>h is one accumulator, so u k and g v are multiplied with the same power of two.
 */
public final class SplitBackwardQueries {
    private SplitBackwardQueries() {}

    /**
     * One group of {@value TileState#THREADS} for each {@value TileState#BLOCK} rows of a head, the longest first.
     *
     * @param q (B,H,Sq,D)
     * @param g dL/do (B,H,Sq,Dv)
     * @param packed keys and values, as {@link SplitBackward} has them
     * @param centre (B,Hkv,D)
     * @param kbar weighted mean keys that forward saved (B,H,Sq,D)
     * @param x forward's solution (B,H,Sq,D)
     * @param u (B,H,Sq,D)
     * @param dq out (B,H,Sq,D)
     * @param dridge out (B,H,Sq)
     * @param row (B,H,Sq,{@value BackwardRow#ROW_SCALARS}); x.kbar, h's shift and mu out
     * @param scratch its factors
     * @param causal 1 with the causal mask, else 0
     */
    public static void queries(KernelContext ctx, FloatArray q, FloatArray g, HalfFloatArray packed, FloatArray centre, FloatArray kbar, FloatArray x,
            FloatArray u, FloatArray dq, FloatArray dridge, FloatArray row, FloatArray scratch, IntArray sizes, FloatArray settings, int D, int Dv,
            int causal) {
        Tile.launchBounds(THREADS, 2);
        int[] tile = ctx.allocateIntLocalArray(8192); // two tiles of keys and of values
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        int stride = DIMS;
        int keys = 32;

        int tid = ctx.localIdx;
        int lane = tid & 31;
        int warp = tid >> 5;
        int quad = lane & 3;
        int heads = sizes.get(TileState.HEADS);
        int group = sizes.get(TileState.GROUP);
        int Sq = sizes.get(TileState.SQ);
        int Sk = sizes.get(TileState.SK);
        int padded = SplitRows.paddedKeys(Sk);
        int head = ctx.groupIdx % heads;
        int block = (Sq + BLOCK - 1) / BLOCK - 1 - ctx.groupIdx / heads;
        int first = block * BLOCK + warp * 16;
        TwoRows two = TwoRows.of(lane, head, first, block * BLOCK + BLOCK, Sq, Sk, causal);
        int tiles = (two.most + keys - 1) / keys;
        int behind = heads / group * padded * stride;
        int from = head / group * padded * stride;
        int fromV = 2 * behind + from;
        int factorsAt = SplitRows.factorsAt(heads, Sq, DIMS);
        float factor = scratch.get(factorsAt + head / group);
        float factorV = scratch.get(factorsAt + heads / group + head / group);
        float scale = settings.get(TileState.SCALE);

        int[] qf = new int[DIMS / 2];
        int[] xf = new int[DIMS / 2];
        int[] uf = new int[DIMS / 2];
        int[] gf = new int[DIMS / 2];
        int[] b = new int[8];
        int[] w = new int[8];
        float[] s = new float[8];
        float[] e = new float[8];
        float[] h = new float[8];
        float[] part = new float[8];
        float[] acc = new float[DIMS / 2];
        float[] total = new float[2];
        float[] startE = new float[4];
        float[] startH = new float[4];
        float timesA = SplitPieces.rowFactor(q, two.atA, quad, D, DIMS);
        float timesB = SplitPieces.rowFactor(q, two.atB, quad, D, DIMS);
        float timesXA = SplitBackward.directionFactor(SplitPieces.rowLargest(x, two.atA, quad, D, DIMS), factor);
        float timesXB = SplitBackward.directionFactor(SplitPieces.rowLargest(x, two.atB, quad, D, DIMS), factor);
        float unitA = SplitBackward.gradientUnit(SplitPieces.rowLargest(u, two.atA, quad, D, DIMS), SplitPieces.rowLargest(g, two.atA, quad, Dv, DIMS), factor,
                factorV);
        float unitB = SplitBackward.gradientUnit(SplitPieces.rowLargest(u, two.atB, quad, D, DIMS), SplitPieces.rowLargest(g, two.atB, quad, Dv, DIMS), factor,
                factorV);
        SplitPieces.loadRows(qf, q, two.atA, two.atB, quad, D, DIMS, timesA, timesB);
        SplitPieces.loadRows(xf, x, two.atA, two.atB, quad, D, DIMS, -timesXA, -timesXB);
        SplitPieces.loadRows(uf, u, two.atA, two.atB, quad, D, DIMS, unitA / factor, unitB / factor);
        SplitPieces.loadRows(gf, g, two.atA, two.atB, quad, Dv, DIMS, unitA / factorV, unitB / factorV);
        float xkA = quadSum(SplitBackward.product(x, kbar, centre, two.atA, head / group, quad, D, DIMS));
        float xkB = quadSum(SplitBackward.product(x, kbar, centre, two.atB, head / group, quad, D, DIMS));
        float hA = -row.get(ROW_SCALARS * two.atA + BackwardRow.GBAR) - quadSum(SplitBackward.product(u, kbar, centre, two.atA, head / group, quad, D, DIMS));
        float hB = -row.get(ROW_SCALARS * two.atB + BackwardRow.GBAR) - quadSum(SplitBackward.product(u, kbar, centre, two.atB, head / group, quad, D, DIMS));
        TilePieces.start(startE, (1f + xkA) * timesXA * factor, (1f + xkB) * timesXB * factor);
        TilePieces.start(startH, hA * unitA, hB * unitB);
        float cA = scale * LOG2E / (timesA * factor);
        float cB = scale * LOG2E / (timesB * factor);
        float mA = SplitBackward.reference(row, two.atA) + SplitBackward.WEIGHT + Tile.log2(timesXA * factor);
        float mB = SplitBackward.reference(row, two.atB) + SplitBackward.WEIGHT + Tile.log2(timesXB * factor);
        int scoreAt = base + TilePieces.scoreByte(lane, stride);
        int sumAt = base + TilePieces.sumByte(lane, stride);
        float shrunkA = 1f;
        float shrunkB = 1f;
        int again = 1;
        for (int round = 0; round < SplitBackward.ROUNDS && again != 0; round++) {
            for (int i = 0; i < DIMS / 2; i++) {
                acc[i] = 0f;
            }
            total[0] = 0f;
            total[1] = 0f;
            ctx.localBarrier();
            SplitPieces.copyTiles(tile, base, packed, from, behind, fromV, behind, tid, keys, stride, stride);
            for (int t = 0; t < tiles; t++) {
                int buffer = (t & 1) << 14;
                Tile.await(0);
                ctx.localBarrier();
                if (t + 1 < tiles) {
                    SplitPieces.copyTiles(tile, base + (16384 - buffer), packed, from + (t + 1) * keys * stride, behind, fromV + (t + 1) * keys * stride,
                            behind, tid, keys, stride, stride);
                }
                int key = t * keys;
                int whole = key + keys <= two.low ? 1 : 0;
                if (whole != 0) {
                    piece(acc, total, s, e, h, part, w, qf, xf, uf, gf, b, tile, scoreAt + buffer, sumAt + buffer, 0, cA, cB, mA, mB, startE, startH, 0,
                            EVERY_KEY, EVERY_KEY);
                    piece(acc, total, s, e, h, part, w, qf, xf, uf, gf, b, tile, scoreAt + buffer, sumAt + buffer, 32 * stride, cA, cB, mA, mB, startE,
                            startH, 0, EVERY_KEY, EVERY_KEY);
                }
                int pieces = whole != 0 ? 0 : Math.min(keys / 16, (Math.max(0, two.high - key) + 15) / 16);
                for (int j = 0; j < pieces; j++) {
                    piece(acc, total, s, e, h, part, w, qf, xf, uf, gf, b, tile, scoreAt + buffer, sumAt + buffer, j * 32 * stride, cA, cB, mA, mB,
                            startE, startH, key + j * 16 + 2 * quad, two.seesA, two.seesB);
                }
            }
            // where a weight was beyond float16, no sum of its row is finite: again with smaller ones
            float badA = quadSum(Math.abs(acc[0]) < SplitBackward.FINITE ? 0f : 1f);
            float badB = quadSum(Math.abs(acc[2]) < SplitBackward.FINITE ? 0f : 1f);
            again = round + 1 < SplitBackward.ROUNDS ? Tile.count(badA + badB > 0f ? 1 : 0) : 0;
            float lessA = again != 0 && badA > 0f ? SplitBackward.SHORTER : 1f;
            float lessB = again != 0 && badB > 0f ? SplitBackward.SHORTER : 1f;
            shrunkA *= lessA;
            shrunkB *= lessB;
            mA -= Tile.log2(lessA);
            mB -= Tile.log2(lessB);
        }

        float unscaleA = SplitBackward.UNWEIGHT / (unitA * shrunkA);
        float unscaleB = SplitBackward.UNWEIGHT / (unitB * shrunkB);
        float muA = quadSum(total[0]) * unscaleA;
        float muB = quadSum(total[1]) * unscaleB;
        float uxA = 0f;
        float uxB = 0f;
        for (int n = 0; n < DIMS / 8; n++) {
            for (int i = 0; i < 2; i++) {
                int column = 8 * n + 2 * quad + i;
                float middle = SplitPieces.element(centre, head / group, column, D);
                float uA = SplitPieces.element(u, two.atA, column, D);
                float uB = SplitPieces.element(u, two.atB, column, D);
                uxA += uA * SplitPieces.element(x, two.atA, column, D);
                uxB += uB * SplitPieces.element(x, two.atB, column, D);
                float sumA = acc[4 * n + i] * (unscaleA / factor) - muA * (SplitPieces.element(kbar, two.atA, column, D) - middle);
                float sumB = acc[4 * n + 2 + i] * (unscaleB / factor) - muB * (SplitPieces.element(kbar, two.atB, column, D) - middle);
                if (two.liveA != 0 && column < D) {
                    dq.set(two.atA * D + column, scale * sumA - uA);
                }
                if (two.liveB != 0 && column < D) {
                    dq.set(two.atB * D + column, scale * sumB - uB);
                }
            }
        }
        uxA = quadSum(uxA);
        uxB = quadSum(uxB);
        if (quad == 0) {
            if (two.liveA != 0) {
                report(row, dridge, two.atA, xkA, hA, muA, -uxA);
            }
            if (two.liveB != 0) {
                report(row, dridge, two.atB, xkB, hB, muB, -uxB);
            }
        }
    }

    private static void report(FloatArray row, FloatArray dridge, int at, float xk, float h, float mu, float gradient) {
        row.set(ROW_SCALARS * at + BackwardRow.X_KBAR, xk);
        row.set(ROW_SCALARS * at + BackwardRow.H_SHIFT, h);
        row.set(ROW_SCALARS * at + BackwardRow.MU, mu);
        dridge.set(at, gradient);
    }

    /** Adds 16 keys to sum p e h k. */
    private static void piece(float[] acc, float[] total, float[] s, float[] e, float[] h, float[] part, int[] w, int[] q, int[] x, int[] u, int[] g,
            int[] b, int[] tile, int scoreAt, int sumAt, int offset, float cA, float cB, float mA, float mB, float[] startE, float[] startH, int key,
            int seesA, int seesB) {
        SplitPieces.scoresAndProducts(s, e, q, x, b, tile, 0, scoreAt, offset, startE, DIMS);
        SplitPieces.products(h, u, b, tile, scoreAt, offset, startH, DIMS);
        SplitPieces.moreProducts(h, g, b, tile, scoreAt + 2 * SplitPieces.LOW_BYTES, offset, DIMS);
        for (int i = 0; i < 8; i++) {
            e[i] *= h[i];
        }
        SplitPieces.weights(w, total, s, e, cA, cB, mA, mB, key, seesA, seesB);
        SplitPieces.sums(acc, part, w, b, tile, sumAt, offset, DIMS);
    }
}
