package io.github.flashlla.tornado.kernels.forward;

import static io.github.flashlla.tornado.kernels.tile.TilePieces.EVERY_KEY;

import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.WarpGroup;
import io.github.flashlla.tornado.kernels.tile.WarpGroupPieces;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/**
 * What a work-group does with one tile of keys in each of the three passes, by products of all its warps ({@link WarpGroup}). The next tile is copied
 * meanwhile. Products go on while the warp computes exponentials, and have ended when a method returns.
 */
final class WarpGroupTiles {
    private WarpGroupTiles() {}

    /** Pass 1: acc += w K and acc2 += w2 K, and {@link WarpGroupPieces#total} of both. */
    static void mean(float[] acc, float[] acc2, float[] total, float[] total2, float[] s, int[] w, int[] w2, int[] tile, int qAt, int keysAt, int freeAt,
            HalfFloatArray packed, int next, int copies, int tid, float c, float mA, float mB, int whole, int key, int seesA, int seesB, int keys,
            int stride, int dims) {
        WarpGroup.fence();
        WarpGroupPieces.scores(s, tile, qAt, keysAt, keys, dims);
        WarpGroup.commit();
        if (copies != 0) {
            WarpGroupPieces.copyTile(tile, freeAt, packed, next, tid, keys, stride);
        }
        Tile.commit();
        WarpGroup.await(0);
        if (whole != 0) {
            WarpGroupPieces.weightsOfMean(w, w2, s, keys, c, mA, mB, 0, EVERY_KEY, EVERY_KEY);
        } else {
            WarpGroupPieces.weightsOfMean(w, w2, s, keys, c, mA, mB, key, seesA, seesB);
        }
        WarpGroup.fence();
        WarpGroupPieces.sums(acc, w, tile, keysAt, keys, dims);
        WarpGroupPieces.sums(acc2, w2, tile, keysAt, keys, dims);
        WarpGroup.commit();
        WarpGroupPieces.total(total, w, keys);
        WarpGroupPieces.total(total2, w2, keys);
        WarpGroup.await(0);
    }

    /** A sweep of pass 2: acc += w K with w = p y.(k - kbar), and {@link WarpGroupPieces#total}. */
    static void multiply(float[] acc, float[] total, float[] s, float[] u, int[] w, int[] y, int zero, float[] starts, int[] tile, int qAt, int keysAt,
            int freeAt, HalfFloatArray packed, int next, int tid, float c, float mA, float mB, int whole, int key, int seesA, int seesB, int keys, int stride,
            int dims) {
        WarpGroupPieces.renew(y, zero, dims);
        begin(s, u, y, starts, tile, qAt, keysAt, keys, dims);
        WarpGroupPieces.copyTile(tile, freeAt, packed, next, tid, keys, stride);
        Tile.commit();
        exponentials(s, c, mA, mB, whole, key, seesA, seesB, keys);
        WarpGroupPieces.weights(w, s, u, keys);
        WarpGroup.fence();
        WarpGroupPieces.sums(acc, w, tile, keysAt, keys, dims);
        WarpGroup.commit();
        WarpGroupPieces.total(total, w, keys);
        WarpGroup.await(0);
    }

    /** Pass 3: acc += w V with w = p (1 - x.(k - kbar)), x as {@code y} and, with {@code both}, what rounding left of it. */
    static void output(float[] acc, float[] s, float[] u, int[] w, int[] y, int[] rest, int both, int zero, float[] starts, int[] tile, int qAt, int keysAt,
            int valuesAt, float c, float mA, float mB, int whole, int key, int seesA, int seesB, int keys, int dims, int dimsV) {
        WarpGroupPieces.renew(y, zero, dims);
        if (both != 0) {
            WarpGroupPieces.renew(rest, zero, dims);
        }
        begin(s, u, y, starts, tile, qAt, keysAt, keys, dims);
        exponentials(s, c, mA, mB, whole, key, seesA, seesB, keys);
        if (both != 0) {
            WarpGroup.fence();
            WarpGroupPieces.products(u, rest, tile, keysAt, keys, dims);
            WarpGroup.commit();
            WarpGroup.await(0);
        }
        WarpGroupPieces.weights(w, s, u, keys);
        WarpGroup.fence();
        WarpGroupPieces.sums(acc, w, tile, valuesAt, keys, dimsV);
        WarpGroup.commit();
        WarpGroup.await(0);
    }

    /** Two sets of products: scores, and u = y k^T from {@code starts} on. */
    private static void begin(float[] s, float[] u, int[] y, float[] starts, int[] tile, int qAt, int keysAt, int keys, int dims) {
        WarpGroup.fence();
        WarpGroupPieces.scores(s, tile, qAt, keysAt, keys, dims);
        WarpGroup.commit();
        WarpGroupPieces.start(u, starts, keys);
        WarpGroup.fence();
        WarpGroupPieces.products(u, y, tile, keysAt, keys, dims);
        WarpGroup.commit();
    }

    /** Exponentials of the scores, while u is summed; both are there then. */
    private static void exponentials(float[] s, float c, float mA, float mB, int whole, int key, int seesA, int seesB, int keys) {
        WarpGroup.await(1);
        if (whole != 0) {
            WarpGroupPieces.exponentials(s, keys, c, mA, mB, 0, EVERY_KEY, EVERY_KEY);
        } else {
            WarpGroupPieces.exponentials(s, keys, c, mA, mB, key, seesA, seesB);
        }
        WarpGroup.await(0);
    }
}
