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
    private static final int SIZES = 8;

    // of the settings
    public static final int SCALE = 0;
    public static final int TOLERANCE = 1;
    /** 1 / scale; 0 where that is beyond what a solve should start with. */
    public static final int UNSCALED = 2;
    private static final int SETTINGS = 3;
    private static final float SMALLEST_SCALE = 0x1p-60f;

    private ProblemData() {}

    public static IntArray sizes(AttentionShape shape, LlaOptions options) {
        IntArray sizes = new IntArray(SIZES);
        sizes.set(HEADS, shape.batch() * shape.heads());
        sizes.set(GROUP, shape.group());
        sizes.set(SQ, shape.queryLength());
        sizes.set(SK, shape.keyLength());
        sizes.set(D, shape.headDim());
        sizes.set(DV, shape.valueDim());
        sizes.set(MAX_ITERATIONS, options.maxIterations());
        sizes.set(KEPT, 0);
        return sizes;
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
