package io.github.flashlla.tornado.kernels.backward;

import static io.github.flashlla.tornado.kernels.tile.TilePieces.EVERY_KEY;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.quadSum;
import static io.github.flashlla.tornado.kernels.tile.TileState.BLOCK;
import static io.github.flashlla.tornado.kernels.tile.TileState.DIRECTION_LENGTH;
import static io.github.flashlla.tornado.kernels.tile.TileState.NUMBERS;
import static io.github.flashlla.tornado.kernels.tile.TileState.THREADS;

import io.github.flashlla.tornado.kernels.forward.SplitMean;
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
 * The first kernel of the float32 backward pass on half-precision matrix units ({@link SplitBackward}): for ref near Gbar_i
 *
 * <pre>
 *   w_ij   = p_ij (G_ij - ref_i)
 *   Gbar_i = ref_i + sum_j w_ij
 *   c_i    = sum_j w_ij k_j - (sum_j w_ij) kbar_i
 * </pre>
 *
 * and the start of the solve A u = -c. Any ref serves, since sum p (k - kbar) = 0; near Gbar it leaves more of the digits of w. A first sweep
 * finds it by the first halves of all numbers, at a third of a sweep's price.
 */
public final class SplitBackwardGather {
    private static final float TINY = 1e-30f;
    /** log2 of the weights' unit: products of numbers up to 1024 each, and weights up to 2^7, so that none is beyond float16. */
    private static final float WEIGHT = 13f;
    /** What products are multiplied with to be those of numbers up to 1. */
    private static final float UNIT = 0x1p-20f;

    private SplitBackwardGather() {}

