package io.github.flashlla.tornado.kernels.tile;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** What kernels for half-precision matrix units share: stores of fragments, float16 pairs, and numbers cut into two halves. */
public final class Fragments {
    /** Elements in front of an array's own. */
    public static final int HEADER = 4;

    /** Added and taken off again, leaves a number below 1 with the 11 digits that float16 can hold. */
    private static final float ROUNDER = 6144f;

    private Fragments() {}

    /** 0 for a key that the row sees, and low enough for no weight otherwise; without a branch, so that loops unroll. */
    public static float hidden(int j, int sees) {
        return Math.min(0, sees - 1 - j) * 1e31f;
    }

    /**
     * A local array as what a fragment can be stored to. TornadoVM knows stores to its global arrays alone, but writes them as an
     * address, {@link #HEADER} elements further, whatever the address is: a store of a fragment to global memory costs twice its bytes
     * of the second cache's rate.
     */
    public static FloatArray stored(Object localArray) {
        return (FloatArray) localArray; // never run as Java
    }

    /** A number below 1 with as many of its digits as float16 can hold: {@link #ROUNDER} added and taken off again. */
    public static float high(float value) {
        return (value + ROUNDER) - ROUNDER;
    }

    /** Eight fragments of 16 x 8, one after the other. */
    public static void store(KernelContext ctx, float[] a0, float[] a1, float[] a2, float[] a3, float[] a4, float[] a5, float[] a6, float[] a7,
            FloatArray out, int to) {
        ctx.mmaStore(a0, out, 0, to, 8);
        ctx.mmaStore(a1, out, 0, to + 128, 8);
        ctx.mmaStore(a2, out, 0, to + 256, 8);
        ctx.mmaStore(a3, out, 0, to + 384, 8);
        ctx.mmaStore(a4, out, 0, to + 512, 8);
        ctx.mmaStore(a5, out, 0, to + 640, 8);
        ctx.mmaStore(a6, out, 0, to + 768, 8);
        ctx.mmaStore(a7, out, 0, to + 896, 8);
    }

    public static int packed(float lo, float hi) {
        HalfFloat low = new HalfFloat(lo);
        HalfFloat high = new HalfFloat(hi);
        return (low.getHalfFloatValue() & 0xFFFF) | ((high.getHalfFloatValue() & 0xFFFF) << 16);
    }
}
