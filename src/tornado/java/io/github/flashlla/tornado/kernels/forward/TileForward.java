package io.github.flashlla.tornado.kernels.forward;

import static io.github.flashlla.tornado.kernels.forward.TileSolve.FINITE;
import static io.github.flashlla.tornado.kernels.tile.Masking.LOW;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.EVERY_KEY;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LN2;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.SHIFT;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.quadSum;
import static io.github.flashlla.tornado.kernels.tile.TileState.BLOCK;
import static io.github.flashlla.tornado.kernels.tile.TileState.CAUSAL;
import static io.github.flashlla.tornado.kernels.tile.TileState.DIRECTION_LENGTH;
import static io.github.flashlla.tornado.kernels.tile.TileState.GROUP;
import static io.github.flashlla.tornado.kernels.tile.TileState.HEADS;
import static io.github.flashlla.tornado.kernels.tile.TileState.MAX_ITERATIONS;
import static io.github.flashlla.tornado.kernels.tile.TileState.NUMBERS;
import static io.github.flashlla.tornado.kernels.tile.TileState.PADDED_SK;
import static io.github.flashlla.tornado.kernels.tile.TileState.SCALE;
import static io.github.flashlla.tornado.kernels.tile.TileState.SK;
import static io.github.flashlla.tornado.kernels.tile.TileState.SQ;
import static io.github.flashlla.tornado.kernels.tile.TileState.THREADS;
import static io.github.flashlla.tornado.kernels.tile.TileState.TOLERANCE;
import static io.github.flashlla.tornado.kernels.tile.TileState.numbersAt;
import static io.github.flashlla.tornado.kernels.tile.TileState.sees;
import static io.github.flashlla.tornado.kernels.tile.WarpGroupPieces.uniform;

import io.github.flashlla.tornado.kernels.tile.Architecture;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileRows;
import io.github.flashlla.tornado.kernels.tile.TileState;
import io.github.flashlla.tornado.kernels.tile.WarpGroup;
import io.github.flashlla.tornado.kernels.tile.WarpGroupPieces;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Pass 1 of the float16 forward pass on matrix units with everything in registers: the log-sum-exp, kbar, and a first step of
 * conjugate gradients along q that costs no pass of its own, since A q falls out of the same products:
 *
 * <pre>
 *   e = log2 p + constant    A q = (ln 2 / scale) (sum p e k - (sum p e) kbar) + lambda q
 * </pre>
 *
 * <p>A group of 4 warps takes 64 rows of one head, 16 a warp. The maximum that exponents are relative to is that of
 * 64 or 128 keys from all over: scores above it are fine up to float16's end. Where one is not, a sum is not finite, and the group does it
 * again with the maximum of all keys.
 *
 * <p>What the next passes need of a row is in {@code scratch}, as {@link TileState} has it.
 */
public final class TileForward {
    public static final int PACK_THREADS = 256;


    private TileForward() {}

    /**
     * Keys and values as float16, rows padded with zeros: first all keys, then all values. One thread for 8 elements.
     *
     * @param stride of keys, {@link TilePieces#stride}
     * @param strideV of values
     * @param k (B,Hkv,Sk,D)
     * @param v (B,Hkv,Sk,Dv)
     * @param packed out
     */
    public static void pack(KernelContext ctx, FloatArray k, FloatArray v, HalfFloatArray packed, IntArray sizes, int D, int Dv, int stride,
            int strideV) {
        int padded = sizes.get(PADDED_SK);
        int kvRows = sizes.get(HEADS) / sizes.get(GROUP) * padded;
        int keys = kvRows * (stride / 8);
        int at = ctx.globalIdx;
        if (at < keys) {
            packRow(k, packed, at, at / (stride / 8), 8 * (at % (stride / 8)), sizes, D);
        }
        if (at >= keys && at < keys + kvRows * (strideV / 8)) {
            packRow(v, packed, at, (at - keys) / (strideV / 8), 8 * ((at - keys) % (strideV / 8)), sizes, Dv);
        }
    }

