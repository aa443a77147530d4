package io.github.flashlla.tornado.kernels.forward;

import static io.github.flashlla.tornado.kernels.forward.TileOutput.LONGEST;
import static io.github.flashlla.tornado.kernels.forward.TileOutput.ROUNDS;
import static io.github.flashlla.tornado.kernels.forward.TileSolve.FINITE;
import static io.github.flashlla.tornado.kernels.forward.TileSolve.SHORTER;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.EVERY_KEY;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.UNSHIFT;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.quadSum;
import static io.github.flashlla.tornado.kernels.tile.TileState.BLOCK;
import static io.github.flashlla.tornado.kernels.tile.TileState.NUMBERS;
import static io.github.flashlla.tornado.kernels.tile.TileState.REFERENCE;
import static io.github.flashlla.tornado.kernels.tile.TileState.THREADS;

import io.github.flashlla.tornado.kernels.tile.SplitPieces;
import io.github.flashlla.tornado.kernels.tile.SplitRows;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import io.github.flashlla.tornado.kernels.tile.TwoRows;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Pass 3 of the float32 forward pass on half-precision matrix units ({@link SplitPieces}): o = sum p (1 - x.(k - kbar)) v, with x at a length
 * of at most {@value TileOutput#LONGEST}.
 */
public final class SplitOutput {
    private SplitOutput() {}

    /** Keys of a tile. */
    private static int keys(int dims, int dimsV) {
        return dims <= 64 && dimsV <= 64 ? 32 : 16;
    }

    /**
     * One group of {@value TileState#THREADS} for each {@value TileState#BLOCK} rows of a head, the longest first.
     *
     * @param q (B,H,Sq,D)
     * @param packed from {@link SplitMean#pack}
     * @param centre (B,Hkv,D)
     * @param kbar out (B,H,Sq,D)
     * @param x out (B,H,Sq,D)
     * @param stats out (B,H,Sq,2): iterations behind the first step, relative residual
     * @param o out (B,H,Sq,Dv)
     * @param scratch as {@link SplitRows} has it
     * @param causal 1 with the causal mask, else 0
     */
    public static void output(KernelContext ctx, FloatArray q, HalfFloatArray packed, FloatArray centre, FloatArray kbar, FloatArray x,
            FloatArray stats, FloatArray o, FloatArray scratch, IntArray sizes, FloatArray settings, int D, int Dv, int dims, int dimsV, int causal) {
        Tile.launchBounds(THREADS, 2);
        // two tiles of keys and of values; one where rows of q are behind it
        int[] tile = ctx.allocateIntLocalArray(dims <= 64 ? 8192 : SplitPieces.localInts(dims));
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        int stride = dims <= 64 ? 64 : 128;
        int strideV = dimsV <= 64 ? 64 : 128;
        int keys = keys(dims, dimsV);
        int pieceBytes = 32 * stride;
        int pieceBytesV = 32 * strideV;

        int tid = ctx.localIdx;
        int lane = tid & 31;
        int warp = tid >> 5;
        int quad = lane & 3;
        int heads = sizes.get(TileState.HEADS);
        int group = sizes.get(TileState.GROUP);
        int Sq = sizes.get(TileState.SQ);
        int Sk = sizes.get(TileState.SK);
        int padded = SplitRows.paddedKeys(Sk);
        int rows = heads * Sq;
        int head = ctx.groupIdx % heads;
        int block = (Sq + BLOCK - 1) / BLOCK - 1 - ctx.groupIdx / heads;
        int first = block * BLOCK + warp * 16;
        TwoRows two = TwoRows.of(lane, head, first, block * BLOCK + BLOCK, Sq, Sk, causal);
        int tiles = (two.most + keys - 1) / keys;
        int behind = heads / group * padded * stride;
        int behindV = heads / group * padded * strideV;
        int from = head / group * padded * stride;
        int fromV = 2 * behind + head / group * padded * strideV;
        int factorsAt = SplitRows.factorsAt(heads, Sq, dims);
        float factor = scratch.get(factorsAt + head / group);
        float factorV = scratch.get(factorsAt + heads / group + head / group);
        float c = settings.get(TileState.SCALE) * LOG2E;
        int numbers = TileState.numbersAt(rows, dims);
        int xAt = 2 * rows * dims;
        int kbarAt = 3 * rows * dims;
        int baseA = SplitRows.base(two.atA, quad, dims);
        int baseB = SplitRows.base(two.atB, quad, dims);

        int[] qf = new int[SplitPieces.rowRegisters(dims)];
        int[] y = new int[dims / 2];
        int[] b = new int[8];
        int[] w = new int[8];
        float[] s = new float[8];
        float[] u = new float[8];
        float[] part = new float[8];
        float[] xs = new float[dims / 2];
        float[] acc = new float[dimsV / 2];
        float[] total = new float[2];
        float[] yk = new float[2];
        float[] four = new float[4];
        float[] mean = new float[4];
        float[] starts = new float[4];
        float timesA = SplitPieces.rowFactor(q, two.atA, quad, D, dims);
        float timesB = SplitPieces.rowFactor(q, two.atB, quad, D, dims);
        SplitPieces.loadRows(qf, tile, base, q, two.atA, two.atB, tid, D, dims, timesA, timesB);
        float cA = c / (timesA * factor);
        float cB = c / (timesB * factor);
        int qAt = SplitPieces.rowsAt(base, tid);
        int scoreAt = base + TilePieces.scoreByte(lane, stride);
        int sumAt = base + 8192 + TilePieces.sumByte(lane, strideV);
        float mA = scratch.get(numbers + NUMBERS * two.atA + REFERENCE) + Tile.log2(factor);
        float mB = scratch.get(numbers + NUMBERS * two.atB + REFERENCE) + Tile.log2(factor);
        float xxA = 0f;
        float xxB = 0f;
        for (int n = 0; n < dims / 8; n++) {
            int column = 8 * n + 2 * quad;
            SplitRows.loadFour(four, 0, scratch, xAt, baseA, baseB, 8 * n);
            SplitRows.loadFour(mean, 0, scratch, kbarAt, baseA, baseB, 8 * n);
            for (int h = 0; h < 2; h++) {
                float middle = SplitPieces.element(centre, head / group, column + h, D);
                if (two.liveA != 0 && column + h < D) {
                    x.set(two.atA * D + column + h, four[h]);
                    kbar.set(two.atA * D + column + h, two.seesA > 0 ? mean[h] + middle : 0f);
                }
                if (two.liveB != 0 && column + h < D) {
                    x.set(two.atB * D + column + h, four[2 + h]);
                    kbar.set(two.atB * D + column + h, two.seesB > 0 ? mean[2 + h] + middle : 0f);
                }
                xxA += four[h] * four[h];
                xxB += four[2 + h] * four[2 + h];
            }
        }
        xxA = quadSum(xxA);
        xxB = quadSum(xxB);
        float scaleA = xxA > LONGEST * LONGEST ? LONGEST * Tile.rsqrt(xxA) : 1f;
        float scaleB = xxB > LONGEST * LONGEST ? LONGEST * Tile.rsqrt(xxB) : 1f;
        int again = 1;
        for (int round = 0; round < ROUNDS && again != 0; round++) {
            for (int n = 0; n < dims / 8; n++) {
                SplitRows.loadFour(xs, 4 * n, scratch, xAt, baseA, baseB, 8 * n);
            }
            SplitRows.split(y, yk, xs, scratch, kbarAt, baseA, baseB, dims, -scaleA, -scaleB, factor);
            TilePieces.start(starts, scaleA * factor + yk[0], scaleB * factor + yk[1]);
            for (int i = 0; i < dimsV / 2; i++) {
                acc[i] = 0f;
            }
            total[0] = 0f;
            total[1] = 0f;
            ctx.localBarrier();
            if (dims <= 64) {
                SplitPieces.copyTiles(tile, base, packed, from, behind, fromV, behindV, tid, keys, stride, strideV);
            }
            for (int t = 0; t < tiles; t++) {
                int buffer = dims <= 64 ? (t & 1) << 14 : 0;
                if (dims > 64) {
                    ctx.localBarrier();
                    SplitPieces.copyTiles(tile, base, packed, from + t * keys * stride, behind, fromV + t * keys * strideV, behindV, tid, keys, stride, strideV);
                }
                Tile.await(0);
                ctx.localBarrier();
                if (dims <= 64 && t + 1 < tiles) {
                    SplitPieces.copyTiles(tile, base + (16384 - buffer), packed, from + (t + 1) * keys * stride, behind, fromV + (t + 1) * keys * strideV, behindV,
                            tid, keys, stride, strideV);
                }
                int key = t * keys;
                int whole = key + keys <= two.low ? 1 : 0;
                if (whole != 0) {
                    piece(acc, total, s, u, part, w, qf, y, b, tile, qAt, scoreAt + buffer, sumAt + buffer, 0, 0, cA, cB, mA, mB, starts, 0, EVERY_KEY,
                            EVERY_KEY, dims, dimsV);
                    if (keys > 16) {
                        piece(acc, total, s, u, part, w, qf, y, b, tile, qAt, scoreAt + buffer, sumAt + buffer, pieceBytes, pieceBytesV, cA, cB, mA, mB,
                                starts, 0, EVERY_KEY, EVERY_KEY, dims, dimsV);
                    }
                }
                int pieces = whole != 0 ? 0 : Math.min(keys / 16, (Math.max(0, two.high - key) + 15) / 16);
                for (int j = 0; j < pieces; j++) {
                    piece(acc, total, s, u, part, w, qf, y, b, tile, qAt, scoreAt + buffer, sumAt + buffer, j * pieceBytes, j * pieceBytesV, cA, cB, mA,
                            mB, starts, key + j * 16 + 2 * quad, two.seesA, two.seesB, dims, dimsV);
                }
            }
            // where a weight was beyond float16, no sum of its row is finite: again with a shorter x
            float badA = quadSum(Math.abs(acc[0]) < FINITE ? 0f : 1f);
            float badB = quadSum(Math.abs(acc[2]) < FINITE ? 0f : 1f);
            again = round + 1 < ROUNDS ? Tile.count(badA + badB > 0f ? 1 : 0) : 0;
            scaleA *= again != 0 && badA > 0f ? SHORTER : 1f;
            scaleB *= again != 0 && badB > 0f ? SHORTER : 1f;
        }
        float unscaleA = UNSHIFT / scaleA / factorV;
        float unscaleB = UNSHIFT / scaleB / factorV;
        for (int n = 0; n < dimsV / 8; n++) {
            int column = 8 * n + 2 * quad;
            for (int h = 0; h < 2; h++) {
                if (two.liveA != 0 && column + h < Dv) {
                    o.set(two.atA * Dv + column + h, acc[4 * n + h] * unscaleA);
                }
                if (two.liveB != 0 && column + h < Dv) {
                    o.set(two.atB * Dv + column + h, acc[4 * n + 2 + h] * unscaleB);
                }
            }
        }
        if (quad == 0) {
            if (two.liveA != 0) {
                report(stats, scratch, two.atA, numbers + NUMBERS * two.atA);
            }
            if (two.liveB != 0) {
                report(stats, scratch, two.atB, numbers + NUMBERS * two.atB);
            }
        }
    }

    private static void report(FloatArray stats, FloatArray scratch, int at, int numbers) {
        float rr = scratch.get(numbers + TileState.RR);
        stats.set(2 * at, scratch.get(numbers + TileState.COUNT));
        stats.set(2 * at + 1, rr > SplitRows.SMALLEST ? TornadoMath.sqrt(rr / scratch.get(numbers + TileState.BB)) : 0f);
    }

    /** Adds 16 keys to o. */
    private static void piece(float[] acc, float[] total, float[] s, float[] u, float[] part, int[] w, int[] q, int[] y, int[] b, int[] tile, int qAt,
            int scoreAt, int sumAt, int offset, int offsetV, float cA, float cB, float mA, float mB, float[] starts, int key, int seesA, int seesB,
            int dims, int dimsV) {
        SplitPieces.scoresAndProducts(s, u, q, y, b, tile, qAt, scoreAt, offset, starts, dims);
        SplitPieces.weights(w, total, s, u, cA, cB, mA, mB, key, seesA, seesB);
        SplitPieces.sums(acc, part, w, b, tile, sumAt, offsetV, dimsV);
    }
}
