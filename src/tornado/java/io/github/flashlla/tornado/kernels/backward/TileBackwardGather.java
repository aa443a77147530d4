package io.github.flashlla.tornado.kernels.backward;

import static io.github.flashlla.tornado.kernels.tile.TilePieces.EVERY_KEY;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.quadSum;
import static io.github.flashlla.tornado.kernels.tile.TileState.BLOCK;
import static io.github.flashlla.tornado.kernels.tile.TileState.DIRECTION_LENGTH;
import static io.github.flashlla.tornado.kernels.tile.TileState.NUMBERS;
import static io.github.flashlla.tornado.kernels.tile.TileState.RATIO;
import static io.github.flashlla.tornado.kernels.tile.TileState.RR;
import static io.github.flashlla.tornado.kernels.tile.TileState.TARGET;
import static io.github.flashlla.tornado.kernels.tile.TileState.THREADS;

import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileRows;
import io.github.flashlla.tornado.kernels.tile.TileState;
import io.github.flashlla.tornado.kernels.tile.TwoRows;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * The right-hand side of the float16 backward pass's solve, in one sweep over keys and values:
 *
 * <pre>
 *   w = p (G - ref)    Gbar = ref + (sum w) / sum p    c = sum w k - (sum w) kbar
 * </pre>
 *
 * <p>Gbar is of weights that are not rounded, and of p that sum to 1 whatever rounding did to the log-sum-exp: where p is almost 1 for
 * one key, h is what is left of G - Gbar there, and dk has it times x, which may be in the hundreds. c takes the sum of rounded weights,
 * which belongs to its first sum.
 *
 * <p>Any ref serves, since sum p (k - kbar) = 0; near Gbar it leaves more of the digits of w. It is the mean of G over 64 or 128 keys
 * from all over, so no sweep is made for Gbar. What starts the solve is left in {@code scratch}; q and g, in float16, in
 * {@code packed}.
 */
public final class TileBackwardGather {
    private static final float TINY = 1e-30f;

    private TileBackwardGather() {}

