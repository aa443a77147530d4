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
 *   begin    splits -> the first step, along q                                        ({@link CgDecode#begin})
 *   multiply k      -> per split A y                                                  as long as the solve has far to go
 *   finish   k, v   -> per split A y, sum p (1 - z.x) v and sum p (z.y) v             in the iteration that is to be the last
 *   advance  splits -> x, r, the next y, and which of the two comes next              ({@link CgDecode#advance})
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

    /** Warps of a work-group of {@link #finish}, where they share what keys are multiplied with. */
    public static final int WARPS = 2;

    /** Floats of scratch for a warp: two sums. */
    public static final int SCRATCH = 2 * 16 * DIM;
    private static final int OTHER_SUMS = 16 * DIM;

    /** int words of 32 keys by 8 dims in local memory, and of what keeps blocks in other banks. */
    private static final int BLOCK = TILE * 8 / 2 + 16;
    private static final int BUFFER = DIM / 8 * BLOCK;

    /**
     * How far the largest score of a split may lie above that of its first tile. Two halves of a number hold 23 binary digits after
     * the point, of which every unit of this costs a weight 1.4; with too small a margin, splits are read twice.
     */
    private static final float MARGIN = 5;

    /** Weights times a product with y are divided by it, so that the larger half of such a number is below 1. */
    private static final float RANGE = 32;

    /** What weights of values, p (1 - a), are divided by. */
    private static final float VALUE_RANGE = 4;

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
     * @param capacity rows of a sequence in the cache
     */
    public static void gather(KernelContext context, HalfFloatArray k, FloatArray scaledQ, IntArray lengths, FloatArray sums,
            FloatArray scratch, int capacity, int kvHeads, int group, int hw, int splits) {
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
        int kvUnit = unit / (group / hw);
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
     * A y of every head and split but for the ridge, of units that are not near their end.
     *
     * @param parts out (B*H,splits,D+1): sum p (z.y - zbar.y) z, and without the z
     * @param pass 0 and on
     */
    public static void multiply(KernelContext context, HalfFloatArray k, FloatArray scaledQ, IntArray lengths, FloatArray state,
            FloatArray facts, FloatArray parts, FloatArray scratch, int capacity, int kvHeads, int group, int hw, int splits,
            int pass) {
        int[] tile = context.allocateIntLocalArray(2 * BUFFER);
        int[] weights = context.allocateIntLocalArray(2 * 128);
        float[] shared = context.allocateFloatLocalArray(2 * THREADS);
        float[] products = context.allocateFloatLocalArray(Fragments.HEADER + 128);
        FloatArray productsOut = Fragments.stored(products);
        int lane = context.localIdx;
        int quad = lane & 3;
        int pair = lane >> 2;
        int unit = context.groupIdx / splits;
        int split = context.groupIdx % splits;
        int kvUnit = unit / (group / hw);
        if (CgDecodeState.unitPlan(facts, unit, hw, pass) == CgDecodeState.MULTIPLY) {
            int length = lengths.get(kvUnit / kvHeads);
            int perSplit = CgDecodeState.keysPerSplit(length, splits, TILE);
            int from = Math.min(split * perSplit, length);
            int to = Math.min(from + perSplit, length);
            int count = (to - from + TILE - 1) / TILE;
            int base = kvUnit * capacity;
            int area = context.groupIdx * SCRATCH;
            int own = Fragments.HEADER + pair * 8 + 2 * quad;
            int place = (lane >> 4) * BLOCK + (lane & 15);
            int first = (base + from) * DIM + 2 * lane;

            int head = unit * hw + Math.min(quad, hw - 1);
            int fact = head * CgDecodeState.FACTS;
            int row = head * DIM;
            int vector = (head * CgDecodeState.VECTORS + CgDecodeState.Y) * DIM;
            float largestQ = 0;
            float largestY = 0;
            float commonQ = 0; // q.c
            float commonY = 0;
            for (int d = 0; d < DIM; d++) {
                float c = k.get(CacheLayout.index(base, d, DIM)).getFloat32();
                float q = scaledQ.get(row + d);
                float y = state.get(vector + d);
                largestQ = Math.max(largestQ, Math.abs(q));
                largestY = Math.max(largestY, Math.abs(y));
                commonQ += q * c;
                commonY += y * c;
            }
            float inverseQ = largestQ > 0 ? 1 / largestQ : 0;
            float inverseY = largestY > 0 ? 1 / largestY : 0;
            for (int n = 0; n < 16; n++) {
                int at = n * 32 + lane;
                int d = (at >> 6) * 8 + ((at >> 2) & 7);
                int upper = 1 - ((at >> 5) & 1);
                float q = scaledQ.get(row + d) * inverseQ;
                float y = state.get(vector + d) * inverseY;
                float qHigh = Fragments.high(q);
                tile[at] = Fragments.packed(upper * qHigh, (1 - upper) * qHigh);
                tile[512 + at] = Fragments.packed(upper * (q - qHigh), (1 - upper) * (q - qHigh));
                float yHigh = Fragments.high(y);
                tile[1024 + at] = Fragments.packed(upper * yHigh, (1 - upper) * yHigh);
                tile[1536 + at] = Fragments.packed(upper * (y - yHigh), (1 - upper) * (y - yHigh));
            }
            weights[64 + lane] = 0; // rows without a head
            weights[96 + lane] = 0;
            weights[192 + lane] = 0;
            weights[224 + lane] = 0;
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
            HalfFloat[] y0 = context.mmaLoadB(tile, 16, 4096);
            HalfFloat[] y1 = context.mmaLoadB(tile, 16, 4352);
            HalfFloat[] y2 = context.mmaLoadB(tile, 16, 4608);
            HalfFloat[] y3 = context.mmaLoadB(tile, 16, 4864);
            HalfFloat[] y4 = context.mmaLoadB(tile, 16, 5120);
            HalfFloat[] y5 = context.mmaLoadB(tile, 16, 5376);
            HalfFloat[] y6 = context.mmaLoadB(tile, 16, 5632);
            HalfFloat[] y7 = context.mmaLoadB(tile, 16, 5888);
            HalfFloat[] m0 = context.mmaLoadB(tile, 16, 6144);
            HalfFloat[] m1 = context.mmaLoadB(tile, 16, 6400);
            HalfFloat[] m2 = context.mmaLoadB(tile, 16, 6656);
            HalfFloat[] m3 = context.mmaLoadB(tile, 16, 6912);
            HalfFloat[] m4 = context.mmaLoadB(tile, 16, 7168);
            HalfFloat[] m5 = context.mmaLoadB(tile, 16, 7424);
            HalfFloat[] m6 = context.mmaLoadB(tile, 16, 7680);
            HalfFloat[] m7 = context.mmaLoadB(tile, 16, 7936);
            context.localBarrier();

            float top = facts.get(fact + CgDecodeState.TOP);
            float mean = facts.get(fact + CgDecodeState.MEAN_PRODUCT);
            float small = inverseY / RANGE;
            float excess = 0;
            float[] a0 = context.mmaFragment(0f);
            float[] a1 = context.mmaFragment(0f);
            float[] a2 = context.mmaFragment(0f);
            float[] a3 = context.mmaFragment(0f);
            float[] a4 = context.mmaFragment(0f);
            float[] a5 = context.mmaFragment(0f);
            float[] a6 = context.mmaFragment(0f);
            float[] a7 = context.mmaFragment(0f);
            int stride = stride(pass);
            int u = pass % 2 == 0 ? count - 1 : 0;
            if (count > 0) {
                copy(context, tile, place, k, first + u * (TILE * DIM));
            }
            context.asyncCopyCommit();
            for (int t = 0; t < count; t++) {
                int buffer = (t & 1) * BUFFER;
                context.asyncCopyWaitGroup(0);
                if (from + u * TILE + TILE > to) { // rows beyond the end may hold anything; each lane clears what it copied
                    for (int n = 0; n < 32; n++) {
                        if (from + u * TILE + (n >> 2) * 4 + ((lane >> 2) & 3) >= to) {
                            tile[buffer + place + (n & 3) * (2 * BLOCK) + (n >> 2) * 16] = 0;
                        }
                    }
                }
                context.localBarrier();
                if (t + 1 < count) {
                    copy(context, tile, BUFFER - buffer + place, k, first + (u + stride) * (TILE * DIM));
                }
                context.asyncCopyCommit();
                int key = from + u * TILE + 2 * pair;
                u = u + stride;
                products(context, tile, buffer * 4, q0, q1, q2, q3, q4, q5, q6, q7, l0, l1, l2, l3, l4, l5, l6, l7, productsOut, 0);
                float d0 = TornadoMath.exp(products[own] * largestQ - commonQ + hidden(key, to) - top);
                float d1 = TornadoMath.exp(products[own + 1] * largestQ - commonQ + hidden(key + 1, to) - top);
                float d2 = TornadoMath.exp(products[own + 64] * largestQ - commonQ + hidden(key + 16, to) - top);
                float d3 = TornadoMath.exp(products[own + 65] * largestQ - commonQ + hidden(key + 17, to) - top);
                products(context, tile, buffer * 4, y0, y1, y2, y3, y4, y5, y6, y7, m0, m1, m2, m3, m4, m5, m6, m7, productsOut, 0);
                d0 = d0 * (products[own] * largestY - commonY - mean);
                d1 = d1 * (products[own + 1] * largestY - commonY - mean);
                d2 = d2 * (products[own + 64] * largestY - commonY - mean);
                d3 = d3 * (products[own + 65] * largestY - commonY - mean);
                excess += (d0 + d1) + (d2 + d3);
                d0 = d0 * small;
                d1 = d1 * small;
                d2 = d2 * small;
                d3 = d3 * small;
                int slot = quad * 8 + pair;
                float d0High = Fragments.high(d0);
                float d1High = Fragments.high(d1);
                float d2High = Fragments.high(d2);
                float d3High = Fragments.high(d3);
                weights[slot] = Fragments.packed(d0High, d1High);
                weights[slot + 128] = Fragments.packed(d2High, d3High);
                weights[slot + 32] = Fragments.packed(d0 - d0High, d1 - d1High);
                weights[slot + 160] = Fragments.packed(d2 - d2High, d3 - d3High);
                context.localBarrier();
                HalfFloat[] wa = context.mmaLoadA(weights, 16, 0);
                HalfFloat[] wb = context.mmaLoadA(weights, 16, 512);
                a0 = plus(context, wa, wb, tile, (buffer) * 4, a0);
                a1 = plus(context, wa, wb, tile, (buffer + BLOCK) * 4, a1);
                a2 = plus(context, wa, wb, tile, (buffer + 2 * BLOCK) * 4, a2);
                a3 = plus(context, wa, wb, tile, (buffer + 3 * BLOCK) * 4, a3);
                a4 = plus(context, wa, wb, tile, (buffer + 4 * BLOCK) * 4, a4);
                a5 = plus(context, wa, wb, tile, (buffer + 5 * BLOCK) * 4, a5);
                a6 = plus(context, wa, wb, tile, (buffer + 6 * BLOCK) * 4, a6);
                a7 = plus(context, wa, wb, tile, (buffer + 7 * BLOCK) * 4, a7);
            }
            Fragments.store(context, a0, a1, a2, a3, a4, a5, a6, a7, scratch, area);
            shared[lane] = excess;
            shared[THREADS + lane] = largestY * RANGE;
            context.localBarrier();
            int out = (unit * hw * splits + split) * (DIM + 1);
            for (int h = 0; h < hw; h++) {
                float perWeight = facts.get((unit * hw + h) * CgDecodeState.FACTS + CgDecodeState.PER_WEIGHT);
                float total = 0;
                for (int r = 0; r < 8; r++) {
                    total += shared[4 * r + h];
                }
                float size = shared[THREADS + h];
                for (int d = lane; d < DIM; d += THREADS) {
                    int at = area + (d >> 3) * 128 + h * 8 + (d & 7);
                    float c = k.get(CacheLayout.index(base, d, DIM)).getFloat32();
                    parts.set(out + h * splits * (DIM + 1) + d,
                            perWeight * (size * (scratch.get(at) + scratch.get(at + 32)) - total * c));
                }
                if (lane == 0) {
                    parts.set(out + h * splits * (DIM + 1) + DIM, perWeight * total);
                }
            }
        }
    }

    /**
     * What {@link #multiply} does, and of the output what belongs to x and what belongs to y, of units whose last iteration this is
     * likely to be, or that had no need of one.
     *
     * @param parts out (B*H,splits,D+1), as in {@link #multiply}
     * @param outputs out (B*H,splits,2 D): sum p (1 - a) v with a = z.x less its mean; sum p (z.y - zbar.y) v
     * @param pass 0 and on
     */
    public static void finish(KernelContext context, HalfFloatArray k, HalfFloatArray v, FloatArray scaledQ, IntArray lengths,
            FloatArray state, FloatArray facts, FloatArray parts, FloatArray outputs, FloatArray scratch, int capacity, int kvHeads,
            int group, int hw, int splits, int pass) {
        int[] tile = context.allocateIntLocalArray(WARPS * 2 * BUFFER); // of each warp: keys, values
        int[] factors = context.allocateIntLocalArray(6 * 512); // q, x and y, for which registers are too few
        int[] weights = context.allocateIntLocalArray(WARPS * 2 * 128);
        float[] shared = context.allocateFloatLocalArray(2 * WARPS * THREADS);
        float[] products = context.allocateFloatLocalArray(Fragments.HEADER + WARPS * 3 * 128);
        FloatArray productsOut = Fragments.stored(products);
        int me = context.localIdx;
        int warp = me >> 5;
        int lane = me & 31;
        int quad = lane & 3;
        int pair = lane >> 2;
        int unit = context.groupIdx / splits;
        int split = context.groupIdx % splits;
        int kvUnit = unit / (group / hw);
        if (CgDecodeState.unitPlan(facts, unit, hw, pass) == CgDecodeState.FINISH) {
            int length = lengths.get(kvUnit / kvHeads);
            int perSplit = CgDecodeState.keysPerSplit(length, splits, TILE);
            int from = Math.min(split * perSplit, length);
            int to = Math.min(from + perSplit, length);
            int count = (to - from + TILE - 1) / TILE;
            int base = kvUnit * capacity;
            int area = (context.groupIdx * WARPS + warp) * SCRATCH;
            int own = Fragments.HEADER + warp * (3 * 128) + pair * 8 + 2 * quad;
            int keys = warp * 2 * BUFFER;
            int place = keys + (lane >> 4) * BLOCK + (lane & 15);
            int first = (base + from) * DIM + 2 * lane;

            int head = unit * hw + Math.min(quad, hw - 1);
            int fact = head * CgDecodeState.FACTS;
            int row = head * DIM;
            int vector = (head * CgDecodeState.VECTORS + CgDecodeState.Y) * DIM;
            int solution = (head * CgDecodeState.VECTORS + CgDecodeState.X) * DIM;
            float largestQ = 0;
            float largestY = 0;
            float commonQ = 0; // q.c
            float commonY = 0;
            for (int d = 0; d < DIM; d++) {
                float c = k.get(CacheLayout.index(base, d, DIM)).getFloat32();
                float q = scaledQ.get(row + d);
                float y = state.get(vector + d);
                largestQ = Math.max(largestQ, Math.abs(q));
                largestY = Math.max(largestY, Math.abs(y));
                commonQ += q * c;
                commonY += y * c;
            }
            float inverseQ = largestQ > 0 ? 1 / largestQ : 0;
            float inverseY = largestY > 0 ? 1 / largestY : 0;
            float largestX = 0;
            float commonX = 0;
            for (int d = 0; d < DIM; d++) {
                float x = state.get(solution + d);
                largestX = Math.max(largestX, Math.abs(x));
                commonX += x * k.get(CacheLayout.index(base, d, DIM)).getFloat32();
            }
            float inverseX = largestX > 0 ? 1 / largestX : 0;
            for (int n = 0; n < 16 / WARPS; n++) {
                int at = n * WARPS * THREADS + me;
                int d = (at >> 6) * 8 + ((at >> 2) & 7);
                int upper = 1 - ((at >> 5) & 1);
                float q = scaledQ.get(row + d) * inverseQ;
                float x = state.get(solution + d) * inverseX;
                float y = state.get(vector + d) * inverseY;
                float qHigh = Fragments.high(q);
                factors[at] = Fragments.packed(upper * qHigh, (1 - upper) * qHigh);
                factors[512 + at] = Fragments.packed(upper * (q - qHigh), (1 - upper) * (q - qHigh));
                float xHigh = Fragments.high(x);
                factors[1024 + at] = Fragments.packed(upper * xHigh, (1 - upper) * xHigh);
                factors[1536 + at] = Fragments.packed(upper * (x - xHigh), (1 - upper) * (x - xHigh));
                float yHigh = Fragments.high(y);
                factors[2048 + at] = Fragments.packed(upper * yHigh, (1 - upper) * yHigh);
                factors[2560 + at] = Fragments.packed(upper * (y - yHigh), (1 - upper) * (y - yHigh));
            }
            context.localBarrier();

            float top = facts.get(fact + CgDecodeState.TOP);
            // of z.x, where MEAN takes the part of x along q from t and not from z.q
            float mean = 1 + facts.get(fact + CgDecodeState.MEAN) + facts.get(fact + CgDecodeState.FIRST_STEP) * top;
            float meanY = facts.get(fact + CgDecodeState.MEAN_PRODUCT);
            float small = inverseY / RANGE;
            float excess = 0;
            float[] a0 = context.mmaFragment(0f);
            float[] a1 = context.mmaFragment(0f);
            float[] a2 = context.mmaFragment(0f);
            float[] a3 = context.mmaFragment(0f);
            float[] a4 = context.mmaFragment(0f);
            float[] a5 = context.mmaFragment(0f);
            float[] a6 = context.mmaFragment(0f);
            float[] a7 = context.mmaFragment(0f);
            float[] o0 = context.mmaFragment(0f);
            float[] o1 = context.mmaFragment(0f);
            float[] o2 = context.mmaFragment(0f);
            float[] o3 = context.mmaFragment(0f);
            float[] o4 = context.mmaFragment(0f);
            float[] o5 = context.mmaFragment(0f);
            float[] o6 = context.mmaFragment(0f);
            float[] o7 = context.mmaFragment(0f);
            int rounds = (count + WARPS - 1) / WARPS;
            int stride = WARPS * stride(pass);
            int t = warp + (pass % 2 == 0 ? Math.max(rounds - 1, 0) * WARPS : 0);
            if (t < count) {
                copy(context, tile, place, k, first + t * (TILE * DIM));
            }
            context.asyncCopyCommit();
            if (t < count) {
                copy(context, tile, BUFFER + place, v, first + t * (TILE * DIM));
            }
            context.asyncCopyCommit();
            for (int round = 0; round < rounds; round++) {
                int key = from + t * TILE + 2 * pair;
                context.asyncCopyWaitGroup(1); // the keys are there, the values on their way
                if (from + t * TILE + TILE > to) { // rows beyond the end may hold anything; each lane clears what it copied
                    for (int n = 0; n < 32; n++) {
                        if (from + t * TILE + (n >> 2) * 4 + ((lane >> 2) & 3) >= to) {
                            tile[place + (n & 3) * (2 * BLOCK) + (n >> 2) * 16] = 0;
                        }
                    }
                }
                context.localBarrier();
                products(context, tile, keys * 4, factors, productsOut, warp * (3 * 128));
                float s0 = products[own] * largestQ - commonQ + hidden(key, to);
                float s1 = products[own + 1] * largestQ - commonQ + hidden(key + 1, to);
                float s2 = products[own + 64] * largestQ - commonQ + hidden(key + 16, to);
                float s3 = products[own + 65] * largestQ - commonQ + hidden(key + 17, to);
                float x0 = products[own + 128] * largestX - commonX;
                float x1 = products[own + 129] * largestX - commonX;
                float x2 = products[own + 192] * largestX - commonX;
                float x3 = products[own + 193] * largestX - commonX;
                float d0 = products[own + 256] * largestY - commonY;
                float d1 = products[own + 257] * largestY - commonY;
                float d2 = products[own + 320] * largestY - commonY;
                float d3 = products[own + 321] * largestY - commonY;
                s0 = TornadoMath.exp(s0 - top);
                s1 = TornadoMath.exp(s1 - top);
                s2 = TornadoMath.exp(s2 - top);
                s3 = TornadoMath.exp(s3 - top);
                d0 = s0 * (d0 - meanY);
                d1 = s1 * (d1 - meanY);
                d2 = s2 * (d2 - meanY);
                d3 = s3 * (d3 - meanY);
                excess += (d0 + d1) + (d2 + d3);
                d0 = d0 * small;
                d1 = d1 * small;
                d2 = d2 * small;
                d3 = d3 * small;
                x0 = s0 * (mean - x0) * (1 / VALUE_RANGE);
                x1 = s1 * (mean - x1) * (1 / VALUE_RANGE);
                x2 = s2 * (mean - x2) * (1 / VALUE_RANGE);
                x3 = s3 * (mean - x3) * (1 / VALUE_RANGE);
                int slot = warp * 256 + quad * 8 + pair;
                float d0High = Fragments.high(d0);
                float d1High = Fragments.high(d1);
                float d2High = Fragments.high(d2);
                float d3High = Fragments.high(d3);
                weights[slot] = Fragments.packed(d0High, d1High);
                weights[slot + 128] = Fragments.packed(d2High, d3High);
                weights[slot + 32] = Fragments.packed(d0 - d0High, d1 - d1High);
                weights[slot + 160] = Fragments.packed(d2 - d2High, d3 - d3High);
                float x0High = Fragments.high(x0);
                float x1High = Fragments.high(x1);
                float x2High = Fragments.high(x2);
                float x3High = Fragments.high(x3);
                weights[slot + 64] = Fragments.packed(x0High, x1High);
                weights[slot + 192] = Fragments.packed(x2High, x3High);
                weights[slot + 96] = Fragments.packed(x0 - x0High, x1 - x1High);
                weights[slot + 224] = Fragments.packed(x2 - x2High, x3 - x3High);
                context.localBarrier();
                HalfFloat[] wa = context.mmaLoadA(weights, 16, warp * 1024);
                HalfFloat[] wb = context.mmaLoadA(weights, 16, warp * 1024 + 512);
                a0 = plus(context, wa, wb, tile, keys * 4, a0);
                a1 = plus(context, wa, wb, tile, (keys + BLOCK) * 4, a1);
                a2 = plus(context, wa, wb, tile, (keys + 2 * BLOCK) * 4, a2);
                a3 = plus(context, wa, wb, tile, (keys + 3 * BLOCK) * 4, a3);
                a4 = plus(context, wa, wb, tile, (keys + 4 * BLOCK) * 4, a4);
                a5 = plus(context, wa, wb, tile, (keys + 5 * BLOCK) * 4, a5);
                a6 = plus(context, wa, wb, tile, (keys + 6 * BLOCK) * 4, a6);
                a7 = plus(context, wa, wb, tile, (keys + 7 * BLOCK) * 4, a7);
                context.localBarrier();
                if (round + 1 < rounds && t + stride < count) {
                    copy(context, tile, place, k, first + (t + stride) * (TILE * DIM));
                }
                context.asyncCopyCommit();
                context.asyncCopyWaitGroup(1); // the values are there, the next keys on their way
                if (from + t * TILE + TILE > to) { // rows beyond the end may hold anything; each lane clears what it copied
                    for (int n = 0; n < 32; n++) {
                        if (from + t * TILE + (n >> 2) * 4 + ((lane >> 2) & 3) >= to) {
                            tile[BUFFER + place + (n & 3) * (2 * BLOCK) + (n >> 2) * 16] = 0;
                        }
                    }
                }
                context.localBarrier();
                o0 = plus(context, wa, wb, tile, (keys + BUFFER) * 4, o0);
                o1 = plus(context, wa, wb, tile, (keys + BUFFER + BLOCK) * 4, o1);
                o2 = plus(context, wa, wb, tile, (keys + BUFFER + 2 * BLOCK) * 4, o2);
                o3 = plus(context, wa, wb, tile, (keys + BUFFER + 3 * BLOCK) * 4, o3);
                o4 = plus(context, wa, wb, tile, (keys + BUFFER + 4 * BLOCK) * 4, o4);
                o5 = plus(context, wa, wb, tile, (keys + BUFFER + 5 * BLOCK) * 4, o5);
                o6 = plus(context, wa, wb, tile, (keys + BUFFER + 6 * BLOCK) * 4, o6);
                o7 = plus(context, wa, wb, tile, (keys + BUFFER + 7 * BLOCK) * 4, o7);
                context.localBarrier();
                if (round + 1 < rounds && t + stride < count) {
                    copy(context, tile, BUFFER + place, v, first + (t + stride) * (TILE * DIM));
                }
                context.asyncCopyCommit();
                t = t + stride;
            }
            Fragments.store(context, a0, a1, a2, a3, a4, a5, a6, a7, scratch, area);
            Fragments.store(context, o0, o1, o2, o3, o4, o5, o6, o7, scratch, area + OTHER_SUMS);
            shared[me] = excess;
            shared[WARPS * THREADS + me] = largestY * RANGE;
            context.localBarrier();
            int out = unit * hw * splits + split;
            for (int h = 0; h < hw; h++) {
                float perWeight = facts.get((unit * hw + h) * CgDecodeState.FACTS + CgDecodeState.PER_WEIGHT);
                float total = 0;
                for (int r = 0; r < 8 * WARPS; r++) {
                    total += shared[4 * r + h];
                }
                float size = shared[WARPS * THREADS + h];
                int part = (out + h * splits) * (DIM + 1);
                int output = (out + h * splits) * (2 * DIM);
                for (int d = me; d < DIM; d += WARPS * THREADS) {
                    int at = context.groupIdx * WARPS * SCRATCH + (d >> 3) * 128 + h * 8 + (d & 7);
                    float ay = 0;
                    float along = 0;
                    float whole = 0;
                    for (int w = 0; w < WARPS; w++) {
                        int sums = at + w * SCRATCH;
                        int outputSums = at + w * SCRATCH + OTHER_SUMS;
                        ay += scratch.get(sums) + scratch.get(sums + 32);
                        along += scratch.get(outputSums) + scratch.get(outputSums + 32);
                        whole += scratch.get(outputSums + 64) + scratch.get(outputSums + 96);
                    }
                    float c = k.get(CacheLayout.index(base, d, DIM)).getFloat32();
                    parts.set(part + d, perWeight * (size * ay - total * c));
                    outputs.set(output + d, perWeight * VALUE_RANGE * whole);
                    outputs.set(output + DIM + d, perWeight * size * along);
                }
                if (me == 0) {
                    parts.set(part + DIM, perWeight * total);
                }
            }
        }
    }

    /**
     * The output: what {@link #finish} left, with the last step. One thread an element of o.
     *
     * @param outputs (B*H,splits,2 D)
     * @param o out (B,H,D)
     */
    public static void merge(KernelContext context, FloatArray outputs, FloatArray facts, FloatArray o, int splits) {
        int n = context.globalIdx;
        if (n < o.getSize()) {
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
    private static int stride(int pass) {
        return 2 * (pass % 2) - 1;
    }

    /** 0 for a key before {@code to}, low enough for no weight otherwise. */
    private static float hidden(int key, int to) {
        return Math.min(0, to - 1 - key) * 1e29f;
    }

    /** A tile of {@value #TILE} rows from the cache, whose order is that of {@link CacheLayout#index}: 4 rows by 8 by 8 dims. */
    private static void copy(KernelContext context, int[] tile, int to, HalfFloatArray rows, int from) {
        for (int n = 0; n < 32; n++) {
            context.asyncCopyToLocal(tile, to + (n & 3) * (2 * BLOCK) + (n >> 2) * 16, rows, from + n * 64);
        }
    }

    /** 4 heads with 32 keys. */
    private static void products(KernelContext context, int[] tile, int at, HalfFloat[] q0, HalfFloat[] q1, HalfFloat[] q2,
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
    private static void products(KernelContext context, int[] tile, int at, int[] factors, FloatArray out, int to) {
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
    private static float[] times(KernelContext context, HalfFloat[] k, int[] factors, int at, float[] sum) {
        float[] low = context.mma(k, context.mmaLoadB(factors, 16, at + 2048), sum, MMAShape.M16N8K16);
        return context.mma(k, context.mmaLoadB(factors, 16, at), low, MMAShape.M16N8K16);
    }

    /** Adds weights of 32 keys times 8 of their dims. */
    private static float[] plus(KernelContext context, HalfFloat[] wa, HalfFloat[] wb, int[] tile, int at, float[] sum) {
        float[] half = context.mma(wa, context.mmaLoadB(tile, 16, at), sum, MMAShape.M16N8K16);
        return context.mma(wb, context.mmaLoadB(tile, 16, at + 256), half, MMAShape.M16N8K16);
    }
}
