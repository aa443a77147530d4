package io.github.flashlla.tornado.kernels.decode;

import static io.github.flashlla.tornado.kernels.tile.TilePieces.HIDDEN;

import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.Tile;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/** What {@link TileCovariance}'s warps do with a tile of keys: copy it, weigh its keys, make z of them, and load that as fragments. */
final class CovarianceKeys {
    private CovarianceKeys() {}

    /** The last row of blocks that reads a block of keys. */
    static int lastUse(int block, int n16, int parts) {
        int rows = n16 / parts;
        int last = 0;
        for (int j = 0; j < rows; j++) {
            int reach = n16 / 2 + (j < rows / 2 ? 1 : 0);
            last = (block - parts * j & n16 - 1) < reach ? j : last;
        }
        return last;
    }

    /** Where a block of dims of a slice of keys is among fragments: the first one, which all rows need to the end, in turn at either end. */
    static int place(int slice, int block, int n16) {
        return block == 0 && n16 <= 4 && (slice & 1) != 0 ? n16 : block;
    }

    /** z of a block of 16 dims as B. */
    static void load(int[] f, int to, int block, int[] centre, int[] ring, int from, int part, int centres, int hw, int dim) {
        int m = part + block & dim / 16 - 1;
        if (hw > 1) {
            Tile.loadLocalBits4(f, 4 * to, ring, from + 512 * m);
        } else {
            Tile.load4Transposed(f, 4 * to, ring, from + TileRing.dimsAt(m, dim));
            if (dim > 64) {
                Tile.loadLocalBits2(centre, 2 * block, ring, centres + 64 * m);
            }
            for (int i = 0; i < 4; i++) {
                f[4 * to + i] = Tile.subtract2(f[4 * to + i], centre[2 * block + i / 2]);
            }
        }
    }

    /** Weights of 16 keys as B, heads' larger halves and rests; kept: the largest exponent and the sum. */
    static void weigh(int[] w, float[] kept, float[] s, float times, float reference, int left, int row) {
        for (int i = 0; i < 2; i++) {
            float e0 = left > 8 * i ? (s[4 * i] + s[4 * i + 2]) * times - reference : HIDDEN;
            float e1 = left > 8 * i + 1 ? (s[4 * i + 1] + s[4 * i + 3]) * times - reference : HIDDEN;
            kept[0] = Math.max(kept[0], Math.max(e0, e1));
            float w0 = Tile.exp2(e0);
            float w1 = Tile.exp2(e1);
            kept[1] += w0 + w1;
            int pair = Tile.half2(w0, w1);
            int rest = Tile.half2(w0 - Tile.low(pair), w1 - Tile.high(pair));
            w[i] = row < TileCovariance.HEADS ? pair : rest;
        }
    }

    /** Weights of 16 keys to where all warps read them; rests behind them, which none reads. */
    static void keep(int[] ring, int to, int[] w, int row, int quad) {
        Tile.storeLocal(ring, to + row * 32 + quad * 8, w[0]);
        Tile.storeLocal(ring, to + row * 32 + quad * 8 + 4, w[1]);
    }

    /** sum w k of the 16 keys that the warp weighs, and z of those that it makes. */
    static void takeIn(float[] sumK, int[] w, int[] b, int[] ring, int scoreAt, int makesFrom, int makesAt, int centres, int weighs,
            int held, int dim) {
        int[] centre = new int[2];
        if (weighs != 0) {
            for (int m = 0; m < dim / 16; m++) {
                Tile.load4Transposed(b, 0, ring, scoreAt + TileRing.dimsAt(m, dim));
                Tile.mma(sumK, 4 * m, b, 0, w, 0);
                if (held == dim / 16) { // these are of the block that the warp takes
                    centre(b, centre, ring, centres + 64 * m, makesAt + m * 512);
                }
            }
        }
        for (int m = 0; m < held % (dim / 16); m++) {
            Tile.load4Transposed(b, 0, ring, makesFrom + TileRing.dimsAt(m, dim));
            centre(b, centre, ring, centres + 64 * m, makesAt + m * 512);
        }
    }

    /** z of 16 keys and dims, from keys as A, to where warps read it as B. */
    private static void centre(int[] keys, int[] centre, int[] ring, int from, int to) {
        Tile.loadLocalBits2(centre, 0, ring, from);
        Tile.storeLocalBits4(ring, to, Tile.subtract2(keys[0], centre[0]), Tile.subtract2(keys[2], centre[0]),
                Tile.subtract2(keys[1], centre[1]), Tile.subtract2(keys[3], centre[1]));
    }

    /** s = q k^T, 16 x 16, as {@link TileRing#scores}, of queries that are in local memory. */
    static void scores(float[] s, int[] q, int[] b, int[] ring, int queries, int at, int dim) {
        for (int i = 0; i < 8; i++) {
            s[i] = 0f;
        }
        for (int i = 0; i < dim / 16; i++) {
            Tile.load4(q, 0, ring, queries + i * 512);
            Tile.load4(b, 0, ring, at + TileRing.dimsAt(i, dim));
            Tile.mma(s, 0, q, 0, b, 0);
            Tile.mma(s, 4, q, 0, b, 2);
        }
    }

    /** Starts the copies of the first tiles, each a set of its own. */
    static void start(int[] ring, int base, HalfFloatArray k, int first, int count, int me, int dim, int threads) {
        for (int n = 0; n < TileCovariance.AHEAD; n++) {
            if (n < count) {
                copy(ring, base + n * TileCovariance.tileBytes(dim), k, first + n * (TileCovariance.tile(dim) * dim), me, dim, threads);
            }
            Tile.commit();
        }
    }

    /** Starts a thread's copies of a tile. */
    static void copy(int[] ring, int to, HalfFloatArray k, int first, int me, int dim, int threads) {
        int piece = me / TileRing.THREADS;
        int pieces = TileCovariance.tile(dim) / TileRing.KEYS;
        if (threads == pieces * TileRing.THREADS || piece < pieces) {
            TileRing.copy(ring, to + piece * TileRing.tileBytes(dim), k, first + piece * (TileRing.KEYS * dim), me % TileRing.THREADS, dim);
        }
    }

    /** Clears what is no key of a tile with {@code rows} keys. */
    static void clear(int[] ring, int to, int rows, int me, int dim, int threads) {
        int piece = me / TileRing.THREADS;
        int pieces = TileCovariance.tile(dim) / TileRing.KEYS;
        if (threads == pieces * TileRing.THREADS || piece < pieces) {
            TileRing.clear(ring, to + piece * TileRing.tileBytes(dim), rows - piece * TileRing.KEYS, me % TileRing.THREADS, dim);
        }
    }

    /** The largest x of a head, of all warps that weigh; each lane has that of its quad. Barriers. */
    static float ofHead(int[] ring, int shared, float x, int row, int warp, int quad, int slices, KernelContext ctx) {
        float[] four = new float[4];
        ctx.localBarrier();
        if (warp < slices && quad == 0 && row < TileCovariance.HEADS) {
            Tile.storeLocal2(ring, shared + warp * 32 + row * 8, x, x);
        }
        ctx.localBarrier();
        float largest = Masking.LOW;
        for (int i = 0; i < slices; i++) {
            Tile.loadLocal4(four, 0, ring, shared + i * 32 + (row & 2) * 8);
            largest = Math.max(largest, (row & 1) == 0 ? four[0] : four[2]);
        }
        ctx.localBarrier();
        return largest;
    }
}
