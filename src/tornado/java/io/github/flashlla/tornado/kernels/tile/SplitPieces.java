package io.github.flashlla.tornado.kernels.tile;

import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/**
 * What {@link TilePieces} do with a piece of 16 keys, in float32's accuracy: a number is the sum of two float16, the nearest and the
 * nearest to what that leaves, and a product of two numbers three of the matrix units' (high high, low high, high low), summed in float32.
 *
 * <p>What is split was multiplied before by a power of two, so that the largest is about 1000: then the second float16 of a number is
 * off by 2^-35 of the largest at most, and by 2^-22 of the number.
 *
 * <p>The units drop bits that do not fit where they add to a sum; sums over many keys would lose some 2^-24 of themselves for each piece.
 * So a piece's sums start from 0 and are added to the others in ordinary arithmetic.
 *
 * <p>A tile has its keys' first halves and, {@value #LOW_BYTES} bytes on, the second ones. Rows of q are in registers to head dim 64, above
 * that in local memory as keys are, a warp's 16 rows behind each other.
 */
public final class SplitPieces {
    /** From the first halves of a tile to the second. */
    public static final int LOW_BYTES = 4096;
    /** Bytes of two tiles, with both halves. */
    public static final int TILES = 16384;
    /** From the first halves of a group's rows of q to the second. */
    private static final int ROWS_BYTES = 16384;
    /** The largest number that is split is at least half of this, and less than it. */
    private static final float LARGEST = 1024f;
    /** Powers of two that may be needed, to either side. */
    private static final int STEPS = 100;

    private SplitPieces() {}

    /** Keys of a tile. */
    public static int keys(int dims) {
        return dims <= 64 ? 32 : 16;
    }

    /** Elements of the local array of a kernel: two tiles, and rows of q where they are not in registers. */
    public static int localInts(int dims) {
        return dims <= 64 ? 4096 : 12288;
    }

    /** Registers of {@link #loadRows}. */
    public static int rowRegisters(int dims) {
        return dims <= 64 ? dims / 2 : 8;
    }

    /** The power of two to multiply numbers with. */
    public static float factor(float largest) {
        float factor = 1f;
        for (int i = 0; i < STEPS && largest * factor >= LARGEST; i++) {
            factor *= 0.5f;
        }
        for (int i = 0; i < STEPS && largest > 0f && largest * factor < 0.5f * LARGEST; i++) {
            factor *= 2f;
        }
        return factor;
    }

    /** What a pair of float16 leaves of two numbers, as float16. */
    public static int rest(int pair, float first, float second) {
        return Tile.half2(first - Tile.low(pair), second - Tile.high(pair));
    }

    /** An element of a row-major tensor's row; 0 past its end. */
    public static float element(FloatArray from, int row, int column, int D) {
        float value = from.get(row * D + Math.min(column, D - 1)); // without a branch, or loops are not unrolled
        return column < D ? value : 0f;
    }

    /** The largest of this lane's part of a row, in absolute value. */
    private static float largest(FloatArray q, int row, int quad, int D, int dims) {
        float largest = 0f;
        for (int n = 0; n < dims / 8; n++) {
            largest = Math.max(largest, Math.max(Math.abs(element(q, row, 8 * n + 2 * quad, D)), Math.abs(element(q, row, 8 * n + 2 * quad + 1, D))));
        }
        return largest;
    }

    /** The largest of a row, in absolute value. All lanes of the warp must get here. */
    public static float rowLargest(FloatArray q, int row, int quad, int D, int dims) {
        return TilePieces.quadMax(largest(q, row, quad, D, dims));
    }

    /** What to multiply a row with. All lanes of the warp must get here. */
    public static float rowFactor(FloatArray q, int row, int quad, int D, int dims) {
        return factor(rowLargest(q, row, quad, D, dims));
    }

    /** A lane's part of two rows, so many times what they are, in registers: first halves and then second ones. */
    public static void loadRows(int[] fragment, FloatArray from, int atA, int atB, int quad, int D, int dims, float timesA, float timesB) {
        for (int n = 0; n < dims / 8; n++) {
            int column = 8 * n + 2 * quad;
            float a0 = timesA * element(from, atA, column, D);
            float a1 = timesA * element(from, atA, column + 1, D);
            float b0 = timesB * element(from, atB, column, D);
            float b1 = timesB * element(from, atB, column + 1, D);
            int at = 4 * (n >> 1) + 2 * (n & 1);
            fragment[at] = Tile.half2(a0, a1);
            fragment[at + 1] = Tile.half2(b0, b1);
            fragment[dims / 4 + at] = rest(fragment[at], a0, a1);
            fragment[dims / 4 + at + 1] = rest(fragment[at + 1], b0, b1);
        }
    }

