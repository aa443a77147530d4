package io.github.flashlla.tornado.kernels.backward;

import static io.github.flashlla.tornado.kernels.tile.BackwardRow.ROW_SCALARS;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.quadSum;
import static io.github.flashlla.tornado.kernels.tile.TileState.THREADS;

import io.github.flashlla.tornado.kernels.tile.BackwardRow;
import io.github.flashlla.tornado.kernels.tile.SplitPair;
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
 * {@link SplitBackwardQueries} for head dims above {@value SplitBackward#DIMS}, where a warp's registers hold two of the four factors q, x, u and g
 * of 16 rows: of two warps that share the rows ({@link SplitPair}) the first has q and x and makes p e, the second u and g and makes h. They
 * exchange these, and each sums p e h k over half of the columns.
 */
public final class SplitBackwardPairQueries {
    /** Where the numbers that warps exchange are, behind two tiles of keys and of values. */
    private static final int EXCHANGE = 4 * SplitPair.ARRAY;

    private SplitBackwardPairQueries() {}

    /** Bytes of local memory. */
    static int localBytes() {
        return EXCHANGE + THREADS / 32 * SplitPair.NUMBERS;
    }

    /**
     * One group of {@value TileState#THREADS} for each {@value SplitPair#BLOCK} rows of a head, the longest first.
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
            int dims, int dimsV, int causal) {
        Tile.launchBounds(THREADS, 2);
        int[] tile = ctx.allocateIntLocalArray(localBytes() / Integer.BYTES);
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        int stride = dims <= 64 ? 64 : 128;
        int strideV = dimsV <= 64 ? 64 : 128;

        int tid = ctx.localIdx;
        int lane = tid & 31;
        int warp = tid >> 5;
        int quad = lane & 3;
        int half = warp & 1; // of a pair's warps
        int heads = sizes.get(TileState.HEADS);
        int group = sizes.get(TileState.GROUP);
        int Sq = sizes.get(TileState.SQ);
        int Sk = sizes.get(TileState.SK);
        int padded = SplitRows.paddedKeys(Sk);
        int head = ctx.groupIdx % heads;
        int block = (Sq + SplitPair.BLOCK - 1) / SplitPair.BLOCK - 1 - ctx.groupIdx / heads;
        int first = block * SplitPair.BLOCK + (warp >> 1) * 16;
        TwoRows two = TwoRows.of(lane, head, first, block * SplitPair.BLOCK + SplitPair.BLOCK, Sq, Sk, causal);
        int tiles = (two.most + SplitPair.TILE - 1) / SplitPair.TILE;
        int behind = heads / group * padded * stride;
        int behindV = heads / group * padded * strideV;
        int kvHead = head / group;
        int from = kvHead * padded * stride;
        int fromV = 2 * behind + kvHead * padded * strideV;
        int factorsAt = SplitRows.factorsAt(heads, Sq, dims);
        float factor = scratch.get(factorsAt + kvHead);
        float factorV = scratch.get(factorsAt + heads / group + kvHead);
        float scale = settings.get(TileState.SCALE);

        int[] f = new int[dims / 2]; // q or u
        int[] f2 = new int[Math.max(dims, dimsV) / 2]; // -x or g
        int[] b = new int[16];
        int[] w = new int[8];
        float[] s = new float[8];
        float[] e = new float[8];
        float[] other = new float[8];
        float[] part = new float[8];
        float[] acc = new float[dims / 4];
        float[] total = new float[2];
        float[] starts = new float[4];
        float timesA = SplitPieces.rowFactor(q, two.atA, quad, D, dims);
        float timesB = SplitPieces.rowFactor(q, two.atB, quad, D, dims);
        float timesXA = SplitBackward.directionFactor(SplitPieces.rowLargest(x, two.atA, quad, D, dims), factor);
        float timesXB = SplitBackward.directionFactor(SplitPieces.rowLargest(x, two.atB, quad, D, dims), factor);
        float unitA = SplitBackward.gradientUnit(SplitPieces.rowLargest(u, two.atA, quad, D, dims), SplitPieces.rowLargest(g, two.atA, quad, Dv, dimsV), factor,
                factorV);
        float unitB = SplitBackward.gradientUnit(SplitPieces.rowLargest(u, two.atB, quad, D, dims), SplitPieces.rowLargest(g, two.atB, quad, Dv, dimsV), factor,
                factorV);
        float xkA = quadSum(SplitBackward.product(x, kbar, centre, two.atA, kvHead, quad, D, dims));
        float xkB = quadSum(SplitBackward.product(x, kbar, centre, two.atB, kvHead, quad, D, dims));
        float hA = -row.get(ROW_SCALARS * two.atA + BackwardRow.GBAR) - quadSum(SplitBackward.product(u, kbar, centre, two.atA, kvHead, quad, D, dims));
        float hB = -row.get(ROW_SCALARS * two.atB + BackwardRow.GBAR) - quadSum(SplitBackward.product(u, kbar, centre, two.atB, kvHead, quad, D, dims));
        float uxA = 0f;
        float uxB = 0f;
        for (int n = 0; n < dims / 8; n++) {
            for (int i = 0; i < 2; i++) {
                int column = 8 * n + 2 * quad + i;
                uxA += SplitPieces.element(u, two.atA, column, D) * SplitPieces.element(x, two.atA, column, D);
                uxB += SplitPieces.element(u, two.atB, column, D) * SplitPieces.element(x, two.atB, column, D);
            }
        }
        uxA = quadSum(uxA);
        uxB = quadSum(uxB);
        if (quad == 0 && half == 0) {
            if (two.liveA != 0) {
                report(row, dridge, two.atA, xkA, hA, -uxA);
            }
            if (two.liveB != 0) {
                report(row, dridge, two.atB, xkB, hB, -uxB);
            }
        }
        if (half == 0) {
            SplitPieces.loadRows(f, q, two.atA, two.atB, quad, D, dims, timesA, timesB);
            SplitPieces.loadRows(f2, x, two.atA, two.atB, quad, D, dims, -timesXA, -timesXB);
        } else {
            SplitPieces.loadRows(f, u, two.atA, two.atB, quad, D, dims, unitA / factor, unitB / factor);
            SplitPieces.loadRows(f2, g, two.atA, two.atB, quad, Dv, dimsV, unitA / factorV, unitB / factorV);
        }
        TilePieces.start(starts, half == 0 ? (1f + xkA) * timesXA * factor : hA * unitA, half == 0 ? (1f + xkB) * timesXB * factor : hB * unitB);
        float cA = scale * LOG2E / (timesA * factor);
        float cB = scale * LOG2E / (timesB * factor);
        float mA = SplitBackward.reference(row, two.atA) + SplitBackward.WEIGHT + Tile.log2(timesXA * factor);
        float mB = SplitBackward.reference(row, two.atB) + SplitBackward.WEIGHT + Tile.log2(timesXB * factor);
        int scoreAt = base + TilePieces.scoreByte(lane, stride);
        int valueAt = base + SplitPair.ARRAY + TilePieces.scoreByte(lane, strideV);
        int sumAt = base + (TilePieces.sumByte(lane, stride) ^ (half << 5));
        int ownAt = base + EXCHANGE + warp * SplitPair.NUMBERS + 16 * lane;
        int otherAt = base + EXCHANGE + (warp ^ 1) * SplitPair.NUMBERS + 16 * lane;
        float shrunkA = 1f;
        float shrunkB = 1f;
        int again = 1;
        for (int round = 0; round < SplitBackward.ROUNDS && again != 0; round++) {
            for (int i = 0; i < dims / 4; i++) {
                acc[i] = 0f;
            }
            total[0] = 0f;
            total[1] = 0f;
            ctx.localBarrier();
            SplitPieces.copyTiles(tile, base, packed, from, behind, fromV, behindV, tid, SplitPair.TILE, stride, strideV);
            for (int t = 0; t < tiles; t++) {
                int buffer = (t & 1) << 14;
                Tile.await(0);
                ctx.localBarrier();
                if (t + 1 < tiles) {
                    SplitPieces.copyTiles(tile, base + (16384 - buffer), packed, from + (t + 1) * SplitPair.TILE * stride, behind,
                            fromV + (t + 1) * SplitPair.TILE * strideV, behindV, tid, SplitPair.TILE, stride, strideV);
                }
                int key = t * SplitPair.TILE;
                if (half == 0) {
                    SplitPair.ofOne(s, e, f, f2, b, tile, scoreAt + buffer, starts, dims);
                    for (int i = 0; i < 8; i++) {
                        s[i] = s[i] * ((i & 2) == 0 ? cA : cB) - ((i & 2) == 0 ? mA : mB);
                    }
                    if (key + SplitPair.TILE > two.low) {
                        SplitPair.hide(s, key + 2 * quad, two.seesA, two.seesB);
                    }
                    for (int i = 0; i < 8; i++) {
                        e[i] *= Tile.exp2(s[i]);
                    }
                } else {
                    SplitPair.ofTwo(s, e, f, f2, b, tile, scoreAt + buffer, valueAt + buffer, starts, dims, dimsV);
                    for (int i = 0; i < 8; i++) {
                        e[i] += s[i];
                    }
                }
                SplitPair.give(tile, ownAt, e);
                ctx.localBarrier();
                SplitPair.take(other, tile, otherAt);
                for (int i = 0; i < 8; i++) {
                    e[i] *= other[i];
                }
                for (int n = 0; n < 2; n++) {
                    total[0] += e[4 * n] + e[4 * n + 1];
                    total[1] += e[4 * n + 2] + e[4 * n + 3];
                    SplitPieces.splitPairs(w, 2 * n, e[4 * n], e[4 * n + 1], e[4 * n + 2], e[4 * n + 3]);
                }
                for (int n = 0; n < dims / 32; n++) {
                    SplitPair.part(part, w, b, tile, (sumAt ^ (n << 6)) + buffer);
                    for (int i = 0; i < 8; i++) {
                        acc[8 * n + i] += part[i];
                    }
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
        for (int n = 0; n < dims / 16; n++) {
            for (int i = 0; i < 2; i++) {
                int column = SplitPair.column(n, half, quad) + i;
                float middle = SplitPieces.element(centre, kvHead, column, D);
                float sumA = acc[4 * n + i] * (unscaleA / factor) - muA * (SplitPieces.element(kbar, two.atA, column, D) - middle);
                float sumB = acc[4 * n + 2 + i] * (unscaleB / factor) - muB * (SplitPieces.element(kbar, two.atB, column, D) - middle);
                float uA = SplitPieces.element(u, two.atA, column, D);
                float uB = SplitPieces.element(u, two.atB, column, D);
                if (two.liveA != 0 && column < D) {
                    dq.set(two.atA * D + column, scale * sumA - uA);
                }
                if (two.liveB != 0 && column < D) {
                    dq.set(two.atB * D + column, scale * sumB - uB);
                }
            }
        }
        if (quad == 0 && half == 0) {
            if (two.liveA != 0) {
                row.set(ROW_SCALARS * two.atA + BackwardRow.MU, muA);
            }
            if (two.liveB != 0) {
                row.set(ROW_SCALARS * two.atB + BackwardRow.MU, muB);
            }
        }
    }

    private static void report(FloatArray row, FloatArray dridge, int at, float xk, float h, float gradient) {
        row.set(ROW_SCALARS * at + BackwardRow.X_KBAR, xk);
        row.set(ROW_SCALARS * at + BackwardRow.H_SHIFT, h);
        dridge.set(at, gradient);
    }
}
