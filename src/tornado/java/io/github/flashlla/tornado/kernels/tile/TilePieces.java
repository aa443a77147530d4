package io.github.flashlla.tornado.kernels.tile;

import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/**
 * What the tile kernels do with a piece of 16 keys, 16 rows a warp, everything in registers: scores S = q k^T and products U = y k^T
 * from one load of the keys, weights from both, and weighted sums of keys or values.
 *
 * <p>A tile of keys is in local memory as it is in global memory, row by row, but that the 16-byte chunk c of row r is at chunk
 * c ^ (r % 8): so {@code ldmatrix} reads it either way without bank conflicts.
 */
public final class TilePieces {
    /** 2^this is how large a weight can be in the passes that know the sum. */
    public static final float SHIFT = 8f;
    /** 2^-SHIFT. */
    public static final float UNSHIFT = 0.00390625f;
    /** Exponent of a key that is not seen; finite, since pass 1 multiplies by it. */
    public static final float HIDDEN = -10000f;
    public static final int EVERY_KEY = Integer.MAX_VALUE;
    public static final float LN2 = 0.69314718f;
    public static final float LOG2E = 1.44269504f;
    /**
     * Element of packed keys, values and rows that the first row starts at, behind which their places count: byte 128 of a buffer, with the 16 of an
     * array's header. Two 16-byte copies read the 32 bytes that they share at once only where source and destination are as far from a multiple
     * of 32; else L2 delivers everything twice.
     */
    public static final int FIRST = (128 - Tile.HEADER) / Short.BYTES;

    private TilePieces() {}

    /**
     * The dimension that is at a column of packed keys and values, and of a fragment: within each 16 they are moved, so that the numbers of a
     * lane, in columns 2t, 2t + 1, 2t + 8 and 2t + 9, are four dimensions in a row, 4t to 4t + 3.
     */
    public static int dimension(int column) {
        return (column & -16) + 4 * ((column & 7) >> 1) + 2 * ((column >> 3) & 1) + (column & 1);
    }

    /** float16 elements from row to row of packed keys or values. */
    public static int stride(int dims) {
        return dims <= 64 ? 64 : 128;
    }

    /** Byte of this lane's row for {@code ldmatrix} of the keys as B of S: rows are keys. */
    public static int scoreByte(int lane, int stride) {
        int m = lane >> 3;
        return ((m >> 1) * 8 + (lane & 7)) * 2 * stride + (((m & 1) ^ (lane & 7)) << 4);
    }

    /** The same for the transposed load, as B of the sums. */
    public static int sumByte(int lane, int stride) {
        int m = lane >> 3;
        return ((m & 1) * 8 + (lane & 7)) * 2 * stride + (((m >> 1) ^ (lane & 7)) << 4);
    }

    /** Starts this thread's copies of one tile of {@code keys} rows; {@code from} is its first element, counted from {@link #FIRST}. */
    public static void copyTile(int[] tile, int address, HalfFloatArray packed, int from, int tid, int keys, int stride) {
        int chunks = stride / 8;
        int row = tid / chunks;
        int chunk = tid % chunks;
        int to = address + row * 2 * stride + ((chunk ^ (row & 7)) << 4);
        for (int i = 0; i < keys * chunks / TileState.THREADS; i++) {
            Tile.copy16(tile, to + i * 2048, packed, from + 8 * tid, FIRST + i * 1024);
        }
    }

    /** A number for each row, as what products start from. */
    public static void start(float[] from, float a, float b) {
        from[0] = Tile.opaque(a);
        from[1] = Tile.opaque(a);
        from[2] = Tile.opaque(b);
        from[3] = Tile.opaque(b);
    }

    /**
     * Starts this thread's copies of pieces of 16 keys, as many as two tiles hold: every {@code step}-th, from {@code piece} on, the
     * last again for those behind it.
     *
     * @param step in 1/1024 of a piece
     */
    public static void copyPieces(int[] tile, int address, HalfFloatArray packed, int from, int tid, int stride, int piece, int step, int pieces) {
        int chunks = stride / 8;
        int row = tid / chunks;
        int chunk = tid % chunks;
        int to = address + row * 2 * stride + ((chunk ^ (row & 7)) << 4);
        for (int i = 0; i < 8; i++) {
            int place = i * 64 / stride;
            int key = pieceAt(place, piece, step, pieces) * 16 + row + i % (stride / 64) * 8;
            Tile.copy16(tile, to + i * 2048, packed, from + key * stride + 8 * chunk, FIRST);
        }
    }

