package io.github.flashlla.tornado.kernels.tile;

import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/**
 * What {@link TilePieces} does with 16 keys and a warp's 16 rows, by {@link WarpGroup} with a tile of keys and the 64 rows of a work-group of four warps.
 * Lanes have the same numbers of scores, weights and sums.
 *
 * <p>Keys and values are in local memory as {@link WarpGroup} wants them. One factor of scores is there, too, so that it takes no registers; the other, y,
 * changes from sweep to sweep and stays in registers ({@link #renew}).
 */
public final class WarpGroupPieces {
    /** Bytes of 64 columns of a group's rows. */
    private static final int PANEL = 128 * TileState.BLOCK;

    private WarpGroupPieces() {}

    /** x, known to be the same for a whole work-group where that works by {@link WarpGroup}: else ptxas has products wait for each other. */
    public static int uniform(int x, int warpGroup) {
        return warpGroup != 0 ? WarpGroup.uniform(x) : x;
    }

    /** Starts this thread's copies of one tile of {@code keys} rows; {@code from} is its first element, counted from {@link TilePieces#FIRST}. */
    public static void copyTile(int[] tile, int address, HalfFloatArray packed, int from, int tid, int keys, int stride) {
        int chunks = stride / 8;
        int row = tid / chunks;
        int chunk = tid % chunks;
        int to = address + (chunk >> 3) * keys * 128 + row * 128 + (((chunk & 7) ^ (row & 7)) << 4);
        for (int i = 0; i < keys * chunks / TileState.THREADS; i++) {
            Tile.copy16(tile, to + i * (TileState.THREADS / chunks * 128), packed, from + 8 * tid, TilePieces.FIRST + i * 1024);
        }
    }

    /** Bytes of a group's rows in local memory. */
    public static int rowBytes(int dims) {
        return dims <= 64 ? PANEL : 2 * PANEL;
    }

    /** A lane's part of two rows, as A, to local memory. */
    public static void storeRows(int[] tile, int address, int[] fragment, int tid, int dims) {
        int lane = tid & 31;
        int at = address + ((tid >> 5) * 16 + (lane >> 2)) * 128 + ((lane >> 2) << 4) + 4 * (lane & 3);
        for (int k = 0; k < dims / 16; k++) {
            int to = (at ^ ((k & 3) << 5)) + (k >> 2) * PANEL;
            Tile.storeLocal(tile, to, fragment[4 * k]);
            Tile.storeLocal(tile, to + 1024, fragment[4 * k + 1]);
            Tile.storeLocal(tile, to ^ 16, fragment[4 * k + 2]);
            Tile.storeLocal(tile, (to ^ 16) + 1024, fragment[4 * k + 3]);
        }
    }

    /** The way back. */
    public static void loadRows(int[] fragment, int[] tile, int address, int tid, int dims) {
        int m = (tid & 31) >> 3;
        int at = address + ((tid >> 5) * 16 + (m & 1) * 8 + (tid & 7)) * 128 + (((m >> 1) ^ (tid & 7)) << 4);
        for (int k = 0; k < dims / 16; k++) {
            Tile.load4(fragment, 4 * k, tile, (at ^ ((k & 3) << 5)) + (k >> 2) * PANEL);
        }
    }

    /** s = q k^T, with q in local memory. */
    public static void scores(float[] s, int[] tile, int qAt, int keysAt, int keys, int dims) {
        for (int k = 0; k < dims / 16; k++) {
            WarpGroup.multiplyLocal(s, 0, keys, tile, qAt + (k >> 2) * PANEL + (k & 3) * 32, tile, keysAt + (k >> 2) * keys * 128 + (k & 3) * 32,
                    Math.min(k, 1));
        }
    }

    /** u = from, a number for each row. */
    public static void start(float[] u, float[] from, int keys) {
        for (int n = 0; n < keys / 8; n++) {
            u[4 * n] = from[0];
            u[4 * n + 1] = from[1];
            u[4 * n + 2] = from[2];
            u[4 * n + 3] = from[3];
        }
    }

    /** u += y k^T. */
    public static void products(float[] u, int[] y, int[] tile, int keysAt, int keys, int dims) {
        for (int k = 0; k < dims / 16; k++) {
            WarpGroup.multiply(u, 0, keys, y, 4 * k, tile, keysAt + (k >> 2) * keys * 128 + (k & 3) * 32, 1);
        }
    }

    /** {@link WarpGroup#renew} of all of y: before each tile's products. */
    public static void renew(int[] y, int zero, int dims) {
        for (int i = 0; i < dims / 4; i++) {
            WarpGroup.renew(y, i, zero);
        }
    }

    /** acc += w K. */
    public static void sums(float[] acc, int[] w, int[] tile, int keysAt, int keys, int dims) {
        for (int j = 0; j < keys / 16; j++) {
            WarpGroup.multiplyRows(acc, 0, dims, w, 4 * j, tile, keysAt + j * 2048, keys * 128, 1);
        }
    }

    /** s = 2^(s c - m). */
    public static void exponentials(float[] s, int keys, float c, float mA, float mB, int key, int seesA, int seesB) {
        for (int n = 0; n < keys / 8; n++) {
            s[4 * n] = Tile.exp2(TilePieces.exponent(s[4 * n], c, mA, key + 8 * n, seesA));
            s[4 * n + 1] = Tile.exp2(TilePieces.exponent(s[4 * n + 1], c, mA, key + 8 * n + 1, seesA));
            s[4 * n + 2] = Tile.exp2(TilePieces.exponent(s[4 * n + 2], c, mB, key + 8 * n, seesB));
            s[4 * n + 3] = Tile.exp2(TilePieces.exponent(s[4 * n + 3], c, mB, key + 8 * n + 1, seesB));
        }
    }

    /** w = s u, as A of the sums. */
    public static void weights(int[] w, float[] s, float[] u, int keys) {
        for (int n = 0; n < keys / 8; n++) {
            w[2 * n] = Tile.half2(s[4 * n] * u[4 * n], s[4 * n + 1] * u[4 * n + 1]);
            w[2 * n + 1] = Tile.half2(s[4 * n + 2] * u[4 * n + 2], s[4 * n + 3] * u[4 * n + 3]);
        }
    }

    /** w = 2^e and w2 = e 2^e with e = s c - m. */
    public static void weightsOfMean(int[] w, int[] w2, float[] s, int keys, float c, float mA, float mB, int key, int seesA, int seesB) {
        for (int j = 0; j < keys / 16; j++) {
            TilePieces.weightsOfMean(w, w2, 2 * j, s, c, mA, mB, key, seesA, seesB);
        }
    }

    /** Adds this lane's weights as they were rounded: row A's to total[0] and [1], B's to [2] and [3]. By sums of the units a warp would wait for them. */
    public static void total(float[] total, int[] w, int keys) {
        for (int n = 0; n < keys / 8; n++) {
            total[0] += Tile.low(w[2 * n]);
            total[1] += Tile.high(w[2 * n]);
            total[2] += Tile.low(w[2 * n + 1]);
            total[3] += Tile.high(w[2 * n + 1]);
        }
    }
}