    /**
     * One group of {@value TileState#THREADS} for each {@value TileState#BLOCK} rows of a head, the longest first.
     *
     * @param q (B,H,Sq,D)
     * @param g dL/do (B,H,Sq,Dv)
     * @param packed keys and values from {@link SplitMean#pack}
     * @param centre (B,Hkv,D)
     * @param kbar weighted mean keys that forward saved (B,H,Sq,D)
     * @param lse log-sum-exp that forward saved (B,H,Sq)
     * @param ridge (B,H,Sq)
     * @param row out (B,H,Sq,{@value BackwardRow#ROW_SCALARS}): the log-sum-exp of centred keys, its factor, Gbar
     * @param scratch its factors in, else out: as {@link SplitBackward} has it
     * @param causal 1 with the causal mask, else 0
     */
    public static void gather(KernelContext ctx, FloatArray q, FloatArray g, HalfFloatArray packed, FloatArray centre, FloatArray kbar,
            FloatArray lse, FloatArray ridge, FloatArray row, FloatArray scratch, IntArray sizes, FloatArray settings, int D, int Dv, int dims, int dimsV,
            int causal) {
        Tile.launchBounds(THREADS, 2);
        // two tiles of keys and of values; one where rows of q are behind it
        int[] tile = ctx.allocateIntLocalArray(dims <= 64 ? 8192 : SplitPieces.localInts(dims));
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        int stride = dims <= 64 ? 64 : 128;
        int strideV = dimsV <= 64 ? 64 : 128;
        int keys = dims <= 64 && dimsV <= 64 ? 32 : 16;
        int pieceBytes = 32 * stride;
        int pieceBytesV = 32 * strideV;

        int tid = ctx.localIdx;
        int lane = tid & 31;
        int warp = tid >> 5;
        int quad = lane & 3;
        int heads = sizes.get(TileState.HEADS);
        int group = sizes.get(TileState.GROUP);
        int Sq = sizes.get(TileState.SQ);
        int Sk = sizes.get(TileState.SK);
        int padded = SplitRows.paddedKeys(Sk);
        int rows = heads * Sq;
        int head = ctx.groupIdx % heads;
        int block = (Sq + BLOCK - 1) / BLOCK - 1 - ctx.groupIdx / heads;
        int first = block * BLOCK + warp * 16;
        TwoRows two = TwoRows.of(lane, head, first, block * BLOCK + BLOCK, Sq, Sk, causal);
        int tiles = (two.most + keys - 1) / keys;
        int behind = heads / group * padded * stride;
        int behindV = heads / group * padded * strideV;
        int from = head / group * padded * stride;
        int fromV = 2 * behind + head / group * padded * strideV;
        int centreRow = head / group;
        int factorsAt = SplitRows.factorsAt(heads, Sq, dims);
        float factor = scratch.get(factorsAt + head / group);
        float factorV = scratch.get(factorsAt + heads / group + head / group);
        float scale = settings.get(TileState.SCALE);
        float c = scale * LOG2E;

        int[] qf = new int[SplitPieces.rowRegisters(dims)];
        int[] gf = new int[dimsV / 2];
        int[] b = new int[8];
        int[] w = new int[8];
        float[] s = new float[8];
        float[] u = new float[8];
        float[] part = new float[8];
        float[] acc = new float[dims / 2];
        float[] exact = new float[2];
        float[] total = new float[2];
        float[] starts = new float[4];
        float[] four = new float[4];
        float timesA = SplitPieces.rowFactor(q, two.atA, quad, D, dims);
        float timesB = SplitPieces.rowFactor(q, two.atB, quad, D, dims);
        SplitPieces.loadRows(qf, tile, base, q, two.atA, two.atB, tid, D, dims, timesA, timesB);
        float timesGA = SplitPieces.rowFactor(g, two.atA, quad, Dv, dimsV);
        float timesGB = SplitPieces.rowFactor(g, two.atB, quad, Dv, dimsV);
        SplitPieces.loadRows(gf, g, two.atA, two.atB, quad, Dv, dimsV, timesGA, timesGB);
        float cA = c / (timesA * factor);
        float cB = c / (timesB * factor);
        int qAt = SplitPieces.rowsAt(base, tid);
        int scoreAt = base + TilePieces.scoreByte(lane, stride);
        int valueAt = base + 2 * SplitPieces.LOW_BYTES + TilePieces.scoreByte(lane, strideV);
        int sumAt = base + TilePieces.sumByte(lane, stride);
        float qcA = 0f;
        float qcB = 0f;
        for (int n = 0; n < dims / 8; n++) {
            int column = 8 * n + 2 * quad;
            SplitRows.queries(four, q, two.atA, two.atB, column, D);
            for (int h = 0; h < 2; h++) {
                float middle = SplitPieces.element(centre, centreRow, column + h, D);
                qcA += four[h] * middle;
                qcB += four[2 + h] * middle;
            }
        }
        qcA = quadSum(qcA);
        qcB = quadSum(qcB);
        float lseA = two.seesA > 0 ? lse.get(two.atA) - scale * qcA : 0f; // of centred keys
        float lseB = two.seesB > 0 ? lse.get(two.atB) - scale * qcB : 0f;
        float mA = lseA * LOG2E + WEIGHT;
        float mB = lseB * LOG2E + WEIGHT;

        // ref: Gbar by first halves alone
        float pA = 0f;
        float pB = 0f;
        float pgA = 0f;
        float pgB = 0f;
        for (int t = 0; t < tiles; t++) {
            ctx.localBarrier();
            TilePieces.copyTile(tile, base, packed, from + t * keys * stride, tid, keys, stride);
            TilePieces.copyTile(tile, base + 2 * SplitPieces.LOW_BYTES, packed, fromV + t * keys * strideV, tid, keys, strideV);
            Tile.commit();
            Tile.await(0);
            ctx.localBarrier();
            int pieces = Math.min(keys / 16, (Math.max(0, two.high - t * keys) + 15) / 16);
            for (int j = 0; j < pieces; j++) {
                SplitPieces.roughScores(s, qf, b, tile, qAt, scoreAt, j * pieceBytes, dims);
                TilePieces.scores(u, gf, b, tile, valueAt, j * pieceBytesV, dimsV);
                int key = t * keys + j * 16 + 2 * quad;
                for (int n = 0; n < 2; n++) {
                    for (int h = 0; h < 2; h++) {
                        float eA = Tile.exp2(TilePieces.exponent(s[4 * n + h], cA, mA, key + 8 * n + h, two.seesA));
                        float eB = Tile.exp2(TilePieces.exponent(s[4 * n + 2 + h], cB, mB, key + 8 * n + h, two.seesB));
                        pA += eA;
                        pB += eB;
                        pgA += eA * u[4 * n + h];
                        pgB += eB * u[4 * n + 2 + h];
                    }
                }
            }
        }
        pA = quadSum(pA);
        pB = quadSum(pB);
        float refA = quadSum(pgA) / Math.max(pA, TINY);
        float refB = quadSum(pgB) / Math.max(pB, TINY);

        TilePieces.start(starts, -refA, -refB);
        for (int i = 0; i < dims / 2; i++) {
            acc[i] = 0f;
        }
        for (int i = 0; i < 2; i++) {
            exact[i] = 0f;
            total[i] = 0f;
        }
        ctx.localBarrier();
        if (dims <= 64) {
            SplitPieces.copyTiles(tile, base, packed, from, behind, fromV, behindV, tid, keys, stride, strideV);
        }
        for (int t = 0; t < tiles; t++) {
            int buffer = dims <= 64 ? (t & 1) << 14 : 0;
            if (dims > 64) {
                ctx.localBarrier();
                SplitPieces.copyTiles(tile, base, packed, from + t * keys * stride, behind, fromV + t * keys * strideV, behindV, tid, keys, stride, strideV);
            }
            Tile.await(0);
            ctx.localBarrier();
            if (dims <= 64 && t + 1 < tiles) {
                SplitPieces.copyTiles(tile, base + (16384 - buffer), packed, from + (t + 1) * keys * stride, behind, fromV + (t + 1) * keys * strideV,
                        behindV, tid, keys, stride, strideV);
            }
            int key = t * keys;
            int whole = key + keys <= two.low ? 1 : 0;
            if (whole != 0) {
                piece(acc, total, exact, s, u, part, w, qf, gf, b, tile, qAt, scoreAt + buffer, valueAt + buffer, sumAt + buffer, 0, 0, cA, cB, mA, mB,
                        starts, 0, EVERY_KEY, EVERY_KEY, dims, dimsV);
                if (keys > 16) {
                    piece(acc, total, exact, s, u, part, w, qf, gf, b, tile, qAt, scoreAt + buffer, valueAt + buffer, sumAt + buffer, pieceBytes,
                            pieceBytesV, cA, cB, mA, mB, starts, 0, EVERY_KEY, EVERY_KEY, dims, dimsV);
                }
            }
            int pieces = whole != 0 ? 0 : Math.min(keys / 16, (Math.max(0, two.high - key) + 15) / 16);
            for (int j = 0; j < pieces; j++) {
                piece(acc, total, exact, s, u, part, w, qf, gf, b, tile, qAt, scoreAt + buffer, valueAt + buffer, sumAt + buffer, j * pieceBytes,
                        j * pieceBytesV, cA, cB, mA, mB, starts, key + j * 16 + 2 * quad, two.seesA, two.seesB, dims, dimsV);
            }
        }

        pA = quadSum(exact[0]);
        pB = quadSum(exact[1]);
        int thereA = two.seesA > 0 && pA > TINY ? 1 : 0;
        int thereB = two.seesB > 0 && pB > TINY ? 1 : 0;
        float inverseA = thereA != 0 ? 1f / pA : 0f;
        float inverseB = thereB != 0 ? 1f / pB : 0f;
        float sumA = quadSum(total[0]) * inverseA; // Gbar - ref, both as products are
        float sumB = quadSum(total[1]) * inverseB;
        int baseA = SplitRows.base(two.atA, quad, dims);
        int baseB = SplitRows.base(two.atB, quad, dims);
        int uAt = 2 * rows * dims;
        int kbarAt = 3 * rows * dims;
        float unscaleA = UNIT * inverseA / factor;
        float unscaleB = UNIT * inverseB / factor;
        float[] zero = new float[4];
        float[] mean = new float[4];
        for (int i = 0; i < 4; i++) {
            zero[i] = 0f;
        }
        float ccA = 0f;
        float ccB = 0f;
        float bbA = 0f;
        float bbB = 0f;
        for (int n = 0; n < dims / 8; n++) {
            int column = 8 * n + 2 * quad;
            SplitRows.queries(four, q, two.atA, two.atB, column, D);
            SplitRows.queries(mean, kbar, two.atA, two.atB, column, D);
            for (int h = 0; h < 2; h++) {
                bbA += (mean[h] - four[h]) * (mean[h] - four[h]);
                bbB += (mean[2 + h] - four[2 + h]) * (mean[2 + h] - four[2 + h]);
                float middle = SplitPieces.element(centre, centreRow, column + h, D);
                mean[h] = thereA != 0 ? mean[h] - middle : 0f;
                mean[2 + h] = thereB != 0 ? mean[2 + h] - middle : 0f;
                float rA = sumA * UNIT * mean[h] - acc[4 * n + h] * unscaleA;
                float rB = sumB * UNIT * mean[2 + h] - acc[4 * n + 2 + h] * unscaleB;
                ccA += rA * rA;
                ccB += rB * rB;
                acc[4 * n + h] = rA;
                acc[4 * n + 2 + h] = rB;
            }
            SplitRows.storeFour(scratch, kbarAt, baseA, baseB, 8 * n, mean, 0, two.liveA, two.liveB);
            SplitRows.storeFour(scratch, uAt, baseA, baseB, 8 * n, zero, 0, two.liveA, two.liveB);
            SplitRows.storeFour(scratch, 0, baseA, baseB, 8 * n, acc, 4 * n, two.liveA, two.liveB);
        }
        ccA = quadSum(ccA);
        ccB = quadSum(ccB);
        float tolerance = settings.get(TileState.TOLERANCE);
        float targetA = TileState.targetOfGradient(ccA, quadSum(bbA), ridge.get(two.atA), tolerance);
        float targetB = TileState.targetOfGradient(ccB, quadSum(bbB), ridge.get(two.atB), tolerance);
        int[] y = new int[dims / 2];
        float[] yk = new float[2];
        SplitRows.direction(y, yk, acc, scratch, kbarAt, baseA, baseB, dims, ccA <= targetA ? 0f : DIRECTION_LENGTH,
                ccB <= targetB ? 0f : DIRECTION_LENGTH, factor);
        SplitRows.storeDirection(scratch, y, heads, Sq, two.atA, two.atB, quad, dims, two.liveA, two.liveB);
        if (quad == 0) {
            int numbers = TileState.numbersAt(rows, dims);
            if (two.liveA != 0) {
                start(scratch, row, numbers, two.atA, ccA, mA, pA, lseA, yk[0], targetA, refA + sumA, timesGA * factorV, thereA);
            }
            if (two.liveB != 0) {
                start(scratch, row, numbers, two.atB, ccB, mB, pB, lseB, yk[1], targetB, refB + sumB, timesGB * factorV, thereB);
            }
        }
    }

