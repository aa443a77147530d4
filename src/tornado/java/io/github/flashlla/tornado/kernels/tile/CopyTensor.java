package io.github.flashlla.tornado.kernels.tile;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.BFloat16;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.BFloat16Array;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Copies between a tensor (B,H,S,D) with strides of its own, in float32, float16 or bfloat16, and a float32 one that is row-major. Launched
 * with any number of threads. {@code places}: start, stride of batch entries, of heads, of rows.
 */
public final class CopyTensor {
    private CopyTensor() {}

    /**
     * @param from an array of the caller's
     * @param to (B,H,S,D), row-major
     */
    public static void take(KernelContext context, FloatArray from, FloatArray to, IntArray places, int heads, int rows, int dim) {
        for (int n = context.globalIdx; n < to.getSize(); n += context.globalGroupSizeX) {
            int at = at(places, n, heads, rows, dim);
            to.set(n, from.get(at));
        }
    }

    /**
     * @param from an array of the caller's
     * @param to (B,H,S,D), row-major
     */
    public static void takeHalf(KernelContext context, HalfFloatArray from, FloatArray to, IntArray places, int heads, int rows, int dim) {
        for (int n = context.globalIdx; n < to.getSize(); n += context.globalGroupSizeX) {
            int at = at(places, n, heads, rows, dim);
            to.set(n, from.get(at).getFloat32());
        }
    }

    /**
     * @param from an array of the caller's
     * @param to (B,H,S,D), row-major
     */
    public static void takeBrain(KernelContext context, BFloat16Array from, FloatArray to, IntArray places, int heads, int rows, int dim) {
        for (int n = context.globalIdx; n < to.getSize(); n += context.globalGroupSizeX) {
            int at = at(places, n, heads, rows, dim);
            to.set(n, BFloat16.bf16ToFloat(from.get(at)));
        }
    }

    /**
     * @param from (B,H,S,D), row-major
     * @param to an array of the caller's
     */
    public static void put(KernelContext context, FloatArray from, FloatArray to, IntArray places, int heads, int rows, int dim) {
        for (int n = context.globalIdx; n < from.getSize(); n += context.globalGroupSizeX) {
            int at = at(places, n, heads, rows, dim);
            to.set(at, from.get(n));
        }
    }

    /**
     * @param from (B,H,S,D), row-major
     * @param to an array of the caller's
     */
    public static void putHalf(KernelContext context, FloatArray from, HalfFloatArray to, IntArray places, int heads, int rows, int dim) {
        for (int n = context.globalIdx; n < from.getSize(); n += context.globalGroupSizeX) {
            int at = at(places, n, heads, rows, dim);
            to.set(at, new HalfFloat(from.get(n)));
        }
    }

    /**
     * @param from (B,H,S,D), row-major
     * @param to an array of the caller's
     */
    public static void putBrain(KernelContext context, FloatArray from, BFloat16Array to, IntArray places, int heads, int rows, int dim) {
        for (int n = context.globalIdx; n < from.getSize(); n += context.globalGroupSizeX) {
            int at = at(places, n, heads, rows, dim);
            to.set(at, BFloat16.bf16FromFloat(from.get(n)));
        }
    }

    /** Where element n of the row-major tensor lies in the other. */
    private static int at(IntArray places, int n, int heads, int rows, int dim) {
        int row = n / dim;
        int head = row / rows;
        return places.get(0) + head / heads * places.get(1) + head % heads * places.get(2) + row % rows * places.get(3) + n % dim;
    }
}