    /**
     * A lane's part of two rows of q, so many times what they are: into registers, first halves and then second ones, or to local
     * memory, where a barrier must follow.
     */
    public static void loadRows(int[] fragment, int[] tile, int base, FloatArray q, int atA, int atB, int tid, int D, int dims, float timesA, float timesB) {
        int quad = tid & 3;
        int row = (tid >> 5) * 16 + (tid >> 2 & 7);
        if (dims <= 64) {
            loadRows(fragment, q, atA, atB, quad, D, dims, timesA, timesB);
        }
        for (int n = 0; n < (dims <= 64 ? 0 : dims / 8); n++) {
            int column = 8 * n + 2 * quad;
            float a0 = timesA * element(q, atA, column, D);
            float a1 = timesA * element(q, atA, column + 1, D);
            float b0 = timesB * element(q, atB, column, D);
            float b1 = timesB * element(q, atB, column + 1, D);
            int pairA = Tile.half2(a0, a1);
            int pairB = Tile.half2(b0, b1);
            int to = base + TILES + row * 256 + ((n ^ (row & 7)) << 4) + 4 * quad;
            Tile.storeLocal(tile, to, pairA);
            Tile.storeLocal(tile, to + 2048, pairB);
            Tile.storeLocal(tile, to + ROWS_BYTES, rest(pairA, a0, a1));
            Tile.storeLocal(tile, to + ROWS_BYTES + 2048, rest(pairB, b0, b1));
        }
    }

    /** Where this lane's row of q is for {@code ldmatrix}, if q is in local memory. */
    public static int rowsAt(int base, int tid) {
        return base + TILES + (tid >> 5) * 4096 + TilePieces.sumByte(tid & 31, 128);
    }

    /** Starts this thread's copies of a tile's two halves; {@code low} is how far behind the first halves the second are in {@code packed}. */
    public static void copyTile(int[] tile, int address, HalfFloatArray packed, int from, int low,
            int tid, int keys, int stride) {
        TilePieces.copyTile(tile, address, packed, from, tid, keys, stride);
        TilePieces.copyTile(tile, address + LOW_BYTES, packed, from + low, tid, keys, stride);
    }

    /** Starts this thread's copies of a tile of keys and, two tiles' bytes behind it, of one of values. */
    public static void copyTiles(int[] tile, int address, HalfFloatArray packed, int from, int low, int fromV, int lowV, int tid, int keys, int stride,
            int strideV) {
        copyTile(tile, address, packed, from, low, tid, keys, stride);
        copyTile(tile, address + 2 * LOW_BYTES, packed, fromV, lowV, tid, keys, strideV);
        Tile.commit();
    }

    /** s = q k^T by first halves alone, 16 x 16: near enough to tell the largest. */
    public static void roughScores(float[] s, int[] q, int[] b, int[] tile, int qAt, int at, int offset, int dims) {
        for (int i = 0; i < 8; i++) {
            s[i] = 0f;
        }
        for (int k = 0; k < dims / 16; k++) {
            Tile.load4(b, 0, tile, (at ^ (k << 5)) + offset);
            int first = 4 * k;
            if (dims > 64) {
                Tile.load4(q, 0, tile, qAt ^ (k << 5));
                first = 0;
            }
            Tile.mma(s, 0, q, first, b, 0);
            Tile.mma(s, 4, q, first, b, 2);
        }
    }

    /** s = q k^T, 16 x 16. */
    public static void scores(float[] s, int[] q, int[] b, int[] tile, int qAt, int at, int offset, int dims) {
        loadKeys(b, q, tile, qAt, at, offset, 0, dims);
        Tile.mmaFromZero(s, 0, q, 0, b, 0);
        Tile.mmaFromZero(s, 4, q, 0, b, 2);
        moreScores(s, q, 0, dims <= 64 ? dims / 4 : 4, b);
        for (int k = 1; k < dims / 16; k++) {
            loadKeys(b, q, tile, qAt, at, offset, k, dims);
            int first = dims <= 64 ? 4 * k : 0;
            Tile.mma(s, 0, q, first, b, 0);
            Tile.mma(s, 4, q, first, b, 2);
            moreScores(s, q, first, dims <= 64 ? dims / 4 + 4 * k : 4, b);
        }
    }