    /**
     * One group of {@value TileState#THREADS} for each {@value TileState#BLOCK} rows of a head, the longest first.
     *
     * @param q (B,H,Sq,D)
     * @param g dL/do (B,H,Sq,Dv)
     * @param packed keys and values from {@code TileForward.pack}; rows of q and g out
     * @param kbar weighted mean keys that forward saved (B,H,Sq,D)
     * @param lse log-sum-exp that forward saved (B,H,Sq)
     * @param ridge (B,H,Sq)
     * @param scratch as {@link TileBackward} has it
     */
    public static void gather(KernelContext ctx, FloatArray q, FloatArray g, HalfFloatArray packed, FloatArray kbar, FloatArray lse,
            FloatArray ridge, FloatArray scratch, IntArray sizes, FloatArray settings, int D, int Dv, int dims) {
        Tile.launchBounds(THREADS, dims <= 64 ? 3 : 2);
        int[] tile = ctx.allocateIntLocalArray(8192); // two tiles of keys and of values
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        int stride = dims <= 64 ? 64 : 128;
        int keys = dims <= 64 ? 64 : 32;
        int pieceBytes = 32 * stride;

        int tid = ctx.localIdx;
        int lane = tid & 31;
        int warp = tid >> 5;
        int quad = lane & 3;
        int heads = sizes.get(TileState.HEADS);
        int group = sizes.get(TileState.GROUP);
        int Sq = sizes.get(TileState.SQ);
        int Sk = sizes.get(TileState.SK);
        int padded = sizes.get(TileState.PADDED_SK);
        int causal = sizes.get(TileState.CAUSAL);
        int rows = heads * Sq;
        int head = ctx.groupIdx % heads;
        int block = (Sq + BLOCK - 1) / BLOCK - 1 - ctx.groupIdx / heads;
        int first = block * BLOCK + warp * 16;
        TwoRows two = TwoRows.of(lane, head, first, block * BLOCK + BLOCK, Sq, Sk, causal);
        int tiles = (two.most + keys - 1) / keys;
        int from = head / group * padded * stride;
        int fromV = from + heads / group * padded * stride;
        float c = settings.get(TileState.SCALE) * LOG2E;
        float times = Tile.exp2(TileBackward.gradientShift(scratch, head, group, heads, Sq, dims, lane));

        int[] qf = new int[dims / 4];
        int[] gf = new int[dims / 4];
        int[] b = new int[4];
        int[] w = new int[4];
        int[] one = new int[2];
        float[] s = new float[8];
        float[] u = new float[8];
        float[] acc = new float[dims / 2];
        float[] total = new float[4];
        float[] starts = new float[4];
        float[] exact = new float[4]; // sum p and sum w, of both rows
        TilePieces.loadRows(qf, q, two.atA, two.atB, quad, D, dims, 1f);
        TilePieces.loadRows(gf, g, two.atA, two.atB, quad, Dv, dims, times);
        int paddedRow = head * TileBackward.paddedRows(Sq) + first + (lane >> 2);
        int packedA = Tile.opaque(TilePieces.FIRST + paddedRow * stride + 2 * quad);
        int qAt = TileBackward.rowsAt(TileBackward.Q_ROWS, heads, group, Sq, padded, stride) + packedA;
        int gAt = TileBackward.rowsAt(TileBackward.G_ROWS, heads, group, Sq, padded, stride) + packedA;
        TileBackward.storeRows(packed, qf, qAt, qAt + 8 * stride, dims, two.liveA, two.liveB);
        TileBackward.storeRows(packed, gf, gAt, gAt + 8 * stride, dims, two.liveA, two.liveB);
        one[0] = Tile.opaque(0x3C003C00);
        one[1] = Tile.opaque(0x3C003C00);
        float mA = two.seesA > 0 ? lse.get(two.atA) * LOG2E - TileBackward.SHIFT : 0f;
        float mB = two.seesB > 0 ? lse.get(two.atB) * LOG2E - TileBackward.SHIFT : 0f;
        int scoreAt = base + TilePieces.scoreByte(lane, stride);
        int sumAt = base + TilePieces.sumByte(lane, stride);

        // the mean of G over the keys that two tiles hold
        float pA = 0f;
        float pB = 0f;
        float pgA = 0f;
        float pgB = 0f;
        int held = 512 / stride;
        int every = (keys / 16) * tiles;
        int step = Math.max(1024, (every - 1) * 1024 / (held - 1));
        if (tiles > 0) {
            TilePieces.copyPieces(tile, base, packed, from, tid, stride, 0, step, every);
            TilePieces.copyPieces(tile, base + 16384, packed, fromV, tid, stride, 0, step, every);
            Tile.commit();
            Tile.await(0);
            ctx.localBarrier();
            for (int j = 0; j < held; j++) {
                TilePieces.scores(s, qf, b, tile, scoreAt, j * pieceBytes, dims);
                TilePieces.scores(u, gf, b, tile, scoreAt + 16384, j * pieceBytes, dims);
                int key = TilePieces.pieceAt(j, 0, step, every) * 16 + 2 * quad;
                for (int n = 0; n < 2; n++) {
                    for (int h = 0; h < 2; h++) {
                        float eA = Tile.exp2(TilePieces.exponent(s[4 * n + h], c, mA, key + 8 * n + h, two.seesA));
                        float eB = Tile.exp2(TilePieces.exponent(s[4 * n + 2 + h], c, mB, key + 8 * n + h, two.seesB));
                        pA += eA;
                        pB += eB;
                        pgA += eA * u[4 * n + h];
                        pgB += eB * u[4 * n + 2 + h];
                    }
                }
            }
            ctx.localBarrier();
        }
        pA = quadSum(pA);
        pB = quadSum(pB);
        pgA = quadSum(pgA);
        pgB = quadSum(pgB);
        float refA = pA > TINY ? pgA / pA : 0f;
        float refB = pB > TINY ? pgB / pB : 0f;

        TilePieces.start(starts, -refA, -refB);
        for (int i = 0; i < dims / 2; i++) {
            acc[i] = 0f;
        }
        for (int i = 0; i < 4; i++) {
            total[i] = 0f;
            exact[i] = 0f;
        }
        TilePieces.copyTile(tile, base, packed, from, tid, keys, stride);
        TilePieces.copyTile(tile, base + 8192, packed, fromV, tid, keys, stride);
        Tile.commit();
        for (int t = 0; t < tiles; t++) {
            Tile.await(0);
            ctx.localBarrier();
            int buffer = (t & 1) << 14;
            if (t + 1 < tiles) {
                TilePieces.copyTile(tile, base + (16384 - buffer), packed, from + (t + 1) * keys * stride, tid, keys, stride);
                TilePieces.copyTile(tile, base + (16384 - buffer) + 8192, packed, fromV + (t + 1) * keys * stride, tid, keys, stride);
                Tile.commit();
            }
            int key = t * keys;
            int whole = key + keys <= two.low ? 1 : 0;
            if (whole != 0) {
                piece(acc, total, exact, s, u, w, qf, gf, b, one, tile, scoreAt + buffer, sumAt + buffer, 0, c, mA, mB, starts, 0, EVERY_KEY, EVERY_KEY, dims);
                piece(acc, total, exact, s, u, w, qf, gf, b, one, tile, scoreAt + buffer, sumAt + buffer, pieceBytes, c, mA, mB, starts, 0, EVERY_KEY, EVERY_KEY, dims);
                if (keys > 32) {
                    piece(acc, total, exact, s, u, w, qf, gf, b, one, tile, scoreAt + buffer, sumAt + buffer, 2 * pieceBytes, c, mA, mB, starts, 0,
                            EVERY_KEY, EVERY_KEY, dims);
                    piece(acc, total, exact, s, u, w, qf, gf, b, one, tile, scoreAt + buffer, sumAt + buffer, 3 * pieceBytes, c, mA, mB, starts, 0,
                            EVERY_KEY, EVERY_KEY, dims);
                }
            }
            int pieces = whole != 0 ? 0 : Math.min(keys / 16, (Math.max(0, two.high - key) + 15) / 16);
            for (int j = 0; j < pieces; j++) {
                piece(acc, total, exact, s, u, w, qf, gf, b, one, tile, scoreAt + buffer, sumAt + buffer, j * pieceBytes, c, mA, mB, starts,
                        key + j * 16 + 2 * quad, two.seesA, two.seesB, dims);
            }
        }

        float sumA = total[0] * TileBackward.UNSHIFT;
        float sumB = total[2] * TileBackward.UNSHIFT;
        int baseA = TileRows.base(two.atA, quad, dims);
        int baseB = TileRows.base(two.atB, quad, dims);
        int uAt = 2 * rows * dims;
        int kbarAt = 3 * rows * dims;
        float ccA = 0f;
        float ccB = 0f;
        float bbA = 0f;
        float bbB = 0f;
        float[] mean = new float[8];
        float[] zero = new float[8];
        for (int i = 0; i < 8; i++) {
            zero[i] = 0f;
        }
        for (int n = 0; n < dims / 8; n++) {
            int column = TileRows.column(n, quad);
            for (int h = 0; h < 2; h++) {
                float meanA = column + h < D ? kbar.get(two.atA * D + column + h) : 0f;
                float meanB = column + h < D ? kbar.get(two.atB * D + column + h) : 0f;
                float cA = two.seesA > 0 ? acc[4 * n + h] * TileBackward.UNSHIFT - sumA * meanA : 0f;
                float cB = two.seesB > 0 ? acc[4 * n + 2 + h] * TileBackward.UNSHIFT - sumB * meanB : 0f;
                ccA += cA * cA;
                ccB += cB * cB;
                int at = 4 * (n >> 1) + 2 * (n & 1);
                float bA = meanA - (h == 0 ? Tile.low(qf[at]) : Tile.high(qf[at]));
                float bB = meanB - (h == 0 ? Tile.low(qf[at + 1]) : Tile.high(qf[at + 1]));
                bbA += bA * bA;
                bbB += bB * bB;
                acc[4 * n + h] = -cA;
                acc[4 * n + 2 + h] = -cB;
                mean[4 * (n & 1) + h] = meanA;
                mean[4 * (n & 1) + 2 + h] = meanB;
            }
            if ((n & 1) != 0) {
                if (D != dims) {
                    TileRows.store(scratch, kbarAt, baseA, baseB, n >> 1, mean, 0, two.liveA, two.liveB);
                }
                TileRows.store(scratch, uAt, baseA, baseB, n >> 1, zero, 0, two.liveA, two.liveB);
                TileRows.store(scratch, 0, baseA, baseB, n >> 1, acc, 4 * n - 4, two.liveA, two.liveB);
            }
        }
        ccA = quadSum(ccA);
        ccB = quadSum(ccB);
        float targetA = TileState.targetOfGradient(ccA, quadSum(bbA), ridge.get(two.atA), settings.get(TileState.TOLERANCE));
        float targetB = TileState.targetOfGradient(ccB, quadSum(bbB), ridge.get(two.atB), settings.get(TileState.TOLERANCE));
        pA = quadSum(exact[0]);
        pB = quadSum(exact[1]);
        pgA = quadSum(exact[2]);
        pgB = quadSum(exact[3]);
        float[] yk = new float[2];
        TileRows.direction(qf, yk, acc, kbar, scratch, kbarAt, baseA, baseB, D, dims, DIRECTION_LENGTH, DIRECTION_LENGTH);
        TileRows.storePairs(scratch, qf, 4 * rows * dims, baseA, baseB, dims, two.liveA, two.liveB);
        if (quad == 0) {
            int numbers = TileState.numbersAt(rows, dims);
            if (two.liveA != 0) {
                start(scratch, numbers + NUMBERS * two.atA, ccA, mA, yk[0], refA, pA, pgA, targetA);
            }
            if (two.liveB != 0) {
                start(scratch, numbers + NUMBERS * two.atB, ccB, mB, yk[1], refB, pB, pgB, targetB);
            }
        }
    }

