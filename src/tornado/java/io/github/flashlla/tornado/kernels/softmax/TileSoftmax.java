package io.github.flashlla.tornado.kernels.softmax;

import static io.github.flashlla.tornado.kernels.tile.Masking.LOW;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.EVERY_KEY;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LN2;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.exponent;

import io.github.flashlla.tornado.kernels.forward.TileForward;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileRows;
import io.github.flashlla.tornado.kernels.tile.TileState;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Softmax attention on half-precision matrix units with everything in registers: pass 1 of {@link TileForward} with values instead of
 * keys in the sums.
 *
 * <p>A group of 4 warps takes 128 rows of one head, 32 a warp: two sets of 16, for both of which keys and values are loaded from local
 * memory once. A lane has two rows of each, a and b of the first, c and d of the second.
 *
 * <p>No running maximum. Exponents are relative to the largest score of 64 or 128 keys from all over: scores above it are fine up to
 * float16's end. Where one is not, a sum is not finite, and the group does it again with the maximum of all keys.
 *
 * <pre>
 *   pass      softmax, one sweep over the keys
 *   group     128 threads; block 128 queries; tile 64 keys to D and Dv of 64, 32 above
 *   registers 168 at D = Dv = 64, 243 at 96, 255 at 128; to 92 bytes spilled (nvcc 13, sm_90)
 *   for       float16, D and Dv to 128, CUDA with our operations; 32 KB of local memory
 *   measured  docs/kernels/softmax.md
 * </pre>
 */
public final class TileSoftmax {
    public static final int THREADS = TileState.THREADS;
    /** Rows of a group. */
    public static final int BLOCK = 128;

    private static final float FINITE = 1e30f;

    private TileSoftmax() {}

