package io.github.flashlla.tornado.kernels.decode;

import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.BLOCK;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.BUFFER;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.DIM;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.RANGE;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.SCRATCH;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.THREADS;
import static io.github.flashlla.tornado.kernels.decode.TensorCoreCgDecode.TILE;
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

/** {@link TensorCoreCgDecode}'s product with A: a pass over the keys, in splits. */
public final class TensorCoreCgMultiply {

    private TensorCoreCgMultiply() {}

    /**
     * A y of every head and split but for the ridge, of units that are not near their end.
     *
     * @param parts out (B*H,rooms,D+1), of which the first splits: sum p (z.y - zbar.y) z, and without the z
     * @param sizes {@link DecodeSizes}
     * @param pass 0 and on
     */
    public static void multiply(KernelContext context, HalfFloatArray k, FloatArray scaledQ, IntArray lengths, FloatArray state,
            FloatArray facts, FloatArray parts, FloatArray scratch, IntArray sizes, int hw, int pass) {
        int capacity = sizes.get(DecodeSizes.CAPACITY);
        int kvHeads = DecodeSizes.divisor(sizes, DecodeSizes.KV_HEADS);
        int group = DecodeSizes.divisor(sizes, DecodeSizes.GROUP);
        int splits = DecodeSizes.divisor(sizes, DecodeSizes.SPLITS);
        int rooms = Math.max(splits, DecodeSizes.divisor(sizes, DecodeSizes.FINISHING_SPLITS));
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
        int kvUnit = unit / CacheLayout.divisor(group / hw);
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
            int out = (unit * hw * rooms + split) * (DIM + 1);
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
                    parts.set(out + h * rooms * (DIM + 1) + d,
                            perWeight * (size * (scratch.get(at) + scratch.get(at + 32)) - total * c));
                }
                if (lane == 0) {
                    parts.set(out + h * rooms * (DIM + 1) + DIM, perWeight * total);
                }
            }
        }
    }
}