    private static void start(FloatArray scratch, int numbers, float cc, float m, float yk, float ref, float p, float pg,
            float target) {
        int there = p > TINY ? 1 : 0;
        Tile.store4(scratch, numbers + RR, cc, 0f, DIRECTION_LENGTH, cc);
        Tile.store4(scratch, numbers + RATIO, 1f, 1f, 1f, 0f); // nothing is known of steps yet
        Tile.store4(scratch, numbers + TARGET, target, 0f, cc, there != 0 ? ref + pg / p : 0f);
        // p is 2^SHIFT in all, but for the rounding of the log-sum-exp
        Tile.store2(scratch, numbers + TileState.REFERENCE, there != 0 ? m + Tile.log2(p) - TilePieces.SHIFT : m, yk);
    }

    /** Adds 16 keys to c. */
    private static void piece(float[] acc, float[] total, float[] exact, float[] s, float[] u, int[] w, int[] q, int[] g, int[] b, int[] one,
            int[] tile, int scoreAt, int sumAt, int offset, float c, float mA, float mB, float[] starts, int key, int seesA, int seesB, int dims) {
        TilePieces.scores(s, q, b, tile, scoreAt, offset, dims);
        TilePieces.products(u, g, b, tile, scoreAt + 8192, offset, starts, dims);
        for (int n = 0; n < 2; n++) {
            for (int i = 0; i < 2; i++) {
                float pA = Tile.exp2(TilePieces.exponent(s[4 * n + i], c, mA, key + 8 * n + i, seesA));
                float pB = Tile.exp2(TilePieces.exponent(s[4 * n + 2 + i], c, mB, key + 8 * n + i, seesB));
                u[4 * n + i] *= pA;
                u[4 * n + 2 + i] *= pB;
                exact[0] += pA;
                exact[1] += pB;
                exact[2] += u[4 * n + i];
                exact[3] += u[4 * n + 2 + i];
            }
            w[2 * n] = Tile.half2(u[4 * n], u[4 * n + 1]);
            w[2 * n + 1] = Tile.half2(u[4 * n + 2], u[4 * n + 3]);
        }
        TilePieces.sums(acc, w, b, tile, sumAt, offset, dims);
        Tile.mma(total, 0, w, 0, one, 0);
    }
}