    public static int pieceAt(int place, int piece, int step, int pieces) {
        return Math.min(piece + (place * step >> 10), pieces - 1);
    }

    /** s = q k^T, 16 x 16. */
    public static void scores(float[] s, int[] q, int[] b, int[] tile, int at, int offset, int dims) {
        Tile.load4(b, 0, tile, at + offset);
        Tile.mmaFromZero(s, 0, q, 0, b, 0);
        Tile.mmaFromZero(s, 4, q, 0, b, 2);
        for (int k = 1; k < dims / 16; k++) {
            Tile.load4(b, 0, tile, (at ^ (k << 5)) + offset);
            Tile.mma(s, 0, q, 4 * k, b, 0);
            Tile.mma(s, 4, q, 4 * k, b, 2);
        }
    }

    /** s = q k^T and u = y k^T + from. */
    public static void scoresAndProducts(float[] s, float[] u, int[] q, int[] y, int[] b, int[] tile, int at, int offset, float[] from,
            int dims) {
        Tile.load4(b, 0, tile, at + offset);
        Tile.mmaFromZero(s, 0, q, 0, b, 0);
        Tile.mmaFromZero(s, 4, q, 0, b, 2);
        Tile.mmaFrom(u, 0, y, 0, b, 0, from);
        Tile.mmaFrom(u, 4, y, 0, b, 2, from);
        for (int k = 1; k < dims / 16; k++) {
            Tile.load4(b, 0, tile, (at ^ (k << 5)) + offset);
            Tile.mma(s, 0, q, 4 * k, b, 0);
            Tile.mma(s, 4, q, 4 * k, b, 2);
            Tile.mma(u, 0, y, 4 * k, b, 0);
            Tile.mma(u, 4, y, 4 * k, b, 2);
        }
    }

    /** u += y k^T. */
    public static void moreProducts(float[] u, int[] y, int[] b, int[] tile, int at, int offset, int dims) {
        for (int k = 0; k < dims / 16; k++) {
            Tile.load4(b, 0, tile, (at ^ (k << 5)) + offset);
            Tile.mma(u, 0, y, 4 * k, b, 0);
            Tile.mma(u, 4, y, 4 * k, b, 2);
        }
    }

    /** u = y k^T + from. */
    public static void products(float[] u, int[] y, int[] b, int[] tile, int at, int offset, float[] from, int dims) {
        Tile.load4(b, 0, tile, at + offset);
        Tile.mmaFrom(u, 0, y, 0, b, 0, from);
        Tile.mmaFrom(u, 4, y, 0, b, 2, from);
        for (int k = 1; k < dims / 16; k++) {
            Tile.load4(b, 0, tile, (at ^ (k << 5)) + offset);
            Tile.mma(u, 0, y, 4 * k, b, 0);
            Tile.mma(u, 4, y, 4 * k, b, 2);
        }
    }

    /** w = 2^e u with e = s c - m, as A of the sums. */
    public static void weights(int[] w, float[] s, float[] u, float c, float mA, float mB, int key, int seesA, int seesB) {
        weights(w, 0, s, u, c, mA, mB, key, seesA, seesB);
    }

    /** The same of piece {@code from / 2}. */
    public static void weights(int[] w, int from, float[] s, float[] u, float c, float mA, float mB, int key, int seesA, int seesB) {
        for (int n = from; n < from + 2; n++) {
            float a0 = exponent(s[4 * n], c, mA, key + 8 * n, seesA);
            float a1 = exponent(s[4 * n + 1], c, mA, key + 8 * n + 1, seesA);
            float b0 = exponent(s[4 * n + 2], c, mB, key + 8 * n, seesB);
            float b1 = exponent(s[4 * n + 3], c, mB, key + 8 * n + 1, seesB);
            w[2 * n] = Tile.half2(Tile.exp2(a0) * u[4 * n], Tile.exp2(a1) * u[4 * n + 1]);
            w[2 * n + 1] = Tile.half2(Tile.exp2(b0) * u[4 * n + 2], Tile.exp2(b1) * u[4 * n + 3]);
        }
    }

    /** w = 2^e and w2 = e 2^e. */
    public static void weightsOfMean(int[] w, int[] w2, float[] s, float c, float mA, float mB, int key, int seesA, int seesB) {
        weightsOfMean(w, w2, 0, s, c, mA, mB, key, seesA, seesB);
    }