    /** u = y v^T + from, with y in registers whatever the head dim, first halves and then second ones. */
    public static void products(float[] u, int[] y, int[] b, int[] tile, int at, int offset, float[] from, int dims) {
        Tile.load4(b, 0, tile, at + offset);
        Tile.load4(b, 4, tile, at + offset + LOW_BYTES);
        Tile.mmaFrom(u, 0, y, 0, b, 0, from);
        Tile.mmaFrom(u, 4, y, 0, b, 2, from);
        moreScores(u, y, 0, dims / 4, b);
        for (int k = 1; k < dims / 16; k++) {
            Tile.load4(b, 0, tile, (at ^ (k << 5)) + offset);
            Tile.load4(b, 4, tile, (at ^ (k << 5)) + offset + LOW_BYTES);
            Tile.mma(u, 0, y, 4 * k, b, 0);
            Tile.mma(u, 4, y, 4 * k, b, 2);
            moreScores(u, y, 4 * k, dims / 4 + 4 * k, b);
        }
    }

    /** s = q k^T and u = y k^T + from; {@code y} first halves and then second ones. */
    public static void scoresAndProducts(float[] s, float[] u, int[] q, int[] y, int[] b, int[] tile, int qAt, int at, int offset, float[] from,
            int dims) {
        loadKeys(b, q, tile, qAt, at, offset, 0, dims);
        Tile.mmaFromZero(s, 0, q, 0, b, 0);
        Tile.mmaFromZero(s, 4, q, 0, b, 2);
        Tile.mmaFrom(u, 0, y, 0, b, 0, from);
        Tile.mmaFrom(u, 4, y, 0, b, 2, from);
        moreScores(s, q, 0, dims <= 64 ? dims / 4 : 4, b);
        moreScores(u, y, 0, dims / 4, b);
        for (int k = 1; k < dims / 16; k++) {
            loadKeys(b, q, tile, qAt, at, offset, k, dims);
            int first = dims <= 64 ? 4 * k : 0;
            Tile.mma(s, 0, q, first, b, 0);
            Tile.mma(s, 4, q, first, b, 2);
            Tile.mma(u, 0, y, 4 * k, b, 0);
            Tile.mma(u, 4, y, 4 * k, b, 2);
            moreScores(s, q, first, dims <= 64 ? dims / 4 + 4 * k : 4, b);
            moreScores(u, y, 4 * k, dims / 4 + 4 * k, b);
        }
    }

    /** 16 dims of keys, both halves, and of q where it is in local memory. */
    private static void loadKeys(int[] b, int[] q, int[] tile, int qAt, int at, int offset, int k, int dims) {
        Tile.load4(b, 0, tile, (at ^ (k << 5)) + offset);
        Tile.load4(b, 4, tile, (at ^ (k << 5)) + offset + LOW_BYTES);
        if (dims > 64) {
            Tile.load4(q, 0, tile, qAt ^ (k << 5));
            Tile.load4(q, 4, tile, (qAt ^ (k << 5)) + ROWS_BYTES);
        }
    }

    /** u += y v^T, all in registers as in {@link #products}. */
    public static void moreProducts(float[] u, int[] y, int[] b, int[] tile, int at, int offset, int dims) {
        for (int k = 0; k < dims / 16; k++) {
            Tile.load4(b, 0, tile, (at ^ (k << 5)) + offset);
            Tile.load4(b, 4, tile, (at ^ (k << 5)) + offset + LOW_BYTES);
            Tile.mma(u, 0, y, 4 * k, b, 0);
            Tile.mma(u, 4, y, 4 * k, b, 2);
            moreScores(u, y, 4 * k, dims / 4 + 4 * k, b);
        }
    }

    /** The two products with a second half: of {@code q} at {@code second}, of {@code b} at 4. */
    public static void moreScores(float[] s, int[] q, int first, int second, int[] b) {
        Tile.mma(s, 0, q, second, b, 0);
        Tile.mma(s, 4, q, second, b, 2);
        Tile.mma(s, 0, q, first, b, 4);
        Tile.mma(s, 4, q, first, b, 6);
    }

