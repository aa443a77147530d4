package io.github.flashlla.tornado.quirks;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.enums.MMAShape;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.collections.VectorFloat16;
import uk.ac.manchester.tornado.api.types.vectors.Float16;
import uk.ac.manchester.tornado.api.types.vectors.Float4;

/** Kernels as {@link QuirkKernels}, for limits that show in what the compiler says or prints. */
public final class CompilerQuirkKernels {
    private static final int THREADS = QuirkKernels.THREADS;

    private CompilerQuirkKernels() {}

    /** An array that is written and read in a loop with barriers in it. */
    public static void arrayInLoopWithBarrier(KernelContext ctx, FloatArray in, FloatArray out) {
        float[] tile = ctx.allocateFloatLocalArray(THREADS);
        float[] own = new float[4];
        for (int n = 0; n < 4; n++) {
            own[n] = 0f;
        }
        int heads = (int) in.get(3);
        for (int head = 0; head < heads; head++) {
            tile[ctx.localIdx] = in.get(ctx.globalIdx);
            ctx.localBarrier();
            for (int n = 0; n < 4; n++) {
                own[n] = own[n] + tile[ctx.localIdx] / 12f;
            }
            ctx.localBarrier();
        }
        out.set(ctx.globalIdx, own[0] + own[1] + own[2] + own[3] + 1f);
    }

    public static void arrayInLoop(KernelContext ctx, FloatArray in, FloatArray out) {
        float[] own = new float[4];
        for (int n = 0; n < 4; n++) {
            own[n] = 0f;
        }
        int heads = (int) in.get(3);
        for (int head = 0; head < heads; head++) {
            for (int n = 0; n < 4; n++) {
                own[n] = own[n] + in.get(ctx.globalIdx) / 12f;
            }
        }
        out.set(ctx.globalIdx, own[0] + own[1] + own[2] + own[3] + 1f);
    }

    public static void callsAnotherKernel(KernelContext ctx, FloatArray in, FloatArray out) {
        VectorFloat16 from = new VectorFloat16(in);
        VectorFloat16 to = new VectorFloat16(out);
        addOne(ctx, from, to);
    }

    public static void addOne(KernelContext ctx, VectorFloat16 from, VectorFloat16 to) {
        if (ctx.globalIdx % THREADS == 0) {
            to.set(ctx.globalIdx / THREADS, Float16.add(from.get(ctx.globalIdx / THREADS), 1f));
        }
    }

    /** a b + c of the first vectors. */
    public static void productAndSumOfVectors(KernelContext ctx, FloatArray in, FloatArray out) {
        VectorFloat16 from = new VectorFloat16(in);
        VectorFloat16 to = new VectorFloat16(out);
        if (ctx.globalIdx == 0) {
            to.set(0, Float16.add(Float16.mult(from.get(0), from.get(1)), from.get(2)));
        }
    }

    public static void choicesInConstructor(KernelContext ctx, FloatArray in, FloatArray out) {
        int i = ctx.globalIdx;
        Float4 one = new Float4(i % 2 == 0 ? plus(in, i) : 0f, i % 3 == 0 ? plus(in, i) : 0f, i % 2 == 1 ? plus(in, i) : 0f, 0f);
        out.set(i, i % 2 == 0 ? one.getX() : one.getZ());
    }

    private static float plus(FloatArray in, int at) {
        return in.get(at) > 1e6f ? 0f : in.get(at) + 1f;
    }

    public static void readsBehindTwoConditions(KernelContext ctx, FloatArray in, FloatArray out) {
        int i = ctx.globalIdx;
        int last = (int) in.get(63);
        Float4 four = new Float4(i >= 0 && i <= last ? in.get(i) : 0f, i >= 0 && i + 1 <= last ? in.get(i + 1) : 0f,
                i >= 0 && i + 2 <= last ? in.get(i + 2) : 0f, i >= 0 && i + 3 <= last ? in.get(i + 3) : 0f);
        out.set(i, four.getX() + 1f + 0f * (four.getY() + four.getZ() + four.getW()));
    }

