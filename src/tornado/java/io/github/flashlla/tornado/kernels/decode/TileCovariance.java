package io.github.flashlla.tornado.kernels.decode;

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
 * {@code slices} of its warps compute the weights of 16 keys each for all heads; they do so for one tile while all warps sum the one before.
 */
public final class TileCovariance {
    /** Heads of a unit at most. */
    private static final int HEADS = 4;
    /** How far the score of weight 1 is above the first keys', in log2: so far weights keep their digits as float16. */
    private static final float HEADROOM = 3f;
    /** How far above that one another may lie: weights to 2^5, times z to 2^10, are float16. */
    private static final float MARGIN = 5f;
    /** Keys whose mean all are taken from. */
    private static final int SAMPLES = 16;
    /** 1.5 2^18: adding this many times a size to a number and subtracting it again rounds the number to about 1/32 of that size. */
    private static final float COARSE = 393216f;
    /** Bytes of the weights of 16 keys for {@value #HEADS} heads. */
    private static final int SLICE_BYTES = 32 * HEADS;

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

    static int stages() {
        return 4;
    }

    /** Bytes of local memory. */
    static int localBytes(int dim) {
        return TileRing.START + stages() * tileBytes(dim) + 2 * (tile(dim) / 16) * SLICE_BYTES + SLICE_BYTES + 36 * dim;
    }

