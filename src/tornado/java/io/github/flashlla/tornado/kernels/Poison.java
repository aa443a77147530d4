package io.github.flashlla.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Overwrites what a pass is about to write, so that an element which it then leaves out cannot pass for a result. */
public final class Poison {
    public static final int THREADS = 64;

    private Poison() {}

    /**
     * Launched with any number of groups of {@value #THREADS} threads.
     *
     * @param with its first element is what to write; read from memory, since OpenCL C as TornadoVM writes it has no NaN
     * @param o out, every element
     * @param stats out, every element
     */
    public static void poison(KernelContext ctx, FloatArray with, FloatArray o, FloatArray stats) {
        float value = with.get(0);
        for (int n = ctx.globalIdx; n < o.getSize(); n += ctx.globalGroupSizeX) {
            o.set(n, value);
        }
        for (int n = ctx.globalIdx; n < stats.getSize(); n += ctx.globalGroupSizeX) {
            stats.set(n, value);
        }
    }
}
