package io.github.flashlla.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Loops that show what a device can do at most: multiply-adds without memory, and memory without arithmetic. */
public final class CeilingKernels {
    /** Flops of one thread of {@link #multiplyAdd}: 16 chains, two flops a step. */
    public static final long THREAD_FLOPS = 2L * 16 * 2048;

    private CeilingKernels() {}

    /**
     * Sixteen independent chains of multiply-adds per thread, in scalars, since PTX keeps private arrays in memory.
     *
     * @param in (2) multiplier and summand, read at run time so that no compiler knows them
     * @param out (global threads)
     */
    public static void multiplyAdd(KernelContext context, FloatArray in, FloatArray out) {
        int id = context.globalIdx;
        float m = in.get(0);
        float c = in.get(1);
        float a0 = id;
        float a1 = id + 1;
        float a2 = id + 2;
        float a3 = id + 3;
        float a4 = id + 4;
        float a5 = id + 5;
        float a6 = id + 6;
        float a7 = id + 7;
        float b0 = id + 8;
        float b1 = id + 9;
        float b2 = id + 10;
        float b3 = id + 11;
        float b4 = id + 12;
        float b5 = id + 13;
        float b6 = id + 14;
        float b7 = id + 15;
        for (int i = 0; i < 2048; i++) {
            a0 = a0 * m + c;
            a1 = a1 * m + c;
            a2 = a2 * m + c;
            a3 = a3 * m + c;
            a4 = a4 * m + c;
            a5 = a5 * m + c;
            a6 = a6 * m + c;
            a7 = a7 * m + c;
            b0 = b0 * m + c;
            b1 = b1 * m + c;
            b2 = b2 * m + c;
            b3 = b3 * m + c;
            b4 = b4 * m + c;
            b5 = b5 * m + c;
            b6 = b6 * m + c;
            b7 = b7 * m + c;
        }
        out.set(id, a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 + (b0 + b1 + b2 + b3 + b4 + b5 + b6 + b7));
    }

    /** One element per thread; {@code in} and {@code out} (global threads). */
    public static void copy(KernelContext context, FloatArray in, FloatArray out) {
        int id = context.globalIdx;
        out.set(id, in.get(id));
    }
}