    private static void packRow(FloatArray from, HalfFloatArray packed, int at, int row, int column, IntArray sizes, int D) {
        int Sk = sizes.get(SK);
        int padded = sizes.get(PADDED_SK);
        int first = 0;
        int second = 0;
        int third = 0;
        int fourth = 0;
        if (row % padded < Sk) {
            int source = row / padded * Sk + row % padded;
            int dimension = TilePieces.dimension(column);
            first = TilePieces.pair(from, source, dimension, D, 1f);
            second = TilePieces.pair(from, source, dimension + 4, D, 1f);
            third = TilePieces.pair(from, source, dimension + 8, D, 1f);
            fourth = TilePieces.pair(from, source, dimension + 12, D, 1f);
        }
        Tile.store16(packed, TilePieces.FIRST + 8 * at, first, second, third, fourth);
    }

    /**
     * Pass 1. One group of {@code THREADS} for each {@code BLOCK} rows of a head, the longest first, heads fastest.
     *
     * @param q (B,H,Sq,D)
     * @param packed from {@link #pack}
     * @param ridge (B,H,Sq)
     * @param kbar out (B,H,Sq,D)
     * @param x out (B,H,Sq,D), of rows that take no iteration, where D is dims
     * @param lse out (B,H,Sq)
     * @param scratch out, see above
     * @param dims {@link TileState#dims} of D
     * @param warpGroup 1 for products of four warps together ({@link WarpGroupTiles}), 0 for each warp's own
     */
    public static void mean(KernelContext ctx, FloatArray q, HalfFloatArray packed, FloatArray ridge, FloatArray kbar, FloatArray x,
            FloatArray lse, FloatArray scratch, IntArray sizes, FloatArray settings, int D, int dims,
            @Architecture(WarpGroup.ARCHITECTURE) int warpGroup) {
        Tile.launchBounds(THREADS, dims <= 64 ? 3 : 2);
        int stride = dims <= 64 ? 64 : 128;
        int keys = warpGroup != 0 ? 64 : TileState.keys(dims);
        int[] tile = ctx.allocateIntLocalArray(keys * stride + (warpGroup != 0 ? WarpGroupPieces.rowBytes(dims) / 4 : 0)); // two tiles
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        int tileBytes = 2 * stride * keys;
        int pieceBytes = 32 * stride;

        int tid = ctx.localIdx;
        int lane = tid & 31;
        int warp = tid >> 5;
        int quad = lane & 3;
        int heads = sizes.get(HEADS);
        int Sq = sizes.get(SQ);
        int Sk = sizes.get(SK);
        int causal = sizes.get(CAUSAL);
        int head = ctx.groupIdx % heads;
        int block = (Sq + BLOCK - 1) / BLOCK - 1 - ctx.groupIdx / heads;
        int first = block * BLOCK + warp * 16;
        int rowA = first + (lane >> 2);
        int rowB = rowA + 8;
        int atA = head * Sq + Math.min(rowA, Sq - 1);
        int atB = head * Sq + Math.min(rowB, Sq - 1);
        int seesA = sees(Math.min(rowA, Sq - 1), Sq, Sk, causal);
        int seesB = sees(Math.min(rowB, Sq - 1), Sq, Sk, causal);
        int low = sees(Math.min(first, Sq - 1), Sq, Sk, causal);
        int high = sees(Math.min(first + 15, Sq - 1), Sq, Sk, causal);
        int tiles = uniform((sees(Math.min(block * BLOCK + BLOCK, Sq) - 1, Sq, Sk, causal) + keys - 1) / keys, warpGroup);
        int lowest = uniform(sees(Math.min(block * BLOCK, Sq - 1), Sq, Sk, causal), warpGroup);
        int from = head / sizes.get(GROUP) * sizes.get(PADDED_SK) * stride;
        float c = settings.get(SCALE) * LOG2E;

        int[] qf = new int[dims / 4];
        int[] b = new int[4];
        int[] w = new int[warpGroup != 0 ? keys / 4 : 4];
        int[] w2 = new int[warpGroup != 0 ? keys / 4 : 4];
        int[] one = new int[2];
        int[] other = new int[2];
        float[] s = new float[warpGroup != 0 ? keys / 2 : 8];
        float[] acc = new float[dims / 2];
        float[] acc2 = new float[dims / 2];
        float[] total = new float[4];
        float[] total2 = new float[4];
        TilePieces.loadRows(qf, q, atA, atB, quad, D, dims, 1f);
        int qAt = base + 2 * tileBytes;
        if (warpGroup != 0) {
            WarpGroupPieces.storeRows(tile, qAt, qf, tid, dims);
        }
        // columns 0 to 3 sum w, columns 4 to 7 sum w2
        one[0] = lane < 16 ? 0x3C003C00 : 0;
        one[1] = one[0];
        other[0] = 0x3C003C00 - one[0];
        other[1] = other[0];
        int scoreAt = base + TilePieces.scoreByte(lane, stride);
        int sumAt = base + TilePieces.sumByte(lane, stride);

        float mA = LOW;
        float mB = LOW;
        int held = 512 / stride; // pieces of 16 keys that two tiles hold
        int every = (keys / 16) * tiles;
        int step = Math.max(1024, (every - 1) * 1024 / (held - 1)); // first from all over, the first and the last among them
        int samples = Math.min(1, tiles);
        int again = 1;
        for (int round = 0; round < 2 && again != 0; round++) {
            for (int n = 0; n < samples; n++) {
                ctx.localBarrier();
                TilePieces.copyPieces(tile, base, packed, from, tid, stride, n * held, step, every);
                Tile.commit();
                Tile.await(0);
                ctx.localBarrier();
                for (int j = 0; j < held; j++) {
                    TilePieces.scores(s, qf, b, tile, scoreAt, j * pieceBytes, dims);
                    int key = TilePieces.pieceAt(j, n * held, step, every) * 16 + 2 * quad;
                    mA = Math.max(mA, Math.max(Math.max(seen(s[0] * c, key, seesA), seen(s[1] * c, key + 1, seesA)),
                            Math.max(seen(s[4] * c, key + 8, seesA), seen(s[5] * c, key + 9, seesA))));
                    mB = Math.max(mB, Math.max(Math.max(seen(s[2] * c, key, seesB), seen(s[3] * c, key + 1, seesB)),
                            Math.max(seen(s[6] * c, key + 8, seesB), seen(s[7] * c, key + 9, seesB))));
                }
            }
            mA = TilePieces.quadMax(mA);
            mB = TilePieces.quadMax(mB);

            for (int i = 0; i < dims / 2; i++) {
                acc[i] = 0f;
                acc2[i] = 0f;
            }
            for (int i = 0; i < 4; i++) {
                total[i] = 0f;
                total2[i] = 0f;
            }
            ctx.localBarrier();
            if (warpGroup != 0) {
                WarpGroupPieces.copyTile(tile, base, packed, from, tid, keys, stride);
                Tile.commit();
                for (int t = 0; t < tiles; t++) {
                    Tile.await(0);
                    WarpGroup.publish();
                    ctx.localBarrier();
                    int buffer = (t & 1) * tileBytes;
                    WarpGroupTiles.mean(acc, acc2, total, total2, s, w, w2, tile, qAt, base + buffer, base + (tileBytes - buffer), packed,
                            from + (t + 1) * keys * stride, t + 1 < tiles ? 1 : 0, tid, c, mA, mB, (t + 1) * keys <= lowest ? 1 : 0, t * keys + 2 * quad,
                            seesA, seesB, keys, stride, dims);
                }
                // as products with ones leave them
                total[0] = quadSum(total[0] + total[1]);
                total[2] = quadSum(total[2] + total[3]);
                total2[0] = quadSum(total2[0] + total2[1]);
                total2[2] = quadSum(total2[2] + total2[3]);
                total[0] = quad < 2 ? total[0] : total2[0];
                total[2] = quad < 2 ? total[2] : total2[2];
            } else {
                TilePieces.copyTile(tile, base, packed, from, tid, keys, stride);
                Tile.commit();
                for (int t = 0; t < tiles; t++) {
                    Tile.await(0);
                    ctx.localBarrier();
                    int buffer = (t & 1) << 13;
                    if (t + 1 < tiles) {
                        TilePieces.copyTile(tile, base + (8192 - buffer), packed, from + (t + 1) * keys * stride, tid, keys, stride);
                        Tile.commit();
                    }
                    int key = t * keys;
                    int whole = key + keys <= low ? 1 : 0;
                    if (whole != 0) {
                        piece(acc, acc2, total, s, w, w2, qf, b, one, other, tile, scoreAt + buffer, sumAt + buffer, 0, c, mA, mB, 0, EVERY_KEY, EVERY_KEY, dims);
                        piece(acc, acc2, total, s, w, w2, qf, b, one, other, tile, scoreAt + buffer, sumAt + buffer, pieceBytes, c, mA, mB, 0, EVERY_KEY,
                                EVERY_KEY, dims);
                        if (keys > 32) {
                            piece(acc, acc2, total, s, w, w2, qf, b, one, other, tile, scoreAt + buffer, sumAt + buffer, 2 * pieceBytes, c, mA, mB, 0, EVERY_KEY,
                                    EVERY_KEY, dims);
                            piece(acc, acc2, total, s, w, w2, qf, b, one, other, tile, scoreAt + buffer, sumAt + buffer, 3 * pieceBytes, c, mA, mB, 0, EVERY_KEY,
                                    EVERY_KEY, dims);
                        }
                    }
                    int pieces = whole != 0 ? 0 : Math.min(keys / 16, (Math.max(0, high - key) + 15) / 16);
                    for (int j = 0; j < pieces; j++) {
                        piece(acc, acc2, total, s, w, w2, qf, b, one, other, tile, scoreAt + buffer, sumAt + buffer, j * pieceBytes, c, mA, mB,
                                key + j * 16 + 2 * quad, seesA, seesB, dims);
                    }
                }
            }
            float sum = Math.abs(total[0]) + Math.abs(total[1]) + Math.abs(total[2]) + Math.abs(total[3]); // a GPU's max drops NaN
            again = uniform(Tile.count(sum < FINITE ? 0 : 1), warpGroup);
            samples = (every + held - 1) / held;
            step = 1024;
        }

        if (warpGroup != 0) {
            WarpGroupPieces.loadRows(qf, tile, qAt, tid, dims); // it had no registers meanwhile
        }
        float weightA = Tile.shuffle(total[0], lane & 28);
        float weightB = Tile.shuffle(total[2], lane & 28);
        float inverseA = seesA > 0 ? 1f / weightA : 0f;
        float inverseB = seesB > 0 ? 1f / weightB : 0f;
        float zA = Tile.shuffle(total[0], lane & 28 | 2) * inverseA;
        float zB = Tile.shuffle(total[2], lane & 28 | 2) * inverseB;
        float logA = seesA > 0 ? mA + Tile.log2(weightA) : 0f;
        float logB = seesB > 0 ? mB + Tile.log2(weightB) : 0f;
        int liveA = rowA < Sq ? 1 : 0;
        int liveB = rowB < Sq ? 1 : 0;
        float lambdaA = ridge.get(atA);
        float lambdaB = ridge.get(atB);
        int rows = heads * Sq;
        int aqAt = rows * dims;
        int kbarAt = 3 * rows * dims;
        int baseA = TileRows.base(atA, quad, dims);
        int baseB = TileRows.base(atB, quad, dims);
        float f = 1f / c;
        float bbA = 0f;
        float bbB = 0f;
        float qbA = 0f;
        float qbB = 0f;
        float qaA = 0f;
        float qaB = 0f;
        float qqA = 0f;
        float qqB = 0f;
        for (int n = 0; n < dims / 8; n++) {
            int column = TileRows.column(n, quad);
            int pairA = qf[4 * (n >> 1) + 2 * (n & 1)];
            int pairB = qf[4 * (n >> 1) + 2 * (n & 1) + 1];
            for (int h = 0; h < 2; h++) {
                float qA = h == 0 ? Tile.low(pairA) : Tile.high(pairA);
                float qB = h == 0 ? Tile.low(pairB) : Tile.high(pairB);
                float meanA = acc[4 * n + h] * inverseA;
                float meanB = acc[4 * n + 2 + h] * inverseB;
                float aA = f * (acc2[4 * n + h] * inverseA - zA * meanA) + lambdaA * qA;
                float aB = f * (acc2[4 * n + 2 + h] * inverseB - zB * meanB) + lambdaB * qB;
                float bA = seesA > 0 ? meanA - qA : 0f;
                float bB = seesB > 0 ? meanB - qB : 0f;
                if (liveA != 0 && D != dims && column + h < D) {
                    kbar.set(atA * D + column + h, meanA);
                }
                if (liveB != 0 && D != dims && column + h < D) {
                    kbar.set(atB * D + column + h, meanB);
                }
                bbA += bA * bA;
                bbB += bB * bB;
                qbA += qA * bA;
                qbB += qB * bB;
                qaA += qA * aA;
                qaB += qB * aB;
                qqA += qA * qA;
                qqB += qB * qB;
                acc[4 * n + h] = meanA;
                acc[4 * n + 2 + h] = meanB;
                acc2[4 * n + h] = aA;
                acc2[4 * n + 2 + h] = aB;
            }
        }
        if (D == dims) {
            TileRows.storeAll(kbar, 0, baseA, baseB, acc, dims, liveA, liveB);
        } else {
            TileRows.storeAll(scratch, kbarAt, baseA, baseB, acc, dims, liveA, liveB);
        }
        TileRows.storeAll(scratch, aqAt, baseA, baseB, acc2, dims, liveA, liveB);
        bbA = quadSum(bbA);
        bbB = quadSum(bbB);
        qbA = quadSum(qbA);
        qbB = quadSum(qbB);
        qaA = quadSum(qaA);
        qaB = quadSum(qaB);
        qqA = quadSum(qqA);
        qqB = quadSum(qqB);
        float alphaA = qaA > 0f ? qbA / qaA : 0f;
        float alphaB = qaB > 0f ? qbB / qaB : 0f;
        float rrA = 0f;
        float rrB = 0f;
        float raA = 0f;
        float raB = 0f;
        for (int n = 0; n < dims / 8; n++) {
            int pairA = qf[4 * (n >> 1) + 2 * (n & 1)];
            int pairB = qf[4 * (n >> 1) + 2 * (n & 1) + 1];
            for (int h = 0; h < 2; h++) {
                float qA = h == 0 ? Tile.low(pairA) : Tile.high(pairA);
                float qB = h == 0 ? Tile.low(pairB) : Tile.high(pairB);
                float rA = (seesA > 0 ? acc[4 * n + h] - qA : 0f) - alphaA * acc2[4 * n + h];
                float rB = (seesB > 0 ? acc[4 * n + 2 + h] - qB : 0f) - alphaB * acc2[4 * n + 2 + h];
                rrA += rA * rA;
                rrB += rB * rB;
                raA += rA * acc2[4 * n + h];
                raB += rB * acc2[4 * n + 2 + h];
                acc[4 * n + h] = rA;
                acc[4 * n + 2 + h] = rB;
            }
        }
        TileRows.storeAll(scratch, 0, baseA, baseB, acc, dims, liveA, liveB);
        rrA = quadSum(rrA);
        rrB = quadSum(rrB);
        raA = quadSum(raA);
        raB = quadSum(raB);
        float betaA = qaA > 0f ? raA / qaA : 0f;
        float betaB = qaB > 0f ? raB / qaB : 0f;
        TileRows.subtract(acc, qf, betaA, betaB, dims);
        int none = sizes.get(MAX_ITERATIONS) == 0 ? 1 : 0;
        float[] yk = new float[2];
        float targetA = TileState.target(bbA, lambdaA, settings.get(TOLERANCE));
        float targetB = TileState.target(bbB, lambdaB, settings.get(TOLERANCE));
        int doneA = rrA <= targetA ? liveA : none * liveA;
        int doneB = rrB <= targetB ? liveB : none * liveB;
        if (Tile.any(doneA + doneB) != 0) {
            TileRows.multiple(acc2, qf, alphaA, alphaB, dims);
            TileRows.storeSolution(x, scratch, 2 * rows * dims, D == dims ? 1 : 0, baseA, baseB, acc2, dims, doneA, doneB);
        }
        TileRows.direction(qf, yk, acc, kbar, scratch, kbarAt, baseA, baseB, D, dims,
                rrA <= targetA ? 0f : DIRECTION_LENGTH, rrB <= targetB ? 0f : DIRECTION_LENGTH);
        TileRows.storePairs(scratch, qf, 4 * rows * dims, baseA, baseB, dims, liveA, liveB);
        if (quad == 0) {
            int numbers = numbersAt(rows, dims);
            if (liveA != 0) {
                lse.set(atA, seesA > 0 ? logA * LN2 : Float.NEGATIVE_INFINITY);
                begin(scratch, numbers + NUMBERS * atA, rrA, bbA, qaA, qqA, alphaA, targetA, logA - SHIFT, yk[0], lambdaA);
            }
            if (liveB != 0) {
                lse.set(atB, seesB > 0 ? logB * LN2 : Float.NEGATIVE_INFINITY);
                begin(scratch, numbers + NUMBERS * atB, rrB, bbB, qaB, qqB, alphaB, targetB, logB - SHIFT, yk[1], lambdaB);
            }
        }
    }

