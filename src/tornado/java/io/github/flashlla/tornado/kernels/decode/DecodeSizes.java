package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * What decoding kernels read from memory, since arguments are compiled in: another capacity, other heads, another scale or tolerance
 * compile nothing ({@link TileDecode}'s kernels apart). What decides how much local memory a kernel has is an argument: head dims,
 * heads of a unit, threads.
 */
public final class DecodeSizes {
    /** Rows of a sequence in the cache, or of a page. */
    public static final int CAPACITY = 0;
    public static final int KV_HEADS = 1;
    public static final int HEADS = 2;
    /** Query heads of a key/value head. */
    public static final int GROUP = 3;
    /** Parts of a sequence's keys in a pass. */
    public static final int SPLITS = 4;
    /** The same of passes that compute outputs. */
    public static final int FINISHING_SPLITS = 5;
    /** Tiles of a sequence where numbers of each key are kept. */
    public static final int TILES = 6;
    /** Queries of all sequences. */
    public static final int QUERIES = 7;
    /** Pages that a sequence has room for. */
    public static final int PAGES = 8;
    private static final int COUNT = 9;

    // of the settings
    public static final int SCALE = 0;
    public static final int TOLERANCE = 1;

    private DecodeSizes() {}

    /** One of the sizes, from 1 on, to divide by as {@link CacheLayout#divisor} says; others are read as they are. */
    public static int divisor(IntArray sizes, int which) {
        return CacheLayout.divisor(sizes.get(which));
    }

    /** Sizes of a step, without those that a way of decoding adds. */
    static IntArray of(AttentionShape shape, int capacity, int splits) {
        IntArray sizes = new IntArray(COUNT);
        sizes.set(CAPACITY, capacity);
        sizes.set(KV_HEADS, shape.kvHeads());
        sizes.set(HEADS, shape.heads());
        sizes.set(GROUP, shape.group());
        sizes.set(SPLITS, splits);
        sizes.set(QUERIES, shape.batch() * shape.heads());
        return sizes;
    }

    static FloatArray settings(double scale, double tolerance) {
        return FloatArray.fromElements((float) scale, (float) tolerance);
    }
}
