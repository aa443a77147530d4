package io.github.flashlla.tornado.kernels.tile;

/**
 * What two warps of the float32 kernels do with 16 rows whose numbers one warp's registers do not hold: each has half of the factors and makes
 * half of the products, they exchange numbers of 16 x 16 pairs through local memory, and each sums into half of the columns, every second 16.
 */
public final class SplitPair {
    /** Rows of a group: 16 for each pair of warps. */
    public static final int BLOCK = 32;
    /** Rows or keys of a tile. */
    public static final int TILE = 16;
    /** Bytes of an array of a tile, both halves. */
    public static final int ARRAY = 2 * SplitPieces.LOW_BYTES;
    /** Bytes that a warp's numbers take, 8 of each lane. */
    public static final int NUMBERS = 1024;

    private SplitPair() {}

    /**
     * s = f t^T, and e = g t^T + from, 16 x 16, of one array t of a tile: {@code f} and {@code g} in registers, first halves and then second ones.
     */
    public static void ofOne(float[] s, float[] e, int[] f, int[] g, int[] b, int[] tile, int at, float[] from, int dims) {
        load(b, 0, tile, at);
        Tile.mmaFromZero(s, 0, f, 0, b, 0);
        Tile.mmaFromZero(s, 4, f, 0, b, 2);
        Tile.mmaFrom(e, 0, g, 0, b, 0, from);
        Tile.mmaFrom(e, 4, g, 0, b, 2, from);
        more(s, e, f, g, b, 0, dims / 4, dims / 4, 0, 0);
        for (int k = 1; k < dims / 16; k++) {
            load(b, 0, tile, at ^ (k << 5));
            both(s, e, f, g, b, 4 * k, 4 * k, 0, 0);
            more(s, e, f, g, b, 4 * k, dims / 4 + 4 * k, dims / 4 + 4 * k, 0, 0);
        }
    }

    /** s = f t^T and e = g t2^T + from of two arrays of a tile; {@code b} has room for 16. */
    public static void ofTwo(float[] s, float[] e, int[] f, int[] g, int[] b, int[] tile, int at, int at2, float[] from, int dims, int dims2) {
        load(b, 0, tile, at);
        load(b, 8, tile, at2);
        Tile.mmaFromZero(s, 0, f, 0, b, 0);
        Tile.mmaFromZero(s, 4, f, 0, b, 2);
        Tile.mmaFrom(e, 0, g, 0, b, 8, from);
        Tile.mmaFrom(e, 4, g, 0, b, 10, from);
        more(s, e, f, g, b, 0, dims / 4, dims2 / 4, 0, 8);
        rest(s, e, f, g, b, tile, at, at2, dims, dims2);
    }

    /**
     * The same with e from 0.
     *
     * @param f0 f of the first 16 dims, first halves and, from {@code second} on, second ones
     */
    public static void ofTwo(float[] s, float[] e, int[] f, int[] f0, int second, int[] g, int[] b, int[] tile, int at, int at2, int dims, int dims2) {
        load(b, 0, tile, at);
        load(b, 8, tile, at2);
        Tile.mmaFromZero(s, 0, f0, 0, b, 0);
        Tile.mmaFromZero(s, 4, f0, 0, b, 2);
        Tile.mmaFromZero(e, 0, g, 0, b, 8);
        Tile.mmaFromZero(e, 4, g, 0, b, 10);
        more(s, e, f0, g, b, 0, second, dims2 / 4, 0, 8);
        rest(s, e, f, g, b, tile, at, at2, dims, dims2);
    }

    /** Dims from 16 on; where one factor has more of them than the other, these by themselves. */
    private static void rest(float[] s, float[] e, int[] f, int[] g, int[] b, int[] tile, int at, int at2, int dims, int dims2) {
        int common = Math.min(dims, dims2) / 16;
        for (int k = 1; k < common; k++) {
            load(b, 0, tile, at ^ (k << 5));
            load(b, 8, tile, at2 ^ (k << 5));
            both(s, e, f, g, b, 4 * k, 4 * k, 0, 8);
            more(s, e, f, g, b, 4 * k, dims / 4 + 4 * k, dims2 / 4 + 4 * k, 0, 8);
        }
        for (int k = common; k < dims / 16; k++) {
            load(b, 0, tile, at ^ (k << 5));
            Tile.mma(s, 0, f, 4 * k, b, 0);
            Tile.mma(s, 4, f, 4 * k, b, 2);
            SplitPieces.moreScores(s, f, 4 * k, dims / 4 + 4 * k, b);
        }
        for (int k = common; k < dims2 / 16; k++) {
            load(b, 0, tile, at2 ^ (k << 5));
            Tile.mma(e, 0, g, 4 * k, b, 0);
            Tile.mma(e, 4, g, 4 * k, b, 2);
            SplitPieces.moreScores(e, g, 4 * k, dims2 / 4 + 4 * k, b);
        }
    }

    private static void load(int[] b, int to, int[] tile, int at) {
        Tile.load4(b, to, tile, at);
        Tile.load4(b, to + 4, tile, at + SplitPieces.LOW_BYTES);
    }

    /** Four products that do not wait for one another. */
    private static void both(float[] s, float[] e, int[] f, int[] g, int[] b, int atF, int atG, int ofS, int ofE) {
        Tile.mma(s, 0, f, atF, b, ofS);
        Tile.mma(s, 4, f, atF, b, ofS + 2);
        Tile.mma(e, 0, g, atG, b, ofE);
        Tile.mma(e, 4, g, atG, b, ofE + 2);
    }

    /** Those with a second half: of the factors, and of the tile. */
    private static void more(float[] s, float[] e, int[] f, int[] g, int[] b, int first, int secondF, int secondG, int ofS, int ofE) {
        both(s, e, f, g, b, secondF, secondG, ofS, ofE);
        both(s, e, f, g, b, first, first, ofS + 4, ofE + 4);
    }

    /** Exponents of keys that a row does not see, for a lane's 8 numbers. */
    public static void hide(float[] s, int key, int seesA, int seesB) {
        for (int n = 0; n < 2; n++) {
            for (int i = 0; i < 2; i++) {
                s[4 * n + i] = key + 8 * n + i < seesA ? s[4 * n + i] : TilePieces.HIDDEN;
                s[4 * n + 2 + i] = key + 8 * n + i < seesB ? s[4 * n + 2 + i] : TilePieces.HIDDEN;
            }
        }
    }

    /** A lane's 8 numbers to local memory. */
    public static void give(int[] tile, int at, float[] numbers) {
        Tile.storeLocal4(tile, at, numbers[0], numbers[1], numbers[2], numbers[3]);
        Tile.storeLocal4(tile, at + NUMBERS / 2, numbers[4], numbers[5], numbers[6], numbers[7]);
    }

    /** The way back, behind a barrier. */
    public static void take(float[] numbers, int[] tile, int at) {
        Tile.loadLocal4(numbers, 0, tile, at);
        Tile.loadLocal4(numbers, 4, tile, at + NUMBERS / 2);
    }

    /** part = w t of 16 columns of an array of a tile. */
    public static void part(float[] part, int[] w, int[] b, int[] tile, int at) {
        Tile.load4Transposed(b, 0, tile, at);
        Tile.load4Transposed(b, 4, tile, at + SplitPieces.LOW_BYTES);
        SplitPieces.part(part, w, b);
    }

    /** The column of a lane's first number in block {@code n} of 8 of its sums; {@code half} of the pair's warps. */
    public static int column(int n, int half, int quad) {
        return 32 * (n >> 1) + 16 * half + 8 * (n & 1) + 2 * quad;
    }
}
