package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.tornado.kernels.forward.TensorCoreForward;
import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import io.github.flashlla.tornado.kernels.tile.Fragments;
import io.github.flashlla.tornado.kernels.tile.Masking;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.enums.MMAShape;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * {@link CgDecode} on half-precision matrix units (CUDA, compute capability 8.0 on): float16 cache, D = Dv = {@value #DIM},
 * up to {@value CgDecode#HEADS} heads that share a key/value head. Arithmetic costs so little there that nothing is kept of a key: every
 * pass computes its score anew, and memory is read for k and v alone.
 *
 * <pre>
 *   gather   k      -> per split sum w, sum w z, sum w t z
 *   begin    splits -> the first step, along q                                        ({@link CgDecodeSolve#begin})
 *   multiply k      -> per split A y                                                  as long as the solve has far to go
 *   finish   k, v   -> per split A y, sum p (1 - z.x) v and sum p (z.y) v             in the iteration that is to be the last
 *   advance  splits -> x, r, the next y, and which of the two comes next              ({@link CgDecodeSolve#advance})
 *   merge           -> o, of x and of the last step along y
 * </pre>
 *
 * <p>Keys are exact in float16. What they are multiplied with, queries, directions and weights, is split into two float16 numbers
 * that hold 22 digits together, so that products are as good as float32's.
 *
 * <p>A work-group is one warp, or two. A warp copies tiles of {@value #TILE} keys to local memory as (D / 8, key, 8), and reads them
 * in two ways:
 *
 * <pre>
 *   scores   A = 16 x 16: row r holds 8 dims of key 2r, then of key 2r + 1;   B = 16 x 8: column 2h has q_h in its upper half,
 *            column 2h + 1 in its lower;   S (r, 2h + e) = q_h . k of key 2r + e
 *   sums     A = weights, 16 x 16 keys: a row for each head and half of a number;   B = 16 keys x 8 dims
 * </pre>
 *
 * <p>Fragments cannot be read, only stored (as in {@link TensorCoreForward}): S goes through local memory, the sums of a split through
 * global. Of S a lane has head {@code lane % 4}, and keys 2r, 2r + 1, 2r + 16 and 2r + 17 with r = lane / 4.
 */
public final class TensorCoreCgDecode {

    /** D and Dv. */
    public static final int DIM = 64;

    /** Keys of a tile; splits begin at a multiple of it. */
    public static final int TILE = 32;

    public static final int THREADS = 32;

    /** Warps of a work-group of {@link TensorCoreCgFinish#finish}, where they share what keys are multiplied with. */
    public static final int WARPS = 2;

    /** Floats of scratch for a warp: two sums. */
    public static final int SCRATCH = 2 * 16 * DIM;
    static final int OTHER_SUMS = 16 * DIM;

    /** int words of 32 keys by 8 dims in local memory, and of what keeps blocks in other banks. */
    static final int BLOCK = TILE * 8 / 2 + 16;
    static final int BUFFER = DIM / 8 * BLOCK;

    /**
     * How far the largest score of a split may lie above that of its first tile. Two halves of a number hold 23 binary digits after
     * the point, of which every unit of this costs a weight 1.4; with too small a margin, splits are read twice.
     */
    static final float MARGIN = 5;

    /** Weights times a product with y are divided by it, so that the larger half of such a number is below 1. */
    static final float RANGE = 32;

    /** What weights of values, p (1 - a), are divided by. */
    static final float VALUE_RANGE = 4;

    private TensorCoreCgDecode() {}

    /** Bytes of local memory. */
    public static int localBytes() {
        return (WARPS * (2 * BUFFER + 2 * 128) + 6 * 512) * Integer.BYTES
                + (2 * WARPS * THREADS + Fragments.HEADER + WARPS * 3 * 128) * Float.BYTES;
    }

    /**
     * The first sums of every head and split.
     *
     * @param scaledQ (B,H,D), times the scale
     * @param lengths (B)
     * @param sums out (B*H,splits,2 D + 3): sum w z, sum w t z, the largest score, sum w, sum w t; z = k less the first key
     * @param scratch {@value #SCRATCH} for each warp
     * @param sizes {@link DecodeSizes}
     */
    public static void gather(KernelContext context, HalfFloatArray k, FloatArray scaledQ, IntArray lengths, FloatArray sums,
            FloatArray scratch, IntArray sizes, int hw) {
        int capacity = sizes.get(DecodeSizes.CAPACITY);
        int kvHeads = DecodeSizes.divisor(sizes, DecodeSizes.KV_HEADS);
        int group = DecodeSizes.divisor(sizes, DecodeSizes.GROUP);
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        int[] tile = context.allocateIntLocalArray(2 * BUFFER);
        int[] weights = context.allocateIntLocalArray(2 * 128);
        float[] shared = context.allocateFloatLocalArray(4 * THREADS);
        float[] products = context.allocateFloatLocalArray(Fragments.HEADER + 128);
        FloatArray productsOut = Fragments.stored(products);
        int lane = context.localIdx;
        int quad = lane & 3;
        int pair = lane >> 2;
        int unit = context.groupIdx / splits;
        int split = context.groupIdx % splits;
        int kvUnit = unit / CacheLayout.divisor(group / hw);
        int length = lengths.get(kvUnit / kvHeads);
        int perSplit = CgDecodeState.keysPerSplit(length, splits, TILE);
        int from = Math.min(split * perSplit, length);
        int to = Math.min(from + perSplit, length);
        int count = (to - from + TILE - 1) / TILE;
        int base = kvUnit * capacity;
        int area = context.groupIdx * SCRATCH;
        int own = Fragments.HEADER + pair * 8 + 2 * quad;
        int mine = (lane >> 4) * BLOCK + (lane & 15);
        int first = (base + from) * DIM + 2 * lane;

        int row = (unit * hw + Math.min(quad, hw - 1)) * DIM;
        float largest = 0;
        float common = 0; // q.c
        for (int d = 0; d < DIM; d++) {
            float value = scaledQ.get(row + d);
            largest = Math.max(largest, Math.abs(value));
            common += value * k.get(CacheLayout.index(base, d, DIM)).getFloat32();
        }
        float inverse = largest > 0 ? 1 / largest : 0;
        for (int n = 0; n < 16; n++) {
            int at = n * 32 + lane;
            float value = scaledQ.get(row + (at >> 6) * 8 + ((at >> 2) & 7)) * inverse;
            float high = Fragments.high(value);
            int upper = 1 - ((at >> 5) & 1);
            tile[at] = Fragments.packed(upper * high, (1 - upper) * high);
            tile[512 + at] = Fragments.packed(upper * (value - high), (1 - upper) * (value - high));
        }
        context.localBarrier();
        HalfFloat[] q0 = context.mmaLoadB(tile, 16, 0);
        HalfFloat[] q1 = context.mmaLoadB(tile, 16, 256);
        HalfFloat[] q2 = context.mmaLoadB(tile, 16, 512);
        HalfFloat[] q3 = context.mmaLoadB(tile, 16, 768);
        HalfFloat[] q4 = context.mmaLoadB(tile, 16, 1024);
        HalfFloat[] q5 = context.mmaLoadB(tile, 16, 1280);
        HalfFloat[] q6 = context.mmaLoadB(tile, 16, 1536);
        HalfFloat[] q7 = context.mmaLoadB(tile, 16, 1792);
        HalfFloat[] l0 = context.mmaLoadB(tile, 16, 2048);
        HalfFloat[] l1 = context.mmaLoadB(tile, 16, 2304);
        HalfFloat[] l2 = context.mmaLoadB(tile, 16, 2560);
        HalfFloat[] l3 = context.mmaLoadB(tile, 16, 2816);
        HalfFloat[] l4 = context.mmaLoadB(tile, 16, 3072);
        HalfFloat[] l5 = context.mmaLoadB(tile, 16, 3328);
        HalfFloat[] l6 = context.mmaLoadB(tile, 16, 3584);
        HalfFloat[] l7 = context.mmaLoadB(tile, 16, 3840);
        context.localBarrier();

        float reference = Masking.LOW;
        if (count > 0) {
            copy(context, tile, mine, k, first);
            context.asyncCopyCommit();
            context.asyncCopyWaitGroup(0);
            if (from + TILE > to) { // rows beyond the end may hold anything; each lane clears what it copied
                for (int n = 0; n < 32; n++) {
                    if (from + (n >> 2) * 4 + ((lane >> 2) & 3) >= to) {
                        tile[mine + (n & 3) * (2 * BLOCK) + (n >> 2) * 16] = 0;
                    }
                }
            }
            context.localBarrier();
            products(context, tile, 0, q0, q1, q2, q3, q4, q5, q6, q7, l0, l1, l2, l3, l4, l5, l6, l7, productsOut, 0);
            int key = from + 2 * pair;
            float some = Math.max(products[own] + hidden(key, to), products[own + 1] + hidden(key + 1, to));
            float others = Math.max(products[own + 64] + hidden(key + 16, to),
                    products[own + 65] + hidden(key + 17, to));
            shared[lane] = Math.max(some, others);
            context.localBarrier();
            for (int r = 0; r < 8; r++) {
                reference = Math.max(reference, shared[4 * r + quad]);
            }
            reference = reference * largest - common + MARGIN;
        }
        float omega = 0;
        float sumT = 0;
        float best = reference;
        int again = 1;
        while (again > 0) { // at most twice: with a reference that some score exceeds by too much, and with that score
            float top = Masking.LOW;
            omega = 0;
            sumT = 0;
            float[] a0 = context.mmaFragment(0f);
            float[] a1 = context.mmaFragment(0f);
            float[] a2 = context.mmaFragment(0f);
            float[] a3 = context.mmaFragment(0f);
            float[] a4 = context.mmaFragment(0f);
            float[] a5 = context.mmaFragment(0f);
            float[] a6 = context.mmaFragment(0f);
            float[] a7 = context.mmaFragment(0f);
            context.localBarrier();
            if (count > 0) {
                copy(context, tile, mine, k, first);
            }
            context.asyncCopyCommit();
            for (int t = 0; t < count; t++) {
                int buffer = (t & 1) * BUFFER;
                context.asyncCopyWaitGroup(0);
                if (from + t * TILE + TILE > to) { // rows beyond the end may hold anything; each lane clears what it copied
                    for (int n = 0; n < 32; n++) {
                        if (from + t * TILE + (n >> 2) * 4 + ((lane >> 2) & 3) >= to) {
                            tile[buffer + mine + (n & 3) * (2 * BLOCK) + (n >> 2) * 16] = 0;
                        }
                    }
                }
                context.localBarrier();
                if (t + 1 < count) {
                    copy(context, tile, BUFFER - buffer + mine, k, first + (t + 1) * (TILE * DIM));
                }
                context.asyncCopyCommit();
                int key = from + t * TILE + 2 * pair;
                products(context, tile, buffer * 4, q0, q1, q2, q3, q4, q5, q6, q7, l0, l1, l2, l3, l4, l5, l6, l7, productsOut, 0);
                float s0 = products[own] * largest - common + hidden(key, to);
                float s1 = products[own + 1] * largest - common + hidden(key + 1, to);
                float s2 = products[own + 64] * largest - common + hidden(key + 16, to);
                float s3 = products[own + 65] * largest - common + hidden(key + 17, to);
                top = Math.max(top, Math.max(Math.max(s0, s1), Math.max(s2, s3)));
                s0 = s0 - reference;
                s1 = s1 - reference;
                s2 = s2 - reference;
                s3 = s3 - reference;
                float w0 = TornadoMath.exp(s0);
                float w1 = TornadoMath.exp(s1);
                float w2 = TornadoMath.exp(s2);
                float w3 = TornadoMath.exp(s3);
                omega += (w0 + w1) + (w2 + w3);
                float high0 = Fragments.high(w0);
                float high1 = Fragments.high(w1);
                float high2 = Fragments.high(w2);
                float high3 = Fragments.high(w3);
                int slot = quad * 8 + pair;
                weights[slot] = Fragments.packed(high0, high1);
                weights[slot + 128] = Fragments.packed(high2, high3);
                weights[slot + 32] = Fragments.packed(w0 - high0, w1 - high1);
                weights[slot + 160] = Fragments.packed(w2 - high2, w3 - high3);
                w0 = w0 * s0;
                w1 = w1 * s1;
                w2 = w2 * s2;
                w3 = w3 * s3;
                sumT += (w0 + w1) + (w2 + w3);
                high0 = Fragments.high(w0);
                high1 = Fragments.high(w1);
                high2 = Fragments.high(w2);
                high3 = Fragments.high(w3);
                weights[slot + 64] = Fragments.packed(high0, high1);
                weights[slot + 192] = Fragments.packed(high2, high3);
                weights[slot + 96] = Fragments.packed(w0 - high0, w1 - high1);
                weights[slot + 224] = Fragments.packed(w2 - high2, w3 - high3);
                context.localBarrier();
                HalfFloat[] wa = context.mmaLoadA(weights, 16, 0);
                HalfFloat[] wb = context.mmaLoadA(weights, 16, 512);
                a0 = plus(context, wa, wb, tile, buffer * 4, a0);
                a1 = plus(context, wa, wb, tile, (buffer + BLOCK) * 4, a1);
                a2 = plus(context, wa, wb, tile, (buffer + 2 * BLOCK) * 4, a2);
                a3 = plus(context, wa, wb, tile, (buffer + 3 * BLOCK) * 4, a3);
                a4 = plus(context, wa, wb, tile, (buffer + 4 * BLOCK) * 4, a4);
                a5 = plus(context, wa, wb, tile, (buffer + 5 * BLOCK) * 4, a5);
                a6 = plus(context, wa, wb, tile, (buffer + 6 * BLOCK) * 4, a6);
                a7 = plus(context, wa, wb, tile, (buffer + 7 * BLOCK) * 4, a7);
            }
            Fragments.store(context, a0, a1, a2, a3, a4, a5, a6, a7, scratch, area);
            context.localBarrier();
            shared[lane] = top;
            context.localBarrier();
            for (int r = 0; r < 8; r++) {
                top = Math.max(top, shared[4 * r + quad]);
            }
            shared[THREADS + lane] = top - reference;
            context.localBarrier();
            float over = 0;
            for (int r = 0; r < 4; r++) {
                over = Math.max(over, shared[THREADS + r]);
            }
            again = over > 0 ? 1 : 0;
            reference = over > 0 ? top : reference;
            best = top;
        }
        context.localBarrier();
        shared[lane] = omega;
        shared[THREADS + lane] = sumT;
        shared[2 * THREADS + lane] = best;
        shared[3 * THREADS + lane] = reference - best;
        context.localBarrier();
        int width = 2 * DIM + 3;
        int out = (unit * hw * splits + split) * width;
        for (int h = 0; h < hw; h++) {
            float totalOmega = 0;
            float totalT = 0;
            for (int r = 0; r < 8; r++) {
                totalOmega += shared[4 * r + h];
                totalT += shared[THREADS + 4 * r + h];
            }
            float rise = shared[3 * THREADS + h]; // from the largest score, which weights are taken from after this kernel
            float factor = TornadoMath.exp(rise);
            for (int d = lane; d < DIM; d += THREADS) {
                int at = area + (d >> 3) * 128 + h * 8 + (d & 7);
                float c = k.get(CacheLayout.index(base, d, DIM)).getFloat32();
                float sumZ = scratch.get(at) + scratch.get(at + 32) - totalOmega * c;
                float sumTz = scratch.get(at + 64) + scratch.get(at + 96) - totalT * c;
                sums.set(out + h * splits * width + d, factor * sumZ);
                sums.set(out + h * splits * width + DIM + d, factor * (sumTz + rise * sumZ));
            }
            if (lane == 0) {
                sums.set(out + h * splits * width + 2 * DIM, shared[2 * THREADS + h]);
                sums.set(out + h * splits * width + 2 * DIM + 1, factor * totalOmega);
                sums.set(out + h * splits * width + 2 * DIM + 2, factor * (totalT + rise * totalOmega));
            }
        }
    }

    /**
     * The output: what {@link TensorCoreCgFinish#finish} left, with the last step. One thread an element of o.
     *
     * @param outputs (B*H,splits,2 D)
     * @param o out (B,H,D)
     */
    public static void merge(KernelContext context, FloatArray outputs, FloatArray facts, FloatArray o, IntArray sizes) {
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.FINISHING_SPLITS);
        int n = context.globalIdx;
        if (n < sizes.get(DecodeSizes.QUERIES) * DIM) {
            int head = n / DIM;
            float whole = 0;
            float along = 0;
            for (int s = 0; s < splits; s++) {
                int at = (head * splits + s) * (2 * DIM) + n % DIM;
                whole += outputs.get(at);
                along += outputs.get(at + DIM);
            }
            o.set(n, whole - facts.get(head * CgDecodeState.FACTS + CgDecodeState.FINISHING_STEP) * along);
        }
    }

    /** Passes go to and fro over a split: what the last one read last is still in the device's cache. {@link #gather} goes forward. */
    static int stride(int pass) {
        return 2 * (pass % 2) - 1;
    }

    /** 0 for a key before {@code to}, low enough for no weight otherwise. */
    static float hidden(int key, int to) {
        return Math.min(0, to - 1 - key) * 1e29f;
    }

    /** A tile of {@value #TILE} rows from the cache, whose order is that of {@link CacheLayout#index}: 4 rows by 8 by 8 dims. */
    static void copy(KernelContext context, int[] tile, int to, HalfFloatArray rows, int from) {
        for (int n = 0; n < 32; n++) {
            context.asyncCopyToLocal(tile, to + (n & 3) * (2 * BLOCK) + (n >> 2) * 16, rows, from + n * 64);
        }
    }

    /** 4 heads with 32 keys. */
    static void products(KernelContext context, int[] tile, int at, HalfFloat[] q0, HalfFloat[] q1, HalfFloat[] q2,
            HalfFloat[] q3, HalfFloat[] q4, HalfFloat[] q5, HalfFloat[] q6, HalfFloat[] q7, HalfFloat[] l0, HalfFloat[] l1,
            HalfFloat[] l2, HalfFloat[] l3, HalfFloat[] l4, HalfFloat[] l5, HalfFloat[] l6, HalfFloat[] l7, FloatArray out,
            int to) {
        HalfFloat[] k0 = context.mmaLoadA(tile, 16, at);
        HalfFloat[] k1 = context.mmaLoadA(tile, 16, at + 4 * BLOCK);
        HalfFloat[] k2 = context.mmaLoadA(tile, 16, at + 8 * BLOCK);
        HalfFloat[] k3 = context.mmaLoadA(tile, 16, at + 12 * BLOCK);
        HalfFloat[] k4 = context.mmaLoadA(tile, 16, at + 16 * BLOCK);
        HalfFloat[] k5 = context.mmaLoadA(tile, 16, at + 20 * BLOCK);
        HalfFloat[] k6 = context.mmaLoadA(tile, 16, at + 24 * BLOCK);
        HalfFloat[] k7 = context.mmaLoadA(tile, 16, at + 28 * BLOCK);
        float[] s = context.mmaFragment(0f);
        s = context.mma(k0, l0, s, MMAShape.M16N8K16);
        s = context.mma(k1, l1, s, MMAShape.M16N8K16);
        s = context.mma(k2, l2, s, MMAShape.M16N8K16);
        s = context.mma(k3, l3, s, MMAShape.M16N8K16);
        s = context.mma(k4, l4, s, MMAShape.M16N8K16);
        s = context.mma(k5, l5, s, MMAShape.M16N8K16);
        s = context.mma(k6, l6, s, MMAShape.M16N8K16);
        s = context.mma(k7, l7, s, MMAShape.M16N8K16);
        s = context.mma(k0, q0, s, MMAShape.M16N8K16);
        s = context.mma(k1, q1, s, MMAShape.M16N8K16);
        s = context.mma(k2, q2, s, MMAShape.M16N8K16);
        s = context.mma(k3, q3, s, MMAShape.M16N8K16);
        s = context.mma(k4, q4, s, MMAShape.M16N8K16);
        s = context.mma(k5, q5, s, MMAShape.M16N8K16);
        s = context.mma(k6, q6, s, MMAShape.M16N8K16);
        s = context.mma(k7, q7, s, MMAShape.M16N8K16);
        context.mmaStore(s, out, 0, to, 8);
    }

    /** The same for q, x and y, which are in local memory. */
    static void products(KernelContext context, int[] tile, int at, int[] factors, FloatArray out, int to) {
        float[] s = context.mmaFragment(0f);
        float[] x = context.mmaFragment(0f);
        float[] y = context.mmaFragment(0f);
        HalfFloat[] k0 = context.mmaLoadA(tile, 16, at);
        s = times(context, k0, factors, 0, s);
        x = times(context, k0, factors, 4096, x);
        y = times(context, k0, factors, 8192, y);
        HalfFloat[] k1 = context.mmaLoadA(tile, 16, at + 4 * BLOCK);
        s = times(context, k1, factors, 256, s);
        x = times(context, k1, factors, 4352, x);
        y = times(context, k1, factors, 8448, y);
        HalfFloat[] k2 = context.mmaLoadA(tile, 16, at + 8 * BLOCK);
        s = times(context, k2, factors, 512, s);
        x = times(context, k2, factors, 4608, x);
        y = times(context, k2, factors, 8704, y);
        HalfFloat[] k3 = context.mmaLoadA(tile, 16, at + 12 * BLOCK);
        s = times(context, k3, factors, 768, s);
        x = times(context, k3, factors, 4864, x);
        y = times(context, k3, factors, 8960, y);
        HalfFloat[] k4 = context.mmaLoadA(tile, 16, at + 16 * BLOCK);
        s = times(context, k4, factors, 1024, s);
        x = times(context, k4, factors, 5120, x);
        y = times(context, k4, factors, 9216, y);
        HalfFloat[] k5 = context.mmaLoadA(tile, 16, at + 20 * BLOCK);
        s = times(context, k5, factors, 1280, s);
        x = times(context, k5, factors, 5376, x);
        y = times(context, k5, factors, 9472, y);
        HalfFloat[] k6 = context.mmaLoadA(tile, 16, at + 24 * BLOCK);
        s = times(context, k6, factors, 1536, s);
        x = times(context, k6, factors, 5632, x);
        y = times(context, k6, factors, 9728, y);
        HalfFloat[] k7 = context.mmaLoadA(tile, 16, at + 28 * BLOCK);
        s = times(context, k7, factors, 1792, s);
        x = times(context, k7, factors, 5888, x);
        y = times(context, k7, factors, 9984, y);
        context.mmaStore(s, out, 0, to, 8);
        context.mmaStore(x, out, 0, to + 128, 8);
        context.mmaStore(y, out, 0, to + 256, 8);
    }

    /** Adds 16 dims of keys times a factor's, both halves of its numbers. */
    static float[] times(KernelContext context, HalfFloat[] k, int[] factors, int at, float[] sum) {
        float[] low = context.mma(k, context.mmaLoadB(factors, 16, at + 2048), sum, MMAShape.M16N8K16);
        return context.mma(k, context.mmaLoadB(factors, 16, at), low, MMAShape.M16N8K16);
    }

    /** Adds weights of 32 keys times 8 of their dims. */
    static float[] plus(KernelContext context, HalfFloat[] wa, HalfFloat[] wb, int[] tile, int at, float[] sum) {
        float[] half = context.mma(wa, context.mmaLoadB(tile, 16, at), sum, MMAShape.M16N8K16);
        return context.mma(wb, context.mmaLoadB(tile, 16, at + 256), half, MMAShape.M16N8K16);
    }
}