    /**
     * One group of {@value #THREADS} for each {@value #BLOCK} rows of a head, the longest first, heads fastest.
     *
     * @param q (B,H,Sq,D)
     * @param packed from {@link TileForward#pack}
     * @param o out (B,H,Sq,Dv)
     * @param lse out (B,H,Sq)
     * @param sizes see {@link SoftmaxData}
     * @param scale one element
     * @param dims {@link TileState#dims} of D
     * @param dimsV of Dv
     */
    public static void softmax(KernelContext ctx, FloatArray q, HalfFloatArray packed, FloatArray o, FloatArray lse, IntArray sizes,
            FloatArray scale, int D, int Dv, int dims, int dimsV) {
        Tile.launchBounds(THREADS, dims + dimsV <= 128 ? 3 : 2);
        int[] tile = ctx.allocateIntLocalArray(8192); // two tiles of keys and of values
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        int stride = dims <= 64 ? 64 : 128;
        int strideV = dimsV <= 64 ? 64 : 128;
        int keys = dims <= 64 && dimsV <= 64 ? 64 : 32;
        int pieceBytes = 32 * stride;
        int pieceBytesV = 32 * strideV;

        int tid = ctx.localIdx;
        int lane = tid & 31;
        int quad = lane & 3;
        int heads = sizes.get(SoftmaxData.HEADS);
        int group = sizes.get(SoftmaxData.GROUP);
        int Sq = sizes.get(SoftmaxData.SQ);
        int Sk = sizes.get(SoftmaxData.SK);
        int padded = sizes.get(SoftmaxData.PADDED_SK);
        int firstSees = sizes.get(SoftmaxData.FIRST_SEES);
        int head = ctx.groupIdx % heads;
        int block = (Sq + BLOCK - 1) / BLOCK - 1 - ctx.groupIdx / heads;
        int first = block * BLOCK + (tid >> 5) * 32;
        int last = Sq - 1;
        int row = first + (lane >> 2);
        int row0 = head * Sq;
        int seesA = SoftmaxData.sees(Math.min(row, last), firstSees, Sk);
        int seesB = SoftmaxData.sees(Math.min(row + 8, last), firstSees, Sk);
        int seesC = SoftmaxData.sees(Math.min(row + 16, last), firstSees, Sk);
        int seesD = SoftmaxData.sees(Math.min(row + 24, last), firstSees, Sk);
        int low = SoftmaxData.sees(Math.min(first, last), firstSees, Sk);
        int high = SoftmaxData.sees(Math.min(first + 31, last), firstSees, Sk);
        int tiles = (SoftmaxData.sees(Math.min(block * BLOCK + BLOCK, Sq) - 1, firstSees, Sk) + keys - 1) / keys;
        int from = head / group * padded * stride;
        int fromV = heads / group * padded * stride + head / group * padded * strideV;
        float c = scale.get(0) * LOG2E;

        int[] q1 = new int[dims / 4];
        int[] q2 = new int[dims / 4];
        int[] b = new int[4];
        int[] w1 = new int[4];
        int[] w2 = new int[4];
        int[] one = new int[2];
        int[] other = new int[2];
        float[] s1 = new float[8];
        float[] s2 = new float[8];
        float[] acc1 = new float[dimsV / 2];
        float[] acc2 = new float[dimsV / 2];
        float[] total = new float[4];
        float[] zero = new float[4];
        TilePieces.loadRows(q1, q, row0 + Math.min(row, last), row0 + Math.min(row + 8, last), quad, D, dims, 1f);
        TilePieces.loadRows(q2, q, row0 + Math.min(row + 16, last), row0 + Math.min(row + 24, last), quad, D, dims, 1f);
        TilePieces.start(zero, 0f, 0f);
        // columns 0 to 3 sum w1, columns 4 to 7 sum w2
        one[0] = lane < 16 ? 0x3C003C00 : 0;
        one[1] = one[0];
        other[0] = 0x3C003C00 - one[0];
        other[1] = other[0];
        int scoreAt = base + TilePieces.scoreByte(lane, stride);
        int sumAt = base + 8192 + TilePieces.sumByte(lane, strideV);

        float mA = LOW;
        float mB = LOW;
        float mC = LOW;
        float mD = LOW;
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
                    TilePieces.scoresAndProducts(s1, s2, q1, q2, b, tile, scoreAt, j * pieceBytes, zero, dims);
                    int key = TilePieces.pieceAt(j, n * held, step, every) * 16 + 2 * quad;
                    mA = Math.max(mA, largest(s1, 0, c, key, seesA));
                    mB = Math.max(mB, largest(s1, 2, c, key, seesB));
                    mC = Math.max(mC, largest(s2, 0, c, key, seesC));
                    mD = Math.max(mD, largest(s2, 2, c, key, seesD));
                }
            }
            mA = TilePieces.quadMax(mA);
            mB = TilePieces.quadMax(mB);
            mC = TilePieces.quadMax(mC);
            mD = TilePieces.quadMax(mD);

            for (int i = 0; i < dimsV / 2; i++) {
                acc1[i] = 0f;
                acc2[i] = 0f;
            }
            for (int i = 0; i < 4; i++) {
                total[i] = 0f;
            }
            ctx.localBarrier();
            TilePieces.copyTile(tile, base, packed, from, tid, keys, stride);
            TilePieces.copyTile(tile, base + 8192, packed, fromV, tid, keys, strideV);
            Tile.commit();
            for (int t = 0; t < tiles; t++) {
                Tile.await(0);
                ctx.localBarrier();
                int buffer = (t & 1) << 14;
                if (t + 1 < tiles) {
                    TilePieces.copyTile(tile, base + (16384 - buffer), packed, from + (t + 1) * keys * stride, tid, keys, stride);
                    TilePieces.copyTile(tile, base + (16384 - buffer) + 8192, packed, fromV + (t + 1) * keys * strideV, tid, keys, strideV);
                    Tile.commit();
                }
                int key = t * keys;
                int whole = key + keys <= low ? 1 : 0;
                if (whole != 0) {
                    piece(acc1, acc2, total, s1, s2, w1, w2, q1, q2, b, one, other, zero, tile, scoreAt + buffer, sumAt + buffer, c, mA, mB,
                            mC, mD, 0, EVERY_KEY, EVERY_KEY, EVERY_KEY, EVERY_KEY, dims, dimsV);
                    piece(acc1, acc2, total, s1, s2, w1, w2, q1, q2, b, one, other, zero, tile, scoreAt + buffer + pieceBytes,
                            sumAt + buffer + pieceBytesV, c, mA, mB, mC, mD, 0, EVERY_KEY, EVERY_KEY, EVERY_KEY, EVERY_KEY, dims, dimsV);
                    if (keys > 32) {
                        piece(acc1, acc2, total, s1, s2, w1, w2, q1, q2, b, one, other, zero, tile, scoreAt + buffer + 2 * pieceBytes,
                                sumAt + buffer + 2 * pieceBytesV, c, mA, mB, mC, mD, 0, EVERY_KEY, EVERY_KEY, EVERY_KEY, EVERY_KEY, dims, dimsV);
                        piece(acc1, acc2, total, s1, s2, w1, w2, q1, q2, b, one, other, zero, tile, scoreAt + buffer + 3 * pieceBytes,
                                sumAt + buffer + 3 * pieceBytesV, c, mA, mB, mC, mD, 0, EVERY_KEY, EVERY_KEY, EVERY_KEY, EVERY_KEY, dims, dimsV);
                    }
                }
                int pieces = whole != 0 ? 0 : Math.min(keys / 16, (Math.max(0, high - key) + 15) / 16);
                for (int j = 0; j < pieces; j++) {
                    piece(acc1, acc2, total, s1, s2, w1, w2, q1, q2, b, one, other, zero, tile, scoreAt + buffer + j * pieceBytes,
                            sumAt + buffer + j * pieceBytesV, c, mA, mB, mC, mD, key + j * 16 + 2 * quad, seesA, seesB, seesC, seesD, dims, dimsV);
                }
            }
            float sum = Math.abs(total[0]) + Math.abs(total[1]) + Math.abs(total[2]) + Math.abs(total[3]); // a GPU's max drops NaN
            again = Tile.count(sum < FINITE ? 0 : 1);
            samples = (every + held - 1) / held;
            step = 1024;
        }

        float weightA = Tile.shuffle(total[0], lane & 28);
        float weightB = Tile.shuffle(total[2], lane & 28);
        float weightC = Tile.shuffle(total[0], lane & 28 | 2);
        float weightD = Tile.shuffle(total[2], lane & 28 | 2);
        store(o, acc1, 0, row0 + row, row < Sq, quad, seesA > 0 ? 1f / weightA : 0f, Dv, dimsV);
        store(o, acc1, 2, row0 + row + 8, row + 8 < Sq, quad, seesB > 0 ? 1f / weightB : 0f, Dv, dimsV);
        store(o, acc2, 0, row0 + row + 16, row + 16 < Sq, quad, seesC > 0 ? 1f / weightC : 0f, Dv, dimsV);
        store(o, acc2, 2, row0 + row + 24, row + 24 < Sq, quad, seesD > 0 ? 1f / weightD : 0f, Dv, dimsV);
        if (quad == 0) {
            logSumExp(lse, row0, row, Sq, seesA, mA, weightA);
            logSumExp(lse, row0, row + 8, Sq, seesB, mB, weightB);
            logSumExp(lse, row0, row + 16, Sq, seesC, mC, weightC);
            logSumExp(lse, row0, row + 24, Sq, seesD, mD, weightD);
        }
    }

    /** Adds 16 keys to all sums. */
    private static void piece(float[] acc1, float[] acc2, float[] total, float[] s1, float[] s2, int[] w1, int[] w2, int[] q1, int[] q2,
            int[] b, int[] one, int[] other, float[] zero, int[] tile, int scoreAt, int sumAt, float c, float mA, float mB, float mC, float mD,
            int key, int seesA, int seesB, int seesC, int seesD, int dims, int dimsV) {
        TilePieces.scoresAndProducts(s1, s2, q1, q2, b, tile, scoreAt, 0, zero, dims);
        weights(w1, s1, c, mA, mB, key, seesA, seesB);
        weights(w2, s2, c, mC, mD, key, seesC, seesD);
        TilePieces.sums(acc1, acc2, w1, w2, b, tile, sumAt, 0, dimsV);
        Tile.mma(total, 0, w1, 0, one, 0);
        Tile.mma(total, 0, w2, 0, other, 0);
    }

    /** w = 2^(s c - m), as A of the sums. */
    private static void weights(int[] w, float[] s, float c, float mA, float mB, int key, int seesA, int seesB) {
        for (int n = 0; n < 2; n++) {
            w[2 * n] = Tile.half2(Tile.exp2(exponent(s[4 * n], c, mA, key + 8 * n, seesA)),
                    Tile.exp2(exponent(s[4 * n + 1], c, mA, key + 8 * n + 1, seesA)));
            w[2 * n + 1] = Tile.half2(Tile.exp2(exponent(s[4 * n + 2], c, mB, key + 8 * n, seesB)),
                    Tile.exp2(exponent(s[4 * n + 3], c, mB, key + 8 * n + 1, seesB)));
        }
    }

    /** The largest of a row's four visible scores, s[at], s[at + 1], s[at + 4] and s[at + 5]. */
    private static float largest(float[] s, int at, float c, int key, int sees) {
        return Math.max(Math.max(seen(s[at] * c, key, sees), seen(s[at + 1] * c, key + 1, sees)),
                Math.max(seen(s[at + 4] * c, key + 8, sees), seen(s[at + 5] * c, key + 9, sees)));
    }

    private static float seen(float score, int key, int sees) {
        return key < sees ? score : LOW;
    }

    /** This lane's part of a row, two of every 8 sums, where the row is one of the head's. */
    private static void store(FloatArray o, float[] acc, int h, int row, boolean live, int quad, float inverse, int Dv, int dimsV) {
        for (int n = 0; n < dimsV / 8; n++) {
            int column = TileRows.column(n, quad);
            if (live && column < Dv) {
                o.set(row * Dv + column, acc[4 * n + h] * inverse);
            }
            if (live && column + 1 < Dv) {
                o.set(row * Dv + column + 1, acc[4 * n + h + 1] * inverse);
            }
        }
    }

    private static void logSumExp(FloatArray lse, int row0, int row, int Sq, int sees, float m, float weight) {
        if (row < Sq) {
            lse.set(row0 + row, sees > 0 ? (m + Tile.log2(weight)) * LN2 : Float.NEGATIVE_INFINITY);
        }
    }
}
