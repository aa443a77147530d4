package io.github.flashlla.tornado.kernels.tile;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * A problem's sizes and settings as kernels take them: from memory. TornadoVM compiles arguments and the sizes of arrays into a
 * kernel; without them one kernel serves every problem of a head dim, and is compiled once. Two arguments or none remain besides
 * arrays: with one, TornadoVM's SPIR-V backend keeps the kernel context among the arguments, as an array that it is not.
 */
public final class ProblemData {
    // of the sizes
    /** Query heads, those of the whole batch. */
    public static final int HEADS = 0;
    /** Query heads per key/value head. */
    public static final int GROUP = 1;
    public static final int SQ = 2;
    public static final int SK = 3;
    public static final int D = 4;
    public static final int DV = 5;
    public static final int MAX_ITERATIONS = 6;
    /** Residuals that are kept, see {@link KeptResiduals}. */
    public static final int KEPT = 7;
    /** Query heads of a batch entry, and key/value heads. */
    public static final int BATCH_HEADS = 8;
    public static final int BATCH_KV_HEADS = 9;
    /** Most keys between the first and the last that a block of queries sees, whole tiles of them. */
    public static final int STRIP = 10;
    /** What {@link #STRIP} has beside a window: the other queries of a block of a CPU, and a tile that the window begins within. */
    public static final int BLOCK_AND_TILE = CpuBlockLoops.ROWS + CpuBlockLoops.TILE;
    /** Where tensors lie, see {@link Views}. */
    static final int VIEWS = 11;
    /** First key, and the key behind the last, of every query; then the same of queries for every key. */
    static final int SPANS = VIEWS + Views.COUNT * Views.NUMBERS;

    // of the settings
    public static final int SCALE = 0;
    public static final int TOLERANCE = 1;
    /** 1 / scale; 0 where that is beyond what a solve should start with. */
    public static final int UNSCALED = 2;
    private static final int SETTINGS = 3;
    private static final float SMALLEST_SCALE = 0x1p-60f;

    private ProblemData() {}

    /**
     * The sizes, for tensors that are row-major and all keys.
     *
     * @param spans whether there is room for spans
     */
    public static IntArray sizes(AttentionShape shape, LlaOptions options, boolean spans) {
        IntArray sizes = new IntArray(SPANS + (spans ? 2 * (shape.queryLength() + shape.keyLength()) : 0));
        sizes.set(HEADS, shape.batch() * shape.heads());
        sizes.set(GROUP, shape.group());
        sizes.set(SQ, shape.queryLength());
        sizes.set(SK, shape.keyLength());
        sizes.set(D, shape.headDim());
        sizes.set(DV, shape.valueDim());
        sizes.set(MAX_ITERATIONS, options.maxIterations());
        sizes.set(KEPT, 0);
        sizes.set(BATCH_HEADS, shape.heads());
        sizes.set(BATCH_KV_HEADS, shape.kvHeads());
        sizes.set(STRIP, shape.keyLength());
        return sizes;
    }

    /** Sets which keys query {@code row} sees, or, behind all queries, which queries a key. */
    public static void setSpan(IntArray sizes, int row, int first, int end) {
        sizes.set(SPANS + 2 * row, first);
        sizes.set(SPANS + 2 * row + 1, end);
    }

    public static int first(IntArray sizes, int row) {
        return sizes.get(SPANS + 2 * row);
    }

    public static int end(IntArray sizes, int row) {
        return sizes.get(SPANS + 2 * row + 1);
    }

    public static FloatArray settings(AttentionShape shape, LlaOptions options) {
        FloatArray settings = new FloatArray(SETTINGS);
        float scale = (float) options.scaleFor(shape.headDim());
        settings.set(SCALE, scale);
        settings.set(UNSCALED, Math.abs(scale) >= SMALLEST_SCALE ? 1 / scale : 0f);
        settings.set(TOLERANCE, (float) options.tolerance());
        return settings;
    }
}