    private static void start(FloatArray scratch, FloatArray row, int numbers, int at, float cc, float m, float p, float lse, float yk, float target,
            float gbar, float times, int there) {
        float log = there != 0 ? Tile.log2(p) : 0f;
        SplitMean.keep(scratch, numbers + NUMBERS * at, cc, 0f, cc, m + log - TilePieces.SHIFT, yk, target);
        scratch.set(numbers + NUMBERS * at + TileState.GBAR, 1f / (UNIT * times));
        row.set(BackwardRow.ROW_SCALARS * at + BackwardRow.LSE, lse);
        row.set(BackwardRow.ROW_SCALARS * at + BackwardRow.FACTOR, there != 0 ? 0x1p-13f / p : 1f);
        row.set(BackwardRow.ROW_SCALARS * at + BackwardRow.GBAR, there != 0 ? gbar / times : 0f);
    }

    /** Adds 16 keys to c. */
    private static void piece(float[] acc, float[] total, float[] exact, float[] s, float[] u, float[] part, int[] w, int[] q, int[] g, int[] b,
            int[] tile, int qAt, int scoreAt, int valueAt, int sumAt, int offset, int offsetV, float cA, float cB, float mA, float mB, float[] starts,
            int key, int seesA, int seesB, int dims, int dimsV) {
        SplitPieces.scores(s, q, b, tile, qAt, scoreAt, offset, dims);
        SplitPieces.products(u, g, b, tile, valueAt, offsetV, starts, dimsV);
        for (int n = 0; n < 2; n++) {
            for (int i = 0; i < 2; i++) {
                float pA = Tile.exp2(TilePieces.exponent(s[4 * n + i], cA, mA, key + 8 * n + i, seesA));
                float pB = Tile.exp2(TilePieces.exponent(s[4 * n + 2 + i], cB, mB, key + 8 * n + i, seesB));
                u[4 * n + i] *= pA;
                u[4 * n + 2 + i] *= pB;
                exact[0] += pA;
                exact[1] += pB;
                total[0] += u[4 * n + i];
                total[1] += u[4 * n + 2 + i];
            }
            SplitPieces.splitPairs(w, 2 * n, u[4 * n], u[4 * n + 1], u[4 * n + 2], u[4 * n + 3]);
        }
        SplitPieces.sums(acc, part, w, b, tile, sumAt, offset, dims);
    }
}
