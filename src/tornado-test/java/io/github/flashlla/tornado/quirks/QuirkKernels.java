package io.github.flashlla.tornado.quirks;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.annotations.Parallel;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.collections.VectorFloat16;
import uk.ac.manchester.tornado.api.types.vectors.Float16;
import uk.ac.manchester.tornado.api.types.vectors.Float4;

/**
 * One minimal kernel for each limit of TornadoVM that shapes our kernels; docs/tornadovm/README.md lists them. All read {@code in},
 * 0, 1, 2, ..., and write {@code out}, in work-groups of {@value #THREADS} threads.
 */
public final class QuirkKernels {
    static final int THREADS = 16;

    private QuirkKernels() {}

    public static void argumentCalledHalf(KernelContext ctx, FloatArray in, FloatArray half) {
        half.set(ctx.globalIdx, in.get(ctx.globalIdx) + 1f);
    }

    public static void localArrayInMethod(KernelContext ctx, FloatArray in, FloatArray out) {
        float[] tile = ctx.allocateFloatLocalArray(THREADS);
        tile[ctx.localIdx] = in.get(ctx.globalIdx) + 1f;
        ctx.localBarrier();
        out.set(ctx.globalIdx, element(tile, ctx.localIdx));
    }

    public static void privateArrayInMethod(KernelContext ctx, FloatArray in, FloatArray out) {
        float[] own = new float[4];
        for (int n = 0; n < 4; n++) {
            own[n] = in.get(ctx.globalIdx) + n;
        }
        out.set(ctx.globalIdx, element(own, ctx.localIdx % 4) + 1f - ctx.localIdx % 4);
    }

    public static void arrayMadeInMethod(KernelContext ctx, FloatArray in, FloatArray out) {
        out.set(ctx.globalIdx, throughOwnArray(in, ctx.globalIdx));
    }

    private static float element(float[] array, int at) {
        return array[at];
    }

    private static float throughOwnArray(FloatArray in, int at) {
        float[] own = new float[4];
        for (int n = 0; n < 4; n++) {
            own[n] = in.get(at) / 4f;
        }
        return own[0] + own[1] + own[2] + own[3] + 1f;
    }

    public static void loopsInBothBranches(KernelContext ctx, FloatArray in, FloatArray out) {
        float sum = 0f;
        float other = 1f;
        int steps = (int) in.get(ctx.globalIdx);
        if (ctx.localIdx % 2 == 0) {
            for (int n = 0; n < steps; n++) {
                sum = sum + 1f;
                other = other + in.get(n);
            }
        } else {
            for (int n = 0; n < steps; n++) {
                sum = sum + 2f;
                other = other - in.get(n);
            }
            sum = sum / 2f;
        }
        out.set(ctx.globalIdx, sum + 1f + 0f * other);
    }

    /** Where a is not 0: something if a second thing holds, else a loop. */
    public static void loopInSecondOfTwoBranches(KernelContext ctx, FloatArray in, FloatArray out) {
        int steps = (int) in.get(6);
        float sum = in.get(ctx.globalIdx) + 1f;
        for (int m = 0; m < steps; m++) {
            int a = (int) in.get(m) % 3;
            int w = in.get(m + ctx.localIdx) > 5f ? a : 0;
            if (w != 0) {
                sum = sum + 100f;
            } else if (a != 0) {
                for (int n = 0; n < m; n++) {
                    sum = sum + in.get(n + 1);
                }
            }
        }
        out.set(ctx.globalIdx, sum);
    }

    /** Loops behind two conditions of which either may hold. */
    public static void loopBehindEither(KernelContext ctx, FloatArray in, FloatArray out) {
        int steps = (int) in.get(6);
        float sum = in.get(ctx.globalIdx) + 1f;
        for (int m = 0; m < steps; m++) {
            if (m < ctx.localIdx || in.get(m) > 4f) {
                for (int n = 0; n < m; n++) {
                    sum = sum + in.get(n);
                }
            }
        }
        out.set(ctx.globalIdx, sum);
    }

    public static void conditionsJoinedByOr(KernelContext ctx, FloatArray in, FloatArray out) {
        int i = ctx.globalIdx;
        if (i % 3 == 0 || in.get(i) > 5f) {
            out.set(i, in.get(i) + 1f);
        } else {
            out.set(i, in.get(i) + 2f - 1f);
        }
    }