    /** The same of piece {@code from / 2}. */
    public static void weightsOfMean(int[] w, int[] w2, int from, float[] s, float c, float mA, float mB, int key, int seesA, int seesB) {
        for (int n = from; n < from + 2; n++) {
            float a0 = exponent(s[4 * n], c, mA, key + 8 * n, seesA);
            float a1 = exponent(s[4 * n + 1], c, mA, key + 8 * n + 1, seesA);
            float b0 = exponent(s[4 * n + 2], c, mB, key + 8 * n, seesB);
            float b1 = exponent(s[4 * n + 3], c, mB, key + 8 * n + 1, seesB);
            float pa0 = Tile.exp2(a0);
            float pa1 = Tile.exp2(a1);
            float pb0 = Tile.exp2(b0);
            float pb1 = Tile.exp2(b1);
            w[2 * n] = Tile.half2(pa0, pa1);
            w[2 * n + 1] = Tile.half2(pb0, pb1);
            w2[2 * n] = Tile.half2(pa0 * a0, pa1 * a1);
            w2[2 * n + 1] = Tile.half2(pb0 * b0, pb1 * b1);
        }
    }

    public static float exponent(float s, float c, float m, int key, int sees) {
        return key < sees ? s * c - m : HIDDEN;
    }

    /** acc += w K, and, where {@code ones} are such, sum += w 1. */
    public static void sums(float[] acc, int[] w, int[] b, int[] tile, int at, int offset, int dims) {
        for (int n = 0; n < dims / 16; n++) {
            Tile.load4Transposed(b, 0, tile, (at ^ (n << 5)) + offset);
            Tile.mma(acc, 8 * n, w, 0, b, 0);
            Tile.mma(acc, 8 * n + 4, w, 0, b, 2);
        }
    }

    /** acc += w K and acc2 += w2 K. */
    public static void sums(float[] acc, float[] acc2, int[] w, int[] w2, int[] b, int[] tile, int at, int offset, int dims) {
        for (int n = 0; n < dims / 16; n++) {
            Tile.load4Transposed(b, 0, tile, (at ^ (n << 5)) + offset);
            Tile.mma(acc, 8 * n, w, 0, b, 0);
            Tile.mma(acc, 8 * n + 4, w, 0, b, 2);
            Tile.mma(acc2, 8 * n, w2, 0, b, 0);
            Tile.mma(acc2, 8 * n + 4, w2, 0, b, 2);
        }
    }

    /** Over the four lanes that hold a row. */
    public static float quadSum(float x) {
        float y = x + Tile.shuffleXor(x, 1);
        return y + Tile.shuffleXor(y, 2);
    }

    public static float quadMax(float x) {
        float y = Math.max(x, Tile.shuffleXor(x, 1));
        return Math.max(y, Tile.shuffleXor(y, 2));
    }

    /** Two float16 of a row of q, so many times what they are; 0 past its end. */
    public static int pair(FloatArray q, int row, int column, int D, float times) {
        float first = 0f;
        float second = 0f;
        if (column < D) {
            first = q.get(row * D + column);
        }
        if (column + 1 < D) {
            second = q.get(row * D + column + 1);
        }
        return Tile.half2(first * times, second * times);
    }

    /** A lane's part of two rows of q, as A of S, so many times what they are. */
    public static void loadRows(int[] fragment, FloatArray q, int atA, int atB, int quad, int D, int dims,
            float times) {
        if (D == dims) {
            float[] four = new float[8];
            int baseA = Tile.opaque(atA * dims + 4 * quad);
            int baseB = Tile.opaque(atB * dims + 4 * quad);
            for (int k = 0; k < dims / 16; k++) {
                Tile.load4(four, 0, q, baseA + 16 * k);
                Tile.load4(four, 2, q, baseB + 16 * k);
                for (int i = 0; i < 4; i++) {
                    fragment[4 * k + i] = Tile.half2(four[4 * (i >> 1) + 2 * (i & 1)] * times, four[4 * (i >> 1) + 2 * (i & 1) + 1] * times);
                }
            }
        } else {
            loadRaggedRows(fragment, q, atA, atB, quad, D, dims, times);
        }
    }

    private static void loadRaggedRows(int[] fragment, FloatArray q, int atA, int atB, int quad, int D, int dims, float times) {
        for (int k = 0; k < dims / 16; k++) {
            fragment[4 * k] = pair(q, atA, 16 * k + 4 * quad, D, times);
            fragment[4 * k + 1] = pair(q, atB, 16 * k + 4 * quad, D, times);
            fragment[4 * k + 2] = pair(q, atA, 16 * k + 4 * quad + 2, D, times);
            fragment[4 * k + 3] = pair(q, atB, 16 * k + 4 * quad + 2, D, times);
        }
    }
}
