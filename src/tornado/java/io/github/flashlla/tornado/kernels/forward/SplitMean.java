package io.github.flashlla.tornado.kernels.forward;

import static io.github.flashlla.tornado.kernels.forward.TileSolve.FINITE;
import static io.github.flashlla.tornado.kernels.tile.Masking.LOW;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.EVERY_KEY;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LN2;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.SHIFT;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.quadSum;
import static io.github.flashlla.tornado.kernels.tile.TileState.BLOCK;
import static io.github.flashlla.tornado.kernels.tile.TileState.DIRECTION_LENGTH;
import static io.github.flashlla.tornado.kernels.tile.TileState.NUMBERS;
import static io.github.flashlla.tornado.kernels.tile.TileState.THREADS;
import static io.github.flashlla.tornado.kernels.tile.TileState.numbersAt;

import io.github.flashlla.tornado.kernels.tile.SplitPieces;
import io.github.flashlla.tornado.kernels.tile.SplitRows;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import io.github.flashlla.tornado.kernels.tile.TwoRows;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Pass 1 of the float32 forward pass on half-precision matrix units ({@link SplitPieces}), after {@link TileForward}: the log-sum-exp, kbar,
 * and a first step of conjugate gradients along q.
 *
 * <p>Keys are held relative to {@code centre}, as {@link GpuMean} has it, and multiplied with a power of two; {@link #factors} finds that.
 */
public final class SplitMean {
    /** Threads of a group of {@link #factors} and {@link #pack}. */
    public static final int PACK_THREADS = 256;

    /** 2^this is the weight of the largest score that was looked at. */
    private static final float ABOVE = 4f;

    private SplitMean() {}

    /**
     * What each head's keys, less their centre, and its values are multiplied with. One group of {@value #PACK_THREADS} for the keys of each
     * of B Hkv heads, and then one for its values.
     *
     * @param k (B,Hkv,Sk,D)
     * @param v (B,Hkv,Sk,Dv)
     * @param centre (B,Hkv,D)
     * @param scratch as {@link SplitRows} has it; its factors out
     */
    public static void factors(KernelContext ctx, FloatArray k, FloatArray v, FloatArray centre, FloatArray scratch, IntArray sizes, int D, int Dv,
            int dims) {
        float[] all = ctx.allocateFloatLocalArray(PACK_THREADS);
        int tid = ctx.localIdx;
        int heads = sizes.get(TileState.HEADS);
        int kvHeads = heads / sizes.get(TileState.GROUP);
        int Sk = sizes.get(TileState.SK);
        int head = ctx.groupIdx % kvHeads;
        int keys = ctx.groupIdx < kvHeads ? Sk * D : 0; // TornadoVM mixes up variables of loops in both branches of an if
        int values = ctx.groupIdx < kvHeads ? 0 : Sk * Dv;
        float largest = 0f;
        for (int i = tid; i < keys; i += PACK_THREADS) {
            largest = Math.max(largest, Math.abs(k.get(head * Sk * D + i) - centre.get(head * D + i % D)));
        }
        for (int i = tid; i < values; i += PACK_THREADS) {
            largest = Math.max(largest, Math.abs(v.get(head * Sk * Dv + i)));
        }
        all[tid] = largest;
        ctx.localBarrier();
        if (tid == 0) {
            for (int i = 1; i < PACK_THREADS; i++) {
                largest = Math.max(largest, all[i]);
            }
            scratch.set(SplitRows.factorsAt(heads, sizes.get(TileState.SQ), dims) + ctx.groupIdx, SplitPieces.factor(largest));
        }
    }

    /**
     * Keys and values as two float16 each, rows padded with zeros: first halves of all keys, second halves of all keys, then of values. One
     * thread for 8 elements.
     *
     * @param k (B,Hkv,Sk,D)
     * @param v (B,Hkv,Sk,Dv)
     * @param centre (B,Hkv,D)
     * @param packed out
     * @param scratch after {@link #factors}
     * @param stride of keys, {@link TilePieces#stride}
     * @param strideV of values
     */
    public static void pack(KernelContext ctx, FloatArray k, FloatArray v, FloatArray centre, HalfFloatArray packed, FloatArray scratch,
            IntArray sizes, int D, int Dv, int dims, int stride, int strideV) {
        int heads = sizes.get(TileState.HEADS);
        int kvHeads = heads / sizes.get(TileState.GROUP);
        int padded = SplitRows.paddedKeys(sizes.get(TileState.SK));
        int kvRows = kvHeads * padded;
        int keys = kvRows * (stride / 8);
        int values = kvRows * (strideV / 8);
        int factorsAt = SplitRows.factorsAt(heads, sizes.get(TileState.SQ), dims);
        int at = ctx.globalIdx;
        if (at < keys) {
            int row = at / (stride / 8);
            packRow(k, centre, row / padded * D, 1f, scratch.get(factorsAt + row / padded), packed, 8 * at, 8 * keys, row, 8 * (at % (stride / 8)),
                    sizes.get(TileState.SK), D);
        }
        if (at >= keys && at < keys + values) {
            int row = (at - keys) / (strideV / 8);
            packRow(v, centre, 0, 0f, scratch.get(factorsAt + kvHeads + row / padded), packed, 8 * (at + keys), 8 * values, row,
                    8 * ((at - keys) % (strideV / 8)), sizes.get(TileState.SK), Dv);
        }
    }

    /**
     * Eight numbers of a row, from {@code column} on, less the centre's where {@code shift} is not 0; zeros where the row is padding.
     *
     * @param times what they are multiplied with
     * @param to where their first halves go in {@code packed}, behind {@link TilePieces#FIRST}; the second ones {@code low} behind them
     * @param row among those of all heads, each head's padded
     * @param length of a head, without padding
     */
    public static void packRow(FloatArray from, FloatArray centre, int centreAt, float shift, float times, HalfFloatArray packed, int to, int low,
            int row, int column, int length, int D) {
        int padded = SplitRows.paddedKeys(length);
        int[] pairs = new int[4];
        int[] rest = new int[4];
        for (int i = 0; i < 4; i++) {
            float first = 0f;
            float second = 0f;
            if (row % padded < length) {
                int source = row / padded * length + row % padded;
                first = number(from, source, centre, centreAt, shift, column + 2 * i, D) * times;
                second = number(from, source, centre, centreAt, shift, column + 2 * i + 1, D) * times;
            }
            int pair = Tile.half2(first, second);
            pairs[i] = pair;
            rest[i] = SplitPieces.rest(pair, first, second);
        }
        Tile.store16(packed, TilePieces.FIRST + to, pairs[0], pairs[1], pairs[2], pairs[3]);
        Tile.store16(packed, TilePieces.FIRST + to + low, rest[0], rest[1], rest[2], rest[3]);
    }

    private static float number(FloatArray from, int row, FloatArray centre, int centreAt, float shift, int column, int D) {
        float value = 0f;
        if (column < D) {
            value = from.get(row * D + column) - (shift != 0f ? centre.get(centreAt + column) : 0f);
        }
        return value;
    }

    /**
     * Pass 1. One group of {@code THREADS} for each {@code BLOCK} rows of a head, the longest first, heads fastest.
     *
     * @param q (B,H,Sq,D)
     * @param packed from {@link #pack}
     * @param ridge (B,H,Sq)
     * @param centre (B,Hkv,D)
     * @param lse out (B,H,Sq)
     * @param scratch in its factors, else out: as {@link SplitRows} has it, with kbar relative to the centre
     * @param dims {@link TileState#dims} of D
     * @param causal 1 with the causal mask, else 0
     */
    public static void mean(KernelContext ctx, FloatArray q, HalfFloatArray packed, FloatArray ridge, FloatArray centre, FloatArray lse,
            FloatArray scratch, IntArray sizes, FloatArray settings, int D, int dims, int causal) {
        Tile.launchBounds(THREADS, 2);
        int[] tile = ctx.allocateIntLocalArray(SplitPieces.localInts(dims));
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        int stride = dims <= 64 ? 64 : 128;
        int keys = SplitPieces.keys(dims);
        int pieceBytes = 32 * stride;

        int tid = ctx.localIdx;
        int lane = tid & 31;
        int warp = tid >> 5;
        int quad = lane & 3;
        int heads = sizes.get(TileState.HEADS);
        int group = sizes.get(TileState.GROUP);
        int Sq = sizes.get(TileState.SQ);
        int Sk = sizes.get(TileState.SK);
        int padded = SplitRows.paddedKeys(Sk);
        int head = ctx.groupIdx % heads;
        int block = (Sq + BLOCK - 1) / BLOCK - 1 - ctx.groupIdx / heads;
        int first = block * BLOCK + warp * 16;
        TwoRows two = TwoRows.of(lane, head, first, block * BLOCK + BLOCK, Sq, Sk, causal);
        int tiles = (two.most + keys - 1) / keys;
        int from = head / group * padded * stride;
        int behind = heads / group * padded * stride;
        float factor = scratch.get(SplitRows.factorsAt(heads, Sq, dims) + head / group);
        float c = settings.get(TileState.SCALE) * LOG2E;

        int[] qf = new int[SplitPieces.rowRegisters(dims)];
        int[] b = new int[8];
        int[] w = new int[8];
        int[] w2 = new int[8];
        float[] s = new float[8];
        float[] part = new float[8];
        float[] part2 = new float[8];
        float[] acc = new float[dims / 2];
        float[] acc2 = new float[dims / 2];
        float[] total = new float[4];
        float[] four = new float[4];
        float timesA = SplitPieces.rowFactor(q, two.atA, quad, D, dims);
        float timesB = SplitPieces.rowFactor(q, two.atB, quad, D, dims);
        SplitPieces.loadRows(qf, tile, base, q, two.atA, two.atB, tid, D, dims, timesA, timesB);
        float cA = c / (timesA * factor);
        float cB = c / (timesB * factor);
        int qAt = SplitPieces.rowsAt(base, tid);
        int scoreAt = base + TilePieces.scoreByte(lane, stride);
        int sumAt = base + TilePieces.sumByte(lane, stride);

        float mA = LOW;
        float mB = LOW;
        int held = 512 / stride; // pieces of 16 keys that fill the tiles, first halves alone
        int every = (keys / 16) * tiles;
        int step = Math.max(1024, (every - 1) * 1024 / (held - 1)); // first from all over, the first and the last among them
        int samples = Math.min(1, tiles);
        int again = 1;
        for (int round = 0; round < 2 && again != 0; round++) {
            for (int n = 0; n < samples; n++) {
                ctx.localBarrier();
                TilePieces.copyPieces(tile, base, packed, from, tid, stride, n * held, step, every);
                Tile.commit();
                Tile.await(0);
                ctx.localBarrier();
                for (int j = 0; j < held; j++) {
                    SplitPieces.roughScores(s, qf, b, tile, qAt, scoreAt, j * pieceBytes, dims);
                    int key = TilePieces.pieceAt(j, n * held, step, every) * 16 + 2 * quad;
                    mA = Math.max(mA, Math.max(Math.max(seen(s[0] * cA, key, two.seesA), seen(s[1] * cA, key + 1, two.seesA)),
                            Math.max(seen(s[4] * cA, key + 8, two.seesA), seen(s[5] * cA, key + 9, two.seesA))));
                    mB = Math.max(mB, Math.max(Math.max(seen(s[2] * cB, key, two.seesB), seen(s[3] * cB, key + 1, two.seesB)),
                            Math.max(seen(s[6] * cB, key + 8, two.seesB), seen(s[7] * cB, key + 9, two.seesB))));
                }
            }
            mA = TilePieces.quadMax(mA);
            mB = TilePieces.quadMax(mB);
            float fromA = mA - ABOVE;
            float fromB = mB - ABOVE;

            for (int i = 0; i < dims / 2; i++) {
                acc[i] = 0f;
                acc2[i] = 0f;
            }
            for (int i = 0; i < 4; i++) {
                total[i] = 0f;
            }
            ctx.localBarrier();
            SplitPieces.copyTile(tile, base, packed, from, behind, tid, keys, stride);
            Tile.commit();
            for (int t = 0; t < tiles; t++) {
                Tile.await(0);
                ctx.localBarrier();
                int buffer = (t & 1) << 13;
                if (t + 1 < tiles) {
                    SplitPieces.copyTile(tile, base + (8192 - buffer), packed, from + (t + 1) * keys * stride, behind, tid, keys, stride);
                    Tile.commit();
                }
                int key = t * keys;
                int whole = key + keys <= two.low ? 1 : 0;
                if (whole != 0) {
                    piece(acc, acc2, total, s, part, part2, w, w2, qf, b, tile, qAt, scoreAt + buffer, sumAt + buffer, 0, cA, cB, fromA, fromB, 0,
                            EVERY_KEY, EVERY_KEY, dims);
                    if (keys > 16) {
                        piece(acc, acc2, total, s, part, part2, w, w2, qf, b, tile, qAt, scoreAt + buffer, sumAt + buffer, pieceBytes, cA, cB, fromA,
                                fromB, 0, EVERY_KEY, EVERY_KEY, dims);
                    }
                }
                int pieces = whole != 0 ? 0 : Math.min(keys / 16, (Math.max(0, two.high - key) + 15) / 16);
                for (int j = 0; j < pieces; j++) {
                    piece(acc, acc2, total, s, part, part2, w, w2, qf, b, tile, qAt, scoreAt + buffer, sumAt + buffer, j * pieceBytes, cA, cB, fromA,
                            fromB, key + j * 16 + 2 * quad, two.seesA, two.seesB, dims);
                }
            }
            // one weight beyond float16 and no element of its row's sums is finite; a GPU's max drops NaN
            float sum = Math.abs(acc[0]) + Math.abs(acc[2]) + Math.abs(acc2[0]) + Math.abs(acc2[2]) + total[0] + total[1];
            again = Tile.count(sum < FINITE ? 0 : 1);
            samples = (every + held - 1) / held;
            step = 1024;
        }

        float weightA = quadSum(total[0]);
        float weightB = quadSum(total[1]);
        float inverseA = two.seesA > 0 ? 1f / weightA : 0f;
        float inverseB = two.seesB > 0 ? 1f / weightB : 0f;
        float zA = quadSum(total[2]) * inverseA;
        float zB = quadSum(total[3]) * inverseB;
        float logA = two.seesA > 0 ? mA - ABOVE + Tile.log2(weightA) : 0f;
        float logB = two.seesB > 0 ? mB - ABOVE + Tile.log2(weightB) : 0f;
        inverseA = inverseA / factor;
        inverseB = inverseB / factor;
        float lambdaA = ridge.get(two.atA);
        float lambdaB = ridge.get(two.atB);
        int rows = heads * Sq;
        int aqAt = rows * dims;
        int xAt = 2 * rows * dims;
        int kbarAt = 3 * rows * dims;
        int baseA = SplitRows.base(two.atA, quad, dims);
        int baseB = SplitRows.base(two.atB, quad, dims);
        int centreRow = head / group;
        float f = 1f / c;
        float bbA = 0f;
        float bbB = 0f;
        float qbA = 0f;
        float qbB = 0f;
        float qaA = 0f;
        float qaB = 0f;
        float qcA = 0f;
        float qcB = 0f;
        for (int n = 0; n < dims / 8; n++) {
            int column = 8 * n + 2 * quad;
            SplitRows.queries(four, q, two.atA, two.atB, column, D);
            for (int h = 0; h < 2; h++) {
                float middle = SplitPieces.element(centre, centreRow, column + h, D);
                float meanA = acc[4 * n + h] * inverseA;
                float meanB = acc[4 * n + 2 + h] * inverseB;
                float aA = f * (acc2[4 * n + h] * inverseA - zA * meanA) + lambdaA * four[h];
                float aB = f * (acc2[4 * n + 2 + h] * inverseB - zB * meanB) + lambdaB * four[2 + h];
                float bA = two.seesA > 0 ? meanA + middle - four[h] : 0f;
                float bB = two.seesB > 0 ? meanB + middle - four[2 + h] : 0f;
                bbA += bA * bA;
                bbB += bB * bB;
                qbA += four[h] * bA;
                qbB += four[2 + h] * bB;
                qaA += four[h] * aA;
                qaB += four[2 + h] * aB;
                qcA += four[h] * middle;
                qcB += four[2 + h] * middle;
                acc[4 * n + h] = meanA;
                acc[4 * n + 2 + h] = meanB;
                acc2[4 * n + h] = aA;
                acc2[4 * n + 2 + h] = aB;
            }
            SplitRows.storeFour(scratch, kbarAt, baseA, baseB, 8 * n, acc, 4 * n, two.liveA, two.liveB);
            SplitRows.storeFour(scratch, aqAt, baseA, baseB, 8 * n, acc2, 4 * n, two.liveA, two.liveB);
        }
        bbA = quadSum(bbA);
        bbB = quadSum(bbB);
        qbA = quadSum(qbA);
        qbB = quadSum(qbB);
        qaA = quadSum(qaA);
        qaB = quadSum(qaB);
        qcA = quadSum(qcA);
        qcB = quadSum(qcB);
        float alphaA = qaA > 0f ? qbA / qaA : 0f;
        float alphaB = qaB > 0f ? qbB / qaB : 0f;
        float rrA = 0f;
        float rrB = 0f;
        float raA = 0f;
        float raB = 0f;
        for (int n = 0; n < dims / 8; n++) {
            int column = 8 * n + 2 * quad;
            SplitRows.queries(four, q, two.atA, two.atB, column, D);
            for (int h = 0; h < 2; h++) {
                float middle = SplitPieces.element(centre, centreRow, column + h, D);
                float rA = (two.seesA > 0 ? acc[4 * n + h] + middle - four[h] : 0f) - alphaA * acc2[4 * n + h];
                float rB = (two.seesB > 0 ? acc[4 * n + 2 + h] + middle - four[2 + h] : 0f) - alphaB * acc2[4 * n + 2 + h];
                rrA += rA * rA;
                rrB += rB * rB;
                raA += rA * acc2[4 * n + h];
                raB += rB * acc2[4 * n + 2 + h];
                acc[4 * n + h] = rA;
                acc[4 * n + 2 + h] = rB;
                four[h] *= alphaA;
                four[2 + h] *= alphaB;
            }
            SplitRows.storeFour(scratch, xAt, baseA, baseB, 8 * n, four, 0, two.liveA, two.liveB);
            SplitRows.storeFour(scratch, 0, baseA, baseB, 8 * n, acc, 4 * n, two.liveA, two.liveB);
        }
        rrA = quadSum(rrA);
        rrB = quadSum(rrB);
        raA = quadSum(raA);
        raB = quadSum(raB);
        float betaA = qaA > 0f ? raA / qaA : 0f;
        float betaB = qaB > 0f ? raB / qaB : 0f;
        for (int n = 0; n < dims / 8; n++) {
            SplitRows.queries(four, q, two.atA, two.atB, 8 * n + 2 * quad, D);
            for (int h = 0; h < 2; h++) {
                acc[4 * n + h] -= betaA * four[h];
                acc[4 * n + 2 + h] -= betaB * four[2 + h];
            }
        }
        int[] y = new int[dims / 2];
        float[] yk = new float[2];
        float tolerance = settings.get(TileState.TOLERANCE);
        float targetA = Math.max(SplitRows.SMALLEST, tolerance * tolerance * bbA);
        float targetB = Math.max(SplitRows.SMALLEST, tolerance * tolerance * bbB);
        SplitRows.direction(y, yk, acc, scratch, kbarAt, baseA, baseB, dims, rrA <= targetA ? 0f : DIRECTION_LENGTH,
                rrB <= targetB ? 0f : DIRECTION_LENGTH, factor);
        SplitRows.storeDirection(scratch, y, heads, Sq, two.atA, two.atB, quad, dims, two.liveA, two.liveB);
        if (quad == 0) {
            int numbers = numbersAt(rows, dims);
            if (two.liveA != 0) {
                lse.set(two.atA, two.seesA > 0 ? logA * LN2 + settings.get(TileState.SCALE) * qcA : Float.NEGATIVE_INFINITY);
                keep(scratch, numbers + NUMBERS * two.atA, bbA, qaA, rrA, logA - SHIFT, yk[0], targetA);
            }
            if (two.liveB != 0) {
                lse.set(two.atB, two.seesB > 0 ? logB * LN2 + settings.get(TileState.SCALE) * qcB : Float.NEGATIVE_INFINITY);
                keep(scratch, numbers + NUMBERS * two.atB, bbB, qaB, rrB, logB - SHIFT, yk[1], targetB);
            }
        }
    }

    /** What {@link SplitSolve} starts a row with. */
    public static void keep(FloatArray scratch, int numbers, float bb, float qaq, float rr, float reference, float yk, float target) {
        scratch.set(numbers + TileState.BB, bb);
        scratch.set(numbers + TileState.QAQ, qaq);
        scratch.set(numbers + TileState.RR, rr);
        scratch.set(numbers + TileState.COUNT, 0f);
        scratch.set(numbers + TileState.REFERENCE, reference);
        scratch.set(numbers + TileState.YKBAR, yk);
        scratch.set(numbers + TileState.LENGTH, DIRECTION_LENGTH);
        scratch.set(numbers + TileState.TARGET, target);
        scratch.set(numbers + TileState.LARGEST, rr);
    }

    private static float seen(float score, int key, int sees) {
        return key < sees ? score : LOW;
    }

    /** Adds 16 keys to both sums. */
    private static void piece(float[] acc, float[] acc2, float[] total, float[] s, float[] part, float[] part2, int[] w, int[] w2, int[] q, int[] b,
            int[] tile, int qAt, int scoreAt, int sumAt, int offset, float cA, float cB, float mA, float mB, int key, int seesA, int seesB, int dims) {
        SplitPieces.scores(s, q, b, tile, qAt, scoreAt, offset, dims);
        SplitPieces.weightsOfMean(w, w2, total, s, cA, cB, mA, mB, key, seesA, seesB);
        SplitPieces.sums(acc, acc2, part, part2, w, w2, b, tile, sumAt, offset, dims);
    }
}
