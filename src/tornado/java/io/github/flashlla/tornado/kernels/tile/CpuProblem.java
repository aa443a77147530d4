package io.github.flashlla.tornado.kernels.tile;

import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * A problem's sizes and settings as the kernels for CPUs take them: from memory. TornadoVM compiles arguments and the sizes of
 * arrays into a kernel; without them one source serves every problem, and drivers that keep what they compiled need not
 * compile it again. Two arguments remain besides arrays: with fewer, TornadoVM's SPIR-V backend keeps the kernel context among
 * the arguments, as an array that it is not.
 */
public final class CpuProblem {
    // of the sizes
    public static final int HEADS = 0;
    /** Query heads per key/value head. */
    public static final int GROUP = 1;
    public static final int SQ = 2;
    public static final int SK = 3;
    public static final int D = 4;
    public static final int DV = 5;
    public static final int MAX_ITERATIONS = 6;
    private static final int SIZES = 7;

    // of the settings
    public static final int SCALE = 0;
    public static final int TOLERANCE = 1;
    private static final int SETTINGS = 2;

    private CpuProblem() {}

    /** @param heads query heads, those of the whole batch */
    public static IntArray sizes(int heads, int group, int Sq, int Sk, int D, int Dv, int maxIterations) {
        IntArray sizes = new IntArray(SIZES);
        sizes.set(HEADS, heads);
        sizes.set(GROUP, group);
        sizes.set(SQ, Sq);
        sizes.set(SK, Sk);
        sizes.set(CpuProblem.D, D);
        sizes.set(DV, Dv);
        sizes.set(MAX_ITERATIONS, maxIterations);
        return sizes;
    }

    public static FloatArray settings(float scale, float tol) {
        FloatArray settings = new FloatArray(SETTINGS);
        settings.set(SCALE, scale);
        settings.set(TOLERANCE, tol);
        return settings;
    }
}
