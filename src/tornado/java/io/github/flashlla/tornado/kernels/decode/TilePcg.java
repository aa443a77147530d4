package io.github.flashlla.tornado.kernels.decode;

import static io.github.flashlla.tornado.kernels.decode.TileRing.KEYS;
import static io.github.flashlla.tornado.kernels.decode.TileRing.THREADS;
import static io.github.flashlla.tornado.kernels.decode.TileRing.WARPS;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.HIDDEN;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LN2;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;

import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import uk.ac.manchester.tornado.api.KernelContext;
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
        DecodeSplit split = new DecodeSplit(ctx.groupIdx, lengths, kvHeads, group / hw, splits, KEYS);
        int sequence = DecodeSplit.kvUnit(ctx.groupIdx, group / hw, splits) * capacity; // the cache's row of the first key
        TileLane my = new TileLane(ctx.localIdx, hw, DIM);
        int count = split.tiles(KEYS);
        int first = (sequence + split.from) * DIM;
        float counts = (my.row & 3) < hw ? 1f : 0f; // rows without a head have the last one again

        int[] qf = new int[DIM / 4];
        int[] b = new int[4];
        int[] f = new int[DIM / 4];
        int[] w = new int[4];
        int[] both = new int[2];
        float[] s = new float[8];
        float[] acc = new float[DIM / 2];
        float[] m = new float[MOMENTS / 32];
        float[] common = new float[1];
        TileDecode.start(ring, base, k, first, count, my.thread, DIM, stages, tileBytes);
        float largest = TileRing.factor(qf, common, scaledQ, (split.unit * hw + my.head) * DIM, k, sequence, my.quad, DIM);
        float times = largest * LOG2E;
        if (my.quad == 0) {
            Tile.storeLocal2(ring, shared + 256 + my.warp * 128 + my.row * 16, common[0], 0f); // for the end: a register less meanwhile
        }

        Tile.await(stages - 2);
        TileRing.clear(ring, base, split.to - split.from, my.thread, DIM);
        ctx.localBarrier();
        float top = Masking.LOW;
        TileRing.scores(s, qf, b, ring, base + my.scoreAt, DIM);
        for (int i = 0; i < 4; i++) {
            int at = 4 * (i >> 1) + (i & 1);
            top = Math.max(top, split.from + my.keyAt + 8 * (i >> 1) + (i & 1) < split.to ? (s[at] + s[at + 2]) * times : Masking.LOW);
        }
        float reference = TileDecode.ofHead(ring, shared, TilePieces.quadMax(top), my.row, my.warp, my.quad, 1, ctx);
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
                TileDecode.start(ring, base, k, first, count, my.thread, DIM, stages, tileBytes);
            }
            int last = (stages - 1) * tileBytes;
            int free = last;
            int stage = 0;
            int left = split.to - split.from;
            int next = first + (stages - 1) * (KEYS * DIM);
            for (int n = 0; n < count; n++) {
                Tile.await(stages - 2);
                TileRing.clear(ring, base + stage, left, my.thread, DIM);
                ctx.localBarrier();
                if (left > (stages - 1) * KEYS) {
                    TileRing.copy(ring, base + free, k, next, my.thread, DIM);
                }
                Tile.commit();
                TileRing.scores(s, qf, b, ring, base + my.scoreAt + stage, DIM);
                for (int i = 0; i < 2; i++) {
                    float e0 = my.keyAt + 8 * i < left ? (s[4 * i] + s[4 * i + 2]) * times - reference : HIDDEN;
                    float e1 = my.keyAt + 8 * i + 1 < left ? (s[4 * i + 1] + s[4 * i + 3]) * times - reference : HIDDEN;
                    top = Math.max(top, Math.max(e0, e1));
                    float p0 = Tile.exp2(e0);
                    float p1 = Tile.exp2(e1);
                    float w0 = p0 * (my.row < 4 ? 1f : e0);
                    float w1 = p1 * (my.row < 4 ? 1f : e1);
                    total += w0 + w1;
                    TileRing.halves(w, 2 * i, w0, w1);
                    p0 = ofHeads(hw == HEADS ? p0 : p0 * counts);
                    p1 = ofHeads(hw == HEADS ? p1 : p1 * counts);
                    both[i] = Tile.half2(p0, p1);
                }
                for (int j = 0; j < DIM / 16; j++) {
                    Tile.load4Transposed(f, 4 * j, ring, base + my.sumAt + stage + TileRing.dimsAt(j, DIM));
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
            float rise = TileDecode.ofHead(ring, shared, TilePieces.quadMax(top), my.row, my.warp, my.quad, 1, ctx);
            best = reference + rise;
            again = Tile.count(rise > MARGIN ? 1 : 0);
            reference = again != 0 ? best : reference;
        }
        TileRing.spread(ring, base + my.warp * (32 * DIM), acc, my.row, my.quad, DIM);
        int matrices = base + WARPS * 32 * DIM;
        for (int i = 0; i < MOMENTS / 128; i++) {
            int at = matrices + my.warp * (4 * MOMENTS) + i * 512 + my.lane * 16;
            Tile.storeLocal2(ring, at, m[4 * i], m[4 * i + 1]);
            Tile.storeLocal2(ring, at + 8, m[4 * i + 2], m[4 * i + 3]);
        }
        float[] four = new float[4];
        total = TilePieces.quadSum(total);
        if (my.quad == 0) {
            Tile.storeLocal2(ring, shared + my.warp * 128 + my.row * 16, total, (reference - best) * LN2);
            Tile.loadLocal4(four, 0, ring, shared + 256 + my.warp * 128 + my.row * 16);
            Tile.storeLocal2(ring, shared + my.warp * 128 + my.row * 16 + 8, best * LN2 - four[0], 0f);
        }
        ctx.localBarrier();
        float[] sum = new float[4];
        for (int i = 0; i < MOMENTS / 256; i++) {
            for (int e = 0; e < 4; e++) {
                sum[e] = 0f;
            }
            TileDecode.add(sum, four, 1f, ring, matrices + i * 1024 + my.thread * 16);
            TileDecode.add(sum, four, 1f, ring, matrices + 4 * MOMENTS + i * 1024 + my.thread * 16);
            Tile.store4(moments, ctx.groupIdx * MOMENTS + i * 256 + my.thread * 4, sum[0], sum[1], sum[2], sum[3]);
        }
        TileDecode.writeSums(ring, base, shared, k, sums, sequence, split, my, hw, splits, WIDTH, DIM);
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
}