    public static void loopWithFixedSecondPart(KernelContext ctx, FloatArray in, FloatArray out) {
        int steps = (int) in.get(ctx.globalIdx);
        float sum = 1f;
        boolean first = in.get(1) > 0f;
        for (int n = 0; n < steps && first; n++) {
            sum = sum + 1f;
        }
        out.set(ctx.globalIdx, sum);
    }

    public static void vectorThroughLoop(KernelContext ctx, FloatArray in, FloatArray out) {
        Float4 sum = new Float4(1f, 0f, 0f, 0f);
        int steps = (int) in.get(ctx.globalIdx);
        for (int n = 0; n < steps; n++) {
            float one = in.get(1);
            sum = new Float4(sum.getX() + one, sum.getY() + one, sum.getZ() + one, sum.getW() + one);
        }
        out.set(ctx.globalIdx, sum.getX() + 0f * (sum.getY() + sum.getZ() + sum.getW()));
    }

    public static void fragmentOfOneLoop(KernelContext ctx, FloatArray in, FloatArray out) {
        int[] tile = ctx.allocateIntLocalArray(256);
        HalfFloat[] a = ctx.mmaLoadA(tile, 16, 0);
        HalfFloat[] b = ctx.mmaLoadB(tile, 16, 0);
        float[] sum = ctx.mmaFragment(0f);
        int steps = (int) in.get(3);
        for (int n = 0; n < steps; n++) {
            sum = ctx.mma(a, b, sum, MMAShape.M16N8K16);
        }
        ctx.mmaStore(sum, out, 0, 0, 8);
    }

    public static void fragmentOfNestedLoops(KernelContext ctx, FloatArray in, FloatArray out) {
        int[] tile = ctx.allocateIntLocalArray(256);
        HalfFloat[] a = ctx.mmaLoadA(tile, 16, 0);
        HalfFloat[] b = ctx.mmaLoadB(tile, 16, 0);
        float[] sum = ctx.mmaFragment(0f);
        int steps = (int) in.get(3);
        for (int m = 0; m < steps; m++) {
            for (int n = 0; n < steps; n++) {
                sum = ctx.mma(a, b, sum, MMAShape.M16N8K16);
            }
        }
        ctx.mmaStore(sum, out, 0, 0, 8);
    }

    public static void elementOfFragment(KernelContext ctx, FloatArray in, FloatArray out) {
        int[] tile = ctx.allocateIntLocalArray(256);
        HalfFloat[] a = ctx.mmaLoadA(tile, 16, 0);
        HalfFloat[] b = ctx.mmaLoadB(tile, 16, 0);
        float[] sum = ctx.mma(a, b, ctx.mmaFragment(0f), MMAShape.M16N8K16);
        out.set(ctx.globalIdx, sum[0]);
    }

    public static void fragmentInArrayOfKernel(KernelContext ctx, FloatArray in, FloatArray out) {
        int[] tile = ctx.allocateIntLocalArray(256);
        HalfFloat[] a = ctx.mmaLoadA(tile, 16, 0);
        HalfFloat[] b = ctx.mmaLoadB(tile, 16, 0);
        FloatArray own = new FloatArray(128);
        ctx.mmaStore(ctx.mma(a, b, ctx.mmaFragment(0f), MMAShape.M16N8K16), own, 0, 0, 8);
        out.set(ctx.globalIdx, own.get(0));
    }

    public static void branchInWideConstructor(KernelContext ctx, FloatArray in, FloatArray out) {
        Float16 wide = chosen(in, ctx.globalIdx, (int) in.get(8));
        out.set(ctx.globalIdx, wide.get(0) + 1f);
    }

    private static Float16 chosen(FloatArray in, int i, int end) {
        float v = in.get(i);
        return new Float16(i < end ? v : v + 0f, i + 1 < end ? v : 0f, i + 2 < end ? v : 0f, i + 3 < end ? v : 0f, i + 4 < end ? v : 0f,
                i + 5 < end ? v : 0f, i + 6 < end ? v : 0f, i + 7 < end ? v : 0f, i + 8 < end ? v : 0f, i + 9 < end ? v : 0f,
                i + 10 < end ? v : 0f, i + 11 < end ? v : 0f, i + 12 < end ? v : 0f, i + 13 < end ? v : 0f, i + 14 < end ? v : 0f,
                i + 15 < end ? v : 0f);
    }

