package io.github.flashlla.tornado.kernels.backward;

import static io.github.flashlla.tornado.kernels.tile.TilePieces.EVERY_KEY;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;
import static io.github.flashlla.tornado.kernels.tile.TileState.THREADS;

import io.github.flashlla.tornado.kernels.tile.SplitPair;
import io.github.flashlla.tornado.kernels.tile.SplitPieces;
import io.github.flashlla.tornado.kernels.tile.SplitRows;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * {@link SplitBackwardKeys} for head dims above {@value SplitBackward#DIMS}: of two warps that share 16 keys ({@link SplitPair}) the first makes
 * p and p e of q and x, the second h of u and g. They exchange these, and each sums over half of dk's and dv's columns.
 *
 * <p>A tile of q, -x, u and g takes the place that two would have: while it is copied, another group of the multiprocessor computes.
 */
public final class SplitBackwardPairKeys {
    /** Where the numbers that warps exchange are: p, p e and h of each pair. */
    private static final int EXCHANGE = 4 * SplitPair.ARRAY;
    private static final int COLUMNS = EXCHANGE + THREADS / 64 * 3 * SplitPair.NUMBERS;
    /** Twelve numbers that are the same in all threads: registers have no room for them. */
    private static final int SHARED = COLUMNS + 16 * SplitPair.TILE;
    /** Where the first 16 dims of keys are, which above {@value #ROOM} dims have no room in registers. */
    private static final int HELD = SHARED + 48;
    private static final int ROOM = 96;
    /** From q of a tile to u. */
    private static final int GRADIENTS = 2 * SplitPair.ARRAY;

    private SplitBackwardPairKeys() {}

    /** Bytes of local memory. */
    static int localBytes() {
        return HELD + THREADS / 64 * 1024;
    }

    /**
     * One group of {@value TileState#THREADS} for each {@value SplitPair#BLOCK} keys of a kv head, the first keys first, since most
     * queries see these.
     *
     * @param packed keys, values and the rows of queries, as {@link SplitBackward} has them
     * @param scratch as {@link SplitBackward} has it
     * @param dk out (B,Hkv,Sk,D)
     * @param dv out (B,Hkv,Sk,Dv)
     * @param visited out (B,Hkv,Sk): queries that the key's group went through
     * @param causal 1 with the causal mask, else 0
     */
    public static void keys(KernelContext ctx, HalfFloatArray packed, FloatArray scratch, FloatArray dk, FloatArray dv, FloatArray visited,
            IntArray sizes, FloatArray settings, int D, int Dv, int dims, int dimsV, int causal) {
        Tile.launchBounds(THREADS, 2);
        int[] tile = ctx.allocateIntLocalArray(localBytes() / Integer.BYTES);
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        int stride = dims <= 64 ? 64 : 128;
        int strideV = dimsV <= 64 ? 64 : 128;
        int wide = Math.max(dims, dimsV);
        int rowStride = 128;

        int tid = ctx.localIdx;
        int lane = tid & 31;
        int warp = tid >> 5;
        int quad = lane & 3;
        int which = warp & 1; // of a pair's warps
        int heads = sizes.get(TileState.HEADS);
        int group = sizes.get(TileState.GROUP);
        int Sq = sizes.get(TileState.SQ);
        int Sk = sizes.get(TileState.SK);
        int padded = SplitRows.paddedKeys(Sk);
        int paddedSq = SplitRows.paddedKeys(Sq);
        int kvHeads = heads / group;
        int kvHead = ctx.groupIdx % kvHeads;
        int block = ctx.groupIdx / kvHeads;
        int first = block * SplitPair.BLOCK + (warp >> 1) * 16;
        int keyA = first + (lane >> 2);
        // query i sees key j if j - i < ahead
        int ahead = causal != 0 ? 1 + Sk - Sq : EVERY_KEY / 2; // half, since keys are taken off
        int tiles = (Sq + SplitPair.TILE - 1) / SplitPair.TILE;
        int begin = causal != 0 ? Math.min(tiles, Math.max(0, block * SplitPair.BLOCK + 1 - ahead) / SplitPair.TILE) : 0;
        int array = heads * paddedSq * rowStride;
        int rowsAt = SplitBackward.rowsAt(kvHeads, Sk, stride, strideV);
        int columnsAt = SplitBackward.columnsAt(heads, kvHeads, Sq, dims);
        float scale = settings.get(TileState.SCALE);
        float factor = SplitBackward.keyFactor(scratch, heads, kvHeads, kvHead, Sq, dims);
        float factorQ = SplitBackward.queryFactor(scratch, heads, kvHeads, kvHead, Sq, dims);
        float factorX = SplitBackward.directionFactor(scratch, heads, kvHeads, kvHead, Sq, dims);
        float unit = SplitBackward.gradientUnit(scratch, heads, kvHeads, kvHead, Sq, dims);
        float c = scale * LOG2E / (factorQ * factor);
        float typical = SplitBackwardKeys.TYPICAL_PRODUCT / unit; // of G

        int[] f = new int[dims / 2]; // k
        int[] f2 = new int[wide / 2]; // k or v
        int[] b = new int[16];
        int[] we = new int[8];
        int[] wh = new int[8];
        int[] ws = new int[8];
        float[] s = new float[8];
        float[] e = new float[8];
        float[] h = new float[8];
        float[] part = new float[8];
        float[] column = new float[8];
        float[] back = new float[4];
        int[] shared = new int[4];
        int[] few = new int[8];
        float[] accK = new float[dims / 4];
        float[] accV = new float[dimsV / 4];
        int keyAt = Tile.opaque(TilePieces.FIRST + (kvHead * padded + keyA) * stride + 2 * quad);
        int valueAt = Tile.opaque(TilePieces.FIRST + (kvHead * padded + keyA) * strideV + 2 * quad) + 2 * kvHeads * padded * stride;
        SplitBackward.loadRows(f, packed, keyAt, kvHeads * padded * stride, stride, dims);
        for (int i = 0; i < wide / 2; i++) {
            f2[i] = 0;
        }
        if (which == 0) {
            SplitBackward.loadRows(f2, packed, keyAt, kvHeads * padded * stride, stride, dims, wide);
        } else {
            SplitBackward.loadRows(f2, packed, valueAt, kvHeads * padded * strideV, strideV, dimsV, wide);
        }
        int scoreAt = base + which * GRADIENTS + TilePieces.scoreByte(lane, rowStride);
        int sumAt = base + (TilePieces.sumByte(lane, rowStride) ^ (which << 5));
        int pairAt = base + EXCHANGE + (warp >> 1) * 3 * SplitPair.NUMBERS + 16 * lane;
        int behind = keyA - 2 * quad - ahead;
        int heldAt = base + HELD + (warp >> 1) * 1024 + 16 * lane;
        if (dims > ROOM) {
            Tile.storeLocalBits4(tile, heldAt, f[0], f[1], f[2], f[3]);
            Tile.storeLocalBits4(tile, heldAt + 512, f[dims / 4], f[dims / 4 + 1], f[dims / 4 + 2], f[dims / 4 + 3]);
        }
        int columnAt = base + COLUMNS + 32 * quad;
        int each = tiles - begin;
        int rowEnd = each > 0 ? (kvHead + 1) * group * paddedSq : 0;
        int queryBegin = begin * SplitPair.TILE;
        if (tid == 0) {
            Tile.storeLocalBits4(tile, base + SHARED, rowsAt, columnsAt, array, 0);
            Tile.storeLocalBits4(tile, base + SHARED + 16, tiles * SplitPair.TILE, queryBegin, paddedSq - each * SplitPair.TILE, rowEnd);
        }
        int again = 1;
        float weight = SplitBackwardKeys.TYPICAL_WEIGHT;
        for (int round = 0; round < SplitBackward.ROUNDS && again != 0; round++) {
            float times = which == 0 ? weight / (factorX * factor) : 1f / SplitBackwardKeys.TYPICAL_PRODUCT; // of p e, and of h
            ctx.localBarrier();
            if (tid == 0) {
                Tile.storeLocal4(tile, base + SHARED + 32, factor / unit / weight, scale * typical / weight / factorQ, typical / weight / factorX,
                        weight / typical);
            }
            for (int i = 0; i < dims / 4; i++) {
                accK[i] = 0f;
            }
            for (int i = 0; i < dimsV / 4; i++) {
                accV[i] = 0f;
            }
            int query = queryBegin;
            int row = kvHead * group * paddedSq + queryBegin; // of the tile, among all heads' queries
            int more = row < rowEnd ? 1 : 0;
            while (more != 0) {
                ctx.localBarrier();
                Tile.loadLocalBits4(shared, 0, tile, base + SHARED);
                copy(tile, base, packed, shared[0] + row * rowStride, shared[2], scratch, shared[1] + 4 * row, tid, rowStride);
                Tile.await(0);
                ctx.localBarrier();
                if (dims > ROOM) {
                    Tile.loadLocalBits4(few, 0, tile, heldAt);
                    Tile.loadLocalBits4(few, 4, tile, heldAt + 512);
                    SplitPair.ofTwo(s, e, f, few, 4, f2, b, tile, scoreAt, scoreAt + SplitPair.ARRAY, dims, wide);
                } else {
                    SplitPair.ofTwo(s, e, f, f, dims / 4, f2, b, tile, scoreAt, scoreAt + SplitPair.ARRAY, dims, wide);
                }
                if (which == 0) {
                    for (int m = 0; m < 2; m++) {
                        Tile.loadLocal4(column, 0, tile, columnAt + 128 * m);
                        Tile.loadLocal4(column, 4, tile, columnAt + 128 * m + 16);
                        for (int i = 0; i < 4; i++) {
                            s[4 * m + i] = s[4 * m + i] * c - column[4 * (i & 1)];
                            e[4 * m + i] += column[4 * (i & 1) + 1];
                        }
                    }
                    if (behind + 8 - query >= 0) {
                        hide(s, behind - query);
                    }
                    for (int i = 0; i < 8; i++) {
                        s[i] = Tile.exp2(s[i]);
                        e[i] *= s[i] * times;
                    }
                    SplitPair.give(tile, pairAt, s);
                    SplitPair.give(tile, pairAt + SplitPair.NUMBERS, e);
                } else {
                    for (int m = 0; m < 2; m++) {
                        Tile.loadLocal4(column, 0, tile, columnAt + 128 * m);
                        Tile.loadLocal4(column, 4, tile, columnAt + 128 * m + 16);
                        for (int i = 0; i < 4; i++) {
                            h[4 * m + i] = (e[4 * m + i] + s[4 * m + i] + column[4 * (i & 1) + 2]) * times;
                        }
                    }
                    SplitPair.give(tile, pairAt + 2 * SplitPair.NUMBERS, h);
                }
                ctx.localBarrier();
                if (which == 0) {
                    SplitPair.take(h, tile, pairAt + 2 * SplitPair.NUMBERS);
                } else {
                    SplitPair.take(e, tile, pairAt + SplitPair.NUMBERS);
                    SplitPair.take(s, tile, pairAt);
                }
                Tile.loadLocal4(back, 0, tile, base + SHARED + 32);
                for (int m = 0; m < 2; m++) {
                    Tile.loadLocal4(column, 0, tile, columnAt + 128 * m);
                    Tile.loadLocal4(column, 4, tile, columnAt + 128 * m + 16);
                    SplitPieces.splitPairs(we, 2 * m, e[4 * m], e[4 * m + 1], e[4 * m + 2], e[4 * m + 3]);
                    for (int i = 0; i < 4; i++) {
                        int at = 4 * m + i;
                        e[at] = e[at] * h[at] - s[at] * (column[4 * (i & 1) + 3] * back[3]);
                        h[at] *= s[at] * weight;
                    }
                    SplitPieces.splitPairs(ws, 2 * m, e[4 * m], e[4 * m + 1], e[4 * m + 2], e[4 * m + 3]);
                    SplitPieces.splitPairs(wh, 2 * m, h[4 * m], h[4 * m + 1], h[4 * m + 2], h[4 * m + 3]);
                }
                for (int m = 0; m < dimsV / 32; m++) {
                    SplitPair.part(part, we, b, tile, (sumAt ^ (m << 6)) + GRADIENTS + SplitPair.ARRAY);
                    SplitBackwardKeys.add(accV, 8 * m, part, 1f);
                }
                for (int m = 0; m < dims / 32; m++) {
                    SplitPair.part(part, we, b, tile, (sumAt ^ (m << 6)) + GRADIENTS);
                    SplitBackwardKeys.add(accK, 8 * m, part, back[0]);
                }
                for (int m = 0; m < dims / 32; m++) {
                    SplitPair.part(part, ws, b, tile, sumAt ^ (m << 6));
                    SplitBackwardKeys.add(accK, 8 * m, part, back[1]);
                }
                for (int m = 0; m < dims / 32; m++) {
                    SplitPair.part(part, wh, b, tile, (sumAt ^ (m << 6)) + SplitPair.ARRAY);
                    SplitBackwardKeys.add(accK, 8 * m, part, back[2]);
                }
                Tile.loadLocalBits4(shared, 0, tile, base + SHARED + 16);
                query += SplitPair.TILE;
                row += SplitPair.TILE;
                if (query == shared[0]) {
                    query = shared[1];
                    row += shared[2];
                }
                more = row < shared[3] ? 1 : 0;
            }
            // where a weight was beyond float16, no sum of its key is finite: again with smaller ones
            int fineA = (Math.abs(accK[0]) <= Float.MAX_VALUE ? 1 : 0) * (Math.abs(accV[0]) < SplitBackward.FINITE ? 1 : 0);
            int fineB = (Math.abs(accK[2]) <= Float.MAX_VALUE ? 1 : 0) * (Math.abs(accV[2]) < SplitBackward.FINITE ? 1 : 0);
            int badA = (1 - fineA) * (keyA < Sk ? 1 : 0);
            int badB = (1 - fineB) * (keyA + 8 < Sk ? 1 : 0);
            again = round + 1 < SplitBackward.ROUNDS ? Tile.count(badA + badB) : 0;
            weight *= again != 0 ? SplitBackward.SHORTER : 1f;
        }

        float backV = SplitBackward.valueFactor(scratch, heads, kvHeads, kvHead, Sq, dims) / unit / weight;
        for (int n = 0; n < dims / 16; n++) {
            for (int i = 0; i < 4; i++) {
                int key = keyA + 8 * (i >> 1);
                int at = SplitPair.column(n, which, quad) + (i & 1);
                if (key < Sk && at < D) {
                    dk.set((kvHead * Sk + key) * D + at, accK[4 * n + i]);
                }
            }
        }
        for (int n = 0; n < dimsV / 16; n++) {
            for (int i = 0; i < 4; i++) {
                int key = keyA + 8 * (i >> 1);
                int at = SplitPair.column(n, which, quad) + (i & 1);
                if (key < Sk && at < Dv) {
                    dv.set((kvHead * Sk + key) * Dv + at, accV[4 * n + i] * backV);
                }
            }
        }
        if (quad == 0 && which == 0) {
            if (keyA < Sk) {
                visited.set(kvHead * Sk + keyA, group * each * SplitPair.TILE);
            }
            if (keyA + 8 < Sk) {
                visited.set(kvHead * Sk + keyA + 8, group * each * SplitPair.TILE);
            }
        }
    }

    /** Exponents of queries that do not see a key: those for which key less query is not below 0, that of this lane's first element {@code behind}. */
    private static void hide(float[] s, int behind) {
        for (int n = 0; n < 2; n++) {
            for (int i = 0; i < 4; i++) {
                s[4 * n + i] = behind + 8 * (i >> 1) - 8 * n - (i & 1) < 0 ? s[4 * n + i] : TilePieces.HIDDEN;
            }
        }
    }

    /** Starts this thread's copies of a tile of rows, of q, -x, u and g in turn, and of columns. */
    private static void copy(int[] tile, int base, HalfFloatArray packed, int from, int array, FloatArray scratch, int columns, int tid, int stride) {
        for (int i = 0; i < 4; i++) {
            SplitPieces.copyTile(tile, base + i * SplitPair.ARRAY, packed, from + 2 * i * array, array, tid, SplitPair.TILE, stride);
        }
        if (tid < SplitPair.TILE) {
            Tile.copy16(tile, base + COLUMNS + 16 * tid, scratch, columns + 4 * tid);
        }
        Tile.commit();
    }
}
