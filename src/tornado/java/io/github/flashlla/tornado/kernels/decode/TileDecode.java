package io.github.flashlla.tornado.kernels.decode;

import static io.github.flashlla.tornado.kernels.decode.TileRing.KEYS;
import static io.github.flashlla.tornado.kernels.decode.TileRing.THREADS;
import static io.github.flashlla.tornado.kernels.decode.TileRing.WARPS;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.HIDDEN;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LN2;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;

import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * {@link CgDecode} on half-precision matrix units with everything in registers: float16 cache, D = Dv of 64 or 128, up to
 * {@value #HEADS} heads that share a key/value head. Nothing is kept of a key: every pass computes its score anew, and memory is read
 * for k and v alone.
 *
 * <pre>
 *   gather   k      -> per split sum w, sum w z, sum w t z
 *            splits -> the first step, along q                                        ({@link TileDecodeSolve#begin})
 *   pass     k      -> per split A y                                  as long as the solve has far to go ({@link TileDecodePass}), or
 *            k, v   -> per split A y, sum p (1 - z.x) v and sum p (z.y) v   in the iteration that is to be the last
 *            splits -> x, r, the next y, and which of the two comes next; o, of x and of the last step along y
 *                                                                                     ({@link TileDecodeSolve#advance})
 * </pre>
 *
 * <p>What is made of a unit's splits is made by the last of its groups to end.
 *
 * <p>Keys are exact in float16. What they are multiplied with, queries, directions and weights, is split into two float16 numbers
 * that hold 22 digits together, so that products are as good as float32's. The halves are rows of one fragment: with g = lane / 4,
 * row g holds the larger ones of head g % 4 and row g + 8 the others, so a lane adds what it has of the two. Rows g and g + 4 are of
 * one head, and may hold different weights or factors: w and w t, y and x.
 *
 * <p>A group of {@value TileRing#WARPS} warps reads a split through a ring of tiles ({@link TileRing}). Of up to 4 heads each warp takes
 * 16 of a tile's 32 keys, of more each warp takes all keys for 4 heads: bytes a head shares are read once either way.
 */
public final class TileDecode {
    /** Heads of a unit at most. */
    public static final int HEADS = 8;
    /** How far above the first keys' scores another may lie, in log2. */
    private static final float MARGIN = 12f;

    private TileDecode() {}

    /** Whether there are kernels for such a head dim. */
    static boolean takes(int dim) {
        return dim == 64 || dim == 128;
    }

    /** Groups of {@link #gather} that a multiprocessor holds, each of its quarters as many warps. */
    static int groupsPerUnit(int dim, int hw) {
        return dim > 64 ? 4 : hw > 4 ? 6 : 8;
    }

    /** Tiles of the ring. */
    static int stages(int dim) {
        return dim <= 64 ? 4 : 3;
    }

    /** Bytes of local memory. */
    static int localBytes(int dim) {
        return Math.max(stages(dim), 2 * TileDecodePass.stages(dim)) * TileRing.tileBytes(dim) + TileRing.START + TileRing.SHARED;
    }

    /**
     * The first sums of every head and split, and what {@link TileDecodeSolve#begin} makes of them.
     *
     * @param k the cache's keys
     * @param scaledQ (B,H,D), times the scale
     * @param lengths (B)
     * @param ridges (B,H)
     * @param settings {@link DecodeSizes#settings}
     * @param sums out (B*H,splits,2 D + 3): sum w z, sum w t z, the largest score, sum w, sum w t; z = k less the first key
     * @param state out, likewise {@code facts}: {@link CgDecodeState}
     * @param arrived 0 for each unit, and left so
     * @param capacity rows of a sequence in the cache
     * @param hw heads of a unit
     * @param iterations passes that there are at most
     */
    public static void gather(KernelContext ctx, HalfFloatArray k, FloatArray scaledQ, IntArray lengths, FloatArray ridges, FloatArray settings,
            FloatArray sums, FloatArray state, FloatArray facts, IntArray arrived, int capacity, int kvHeads, int group, int hw, int splits, int dim,
            int iterations, int stages, int groups) {
        Tile.launchBounds(THREADS, groups);
        int tileBytes = TileRing.tileBytes(dim);
        int[] ring = ctx.allocateIntLocalArray(TileRing.localInts(stages, dim));
        Tile.align(ring, 128);
        int base = Tile.address(ring) + TileRing.START;
        int shared = base + stages * tileBytes;
        DecodeSplit split = new DecodeSplit(ctx.groupIdx, lengths, kvHeads, group / hw, splits, KEYS);
        int sequence = DecodeSplit.kvUnit(ctx.groupIdx, group / hw, splits) * capacity; // the cache's row of the first key
        TileLane my = new TileLane(ctx.localIdx, hw, dim);
        int count = split.tiles(KEYS);
        int first = (sequence + split.from) * dim;

        int[] qf = new int[dim / 4];
        int[] b = new int[4];
        int[] w = new int[4];
        float[] s = new float[8];
        float[] acc = new float[dim / 2];
        float[] common = new float[1];
        start(ring, base, k, first, count, my.thread, dim, stages, tileBytes);
        float largest = TileRing.factor(qf, common, scaledQ, (split.unit * hw + my.head) * dim, k, sequence, my.quad, dim);
        float times = largest * LOG2E;

        Tile.await(stages - 2);
        TileRing.clear(ring, base, split.to - split.from, my.thread, dim);
        ctx.localBarrier();
        float top = Masking.LOW;
        for (int j = 0; j < my.pieces; j++) {
            TileRing.scores(s, qf, b, ring, base + my.scoreAt + j * TileRing.pieceBytes(dim), dim);
            for (int i = 0; i < 4; i++) {
                int key = split.from + my.keyAt + 16 * j + 8 * (i >> 1) + (i & 1);
                int at = 4 * (i >> 1) + (i & 1);
                top = Math.max(top, key < split.to ? (s[at] + s[at + 2]) * times : Masking.LOW);
            }
        }
        float reference = ofHead(ring, shared, TilePieces.quadMax(top), my.row, my.warp, my.quad, my.pieces, ctx);
        float best = reference;
        float total = 0f;
        int again = count > 0 ? 1 : 0;
        for (int round = 0; round < 2 && again != 0; round++) {
            top = Masking.LOW;
            total = 0f;
            for (int i = 0; i < dim / 2; i++) {
                acc[i] = 0f;
            }
            if (round > 0) {
                start(ring, base, k, first, count, my.thread, dim, stages, tileBytes);
            }
            int last = (stages - 1) * tileBytes;
            int free = last;
            int stage = 0;
            for (int n = 0; n < count; n++) {
                Tile.await(stages - 2);
                TileRing.clear(ring, base + stage, split.to - split.from - n * KEYS, my.thread, dim);
                ctx.localBarrier();
                if (n + stages - 1 < count) {
                    TileRing.copy(ring, base + free, k, first + (n + stages - 1) * (KEYS * dim), my.thread, dim);
                }
                Tile.commit();
                for (int j = 0; j < my.pieces; j++) {
                    int at = stage + j * TileRing.pieceBytes(dim);
                    TileRing.scores(s, qf, b, ring, base + my.scoreAt + at, dim);
                    int key = split.from + n * KEYS + my.keyAt + 16 * j;
                    for (int i = 0; i < 2; i++) {
                        float e0 = key + 8 * i < split.to ? (s[4 * i] + s[4 * i + 2]) * times - reference : HIDDEN;
                        float e1 = key + 8 * i + 1 < split.to ? (s[4 * i + 1] + s[4 * i + 3]) * times - reference : HIDDEN;
                        top = Math.max(top, Math.max(e0, e1));
                        float w0 = Tile.exp2(e0) * (my.row < 4 ? 1f : e0);
                        float w1 = Tile.exp2(e1) * (my.row < 4 ? 1f : e1);
                        total += w0 + w1;
                        TileRing.halves(w, 2 * i, w0, w1);
                    }
                    TileRing.sums(acc, w, b, ring, base + my.sumAt + at, dim);
                }
                free = stage;
                stage = stage == last ? 0 : stage + tileBytes;
            }
            Tile.await(0);
            float rise = ofHead(ring, shared, TilePieces.quadMax(top), my.row, my.warp, my.quad, my.pieces, ctx);
            best = reference + rise;
            again = Tile.count(rise > MARGIN ? 1 : 0);
            reference = again != 0 ? best : reference;
        }
        TileRing.spread(ring, base + my.warp * (32 * dim), acc, my.row, my.quad, dim);
        total = TilePieces.quadSum(total);
        if (my.quad == 0) {
            Tile.storeLocal2(ring, shared + my.warp * 128 + my.row * 16, total, (reference - best) * LN2);
            Tile.storeLocal2(ring, shared + my.warp * 128 + my.row * 16 + 8, best * LN2 - common[0], 0f);
        }
        ctx.localBarrier();
        writeSums(ring, base, shared, k, sums, sequence, split, my, hw, splits, 2 * dim + 3, dim);
        if (TileDecodeSolve.last(ctx, arrived, split.unit, splits) != 0) {
            float some = Math.min(split.length, 1);
            for (int h = my.warp; h < hw; h += WARPS) {
                TileDecodeSolve.begin(k, scaledQ, ridges, settings, sums, state, facts, split.unit * hw + h, sequence, some, splits, dim, iterations,
                        my.lane);
            }
        }
    }

    /**
     * The sums of a split's heads, of what warps left in local memory: as {@link #gather} describes them, and where there is room a fourth number behind,
     * sum w as it was summed.
     *
     * @param base {@link Tile#address} of warps' sums, {@link TileRing#spread}
     * @param shared of each row's sum w, or sum w t, how far the largest score is below what weights were taken from, and that score
     * @param width numbers of a head and split
     */
    static void writeSums(int[] ring, int base, int shared, HalfFloatArray k, FloatArray sums, int sequence, DecodeSplit split, TileLane my, int hw,
            int splits, int width, int dim) {
        int count = split.tiles(KEYS);
        float[] four = new float[4];
        float[] sumZ = new float[4];
        float[] sumTz = new float[4];
        for (int n = my.thread; n < hw * (dim / 4); n += THREADS) {
            int h = n / (dim / 4);
            int d = 4 * (n % (dim / 4));
            int out = ((split.unit * hw + h) * splits + split.number) * width;
            float omega = 0f;
            float sumT = 0f;
            float rise = 0f;
            float largestScore = 0f;
            for (int i = 0; i < 4; i++) {
                sumZ[i] = 0f;
                sumTz[i] = 0f;
            }
            for (int i = 0; i < WARPS / my.pieces; i++) {
                int source = my.pieces > 1 ? h >> 2 : i;
                int numbers = shared + source * 128 + (h & 3) * 16;
                int vectors = base + source * (32 * dim) + (h & 3) * (4 * dim) + 4 * d;
                Tile.loadLocal4(four, 0, ring, numbers);
                omega += four[0];
                rise = four[1];
                largestScore = four[2];
                Tile.loadLocal4(four, 0, ring, numbers + 64);
                sumT += LN2 * four[0];
                add(sumZ, four, 1f, ring, vectors);
                add(sumTz, four, LN2, ring, vectors + 16 * dim);
            }
            float factor = count > 0 ? TornadoMath.exp(rise) : 0f; // weights are taken from the largest score after this kernel
            for (int e = 0; e < 4; e++) {
                float c = k.get(CacheLayout.index(sequence, d + e, dim)).getFloat32();
                float z = sumZ[e] - omega * c;
                float tz = sumTz[e] - sumT * c;
                sums.set(out + d + e, count > 0 ? factor * z : 0f);
                sums.set(out + dim + d + e, count > 0 ? factor * (tz + rise * z) : 0f);
            }
            if (d == 0) {
                sums.set(out + 2 * dim, count > 0 ? largestScore : Masking.LOW);
                sums.set(out + 2 * dim + 1, count > 0 ? factor * omega : 0f);
                sums.set(out + 2 * dim + 2, count > 0 ? factor * (sumT + rise * omega) : 0f);
                if (width > 2 * dim + 3) {
                    sums.set(out + 2 * dim + 3, count > 0 ? omega : 0f);
                }
            }
        }
    }

    /**
     * The output where another kernel took the step: what the last pass left, with that step. One thread an element of o.
     *
     * @param outputs (B*H,rooms,2 D)
     * @param o out (B,H,D)
     */
    public static void merge(KernelContext ctx, FloatArray outputs, FloatArray facts, FloatArray o, int rooms, int dim) {
        int n = ctx.globalIdx;
        if (n < o.getSize()) {
            int head = n / dim;
            float whole = 0;
            float along = 0;
            int splits = (int) facts.get(head * CgDecodeState.FACTS + CgDecodeState.FINISHING_SPLITS);
            for (int s = 0; s < splits; s++) {
                int at = (head * rooms + s) * (2 * dim) + n % dim;
                whole += outputs.get(at);
                along += outputs.get(at + dim);
            }
            o.set(n, whole - facts.get(head * CgDecodeState.FACTS + CgDecodeState.FINISHING_STEP) * along);
        }
    }

    /** Starts the copies of the first tiles, each a set of its own. */
    static void start(int[] ring, int base, HalfFloatArray k, int first, int count, int me, int dim, int stages, int tileBytes) {
        for (int n = 0; n < stages - 1; n++) {
            if (n < count) {
                TileRing.copy(ring, base + n * tileBytes, k, first + n * (KEYS * dim), me, dim);
            }
            Tile.commit();
        }
    }

    /** The largest x of a head, of all warps that have some of its keys; each lane has that of its quad. Barriers. */
    static float ofHead(int[] ring, int shared, float x, int row, int warp, int quad, int sets, KernelContext ctx) {
        float[] four = new float[4];
        ctx.localBarrier();
        if (quad == 0) {
            Tile.storeLocal2(ring, shared + warp * 128 + row * 16, x, x);
        }
        ctx.localBarrier();
        float largest = x;
        for (int i = 0; i < WARPS / sets; i++) {
            Tile.loadLocal4(four, 0, ring, shared + (sets > 1 ? warp : i) * 128 + row * 16);
            largest = Math.max(largest, four[0]);
        }
        ctx.localBarrier();
        return largest;
    }

    /** sum += times the four floats there. */
    static void add(float[] sum, float[] four, float times, int[] ring, int address) {
        Tile.loadLocal4(four, 0, ring, address);
        for (int i = 0; i < 4; i++) {
            sum[i] += times * four[i];
        }
    }
}