    public static void chainOfEquals(KernelContext ctx, FloatArray in, FloatArray out) {
        int mode = (int) in.get(ctx.globalIdx) % 4;
        float value = 0f;
        if (mode == 0) {
            value = 10f;
        } else if (mode == 1) {
            value = 11f;
        } else if (mode == 2) {
            value = 12f;
        } else if (mode == 3) {
            value = 13f;
        }
        out.set(ctx.globalIdx, in.get(ctx.globalIdx) + 1f + value - 10f - mode);
    }

    public static void nanConstant(KernelContext ctx, FloatArray in, FloatArray out) {
        float value = in.get(ctx.globalIdx) + 1f;
        out.set(ctx.globalIdx, in.get(ctx.globalIdx) < 0f ? Float.NaN : value);
    }

    public static void booleanArgument(KernelContext ctx, FloatArray in, FloatArray out, boolean add) {
        float one = 0f;
        if (add) {
            one = 1f;
        }
        out.set(ctx.globalIdx, in.get(ctx.globalIdx) + one);
    }

    public static void bitsOfFloat(KernelContext ctx, FloatArray in, FloatArray out) {
        out.set(ctx.globalIdx, Float.intBitsToFloat(Float.floatToRawIntBits(in.get(ctx.globalIdx)) + 0) + 1f);
    }

    public static void fusedMultiplyAdd(KernelContext ctx, FloatArray in, FloatArray out) {
        out.set(ctx.globalIdx, Math.fma(in.get(ctx.globalIdx), 1f, 1f));
    }

    public static void vectorAdd(KernelContext ctx, FloatArray in, FloatArray out) {
        float value = in.get(ctx.globalIdx);
        Float4 sum = Float4.add(new Float4(value, value, value, value), new Float4(1f, 1f, 1f, 1f));
        out.set(ctx.globalIdx, sum.getX());
    }

    public static void privateVectorAtAnyIndex(KernelContext ctx, FloatArray in, FloatArray out) {
        VectorFloat16 own = new VectorFloat16(2);
        float value = in.get(ctx.globalIdx);
        for (int n = 0; n < 2; n++) {
            float v = value + n;
            own.set(n, new Float16(v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v));
        }
        int at = ctx.localIdx % 2;
        out.set(ctx.globalIdx, own.get(at).getS3() + 1f - at);
    }

    /** {@code out} holds 7 before; elements that the branch leaves must keep it. */
    public static void writeBehindBranch(KernelContext ctx, FloatArray in, FloatArray out) {
        setWhere(out, ctx.globalIdx, in.get(ctx.globalIdx) + 1f, ctx.globalIdx % 2 == 0 ? 1 : 0);
    }

    private static void setWhere(FloatArray out, int at, float value, int where) {
        if (where == 1) {
            out.set(at, value);
        }
    }

    public static void zeroOverMax(KernelContext ctx, FloatArray in, FloatArray out) {
        float a = in.get(0);
        float positive = a > 0f ? 1f : 0f;
        out.set(ctx.globalIdx, in.get(ctx.globalIdx) + 1f + a / Math.max(a, 1f - positive));
    }

    public static void whileSearch(KernelContext ctx, FloatArray in, FloatArray out) {
        int tile = ctx.localIdx;
        int row = 0;
        while (tile >= 6 - row) { // which row of an upper triangle of 6 x 6 tiles
            tile = tile - (6 - row);
            row++;
        }
        out.set(ctx.globalIdx, in.get(ctx.globalIdx) + 1f + 100 * row + tile);
    }

    public static void oneArgumentBesidesArrays(KernelContext ctx, FloatArray in, FloatArray out, int add) {
        out.set(ctx.globalIdx, in.get(ctx.globalIdx) + add);
    }

    /** Adds 1 to the first {@code size} elements, if {@code size} is what the caller gave wherever it is used. */
    public static void loopBoundUsedTwice(FloatArray in, FloatArray out, int size) {
        for (@Parallel int i = 0; i < size; i++) {
            out.set(i, in.get(i) + size - 59f);
        }
    }

    /** The same with a bound that is used for nothing else. */
    public static void loopBoundOfItsOwn(FloatArray in, FloatArray out, int threads, int size) {
        for (@Parallel int i = 0; i < threads; i++) {
            if (i < size) {
                out.set(i, in.get(i) + size - 59f);
            }
        }
    }

    public static void exponential(KernelContext ctx, FloatArray in, FloatArray out) {
        out.set(ctx.globalIdx, in.get(ctx.globalIdx) + TornadoMath.exp(0f * in.get(ctx.globalIdx)));
    }
}