    public static void loopOverConstant(KernelContext ctx, FloatArray in, FloatArray out) {
        float sum = in.get(ctx.globalIdx) + 1f;
        for (int n = 0; n < 40; n++) {
            sum = sum + 0f * in.get(n);
        }
        out.set(ctx.globalIdx, sum);
    }

    public static void loopOverKeptConstant(KernelContext ctx, FloatArray in, FloatArray out) {
        float sum = in.get(ctx.globalIdx) + 1f;
        for (int n = 0; n < 40 + (ctx.groupIdx >> 30); n++) {
            sum = sum + 0f * in.get(n);
        }
        out.set(ctx.globalIdx, sum);
    }

    public static void vectorMax(KernelContext ctx, FloatArray in, FloatArray out) {
        float v = in.get(ctx.globalIdx);
        Float4 most = Float4.max(new Float4(v, v, v, v), new Float4(0f, 0f, 0f, 0f));
        out.set(ctx.globalIdx, most.getX() + 1f);
    }

    public static void vectorDifferenceThroughLoop(KernelContext ctx, FloatArray in, FloatArray out) {
        VectorFloat16 from = new VectorFloat16(in);
        Float16 sum = new Float16(0f, 0f, 0f, 0f, 0f, 0f, 0f, 0f, 0f, 0f, 0f, 0f, 0f, 0f, 0f, 0f);
        int steps = (int) in.get(2);
        for (int n = 0; n < steps; n++) {
            sum = Float16.sub(sum, from.get(0));
        }
        out.set(ctx.globalIdx, in.get(ctx.globalIdx) + 3f + sum.get(1));
    }

    public static void nestedLoops(KernelContext ctx, FloatArray in, FloatArray out) {
        int steps = (int) in.get(4);
        float sum = 0f;
        float most = 0f;
        for (int m = 0; m < steps; m++) {
            float row = 0f;
            for (int n = m; n < steps; n++) {
                row = row + in.get(n);
                most = Math.max(most, row);
            }
            sum = sum + row;
        }
        out.set(ctx.globalIdx, in.get(ctx.globalIdx) + 1f + 0f * (sum + most) + TornadoMath.max(0f, 0f * sum));
    }

    public static void halfMadeAsBitsAndFloat(KernelContext ctx, FloatArray in, FloatArray out) {
        HalfFloat value = new HalfFloat(in.get(ctx.globalIdx));
        int bits = value.getHalfFloatValue() & 0xffff;
        out.set(ctx.globalIdx, value.getFloat32() + 1f + 0f * bits);
    }

    public static void vectorMult(KernelContext ctx, FloatArray in, FloatArray out) {
        float v = in.get(ctx.globalIdx);
        Float4 twice = Float4.mult(new Float4(v, v, v, v), 2f);
        out.set(ctx.globalIdx, twice.getX() + 1f - v);
    }

    public static void unsignedShift(KernelContext ctx, FloatArray in, FloatArray out) {
        int negative = -1 - (int) in.get(ctx.globalIdx);
        out.set(ctx.globalIdx, in.get(ctx.globalIdx) + 1f + (negative >>> 28) - 15f);
    }

    public static void localArray(KernelContext ctx, FloatArray in, FloatArray out) {
        float[] tile = ctx.allocateFloatLocalArray(THREADS);
        tile[ctx.localIdx] = in.get(ctx.globalIdx) + 1f;
        ctx.localBarrier();
        out.set(ctx.globalIdx, tile[ctx.localIdx]);
    }

    /** Divides by a number from an array, which might be 0, and uses the context behind that. */
    public static void sizesFromMemory(KernelContext ctx, FloatArray in, FloatArray out) {
        float[] tile = ctx.allocateFloatLocalArray(THREADS);
        int size = (int) in.get(THREADS);
        int row = ctx.globalIdx / size;
        int column = ctx.globalIdx % size;
        tile[column] = in.get(row * size + column);
        ctx.localBarrier();
        out.set(ctx.globalIdx, tile[ctx.localIdx] + 1f);
    }
}
