package io.github.flashlla.tornado.kernels.decode;

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
 * The covariance of keys on half-precision matrix units: float16 cache, D = Dv of 64 or 128. With its factors the solve takes one step where
 * conjugate gradients take several, each a read of all keys.
 *
 * <pre>
 *   moments  k      -> per split sum w, sum w k, sum w z z^T, with z = k less about their mean
 *   begin    splits -> Cholesky factors, and the first direction y = A^-1 (kbar - q)  ({@link TileCovarianceSolve#begin})
 *   pass     k, v   -> per split A y, sum p v and sum p (z.y) v                       ({@link TileDecodePass})
 *   advance  splits -> x, and, where A y shows it to be too far off, the next y       ({@link TileCovarianceSolve#advance})
 *   merge           -> o                                                              ({@link TileDecode#merge})
 * </pre>
 *
 * <p>The covariance is of float16 numbers, so it is 2^-12 off for each key and element; the pass multiplies with A as it is. So what is
 * reported is the residual of A, and the factors only decide how few passes it takes.
 *
 * <p>Of w z z^T one factor is float16 numbers w z, the other is z. With roots of w in both, every product would be rounded twice, and as the two kinds of
 * fragment have their registers in another order, every factor would be copied.
 *
 * <p>A warp sums 16 x 16 blocks of the symmetric matrix for one head. Rows of blocks r, r + parts, ... are its own, of each those from r on, as
 * many as half a turn: the block (r, r + d mod n) for d to n / 2, the last of these only for half of the rows. With a tile of keys in local memory,
 * {@code slices} of its warps compute the weights of 16 keys each for all heads, and, where several warps need them, all warps make fragments of z;
 * they do so for one tile between the products of the one before, of which each row of blocks' factor is made during the row before.
 */
public final class TileCovariance {
    /** Heads of a unit at most. */
    static final int HEADS = 4;
    /** How far the score of weight 1 is above the first keys', in log2: so far weights keep their digits as float16. */
    private static final float HEADROOM = 3f;
    /** How far above that one another may lie: weights to 2^5, times z to 2^10, are float16. */
    private static final float MARGIN = 5f;
    /** Keys whose mean all are taken from. */
    private static final int SAMPLES = 16;
    /** 1.5 2^18: adding this many times a size to a number and subtracting it again rounds the number to about 1/32 of that size. */
    private static final float COARSE = 393216f;
    /** Tiles that are copied ahead. */
    static final int AHEAD = 3;
    /** Bytes of the weights of 16 keys for {@value #HEADS} heads, and of what is left of them. */
    private static final int SLICE_BYTES = 2 * 32 * HEADS;

    private TileCovariance() {}

    /** Heads of a key/value head that share what is read of it. */
    static int headsPerUnit(int group) {
        return group % 4 == 0 ? 4 : group % 2 == 0 ? 2 : 1;
    }

    /** Threads of {@link #moments}. */
    static int threads(int dim, int hw) {
        return dim <= 64 || hw == 1 ? 128 : 256;
    }

    /** Groups of {@link #moments} that a multiprocessor holds. */
    static int groupsPerUnit(int dim, int hw) {
        return dim <= 64 ? 3 : hw == 1 ? 2 : 1;
    }

    /** Warps that share a head's matrix. */
    static int parts(int dim) {
        return dim <= 64 ? 1 : 2;
    }

    /** Keys of a tile. */
    static int tile(int dim) {
        return dim <= 64 ? 64 : 32;
    }

    /** Sets of a head's sums of one split: warps that take other keys of each tile. */
    static int shares(int dim, int hw) {
        return threads(dim, hw) / 32 / (parts(dim) * hw);
    }

    /** Blocks of 16 x 16 of a head's matrix. */
    static int blocks(int dim) {
        return dim / 16 * (dim / 16 + 1) / 2;
    }

    /** Tiles in local memory: those on their way, and one more that is read. */
    static int stages(int hw) {
        return hw > 1 ? AHEAD : AHEAD + 1;
    }

    /** Bytes of local memory. */
    static int localBytes(int dim, int hw) {
        return TileRing.START + stages(hw) * tileBytes(dim) + centredBytes(dim, hw) + 2 * (tile(dim) / 16) * SLICE_BYTES + SLICE_BYTES + 36 * dim;
    }

    /** Bytes of two tiles of z as fragments. With one head, no other warp would read them. */
    private static int centredBytes(int dim, int hw) {
        return hw > 1 ? 2 * 2 * tile(dim) * dim : 0;
    }

    static int tileBytes(int dim) {
        return tile(dim) / TileRing.KEYS * TileRing.tileBytes(dim);
    }

    /**
     * The moments of every head and split.
     *
     * @param k the cache's keys
     * @param scaledQ (B,H,D), times the scale
     * @param lengths (B)
     * @param moments out (B*H,splits,shares,parts,blocks of a part,256): sum w z z^T, in the order of {@link TileCovarianceSolve}
     * @param sums out (B*H,splits,D + 3): sum w z, sum w, the largest score, the score of weight 1; scores are of k less the first key
     * @param capacity rows of a sequence in the cache
     * @param hw heads of a unit
     */
    public static void moments(KernelContext ctx, HalfFloatArray k, FloatArray scaledQ, IntArray lengths, FloatArray moments, FloatArray sums,
            int capacity, int kvHeads, int group, int hw, int splits, int dim, int stages, int threads, int groups) {
        Tile.launchBounds(threads, groups);
        int tile = tile(dim);
        int slices = tile / 16;
        int parts = parts(dim);
        int shares = threads / 32 / (parts * hw);
        int n16 = dim / 16;
        int perPart = n16 * (n16 + 1) / 2 / parts;
        int tileBytes = tileBytes(dim);
        int warps = threads / 32;
        int half = centredBytes(dim, hw) / 2;
        int held = hw > 1 ? slices * n16 / warps : 0; // blocks of 16 keys by 16 dims of which a warp makes z
        int[] ring = ctx.allocateIntLocalArray((TileRing.START + stages * tileBytes + 2 * half + 2 * slices * SLICE_BYTES + SLICE_BYTES + 36 * dim)
                / Integer.BYTES);
        Tile.align(ring, 128);
        int base = Tile.address(ring) + TileRing.START;
        int centred = base + stages * tileBytes;
        int weights = centred + 2 * half;
        int shared = weights + 2 * slices * SLICE_BYTES;
        int queries = shared + SLICE_BYTES;
        int centres = queries + 32 * dim;
        int me = ctx.localIdx;
        int lane = me & 31;
        int warp = me >> 5;
        int quad = lane & 3;
        int row = lane >> 2;
        int share = warp % shares;
        int mine = warp / shares % hw;
        int part = parts > 1 ? warp / (shares * hw) : 0;
        DecodeSplit split = new DecodeSplit(ctx.groupIdx, lengths, kvHeads, group / hw, splits, tile);
        int sequence = DecodeSplit.kvUnit(ctx.groupIdx, group / hw, splits) * capacity; // the cache's row of the first key
        int count = split.tiles(tile);
        int whole = (split.to - split.from) / tile;
        int first = (sequence + split.from) * dim;
        int scoreAt = base + TileRing.scoreByte(lane, dim) + TileRing.sliceAt(warp, dim);
        int sumAt = base + TileRing.sumByte(lane, dim) + TileRing.sliceAt(share, dim);
        int centredAt = centred + share * (n16 * 512) + lane * 16;
        int makesAt = centred + warp * (held * 512) + lane * 16;
        int makes = warp * held % n16;
        int makesFrom = base + TileRing.scoreByte(lane, dim) + TileRing.sliceAt(warp * held / n16, dim) + TileRing.dimsAt(makes, dim);
        int makesCentre = centres + (8 * makes + row) * 8;
        int weighs = slices == warps || warp < slices ? 1 : 0;
        int left = split.to - split.from - 16 * warp - 2 * quad;

        int[] qf = new int[dim / 4];
        int[] a = new int[8];
        int[] b = new int[4];
        int[] both = new int[4];
        int[] w = new int[2];
        int[] f = new int[dim / 4 + 4];
        int[] centre = new int[dim / 8];
        float[] s = new float[8];
        float[] acc = new float[8 * perPart];
        float[] sumK = new float[dim / 4];
        float[] kept = new float[2];
        float[] common = new float[1];
        CovarianceKeys.start(ring, base, k, first, count, me, dim, threads);
        float largest = TileRing.factor(qf, common, scaledQ, (split.unit * hw + Math.min(row & 3, hw - 1)) * dim, k, sequence, quad, dim);
        float times = largest * LOG2E;
        if (warp == 0) { // all warps have the same; sums need the registers
            for (int i = 0; i < dim / 4; i++) {
                Tile.storeLocal(ring, queries + i * 128 + lane * 4, qf[i]);
            }
        }
        if (me < dim) {
            float c = centre(k, sequence, split.length, me, dim);
            Tile.storeLocal(ring, centres + (8 * (me / 16) + me % 8) * 8 + me / 8 % 2 * 4, Tile.half2(c, c));
        }

        Tile.await(AHEAD - 1);
        CovarianceKeys.clear(ring, base, split.to - split.from, me, dim, threads);
        ctx.localBarrier();
        if (hw == 1 && dim <= 64) { // above there are no registers left for it
            for (int m = 0; m < n16; m++) {
                Tile.loadLocalBits2(centre, 2 * m, ring, centres + (8 * (part + m & n16 - 1) + row) * 8);
            }
        }
        float top = Masking.LOW;
        if (weighs != 0) {
            CovarianceKeys.scores(s, qf, b, ring, queries + 16 * lane, scoreAt, dim);
            for (int i = 0; i < 4; i++) {
                int at = 4 * (i >> 1) + (i & 1);
                top = Math.max(top, left > 8 * (i >> 1) + (i & 1) ? (s[at] + s[at + 2]) * times : Masking.LOW);
            }
        }
        float reference = CovarianceKeys.ofHead(ring, shared, TilePieces.quadMax(top), row, warp, quad, slices, ctx) + HEADROOM;
        int again = count > 0 ? 1 : 0;
        float best = reference;
        for (int round = 0; round < 2 && again != 0; round++) {
            kept[0] = Masking.LOW;
            kept[1] = 0f;
            for (int i = 0; i < 8 * perPart; i++) {
                acc[i] = 0f;
            }
            for (int i = 0; i < dim / 4; i++) {
                sumK[i] = 0f;
            }
            if (round > 0) {
                CovarianceKeys.start(ring, base, k, first, count, me, dim, threads);
                Tile.await(AHEAD - 1);
                CovarianceKeys.clear(ring, base, split.to - split.from, me, dim, threads);
                ctx.localBarrier();
            }
            if (weighs != 0) {
                CovarianceKeys.scores(s, qf, b, ring, queries + 16 * lane, scoreAt, dim);
                CovarianceKeys.weigh(w, kept, s, times, reference, left, row);
                CovarianceKeys.keep(ring, weights + warp * SLICE_BYTES, w, row, quad);
            }
            CovarianceKeys.takeIn(sumK, w, b, ring, scoreAt, makesFrom, makesAt, makesCentre, weighs, held, dim);
            int last = (stages - 1) * tileBytes;
            int before = last;
            int stage = 0;
            for (int n = 0; n < count; n++) {
                int next = stage == last ? 0 : stage + tileBytes;
                Tile.await(AHEAD - 2);
                if (n + 1 >= whole) {
                    CovarianceKeys.clear(ring, base + next, split.to - split.from - (n + 1) * tile, me, dim, threads);
                }
                ctx.localBarrier();
                if (n + AHEAD < count) {
                    CovarianceKeys.copy(ring, base + (hw > 1 ? stage : before), k, first + (n + AHEAD) * (tile * dim), me, dim, threads);
                }
                Tile.commit();
                int weightAt = weights + (n & 1) * (slices * SLICE_BYTES) + share * SLICE_BYTES + mine * 32 + quad * 8;
                int from16 = hw > 1 ? centredAt + (n & 1) * half : sumAt + stage;
                int other = n + 1 & 1;
                for (int i = 0; i < slices / shares; i++) {
                    int more = dim <= 64 && i + 1 < slices / shares ? 1 : 0; // there are registers to load the next slice meanwhile
                    if (i == 0 || dim > 64) {
                        int slice = shares * i;
                        Tile.loadLocalBits2(both, 2 * (i & 1), ring, weightAt + slice * SLICE_BYTES);
                        for (int m = 0; m < n16; m++) {
                            CovarianceKeys.load(f, CovarianceKeys.place(i, m, n16), m, centre, ring, from16
                                    + slice * (hw > 1 ? n16 * 512 : TileRing.sliceAt(1, dim)), part,
                                    centres + 8 * row, hw, dim);
                        }
                        for (int e = 0; e < 4; e++) {
                            a[e] = Tile.multiply2(f[4 * CovarianceKeys.place(i, 0, n16) + (e & 1) * 2 + e / 2], both[2 * (i & 1) + e / 2]);
                        }
                    }
                    int ahead = from16 + shares * (i + 1) * (hw > 1 ? n16 * 512 : TileRing.sliceAt(1, dim));
                    if (more != 0) {
                        Tile.loadLocalBits2(both, 2 * (i + 1 & 1), ring, weightAt + shares * (i + 1) * SLICE_BYTES);
                        CovarianceKeys.load(f, CovarianceKeys.place(i + 1, 0, n16), 0, centre, ring, ahead, part, centres + 8 * row, hw, dim);
                    }
                    for (int j = 0; j < n16 / parts; j++) {
                        int lastRow = (j + 1) * parts / n16;
                        int rows = 4 * CovarianceKeys.place(i + lastRow, parts * (j + 1) & n16 - 1, n16);
                        int weight = 2 * (i + lastRow & 1);
                        int now = 4 * (j & 1);
                        int then = 4 - now;
                        int beyond = j < n16 / (2 * parts) ? 1 : 0;
                        int block = j * (n16 / 2) + Math.min(j, n16 / (2 * parts));
                        for (int d = 0; d < n16 / 2 + 1; d++) {
                            if (d < n16 / 2 + beyond) {
                                int column = 4 * CovarianceKeys.place(i, parts * j + d & n16 - 1, n16);
                                Tile.mma(acc, 8 * (block + d), a, now, f, column);
                                if (d < 2 && lastRow <= more) { // of the next row of blocks, meanwhile
                                    a[then + 2 * d] = Tile.multiply2(f[rows + d], both[weight + d]);
                                }
                                Tile.mma(acc, 8 * (block + d) + 4, a, now, f, column + 2);
                                if (d < 2 && lastRow <= more) {
                                    a[then + 2 * d + 1] = Tile.multiply2(f[rows + 2 + d], both[weight + d]);
                                }
                            }
                        }
                        for (int m = 1; m < n16; m++) { // those that no later row needs
                            if (more != 0 && j == CovarianceKeys.lastUse(m, n16, parts)) {
                                CovarianceKeys.load(f, m, m, centre, ring, ahead, part, centres + 8 * row, hw, dim);
                            }
                        }
                    }
                    if (i == 0 && weighs != 0) {
                        CovarianceKeys.scores(s, qf, b, ring, queries + 16 * lane, scoreAt + next, dim);
                    }
                    if (i == Math.min(1, slices / shares - 1) && weighs != 0) {
                        CovarianceKeys.weigh(w, kept, s, times, reference, left - (n + 1) * tile, row);
                        CovarianceKeys.keep(ring, weights + (other * slices + warp) * SLICE_BYTES, w, row, quad);
                    }
                    if (i == Math.min(2, slices / shares - 1)) {
                        CovarianceKeys.takeIn(sumK, w, b, ring, scoreAt + next, makesFrom + next, makesAt + other * half, makesCentre, weighs, held, dim);
                    }
                }
                before = stage;
                stage = next;
            }
            Tile.await(0);
            float rise = CovarianceKeys.ofHead(ring, shared, TilePieces.quadMax(kept[0]), row, warp, quad, slices, ctx);
            best = reference + rise;
            again = Tile.count(rise > MARGIN ? 1 : 0);
            reference = again != 0 ? best : reference;
        }
        int out = (((((split.unit * hw + mine) * splits + split.number) * shares + share) * parts + part) * perPart) * 256 + 2 * lane;
        for (int i = 0; i < 2 * perPart; i++) { // 0 of a split without keys: sums that were never set may be no numbers, which no weight of 0 undoes
            Tile.store2(moments, out + 128 * i, count > 0 ? acc[4 * i] : 0f, count > 0 ? acc[4 * i + 1] : 0f);
            Tile.store2(moments, out + 128 * i + 64, count > 0 ? acc[4 * i + 2] : 0f, count > 0 ? acc[4 * i + 3] : 0f);
        }
        if (weighs != 0) {
            float total = TilePieces.quadSum(kept[1]);
            for (int i = 0; i < dim / 4; i++) {
                sumK[i] += Tile.shuffleXor(sumK[i], 2); // larger and smaller halves of weights
            }
            if (quad < 2) {
                for (int i = 0; i < dim / 8; i++) {
                    Tile.storeLocal2(ring, base + warp * (16 * dim) + (8 * i + row) * 16 + 8 * quad, sumK[2 * i], sumK[2 * i + 1]);
                }
            }
            if (quad == 0 && row < HEADS) {
                Tile.storeLocal2(ring, shared + warp * 32 + row * 8, total, reference);
            }
        }
        ctx.localBarrier();
        float[] four = new float[4];
        for (int n = me; n < hw * dim; n += threads) {
            int h = n / dim;
            int d = n % dim;
            float omega = 0f;
            float sum = 0f;
            for (int i = 0; i < slices; i++) {
                Tile.loadLocal4(four, 0, ring, shared + i * 32 + h / 2 * 16);
                omega += h % 2 == 0 ? four[0] : four[2];
                Tile.loadLocal4(four, 0, ring, base + i * (16 * dim) + d * 16);
                float low = h % 2 == 0 ? four[0] : four[1];
                float high = h % 2 == 0 ? four[2] : four[3];
                sum += h < 2 ? low : high;
            }
            Tile.loadLocalBits2(w, 0, ring, centres + (8 * (d / 16) + d % 8) * 8);
            float c = Tile.low(d / 8 % 2 == 0 ? w[0] : w[1]);
            sums.set(((split.unit * hw + h) * splits + split.number) * (dim + 3) + d, count > 0 ? sum - omega * c : 0f);
            if (d == 0) {
                sums.set(((split.unit * hw + h) * splits + split.number) * (dim + 3) + dim, count > 0 ? omega : 0f);
            }
        }
        if (quad == 0 && row < hw && warp == 0) {
            int at = ((split.unit * hw + row) * splits + split.number) * (dim + 3) + dim;
            sums.set(at + 1, count > 0 ? best * LN2 - common[0] : Masking.LOW);
            sums.set(at + 2, count > 0 ? reference * LN2 - common[0] : Masking.LOW);
        }
    }

    /**
     * What keys are taken from: the mean of {@value #SAMPLES}, rounded to a 32nd or so of what these differ by. A finer one would have digits that keys
     * lack, and differences as float16 would be off by the same for all keys.
     */
    static float centre(HalfFloatArray k, int sequence, int length, int d, int dim) {
        float sum = 0f;
        float squares = 0f;
        float origin = k.get(CacheLayout.index(sequence, d, dim)).getFloat32();
        for (int i = 0; i < SAMPLES; i++) {
            float x = k.get(CacheLayout.index(sequence + (int) ((2 * i + 1) / (2f * SAMPLES) * length), d, dim)).getFloat32() - origin;
            sum += x;
            squares += x * x;
        }
        float mean = sum / SAMPLES;
        float coarse = COARSE * TornadoMath.sqrt(Math.max(squares / SAMPLES - mean * mean, 1e-12f));
        float c = (origin + mean + coarse) - coarse;
        return Tile.low(Tile.half2(c, c));
    }
}