    private static int tileBytes(int dim) {
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
        int[] ring = ctx.allocateIntLocalArray((TileRing.START + stages * tileBytes + 2 * slices * SLICE_BYTES + SLICE_BYTES + 36 * dim) / Integer.BYTES);
        Tile.align(ring, 128);
        int base = Tile.address(ring) + TileRing.START;
        int weights = base + stages * tileBytes;
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
        int part = warp / (shares * hw);
        int unit = ctx.groupIdx / splits;
        int split = ctx.groupIdx % splits;
        int kvUnit = unit / (group / hw);
        int length = lengths.get(kvUnit / kvHeads);
        int perSplit = CgDecodeState.keysPerSplit(length, splits, tile);
        int from = Math.min(split * perSplit, length);
        int to = Math.min(from + perSplit, length);
        int count = (to - from + tile - 1) / tile;
        int sequence = kvUnit * capacity;
        int first = (sequence + from) * dim;
        int scoreAt = base + TileRing.scoreByte(lane, dim) + TileRing.sliceAt(warp, dim);
        int sumAt = base + TileRing.sumByte(lane, dim) + TileRing.sliceAt(share, dim);
        int weighs = warp < slices ? 1 : 0;
        int keyAt = from + 16 * warp + 2 * quad;

        int[] qf = new int[dim / 4];
        int[] b = new int[4];
        int[] both = new int[2];
        int[] w = new int[2];
        int[] f = new int[dim / 4];
        int[] centre = new int[dim / 8];
        float[] s = new float[8];
        float[] acc = new float[8 * perPart];
        float[] sumK = new float[dim / 4];
        float[] common = new float[1];
        start(ring, base, k, first, count, me, dim, stages);
        float largest = TileRing.factor(qf, common, scaledQ, (unit * hw + Math.min(row & 3, hw - 1)) * dim, k, sequence, quad, dim);
        float times = largest * LOG2E;
        if (warp == 0) { // all warps have the same; sums need the registers
            for (int i = 0; i < dim / 4; i++) {
                Tile.storeLocal(ring, queries + i * 128 + lane * 4, qf[i]);
            }
        }
        if (me < dim) {
            float c = centre(k, sequence, length, me, dim);
            Tile.storeLocal(ring, centres + (8 * (me / 16) + me % 8) * 8 + me / 8 % 2 * 4, Tile.half2(c, c));
        }

        Tile.await(stages - 2);
        clear(ring, base, to - from, me, dim);
        ctx.localBarrier();
        if (dim <= 64) { // above there are no registers left for it
            for (int m = 0; m < n16; m++) {
                Tile.loadLocalBits2(centre, 2 * m, ring, centres + (8 * (part + m & n16 - 1) + row) * 8);
            }
        }
        float top = Masking.LOW;
        if (weighs != 0) {
            scores(s, f, b, ring, queries + 16 * lane, scoreAt, dim);
            for (int i = 0; i < 4; i++) {
                int at = 4 * (i >> 1) + (i & 1);
                top = Math.max(top, keyAt + 8 * (i >> 1) + (i & 1) < to ? (s[at] + s[at + 2]) * times : Masking.LOW);
            }
        }
        float reference = ofHead(ring, shared, TilePieces.quadMax(top), row, warp, quad, slices, ctx) + HEADROOM;
        float total = 0f;
        int again = count > 0 ? 1 : 0;
        float best = reference;
        for (int round = 0; round < 2 && again != 0; round++) {
            top = Masking.LOW;
            total = 0f;
            for (int i = 0; i < 8 * perPart; i++) {
                acc[i] = 0f;
            }
            for (int i = 0; i < dim / 4; i++) {
                sumK[i] = 0f;
            }
            if (round > 0) {
                start(ring, base, k, first, count, me, dim, stages);
                Tile.await(stages - 2);
                clear(ring, base, to - from, me, dim);
                ctx.localBarrier();
            }
            int last = (stages - 1) * tileBytes;
            int free = last;
            int stage = 0;
            for (int n = -1; n < count; n++) {
                int next = n < 0 ? 0 : stage == last ? 0 : stage + tileBytes;
                if (n >= 0) {
                    Tile.await(stages - 3);
                    clear(ring, base + next, to - from - (n + 1) * tile, me, dim);
                    ctx.localBarrier();
                    if (n + stages - 1 < count) {
                        copy(ring, base + free, k, first + (n + stages - 1) * (tile * dim), me, dim);
                    }
                    Tile.commit();
                    int weightAt = weights + (n & 1) * (slices * SLICE_BYTES) + share * SLICE_BYTES + mine * 32 + quad * 8;
                    for (int i = 0; i < slices / shares; i++) {
                        int slice = shares * i;
                        for (int m = 0; m < n16; m++) {
                            Tile.load4Transposed(f, 4 * m, ring, sumAt + stage + TileRing.sliceAt(slice, dim)
                                    + TileRing.dimsAt(part + m & n16 - 1, dim));
                        }
                        if (share + slice == warp) {
                            for (int m = 0; m < n16; m++) {
                                b[0] = f[4 * m];
                                b[1] = f[4 * m + 2];
                                b[2] = f[4 * m + 1];
                                b[3] = f[4 * m + 3];
                                Tile.mma(sumK, 4 * m, b, 0, w, 0);
                            }
                        }
                        Tile.loadLocalBits2(both, 0, ring, weightAt + slice * SLICE_BYTES);
                        for (int m = 0; m < n16; m++) {
                            if (dim > 64) {
                                Tile.loadLocalBits2(centre, 2 * m, ring, centres + (8 * (part + m & n16 - 1) + row) * 8);
                            }
                            for (int i4 = 4 * m; i4 < 4 * m + 4; i4++) {
                                f[i4] = Tile.subtract2(f[i4], centre[i4 / 2]);
                            }
                        }
                        for (int j = 0; j < n16 / parts; j++) {
                            int beyond = j < n16 / (2 * parts) ? 1 : 0;
                            int block = j * (n16 / 2) + Math.min(j, n16 / (2 * parts));
                            int rows = 4 * parts * j;
                            b[0] = Tile.multiply2(f[rows], both[0]);
                            b[1] = Tile.multiply2(f[rows + 2], both[0]);
                            b[2] = Tile.multiply2(f[rows + 1], both[1]);
                            b[3] = Tile.multiply2(f[rows + 3], both[1]);
                            for (int d = 0; d < n16 / 2 + 1; d++) {
                                if (d < n16 / 2 + beyond) {
                                    int column = 4 * (parts * j + d & n16 - 1);
                                    Tile.mma(acc, 8 * (block + d), b, 0, f, column);
                                    Tile.mma(acc, 8 * (block + d) + 4, b, 0, f, column + 2);
                                }
                            }
                        }
                    }
                    free = stage;
                    stage = next;
                }
                if (weighs != 0) {
                    scores(s, f, b, ring, queries + 16 * lane, scoreAt + next, dim);
                    for (int i = 0; i < 2; i++) {
                        int key = keyAt + (n + 1) * tile + 8 * i;
                        float e0 = key < to ? (s[4 * i] + s[4 * i + 2]) * times - reference : HIDDEN;
                        float e1 = key + 1 < to ? (s[4 * i + 1] + s[4 * i + 3]) * times - reference : HIDDEN;
                        top = Math.max(top, Math.max(e0, e1));
                        float w0 = Tile.exp2(e0);
                        float w1 = Tile.exp2(e1);
                        total += w0 + w1;
                        int pair = Tile.half2(w0, w1);
                        int rest = Tile.half2(w0 - Tile.low(pair), w1 - Tile.high(pair));
                        w[i] = row < HEADS ? pair : rest;
                    }
                    if (row < HEADS) {
                        int at = weights + ((n + 1 & 1) * slices + warp) * SLICE_BYTES + row * 32 + quad * 8;
                        Tile.storeLocal(ring, at, w[0]);
                        Tile.storeLocal(ring, at + 4, w[1]);
                    }
                }
            }
            Tile.await(0);
            float rise = ofHead(ring, shared, TilePieces.quadMax(top), row, warp, quad, slices, ctx);
            best = reference + rise;
            again = Tile.count(rise > MARGIN ? 1 : 0);
            reference = again != 0 ? best : reference;
        }
        int out = (((((unit * hw + mine) * splits + split) * shares + share) * parts + part) * perPart) * 256 + 2 * lane;
        for (int i = 0; i < 2 * perPart; i++) {
            Tile.store2(moments, out + 128 * i, acc[4 * i], acc[4 * i + 1]);
            Tile.store2(moments, out + 128 * i + 64, acc[4 * i + 2], acc[4 * i + 3]);
        }
        if (weighs != 0) {
            total = TilePieces.quadSum(total);
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
            Tile.loadLocalBits2(both, 0, ring, centres + (8 * (d / 16) + d % 8) * 8);
            float c = Tile.low(d / 8 % 2 == 0 ? both[0] : both[1]);
            sums.set(((unit * hw + h) * splits + split) * (dim + 3) + d, count > 0 ? sum - omega * c : 0f);
            if (d == 0) {
                sums.set(((unit * hw + h) * splits + split) * (dim + 3) + dim, count > 0 ? omega : 0f);
            }
        }
        if (quad == 0 && row < hw && warp == 0) {
            int at = ((unit * hw + row) * splits + split) * (dim + 3) + dim;
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

    /** s = q k^T, 16 x 16, as {@link TileRing#scores}, of queries that are in local memory. */
    private static void scores(float[] s, int[] q, int[] b, int[] ring, int queries, int at, int dim) {
        for (int i = 0; i < 8; i++) {
            s[i] = 0f;
        }
        for (int i = 0; i < dim / 16; i++) {
            Tile.load4(q, 0, ring, queries + i * 512);
            Tile.load4(b, 0, ring, at + TileRing.dimsAt(i, dim));
            Tile.mma(s, 0, q, 0, b, 0);
            Tile.mma(s, 4, q, 0, b, 2);
        }
    }

    /** Starts the copies of the first tiles, each a set of its own. */
    private static void start(int[] ring, int base, HalfFloatArray k, int first, int count, int me, int dim, int stages) {
        for (int n = 0; n < stages - 1; n++) {
            if (n < count) {
                copy(ring, base + n * tileBytes(dim), k, first + n * (tile(dim) * dim), me, dim);
            }
            Tile.commit();
        }
    }

    private static void copy(int[] ring, int to, HalfFloatArray k, int first, int me, int dim) {
        int piece = me / TileRing.THREADS;
        if (piece < tile(dim) / TileRing.KEYS) {
            TileRing.copy(ring, to + piece * TileRing.tileBytes(dim), k, first + piece * (TileRing.KEYS * dim), me % TileRing.THREADS, dim);
        }
    }

    private static void clear(int[] ring, int to, int rows, int me, int dim) {
        int piece = me / TileRing.THREADS;
        if (piece < tile(dim) / TileRing.KEYS) {
            TileRing.clear(ring, to + piece * TileRing.tileBytes(dim), rows - piece * TileRing.KEYS, me % TileRing.THREADS, dim);
        }
    }

    /** The largest x of a head, of all warps that weigh; each lane has that of its quad. Barriers. */
    private static float ofHead(int[] ring, int shared, float x, int row, int warp, int quad, int slices, KernelContext ctx) {
        float[] four = new float[4];
        ctx.localBarrier();
        if (warp < slices && quad == 0 && row < HEADS) {
            Tile.storeLocal2(ring, shared + warp * 32 + row * 8, x, x);
        }
        ctx.localBarrier();
        float largest = Masking.LOW;
        for (int i = 0; i < slices; i++) {
            Tile.loadLocal4(four, 0, ring, shared + i * 32 + (row & 2) * 8);
            largest = Math.max(largest, (row & 1) == 0 ? four[0] : four[2]);
        }
        ctx.localBarrier();
        return largest;
    }
}
