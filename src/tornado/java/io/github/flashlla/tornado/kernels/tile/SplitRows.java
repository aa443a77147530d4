package io.github.flashlla.tornado.kernels.tile;

import static io.github.flashlla.tornado.kernels.tile.TilePieces.quadSum;

import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * What {@link TileRows} do, for directions y of two float16 a number, and where they and the factors of {@link SplitPieces} are in {@code scratch}:
 * {@link TileState}, with the first halves of y in place of y, then
 *
 * <pre>
 *   second halves of y (rows, dims / 2) as pairs of float16
 *   what keys are multiplied with (B Hkv)   what values are (B Hkv)
 * </pre>
 */
public final class SplitRows {
    /** Squares below this are 0: no direction is made of them. */
    public static final float SMALLEST = 1e-30f;

    private SplitRows() {}

    /** Floats of scratch for so many heads of so many rows. */
    public static long scratchFloats(long heads, long kvHeads, long Sq, int dims) {
        return TileState.scratchFloats(heads, Sq, dims) + heads * Sq * (dims / 2) + 2 * kvHeads;
    }

    /** float16 elements of packed keys and values. */
    public static long packedHalves(long kvHeads, long Sk, int D, int Dv) {
        return 2 * TileState.packedHalves(kvHeads, Sk, D, Dv);
    }

    /** Keys with those that fill the last tile. */
    public static int paddedKeys(int Sk) {
        return (Sk + 63) / 64 * 64;
    }

    static int secondAt(int heads, int Sq, int dims) {
        return TileState.leftAt(heads * Sq, dims) + heads * ((Sq + TileState.BLOCK - 1) / TileState.BLOCK + 1);
    }

    /** Where what keys of the first head are multiplied with is; behind all of them that of values. */
    public static int factorsAt(int heads, int Sq, int dims) {
        return secondAt(heads, Sq, dims) + heads * Sq * (dims / 2);
    }

    /** Both halves of a lane's part of y of two rows; only of rows that are {@code live}. */
    public static void storeDirection(FloatArray scratch, int[] y, int heads, int Sq, int rowA, int rowB, int quad, int dims, int liveA, int liveB) {
        int rows = heads * Sq;
        storeHalves(scratch, y, 0, 4 * rows * dims, rowA, rowB, quad, dims, liveA, liveB);
        storeHalves(scratch, y, dims / 4, secondAt(heads, Sq, dims), rowA, rowB, quad, dims, liveA, liveB);
    }

    private static void storeHalves(FloatArray scratch, int[] y, int from, int array, int rowA, int rowB, int quad, int dims, int liveA, int liveB) {
        for (int n = 0; n < dims / 8; n++) {
            int at = from + 4 * (n >> 1) + 2 * (n & 1);
            if (liveA != 0) {
                Tile.storeBits(scratch, array + rowA * (dims / 2) + quad + 4 * n, y[at]);
            }
            if (liveB != 0) {
                Tile.storeBits(scratch, array + rowB * (dims / 2) + quad + 4 * n, y[at + 1]);
            }
        }
    }

    /** The way back. */
    public static void loadDirection(int[] y, FloatArray scratch, int heads, int Sq, int rowA, int rowB, int quad, int dims) {
        int first = 4 * heads * Sq * dims;
        int second = secondAt(heads, Sq, dims);
        for (int n = 0; n < dims / 8; n++) {
            int at = 4 * (n >> 1) + 2 * (n & 1);
            y[at] = Tile.loadBits(scratch, first + rowA * (dims / 2) + quad + 4 * n);
            y[at + 1] = Tile.loadBits(scratch, first + rowB * (dims / 2) + quad + 4 * n);
            y[dims / 4 + at] = Tile.loadBits(scratch, second + rowA * (dims / 2) + quad + 4 * n);
            y[dims / 4 + at + 1] = Tile.loadBits(scratch, second + rowB * (dims / 2) + quad + 4 * n);
        }
    }

