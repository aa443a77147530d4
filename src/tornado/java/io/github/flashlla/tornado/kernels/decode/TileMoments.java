package io.github.flashlla.tornado.kernels.decode;

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
 * {@link TileCovariance#moments} for D = 64 and several heads, by warps of two kinds. One copies keys, weighs them and makes z of them for all heads; the
 * others multiply, and so have registers enough for four on each quarter of a multiprocessor's registers. They meet once a tile of 64 keys.
 */
public final class TileMoments {
    /** Warps that multiply. */
    static final int MULTIPLYING = 4;
    static final int THREADS = 32 * (MULTIPLYING + 1);
    private static final int DIM = 64;
    private static final int BLOCKS = DIM / 16;
    private static final int TILE = 64;
    private static final int SLICES = TILE / 16;
    /** Tiles in the ring, all of them on their way but the one that is read. */
    private static final int STAGES = 3;
    /** Bytes of the weights of 16 keys, larger halves and rests. */
    private static final int SLICE_BYTES = 256;
    /** Bytes of z of a tile. */
    private static final int CENTRED_BYTES = 2 * TILE * DIM;

    private TileMoments() {}

    static boolean takes(int dim, int hw) {
        return dim == DIM && hw > 1;
    }

    /** Bytes of local memory. */
    static int localBytes() {
        return TileRing.START + STAGES * tileBytes() + 2 * CENTRED_BYTES + 2 * SLICES * SLICE_BYTES + 4 * DIM + 32 * DIM;
    }

    private static int tileBytes() {
        return TILE / TileRing.KEYS * TileRing.tileBytes(DIM);
    }

    /** Parameters as {@link TileCovariance#moments}'. */
    public static void run(KernelContext ctx, HalfFloatArray k, FloatArray scaledQ, IntArray lengths, FloatArray moments, FloatArray sums,
            int capacity, int kvHeads, int group, int hw, int splits, int groups) {
        Tile.launchBounds(THREADS, groups);
        int shares = MULTIPLYING / hw;
        int perHead = BLOCKS * (BLOCKS + 1) / 2;
        int tileBytes = tileBytes();
        int[] ring = ctx.allocateIntLocalArray(localBytes() / Integer.BYTES);
        Tile.align(ring, 128);
        int base = Tile.address(ring) + TileRing.START;
        int centred = base + STAGES * tileBytes;
        int weights = centred + 2 * CENTRED_BYTES;
        int centres = weights + 2 * SLICES * SLICE_BYTES;
        int queries = centres + 4 * DIM;
        int me = ctx.localIdx;
        int lane = me & 31;
        int warp = me >> 5;
        int quad = lane & 3;
        int row = lane >> 2;
        int weighs = warp == MULTIPLYING ? 1 : 0;
        int unit = ctx.groupIdx / splits;
        int split = ctx.groupIdx % splits;
        int kvUnit = unit / (group / hw);
        int length = lengths.get(kvUnit / kvHeads);
        int perSplit = CgDecodeState.keysPerSplit(length, splits, TILE);
        int from = Math.min(split * perSplit, length);
        int to = Math.min(from + perSplit, length);
        int count = (to - from + TILE - 1) / TILE;
        int whole = (to - from) / TILE;
        int sequence = kvUnit * capacity;
        int first = (sequence + from) * DIM;
        int scoreAt = base + TileRing.scoreByte(lane, DIM);
        int left = to - from - 2 * quad;
        int centreAt = centres + row * 8;

        int[] qf = new int[DIM / 4];
        int[] a = new int[8];
        int[] b = new int[4];
        int[] both = new int[4];
        int[] w = new int[2];
        int[] f = new int[DIM / 4 + 4];
        float[] s = new float[8];
        float[] acc = new float[8 * perHead];
        float[] sumK = new float[DIM / 4];
        float[] kept = new float[2];
        float[] common = new float[1];
        float times = 0f;
        float reference = 0f;
        if (me < DIM) {
            float c = TileCovariance.centre(k, sequence, length, me, DIM);
            Tile.storeLocal(ring, centres + (8 * (me / 16) + me % 8) * 8 + me / 8 % 2 * 4, Tile.half2(c, c));
        }
        ctx.localBarrier();
        if (weighs != 0) {
            start(ring, base, k, first, count, lane);
            times = LOG2E * TileRing.factor(qf, common, scaledQ, (unit * hw + Math.min(row & 3, hw - 1)) * DIM, k, sequence, quad, DIM);
            for (int i = 0; i < DIM / 4; i++) {
                Tile.storeLocal(ring, queries + i / 4 * 512 + lane * 16 + i % 4 * 4, qf[i]);
            }
            Tile.await(STAGES - 1);
            if (whole == 0) {
                clear(ring, base, to - from, lane);
            }
            Tile.warpBarrier();
            float top = Masking.LOW;
            for (int slice = 0; slice < SLICES; slice++) {
                TileRing.scores(s, qf, b, ring, scoreAt + TileRing.sliceAt(slice, DIM), DIM);
                for (int i = 0; i < 4; i++) {
                    int at = 4 * (i >> 1) + (i & 1);
                    top = Math.max(top, left > 16 * slice + 8 * (i >> 1) + (i & 1) ? (s[at] + s[at + 2]) * times : Masking.LOW);
                }
            }
            reference = TilePieces.quadMax(top) + TileCovariance.HEADROOM;
        }
        float best = reference;
        kept[1] = 0f;
        int again = count > 0 ? 1 : 0;
        for (int round = 0; round < 2 && again != 0; round++) {
            int weighed = weighs * count;
            int multiplied = count - weighed;
            kept[0] = Masking.LOW;
            kept[1] = 0f;
            if (round > 0) {
                start(ring, base, k, first, weighed, lane);
            }
            for (int i = 0; i < DIM / 4; i++) {
                sumK[i] = 0f;
            }
            for (int m = 0; m < BLOCKS; m++) {
                Tile.loadLocalBits4(qf, 4 * m, ring, queries + m * 512 + lane * 16);
            }
            int stage = 0;
            for (int n = 0; n < weighed; n++) {
                Tile.await(STAGES - 1);
                if (n >= whole) {
                    clear(ring, base + stage, to - from - n * TILE, lane);
                }
                Tile.warpBarrier();
                int weightAt = weights + (n & 1) * (SLICES * SLICE_BYTES) + row * 32 + quad * 8;
                int centredAt = centred + (n & 1) * CENTRED_BYTES + lane * 16;
                for (int slice = 0; slice < SLICES; slice++) {
                    int at = scoreAt + stage + TileRing.sliceAt(slice, DIM);
                    TileRing.scores(s, qf, b, ring, at, DIM);
                    weigh(w, kept, s, times, reference, left - n * TILE - 16 * slice, row);
                    Tile.storeLocal(ring, weightAt + slice * SLICE_BYTES, w[0]);
                    Tile.storeLocal(ring, weightAt + slice * SLICE_BYTES + 4, w[1]);
                    for (int m = 0; m < BLOCKS; m++) {
                        Tile.load4Transposed(b, 0, ring, at + TileRing.dimsAt(m, DIM));
                        Tile.loadLocalBits2(both, 0, ring, centreAt + 64 * m);
                        Tile.mma(sumK, 4 * m, b, 0, w, 0);
                        Tile.storeLocalBits4(ring, centredAt + (slice * BLOCKS + m) * 512, Tile.subtract2(b[0], both[0]),
                                Tile.subtract2(b[2], both[0]), Tile.subtract2(b[1], both[1]), Tile.subtract2(b[3], both[1]));
                    }
                }
                Tile.warpBarrier();
                if (n + STAGES < weighed) {
                    copy(ring, base + stage, k, first + (n + STAGES) * (TILE * DIM), lane);
                }
                Tile.commit();
                stage = stage == (STAGES - 1) * tileBytes ? 0 : stage + tileBytes;
                ctx.localBarrier();
            }
            if (weighs != 0) { // to local memory, as registers are the sums' now
                Tile.await(0);
                Tile.warpBarrier();
                for (int m = 0; m < BLOCKS; m++) {
                    Tile.storeLocal2(ring, base + m * 512 + lane * 16, sumK[4 * m], sumK[4 * m + 1]);
                    Tile.storeLocal2(ring, base + m * 512 + lane * 16 + 8, sumK[4 * m + 2], sumK[4 * m + 3]);
                }
            }
            for (int i = 0; i < 8 * perHead; i++) {
                acc[i] = 0f;
            }
            int mine = warp / shares % hw;
            int share = warp % shares;
            for (int n = 0; n < multiplied; n++) {
                int weightAt = weights + (n & 1) * (SLICES * SLICE_BYTES) + share * SLICE_BYTES + mine * 32 + quad * 8;
                int centredAt = centred + (n & 1) * CENTRED_BYTES + share * (BLOCKS * 512) + lane * 16;
                ctx.localBarrier();
                Tile.loadLocalBits2(both, 0, ring, weightAt);
                for (int m = 0; m < BLOCKS; m++) {
                    Tile.loadLocalBits4(f, 4 * m, ring, centredAt + 512 * m);
                }
                for (int e = 0; e < 4; e++) {
                    a[e] = Tile.multiply2(f[(e & 1) * 2 + e / 2], both[e / 2]);
                }
                for (int i = 0; i < SLICES / shares; i++) {
                    int more = i + 1 < SLICES / shares ? 1 : 0;
                    int ahead = shares * (i + 1);
                    if (more != 0) {
                        Tile.loadLocalBits2(both, 2 * (i + 1 & 1), ring, weightAt + ahead * SLICE_BYTES);
                        Tile.loadLocalBits4(f, 4 * place(i + 1, 0), ring, centredAt + ahead * (BLOCKS * 512));
                    }
                    for (int j = 0; j < BLOCKS; j++) {
                        int last = (j + 1) / BLOCKS;
                        int rows = 4 * place(i + last, j + 1 & BLOCKS - 1);
                        int weight = 2 * (i + last & 1);
                        int now = 4 * (j & 1);
                        int beyond = j < BLOCKS / 2 ? 1 : 0;
                        int block = j * (BLOCKS / 2) + Math.min(j, BLOCKS / 2);
                        for (int d = 0; d < BLOCKS / 2 + 1; d++) {
                            if (d < BLOCKS / 2 + beyond) {
                                int column = 4 * place(i, j + d & BLOCKS - 1);
                                Tile.mma(acc, 8 * (block + d), a, now, f, column);
                                if (d < 2 && last <= more) { // of the next row of blocks, meanwhile
                                    a[4 - now + 2 * d] = Tile.multiply2(f[rows + d], both[weight + d]);
                                }
                                Tile.mma(acc, 8 * (block + d) + 4, a, now, f, column + 2);
                                if (d < 2 && last <= more) {
                                    a[4 - now + 2 * d + 1] = Tile.multiply2(f[rows + 2 + d], both[weight + d]);
                                }
                            }
                        }
                        if (more != 0 && j > 0) { // no later row needs the block
                            Tile.loadLocalBits4(f, 4 * j, ring, centredAt + ahead * (BLOCKS * 512) + 512 * j);
                        }
                    }
                }
            }
            float rise = TilePieces.quadMax(kept[0]);
            best = reference + rise;
            again = Tile.count(weighs != 0 && rise > TileCovariance.MARGIN ? 1 : 0);
            reference = again != 0 ? best : reference;
        }
        if (weighs == 0) {
            int out = ((((unit * hw + warp / shares) * splits + split) * shares + warp % shares) * perHead) * 256 + 2 * lane;
            for (int i = 0; i < 2 * perHead; i++) {
                Tile.store2(moments, out + 128 * i, acc[4 * i], acc[4 * i + 1]);
                Tile.store2(moments, out + 128 * i + 64, acc[4 * i + 2], acc[4 * i + 3]);
            }
        }
        if (weighs != 0) {
            float total = TilePieces.quadSum(kept[1]);
            for (int i = 0; i < DIM / 4; i += 4) {
                Tile.loadLocal4(sumK, i, ring, base + i * 128 + lane * 16);
            }
            for (int i = 0; i < DIM / 4; i++) {
                sumK[i] += Tile.shuffleXor(sumK[i], 2); // larger and smaller halves of weights
            }
            for (int e = 0; e < 2; e++) {
                int h = 2 * (quad & 1) + e;
                float omega = Tile.shuffle(total, 4 * h);
                int out = ((unit * hw + Math.min(h, hw - 1)) * splits + split) * (DIM + 3);
                for (int m = 0; m < BLOCKS; m++) {
                    Tile.loadLocalBits2(both, 0, ring, centreAt + 64 * m);
                    if (quad < 2 && h < hw) {
                        sums.set(out + 16 * m + row, count > 0 ? sumK[4 * m + e] - omega * Tile.low(both[0]) : 0f);
                        sums.set(out + 16 * m + 8 + row, count > 0 ? sumK[4 * m + 2 + e] - omega * Tile.low(both[1]) : 0f);
                    }
                }
            }
            if (quad == 0 && row < hw) {
                int at = ((unit * hw + row) * splits + split) * (DIM + 3) + DIM;
                sums.set(at, total);
                sums.set(at + 1, count > 0 ? best * LN2 - common[0] : Masking.LOW);
                sums.set(at + 2, count > 0 ? reference * LN2 - common[0] : Masking.LOW);
            }
        }
    }

    /** Where a block of dims of a slice of keys is among fragments: the first one, which all rows need to the end, in turn at either end. */
    private static int place(int slice, int block) {
        return block == 0 && (slice & 1) != 0 ? BLOCKS : block;
    }

    /** Weights of 16 keys as B, heads' larger halves and rests; kept: the largest exponent and the sum. */
    private static void weigh(int[] w, float[] kept, float[] s, float times, float reference, int left, int row) {
        for (int i = 0; i < 2; i++) {
            float e0 = left > 8 * i ? (s[4 * i] + s[4 * i + 2]) * times - reference : HIDDEN;
            float e1 = left > 8 * i + 1 ? (s[4 * i + 1] + s[4 * i + 3]) * times - reference : HIDDEN;
            kept[0] = Math.max(kept[0], Math.max(e0, e1));
            float w0 = Tile.exp2(e0);
            float w1 = Tile.exp2(e1);
            kept[1] += w0 + w1;
            int pair = Tile.half2(w0, w1);
            int rest = Tile.half2(w0 - Tile.low(pair), w1 - Tile.high(pair));
            w[i] = row < 4 ? pair : rest;
        }
    }

    /** Starts the copies of the first tiles, each a set of its own. */
    private static void start(int[] ring, int base, HalfFloatArray k, int first, int count, int lane) {
        for (int n = 0; n < STAGES; n++) {
            if (n < count) {
                copy(ring, base + n * tileBytes(), k, first + n * (TILE * DIM), lane);
            }
            Tile.commit();
        }
    }

    private static void copy(int[] ring, int to, HalfFloatArray k, int first, int lane) {
        for (int piece = 0; piece < TILE / TileRing.KEYS; piece++) {
            for (int half = 0; half < 2; half++) {
                TileRing.copy(ring, to + piece * TileRing.tileBytes(DIM), k, first + piece * (TileRing.KEYS * DIM), lane + 32 * half, DIM);
            }
        }
    }

    private static void clear(int[] ring, int to, int rows, int lane) {
        for (int piece = 0; piece < TILE / TileRing.KEYS; piece++) {
            for (int half = 0; half < 2; half++) {
                TileRing.clear(ring, to + piece * TileRing.tileBytes(DIM), rows - piece * TileRing.KEYS, lane + 32 * half, DIM);
            }
        }
    }
}
