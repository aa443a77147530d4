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
 * {@link TileDecode} with a preconditioner: the heads of a key/value head share one covariance, which is summed while keys are read for the
 * first step anyway. Float16 cache, D = Dv = {@value #DIM}, up to {@value #HEADS} heads a key.
 *
 * <pre>
 *   gather   k      -> per split sum w, sum w z, sum w t z of every head, sum w k k^T of all of them
 *   begin    splits -> M^-1, the first step, along q, and a first direction M^-1 r    ({@link TilePcgBegin#run})
 *   pass     k, or k and v, as in {@link TileDecode}                                  ({@link TileDecodePass})
 *   advance  splits -> x, r, and the next direction                                   ({@link TilePcgSolve#advance})
 *   merge           -> o                                                              ({@link TileDecode#merge})
 * </pre>
 *
 * <p>M is the mean of the heads' covariances, with the mean ridge. It takes 20 products of 16 x 8 x 16 for 16 keys beside the 16 that the first
 * step takes, where a covariance of every head takes 80. A is never rounded: a pass multiplies with it as it is, so M decides how many
 * passes there are, and not what they come to.
 *
 * <p>Of w k k^T one factor is float16 numbers w k, the other k: a transposed load gives both, the one with its registers in another order, in
 * which the multiplication puts them. Blocks of 16 x 16 on and above the diagonal are summed, row by row of blocks.
 */
public final class TilePcg {
    static final int DIM = 64;
    /** Heads of a unit at most. */
    static final int HEADS = 4;
    /** Sums of a unit and split: 10 blocks of 16 x 16. */
    static final int MOMENTS = 2560;
    /** Numbers of a head and split. */
    static final int WIDTH = 2 * DIM + 4;
    /** Splits at most: one work-group merges all of a unit. */
    static final int MOST_SPLITS = 16;
    /** How far above the first keys' scores another may lie, in log2: weights of all heads together, times k, are float16. */
    private static final float MARGIN = 8f;

    private TilePcg() {}

    /** Groups of {@link #gather} that a multiprocessor holds, with 168 registers a thread. */
    static int groupsPerUnit() {
        return 6;
    }

    /** Tiles of the ring. */
    static int stages() {
        return 6;
    }

    /** Bytes of local memory. */
    static int localBytes() {
        return TileRing.START + stages() * TileRing.tileBytes(DIM) + TileRing.SHARED;
    }

    /**
     * The first sums of every head and split, and the moments of every unit and split.
     *
     * @param k the cache's keys
     * @param scaledQ (B,H,D), times the scale
     * @param lengths (B)
     * @param sums out (B*H,splits,{@value #WIDTH}): sum w z, sum w t z, the largest score, sum w, sum w t, and sum w as it is in moments;
     *         z = k less the first key
     * @param moments out (units,splits,{@value #MOMENTS}): sum w k k^T, w the sum of the heads' weights; {@link TilePcgBegin} knows the order
     * @param capacity rows of a sequence in the cache
     * @param hw heads of a unit
     */
    public static void gather(KernelContext ctx, HalfFloatArray k, FloatArray scaledQ, IntArray lengths, FloatArray sums, FloatArray moments,
            int capacity, int kvHeads, int group, int hw, int splits, int stages, int groups) {
        Tile.launchBounds(THREADS, groups);
        int tileBytes = TileRing.tileBytes(DIM);
        int[] ring = ctx.allocateIntLocalArray(TileRing.localInts(stages, DIM));
        Tile.align(ring, 128);
        int base = Tile.address(ring) + TileRing.START;
        int shared = base + stages * tileBytes;
        int me = ctx.localIdx;
        int lane = me & 31;
        int warp = me >> 5;
        int quad = lane & 3;
        int row = lane >> 2;
        int unit = ctx.groupIdx / splits;
        int split = ctx.groupIdx % splits;
        int kvUnit = unit / (group / hw);
        int length = lengths.get(kvUnit / kvHeads);
        int perSplit = CgDecodeState.keysPerSplit(length, splits, KEYS);
        int from = Math.min(split * perSplit, length);
        int to = Math.min(from + perSplit, length);
        int count = (to - from + KEYS - 1) / KEYS;
        int sequence = kvUnit * capacity;
        int first = (sequence + from) * DIM;
        int scoreAt = base + TileRing.scoreByte(lane, DIM) + warp * TileRing.pieceBytes(DIM);
        int sumAt = base + TileRing.sumByte(lane, DIM) + warp * TileRing.pieceBytes(DIM);
        int keyAt = 16 * warp + 2 * quad;
        float counts = (row & 3) < hw ? 1f : 0f; // rows without a head have the last one again

        int[] qf = new int[DIM / 4];
        int[] b = new int[4];
        int[] f = new int[DIM / 4];
        int[] w = new int[4];
        int[] both = new int[2];
        float[] s = new float[8];
        float[] acc = new float[DIM / 2];
        float[] m = new float[MOMENTS / 32];
        float[] common = new float[1];
        start(ring, base, k, first, count, me, stages, tileBytes);
        float largest = TileRing.factor(qf, common, scaledQ, (unit * hw + Math.min(row & 3, hw - 1)) * DIM, k, sequence, quad, DIM);
        float times = largest * LOG2E;
        if (quad == 0) {
            Tile.storeLocal2(ring, shared + 256 + warp * 128 + row * 16, common[0], 0f); // for the end: a register less meanwhile
        }

        Tile.await(stages - 2);
        TileRing.clear(ring, base, to - from, me, DIM);
        ctx.localBarrier();
        float top = Masking.LOW;
        TileRing.scores(s, qf, b, ring, scoreAt, DIM);
        for (int i = 0; i < 4; i++) {
            int at = 4 * (i >> 1) + (i & 1);
            top = Math.max(top, from + keyAt + 8 * (i >> 1) + (i & 1) < to ? (s[at] + s[at + 2]) * times : Masking.LOW);
        }
        float reference = ofHead(ring, shared, TilePieces.quadMax(top), row, warp, quad, ctx);
        float best = reference;
        float total = 0f;
        for (int i = 0; i < MOMENTS / 32; i++) {
            m[i] = 0f;
        }
        int again = count > 0 ? 1 : 0;
        for (int round = 0; round < 2 && again != 0; round++) {
            top = Masking.LOW;
            total = 0f;
            for (int i = 0; i < DIM / 2; i++) {
                acc[i] = 0f;
            }
            for (int i = 0; i < MOMENTS / 32; i++) {
                m[i] = 0f;
            }
            if (round > 0) {
                start(ring, base, k, first, count, me, stages, tileBytes);
            }
            int last = (stages - 1) * tileBytes;
            int free = last;
            int stage = 0;
            int left = to - from;
            int next = first + (stages - 1) * (KEYS * DIM);
            for (int n = 0; n < count; n++) {
                Tile.await(stages - 2);
                TileRing.clear(ring, base + stage, left, me, DIM);
                ctx.localBarrier();
                if (left > (stages - 1) * KEYS) {
                    TileRing.copy(ring, base + free, k, next, me, DIM);
                }
                Tile.commit();
                TileRing.scores(s, qf, b, ring, scoreAt + stage, DIM);
                for (int i = 0; i < 2; i++) {
                    float e0 = keyAt + 8 * i < left ? (s[4 * i] + s[4 * i + 2]) * times - reference : HIDDEN;
                    float e1 = keyAt + 8 * i + 1 < left ? (s[4 * i + 1] + s[4 * i + 3]) * times - reference : HIDDEN;
                    top = Math.max(top, Math.max(e0, e1));
                    float p0 = Tile.exp2(e0);
                    float p1 = Tile.exp2(e1);
                    float w0 = p0 * (row < 4 ? 1f : e0);
                    float w1 = p1 * (row < 4 ? 1f : e1);
                    total += w0 + w1;
                    TileRing.halves(w, 2 * i, w0, w1);
                    p0 = ofHeads(hw == HEADS ? p0 : p0 * counts);
                    p1 = ofHeads(hw == HEADS ? p1 : p1 * counts);
                    both[i] = Tile.half2(p0, p1);
                }
                for (int j = 0; j < DIM / 16; j++) {
                    Tile.load4Transposed(f, 4 * j, ring, sumAt + stage + TileRing.dimsAt(j, DIM));
                    Tile.mma(acc, 8 * j, w, 0, f, 4 * j);
                    Tile.mma(acc, 8 * j + 4, w, 0, f, 4 * j + 2);
                }
                for (int j = 0; j < DIM / 16; j++) {
                    b[0] = Tile.multiply2(f[4 * j], both[0]);
                    b[1] = Tile.multiply2(f[4 * j + 2], both[0]);
                    b[2] = Tile.multiply2(f[4 * j + 1], both[1]);
                    b[3] = Tile.multiply2(f[4 * j + 3], both[1]);
                    for (int c = 0; c < DIM / 16; c++) {
                        if (c >= j) {
                            Tile.mma(m, 8 * block(j, c), b, 0, f, 4 * c);
                            Tile.mma(m, 8 * block(j, c) + 4, b, 0, f, 4 * c + 2);
                        }
                    }
                }
                free = stage;
                stage = stage == last ? 0 : stage + tileBytes;
                left -= KEYS;
                next += KEYS * DIM;
            }
            Tile.await(0);
            float rise = ofHead(ring, shared, TilePieces.quadMax(top), row, warp, quad, ctx);
            best = reference + rise;
            again = Tile.count(rise > MARGIN ? 1 : 0);
            reference = again != 0 ? best : reference;
        }
        TileRing.spread(ring, base + warp * (32 * DIM), acc, row, quad, DIM);
        int matrices = base + WARPS * 32 * DIM;
        for (int i = 0; i < MOMENTS / 128; i++) {
            int at = matrices + warp * (4 * MOMENTS) + i * 512 + lane * 16;
            Tile.storeLocal2(ring, at, m[4 * i], m[4 * i + 1]);
            Tile.storeLocal2(ring, at + 8, m[4 * i + 2], m[4 * i + 3]);
        }
        float[] four = new float[4];
        total = TilePieces.quadSum(total);
        if (quad == 0) {
            Tile.storeLocal2(ring, shared + warp * 128 + row * 16, total, (reference - best) * LN2);
            Tile.loadLocal4(four, 0, ring, shared + 256 + warp * 128 + row * 16);
            Tile.storeLocal2(ring, shared + warp * 128 + row * 16 + 8, best * LN2 - four[0], 0f);
        }
        ctx.localBarrier();
        float[] sumZ = new float[4];
        float[] sumTz = new float[4];
        for (int i = 0; i < MOMENTS / 256; i++) {
            for (int e = 0; e < 4; e++) {
                sumZ[e] = 0f;
            }
            TileDecode.add(sumZ, four, 1f, ring, matrices + i * 1024 + me * 16);
            TileDecode.add(sumZ, four, 1f, ring, matrices + 4 * MOMENTS + i * 1024 + me * 16);
            Tile.store4(moments, ctx.groupIdx * MOMENTS + i * 256 + me * 4, sumZ[0], sumZ[1], sumZ[2], sumZ[3]);
        }
        for (int n = me; n < hw * (DIM / 4); n += THREADS) {
            int h = n / (DIM / 4);
            int d = 4 * (n % (DIM / 4));
            int out = ((unit * hw + h) * splits + split) * WIDTH;
            float omega = 0f;
            float sumT = 0f;
            float rise = 0f;
            float largestScore = 0f;
            for (int i = 0; i < 4; i++) {
                sumZ[i] = 0f;
                sumTz[i] = 0f;
            }
            for (int i = 0; i < WARPS; i++) {
                int numbers = shared + i * 128 + h * 16;
                int vectors = base + i * (32 * DIM) + h * (4 * DIM) + 4 * d;
                Tile.loadLocal4(four, 0, ring, numbers);
                omega += four[0];
                rise = four[1];
                largestScore = four[2];
                Tile.loadLocal4(four, 0, ring, numbers + 64);
                sumT += LN2 * four[0];
                TileDecode.add(sumZ, four, 1f, ring, vectors);
                TileDecode.add(sumTz, four, LN2, ring, vectors + 16 * DIM);
            }
            float factor = count > 0 ? TornadoMath.exp(rise) : 0f; // weights are taken from the largest score after this kernel
            for (int e = 0; e < 4; e++) {
                float c = k.get(CacheLayout.index(sequence, d + e, DIM)).getFloat32();
                float z = sumZ[e] - omega * c;
                float tz = sumTz[e] - sumT * c;
                sums.set(out + d + e, count > 0 ? factor * z : 0f);
                sums.set(out + DIM + d + e, count > 0 ? factor * (tz + rise * z) : 0f);
            }
            if (d == 0) {
                sums.set(out + 2 * DIM, count > 0 ? largestScore : Masking.LOW);
                sums.set(out + 2 * DIM + 1, count > 0 ? factor * omega : 0f);
                sums.set(out + 2 * DIM + 2, count > 0 ? factor * (sumT + rise * omega) : 0f);
                sums.set(out + 2 * DIM + 3, count > 0 ? omega : 0f);
            }
        }
    }

    /** Where the block of 16 x 16 in row r, column c of blocks is among those that are summed; c is at least r. */
    static int block(int r, int c) {
        return r * (DIM / 16) - r * (r - 1) / 2 + c - r;
    }

    /** The sum over a key's heads, which are in rows of their own. */
    private static float ofHeads(float x) {
        float two = x + Tile.shuffleXor(x, 4);
        return two + Tile.shuffleXor(two, 8);
    }

    /** Starts the copies of the first tiles, each a set of its own. */
    private static void start(int[] ring, int base, HalfFloatArray k, int first, int count, int me, int stages, int tileBytes) {
        for (int n = 0; n < stages - 1; n++) {
            if (n < count) {
                TileRing.copy(ring, base + n * tileBytes, k, first + n * (KEYS * DIM), me, DIM);
            }
            Tile.commit();
        }
    }

    /** The largest x of a head, of both warps; each lane has that of its quad. Barriers. */
    private static float ofHead(int[] ring, int shared, float x, int row, int warp, int quad, KernelContext ctx) {
        float[] four = new float[4];
        ctx.localBarrier();
        if (quad == 0) {
            Tile.storeLocal2(ring, shared + warp * 128 + row * 16, x, x);
        }
        ctx.localBarrier();
        float largest = x;
        for (int i = 0; i < WARPS; i++) {
            Tile.loadLocal4(four, 0, ring, shared + i * 128 + row * 16);
            largest = Math.max(largest, four[0]);
        }
        ctx.localBarrier();
        return largest;
    }
}
