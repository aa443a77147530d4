package io.github.flashlla.tornado.kernels.decode;

import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.BLOCK;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.BUFFER;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.DIM;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.OTHER_SUMS;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.RANGE;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.SCRATCH;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.THREADS;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.TILE;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.VALUE_RANGE;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.WARPS;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.copy;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.hidden;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.plus;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.products;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.stride;

import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import io.github.flashlla.tornado.kernels.tile.Fragments;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** {@link TensorCoreCgDecode}'s last pass: the product with A and the output in one, for heads whose next step is taken for the last. */
public final class TensorCoreCgFinish {

    private TensorCoreCgFinish() {}

    /**
     * What {@link TensorCoreCgMultiply#multiply} does, and of the output what belongs to x and what belongs to y, of units whose last iteration this is
     * likely to be, or that had no need of one.
     *
     * @param parts out (B*H,rooms,D+1), as in {@link TensorCoreCgMultiply#multiply}
     * @param outputs out (B*H,splits,2 D): sum p (1 - a) v with a = z.x less its mean; sum p (z.y - zbar.y) v
     * @param pass 0 and on
     */
    public static void finish(KernelContext context, HalfFloatArray k, HalfFloatArray v, FloatArray scaledQ, IntArray lengths,
            FloatArray state, FloatArray facts, FloatArray parts, FloatArray outputs, FloatArray scratch, IntArray sizes, int hw, int pass) {
        int capacity = sizes.get(DecodeSizes.CAPACITY);
        int kvHeads = DecodeSizes.divisor(sizes, DecodeSizes.KV_HEADS);
        int group = DecodeSizes.divisor(sizes, DecodeSizes.GROUP);
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.FINISHING_SPLITS);
        int rooms = Math.max(splits, DecodeSizes.divisor(sizes, DecodeSizes.SPLITS));
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
        int kvUnit = unit / CacheLayout.divisor(group / hw);
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
                int part = ((unit * hw + h) * rooms + split) * (DIM + 1);
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
}
