package io.github.flashlla.tornado.kernels.forward;

import static io.github.flashlla.tornado.kernels.tile.TilePieces.EVERY_KEY;

import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;

/** What a warp does with its 16 rows and one tile of keys in a sweep of pass 2, 16 keys at a time. */
final class WarpTiles {
    private WarpTiles() {}

    /**
     * acc += w K with w = p y.(k - kbar), and total += w.
     *
     * @param low keys that all of the warp's rows see
     * @param high keys that one of them sees
     * @param active 0 if none of its rows goes on
     * @param key the tile's first
     * @param skip the warp's first piece of the tile
     * @param mine pieces of the tile that are the warp's: 1, 2 or 4
     */
    static void multiply(float[] acc, float[] total, float[] s, float[] u, int[] w, int[] q, int[] y, int[] b, int[] one, int[] tile, int scoreAt, int sumAt,
            int pieceBytes, float c, float mA, float mB, float[] starts, int low, int high, int active, int key, int skip, int mine, int quad, int seesA,
            int seesB, int keys, int dims) {
        int whole = key + keys <= low ? active : 0;
        if (whole != 0) {
            piece(acc, total, s, u, w, q, y, b, one, tile, scoreAt, sumAt, 0, c, mA, mB, starts, 0, EVERY_KEY, EVERY_KEY, dims);
            if (mine > 1) {
                piece(acc, total, s, u, w, q, y, b, one, tile, scoreAt, sumAt, pieceBytes, c, mA, mB, starts, 0, EVERY_KEY, EVERY_KEY, dims);
            }
            if (mine > 2) {
                piece(acc, total, s, u, w, q, y, b, one, tile, scoreAt, sumAt, 2 * pieceBytes, c, mA, mB, starts, 0, EVERY_KEY, EVERY_KEY, dims);
                piece(acc, total, s, u, w, q, y, b, one, tile, scoreAt, sumAt, 3 * pieceBytes, c, mA, mB, starts, 0, EVERY_KEY, EVERY_KEY, dims);
            }
        }
        int pieces = whole != 0 || active == 0 ? 0 : Math.min(mine, Math.max(0, (Math.max(0, high - key) + 15) / 16 - skip));
        for (int j = 0; j < pieces; j++) {
            piece(acc, total, s, u, w, q, y, b, one, tile, scoreAt, sumAt, j * pieceBytes, c, mA, mB, starts, key + (skip + j) * 16 + 2 * quad, seesA, seesB,
                    dims);
        }
    }

    /** Adds 16 keys to A y. */
    private static void piece(float[] acc, float[] total, float[] s, float[] u, int[] w, int[] q, int[] y, int[] b, int[] one, int[] tile,
            int scoreAt, int sumAt, int offset, float c, float mA, float mB, float[] starts, int key, int seesA, int seesB, int dims) {
        TilePieces.scoresAndProducts(s, u, q, y, b, tile, scoreAt, offset, starts, dims);
        TilePieces.weights(w, s, u, c, mA, mB, key, seesA, seesB);
        TilePieces.sums(acc, w, b, tile, sumAt, offset, dims);
        Tile.mma(total, 0, w, 0, one, 0);
    }
}
