package io.github.flashlla.tornado.kernels.forward;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.enums.MMAShape;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/** The tiles of {@link TensorCoreForward}: how keys and values are packed, copied to local memory and multiplied with queries. */
final class TensorCoreTiles {
    static final int THREADS = 128;
    /** Queries of a work-group, and keys of a tile. */
    static final int BLOCK = 64;
    /** Largest head dim; smaller ones are padded to it. */
    static final int MAX_DIM = 64;
    /** float16 elements of one packed tile of keys or values. */
    static final int TILE = BLOCK * MAX_DIM;
    /** Packed tiles for each 64 keys: keys by dim, keys, values. */
    static final int TILES = 3;
    /** Floats of local memory for 16 x 8 products, whose rows are {@value #LEADING} apart. */
    static final int PRODUCT = 144;
    static final int LEADING = 9;
    /** From a lane's first row of a product to its second. */
    static final int NEXT_ROW = 8 * LEADING;

    private TensorCoreTiles() {}

    /**
     * Packs keys and values as the matrix units read them: blocks of 16 x 8, the summed index first. One thread for each of
     * B Hkv ceil(Sk / 64) {@value #TILE} elements.
     *
     * @param k (B,Hkv,Sk,D)
     * @param v (B,Hkv,Sk,Dv)
     * @param tiles out (B,Hkv,ceil(Sk / 64),3,64 * 64)
     */
    static void pack(KernelContext ctx, FloatArray k, FloatArray v, HalfFloatArray tiles, int Sk, int D, int Dv) {
        int n = ctx.globalIdx;
        int count = (Sk + BLOCK - 1) / BLOCK;
        int tile = n / TILE;
        int at = n % TILE;
        int dim = at % MAX_DIM;
        int key = at / MAX_DIM;
        int head = tile / count;
        int j = (tile % count) * BLOCK + key;
        float kd = 0f;
        float vd = 0f;
        if (j < Sk) {
            if (dim < D) {
                kd = k.get((head * Sk + j) * D + dim);
            }
            if (dim < Dv) {
                vd = v.get((head * Sk + j) * Dv + dim);
            }
        }
        int base = tile * TILES * TILE;
        int byDim = ((dim >> 4) * 8 + (key >> 3)) * 128 + (dim & 15) * 8 + (key & 7);
        int byKey = ((key >> 4) * 8 + (dim >> 3)) * 128 + (key & 15) * 8 + (dim & 7);
        tiles.set(base + byDim, new HalfFloat(kd));
        tiles.set(base + TILE + byKey, new HalfFloat(kd));
        tiles.set(base + 2 * TILE + byKey, new HalfFloat(vd));
    }

    /** Element d of a query; 0 beyond D and the last query. */
    static float query(FloatArray q, int row0, int i, int Sq, int d, int D) {
        float value = 0f;
        if (i < Sq && d < D) {
            value = q.get((row0 + i) * D + d);
        }
        return value;
    }

    /** 16 queries with 8 keys, to {@code out}. */
    static void products(KernelContext ctx, int[] tile, int at, HalfFloat[] a0, HalfFloat[] a1, HalfFloat[] a2, HalfFloat[] a3,
            FloatArray out, int row, int column) {
        product(ctx, a0, a1, a2, a3, ctx.mmaLoadB(tile, 16, at), ctx.mmaLoadB(tile, 16, at + 2048), ctx.mmaLoadB(tile, 16, at + 4096),
                ctx.mmaLoadB(tile, 16, at + 6144), out, row, column);
    }

    /** The same with fragments of the keys that are there already. */
    static void product(KernelContext ctx, HalfFloat[] a0, HalfFloat[] a1, HalfFloat[] a2, HalfFloat[] a3,
            HalfFloat[] k0, HalfFloat[] k1, HalfFloat[] k2, HalfFloat[] k3, FloatArray out, int row, int column) {
        float[] s = ctx.mmaFragment(0f);
        s = ctx.mma(a0, k0, s, MMAShape.M16N8K16);
        s = ctx.mma(a1, k1, s, MMAShape.M16N8K16);
        s = ctx.mma(a2, k2, s, MMAShape.M16N8K16);
        s = ctx.mma(a3, k3, s, MMAShape.M16N8K16);
        ctx.mmaStore(s, out, row, column, LEADING);
    }

    /** Starts the copy of a tile to local memory. */
    static void copyTile(KernelContext ctx, int[] tile, int to, HalfFloatArray tiles, int from) {
        int at = from + 2 * ctx.localIdx;
        for (int c = 0; c < TILE / 2; c += THREADS) {
            ctx.asyncCopyToLocal(tile, to + c, tiles, at + 2 * c);
        }
    }
}