    /** A row's numbers, in their order. */
    private static void begin(FloatArray scratch, int numbers, float rr, float bb, float qaq, float qq, float first, float target, float reference,
            float yk, float ridge) {
        float step = qaq > 0f ? qq / qaq : 0f;
        Tile.store4(scratch, numbers + TileState.RR, rr, 0f, DIRECTION_LENGTH, rr);
        Tile.store4(scratch, numbers + TileState.RATIO, TileState.counts(bb, ridge) < bb ? 1f : 0f, step, step, first);
        Tile.store4(scratch, numbers + TileState.TARGET, target, qaq, bb, 0f);
        Tile.store2(scratch, numbers + TileState.REFERENCE, reference, yk);
    }

    private static float seen(float score, int key, int sees) {
        return key < sees ? score : LOW;
    }

    /** Adds 16 keys to both sums. */
    private static void piece(float[] acc, float[] acc2, float[] total, float[] s, int[] w, int[] w2, int[] q, int[] b, int[] one,
            int[] other, int[] tile, int scoreAt, int sumAt, int offset, float c, float mA, float mB, int key, int seesA, int seesB, int dims) {
        TilePieces.scores(s, q, b, tile, scoreAt, offset, dims);
        TilePieces.weightsOfMean(w, w2, s, c, mA, mB, key, seesA, seesB);
        TilePieces.sums(acc, acc2, w, w2, b, tile, sumAt, offset, dims);
        Tile.mma(total, 0, w, 0, one, 0);
        Tile.mma(total, 0, w2, 0, other, 0);
    }
}