    /** w = 2^e u with e = s c - m, as A of the sums, first halves and then second ones; {@code total} has w of each row added. */
    public static void weights(int[] w, float[] total, float[] s, float[] u, float cA, float cB, float mA, float mB, int key, int seesA, int seesB) {
        for (int n = 0; n < 2; n++) {
            float a0 = Tile.exp2(TilePieces.exponent(s[4 * n], cA, mA, key + 8 * n, seesA)) * u[4 * n];
            float a1 = Tile.exp2(TilePieces.exponent(s[4 * n + 1], cA, mA, key + 8 * n + 1, seesA)) * u[4 * n + 1];
            float b0 = Tile.exp2(TilePieces.exponent(s[4 * n + 2], cB, mB, key + 8 * n, seesB)) * u[4 * n + 2];
            float b1 = Tile.exp2(TilePieces.exponent(s[4 * n + 3], cB, mB, key + 8 * n + 1, seesB)) * u[4 * n + 3];
            total[0] += a0 + a1;
            total[1] += b0 + b1;
            splitPairs(w, 2 * n, a0, a1, b0, b1);
        }
    }

    /** w = 2^e and w2 = e 2^e; {@code total} has w of the two rows added, and w2. */
    public static void weightsOfMean(int[] w, int[] w2, float[] total, float[] s, float cA, float cB, float mA, float mB, int key, int seesA,
            int seesB) {
        for (int n = 0; n < 2; n++) {
            float a0 = TilePieces.exponent(s[4 * n], cA, mA, key + 8 * n, seesA);
            float a1 = TilePieces.exponent(s[4 * n + 1], cA, mA, key + 8 * n + 1, seesA);
            float b0 = TilePieces.exponent(s[4 * n + 2], cB, mB, key + 8 * n, seesB);
            float b1 = TilePieces.exponent(s[4 * n + 3], cB, mB, key + 8 * n + 1, seesB);
            float pa0 = Tile.exp2(a0);
            float pa1 = Tile.exp2(a1);
            float pb0 = Tile.exp2(b0);
            float pb1 = Tile.exp2(b1);
            a0 *= pa0;
            a1 *= pa1;
            b0 *= pb0;
            b1 *= pb1;
            total[0] += pa0 + pa1;
            total[1] += pb0 + pb1;
            total[2] += a0 + a1;
            total[3] += b0 + b1;
            splitPairs(w, 2 * n, pa0, pa1, pb0, pb1);
            splitPairs(w2, 2 * n, a0, a1, b0, b1);
        }
    }

    /** Weights of two keys of both rows, split, as A of the sums. */
    public static void splitPairs(int[] w, int at, float a0, float a1, float b0, float b1) {
        int pairA = Tile.half2(a0, a1);
        int pairB = Tile.half2(b0, b1);
        w[at] = pairA;
        w[at + 1] = pairB;
        w[4 + at] = rest(pairA, a0, a1);
        w[4 + at + 1] = rest(pairB, b0, b1);
    }

    /** acc += w K. */
    public static void sums(float[] acc, float[] part, int[] w, int[] b, int[] tile, int at, int offset, int dims) {
        for (int n = 0; n < dims / 16; n++) {
            Tile.load4Transposed(b, 0, tile, (at ^ (n << 5)) + offset);
            Tile.load4Transposed(b, 4, tile, (at ^ (n << 5)) + offset + LOW_BYTES);
            part(part, w, b);
            for (int i = 0; i < 8; i++) {
                acc[8 * n + i] += part[i];
            }
        }
    }

    /** acc += w K and acc2 += w2 K. */
    public static void sums(float[] acc, float[] acc2, float[] part, float[] part2, int[] w, int[] w2, int[] b, int[] tile, int at, int offset,
            int dims) {
        for (int n = 0; n < dims / 16; n++) {
            Tile.load4Transposed(b, 0, tile, (at ^ (n << 5)) + offset);
            Tile.load4Transposed(b, 4, tile, (at ^ (n << 5)) + offset + LOW_BYTES);
            part(part, w, b);
            part(part2, w2, b);
            for (int i = 0; i < 8; i++) {
                acc[8 * n + i] += part[i];
                acc2[8 * n + i] += part2[i];
            }
        }
    }

    /** part = w K of 16 dims, which are in {@code b}, both halves. */
    public static void part(float[] part, int[] w, int[] b) {
        Tile.mmaFromZero(part, 0, w, 4, b, 0);
        Tile.mmaFromZero(part, 4, w, 4, b, 2);
        Tile.mma(part, 0, w, 0, b, 4);
        Tile.mma(part, 4, w, 0, b, 6);
        Tile.mma(part, 0, w, 0, b, 0);
        Tile.mma(part, 4, w, 0, b, 2);
    }
}