    /** Four numbers of y: two of row A, two of row B, from column 8 n on. */
    public static void numbers(float[] to, int[] y, int n, int dims) {
        int at = 4 * (n >> 1) + 2 * (n & 1);
        to[0] = Tile.low(y[at]) + Tile.low(y[dims / 4 + at]);
        to[1] = Tile.high(y[at]) + Tile.high(y[dims / 4 + at]);
        to[2] = Tile.low(y[at + 1]) + Tile.low(y[dims / 4 + at + 1]);
        to[3] = Tile.high(y[at + 1]) + Tile.high(y[dims / 4 + at + 1]);
    }

    /** Four numbers of two rows of q, from {@code column} on. */
    public static void queries(float[] to, FloatArray q, int atA, int atB, int column, int D) {
        to[0] = SplitPieces.element(q, atA, column, D);
        to[1] = SplitPieces.element(q, atA, column + 1, D);
        to[2] = SplitPieces.element(q, atB, column, D);
        to[3] = SplitPieces.element(q, atB, column + 1, D);
    }

    /** y = d at these lengths, split; 0 where the length is; and yk = -y.kbar of what was split, times {@code times}. */
    public static void direction(int[] y, float[] yk, float[] d, FloatArray scratch, int kbarAt, int baseA, int baseB, int dims, float lengthA,
            float lengthB, float times) {
        split(y, yk, d, scratch, kbarAt, baseA, baseB, dims, TileRows.directionScale(d, 0, dims, lengthA), TileRows.directionScale(d, 2, dims, lengthB), times);
    }

    /** y = d times these, split; and yk as above. */
    public static void split(int[] y, float[] yk, float[] d, FloatArray scratch, int kbarAt, int baseA, int baseB, int dims, float scaleA,
            float scaleB, float times) {
        float[] mean = new float[4];
        float ykA = 0f;
        float ykB = 0f;
        for (int n = 0; n < dims / 8; n++) {
            int at = 4 * (n >> 1) + 2 * (n & 1);
            float a0 = d[4 * n] * scaleA;
            float a1 = d[4 * n + 1] * scaleA;
            float b0 = d[4 * n + 2] * scaleB;
            float b1 = d[4 * n + 3] * scaleB;
            int pairA = Tile.half2(a0, a1);
            int pairB = Tile.half2(b0, b1);
            y[at] = pairA;
            y[at + 1] = pairB;
            y[dims / 4 + at] = SplitPieces.rest(pairA, a0, a1);
            y[dims / 4 + at + 1] = SplitPieces.rest(pairB, b0, b1);
            loadFour(mean, 0, scratch, kbarAt, baseA, baseB, 8 * n);
            ykA += a0 * mean[0] + a1 * mean[1];
            ykB += b0 * mean[2] + b1 * mean[3];
        }
        yk[0] = -times * quadSum(ykA);
        yk[1] = -times * quadSum(ykB);
    }

    /** Where a row's numbers of this lane start, two of every 8; opaque, so that what lies behind is at constants from it. */
    public static int base(int row, int quad, int dims) {
        return Tile.opaque(row * dims + 2 * quad);
    }

    /** Four numbers, two of each row; only of rows that are {@code live}. */
    public static void storeFour(FloatArray scratch, int array, int baseA, int baseB, int column, float[] from, int n, int liveA, int liveB) {
        if (liveA != 0) {
            Tile.store2(scratch, array + baseA + column, from[n], from[n + 1]);
        }
        if (liveB != 0) {
            Tile.store2(scratch, array + baseB + column, from[n + 2], from[n + 3]);
        }
    }

    /** The way back. */
    public static void loadFour(float[] to, int n, FloatArray scratch, int array, int baseA, int baseB, int column) {
        Tile.load2(to, n, scratch, array + baseA + column);
        Tile.load2(to, n + 2, scratch, array + baseB + column);
    }
}
