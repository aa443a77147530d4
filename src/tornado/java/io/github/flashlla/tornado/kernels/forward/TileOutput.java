package io.github.flashlla.tornado.kernels.forward;

import static io.github.flashlla.tornado.kernels.forward.TileSolve.FINITE;
import static io.github.flashlla.tornado.kernels.forward.TileSolve.SHORTER;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.EVERY_KEY;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.UNSHIFT;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.quadSum;
import static io.github.flashlla.tornado.kernels.tile.TileState.BLOCK;
import static io.github.flashlla.tornado.kernels.tile.TileState.COUNT;
import static io.github.flashlla.tornado.kernels.tile.TileState.NUMBERS;
import static io.github.flashlla.tornado.kernels.tile.TileState.REFERENCE;
import static io.github.flashlla.tornado.kernels.tile.TileState.TARGET;
import static io.github.flashlla.tornado.kernels.tile.TileState.THREADS;
import static io.github.flashlla.tornado.kernels.tile.WarpGroupPieces.uniform;

import io.github.flashlla.tornado.kernels.tile.Architecture;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileRows;
import io.github.flashlla.tornado.kernels.tile.TileState;
import io.github.flashlla.tornado.kernels.tile.WarpGroup;
import io.github.flashlla.tornado.kernels.tile.WarpGroupPieces;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Pass 3 of the float16 forward pass in registers: o = sum p (1 - x.(k - kbar)) v.
 *
 * <p>x is rounded to float16, at a length of at most {@value #LONGEST}; x.kbar is of what was rounded. Where x is longer than that, what
 * rounding left of it is multiplied, too, since x.(k - kbar) then is far above 1: another product, for warps with such a row.
 */
public final class TileOutput {
    static final float LONGEST = 8f;
    static final int ROUNDS = 3;

    private TileOutput() {}

    /**
     * One group of {@value TileState#THREADS} for each {@value TileState#BLOCK} rows of a head, the longest first.
     *
     * @param q (B,H,Sq,D)
     * @param packed from {@link TileForward#pack}
     * @param kbar (B,H,Sq,D)
     * @param x (B,H,Sq,D): out where D is padded, else the solve's
     * @param stats out (B,H,Sq,2): iterations behind the first step, relative residual
     * @param o out (B,H,Sq,Dv)
     * @param scratch as {@link TileState} has it
     * @param warpGroup 1 for products of four warps together ({@link WarpGroupTiles}), 0 for each warp's own
     */
    public static void output(KernelContext ctx, FloatArray q, HalfFloatArray packed, FloatArray kbar, FloatArray x, FloatArray stats, FloatArray o,
            FloatArray scratch, IntArray sizes, FloatArray settings, int D, int Dv, int dims, int dimsV,
            @Architecture(WarpGroup.ARCHITECTURE) int warpGroup) {
        Tile.launchBounds(THREADS, dims + dimsV <= 128 ? 3 : 2);
        int[] tile = ctx.allocateIntLocalArray(8192 + (warpGroup != 0 ? WarpGroupPieces.rowBytes(dims) / 4 : 0)); // two tiles of keys and of values
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        int stride = dims <= 64 ? 64 : 128;
        int strideV = dimsV <= 64 ? 64 : 128;
        int keys = dims <= 64 && dimsV <= 64 ? 64 : 32;
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
        int padded = sizes.get(TileState.PADDED_SK);
        int causal = sizes.get(TileState.CAUSAL);
        int rows = heads * Sq;
        int head = ctx.groupIdx % heads;
        int block = (Sq + BLOCK - 1) / BLOCK - 1 - ctx.groupIdx / heads;
        int first = block * BLOCK + warp * 16;
        int rowA = first + (lane >> 2);
        int rowB = rowA + 8;
        int liveA = rowA < Sq ? 1 : 0;
        int liveB = rowB < Sq ? 1 : 0;
        int atA = head * Sq + Math.min(rowA, Sq - 1);
        int atB = head * Sq + Math.min(rowB, Sq - 1);
        int seesA = TileState.sees(Math.min(rowA, Sq - 1), Sq, Sk, causal);
        int seesB = TileState.sees(Math.min(rowB, Sq - 1), Sq, Sk, causal);
        int low = TileState.sees(Math.min(first, Sq - 1), Sq, Sk, causal);
        int high = TileState.sees(Math.min(first + 15, Sq - 1), Sq, Sk, causal);
        int tiles = uniform((TileState.sees(Math.min(block * BLOCK + BLOCK, Sq) - 1, Sq, Sk, causal) + keys - 1) / keys, warpGroup);
        int lowest = uniform(TileState.sees(Math.min(block * BLOCK, Sq - 1), Sq, Sk, causal), warpGroup);
        int from = head / group * padded * stride;
        int fromV = heads / group * padded * stride + head / group * padded * strideV;
        float c = settings.get(TileState.SCALE) * LOG2E;
        int numbers = Tile.opaque(TileState.numbersAt(rows, dims)); // else ptxas makes a slower loop of it
        int xAt = 2 * rows * dims;
        int kbarAt = 3 * rows * dims;
        int baseA = TileRows.base(atA, quad, dims);
        int baseB = TileRows.base(atB, quad, dims);

        int[] qf = new int[dims / 4];
        int[] y = new int[dims / 4];
        int[] rest = new int[dims / 4];
        int[] b = new int[4];
        int[] w = new int[warpGroup != 0 ? keys / 4 : 4];
        float[] s = new float[warpGroup != 0 ? keys / 2 : 8];
        float[] u = new float[warpGroup != 0 ? keys / 2 : 8];
        float[] acc = new float[dimsV / 2];
        float[] mean = new float[8];
        float[] starts = new float[4];
        TilePieces.loadRows(qf, q, atA, atB, quad, D, dims, 1f);
        int qAt = base + 32768;
        if (warpGroup != 0) {
            WarpGroupPieces.storeRows(tile, qAt, qf, tid, dims);
        }
        float mA = scratch.get(numbers + NUMBERS * atA + REFERENCE);
        float mB = scratch.get(numbers + NUMBERS * atB + REFERENCE);
        float[] all = new float[dims / 2];
        float scaleA = 1f;
        float scaleB = 1f;
        int both = 0;
        int again = 1;
        for (int round = 0; round < ROUNDS && again != 0; round++) {
            if (tiles > 0) {
                if (warpGroup != 0) {
                    WarpGroupPieces.copyTile(tile, base, packed, from, tid, keys, stride);
                    WarpGroupPieces.copyTile(tile, base + 8192, packed, fromV, tid, keys, strideV);
                } else {
                    TilePieces.copyTile(tile, base, packed, from, tid, keys, stride);
                    TilePieces.copyTile(tile, base + 8192, packed, fromV, tid, keys, strideV);
                }
            }
            Tile.commit();
            // all of x at once, before anything is written
            TileRows.loadSolution(all, x, scratch, xAt, D == dims ? 1 : 0, baseA, baseB, dims);
            if (round == 0) {
                float xxA = 0f;
                float xxB = 0f;
                for (int n = 0; n < dims / 8; n++) {
                    int column = TileRows.column(n, quad);
                    for (int h = 0; h < 2; h++) {
                        if (liveA != 0 && D != dims && column + h < D) {
                            x.set(atA * D + column + h, all[4 * n + h]);
                        }
                        if (liveB != 0 && D != dims && column + h < D) {
                            x.set(atB * D + column + h, all[4 * n + 2 + h]);
                        }
                    }
                    xxA += all[4 * n] * all[4 * n] + all[4 * n + 1] * all[4 * n + 1];
                    xxB += all[4 * n + 2] * all[4 * n + 2] + all[4 * n + 3] * all[4 * n + 3];
                }
                xxA = quadSum(xxA);
                xxB = quadSum(xxB);
                scaleA = xxA > LONGEST * LONGEST ? LONGEST * Tile.rsqrt(xxA) : 1f;
                scaleB = xxB > LONGEST * LONGEST ? LONGEST * Tile.rsqrt(xxB) : 1f;
                int longer = Math.max(xxA, xxB) > LONGEST * LONGEST ? 1 : 0;
                both = warpGroup != 0 ? WarpGroup.uniform(Tile.count(longer)) : Tile.any(longer);
            }
            float sumA = 0f;
            float sumB = 0f;
            for (int n = 0; n < dims / 8; n++) {
                int at = 4 * (n >> 1) + 2 * (n & 1);
                int of = 4 * (n & 1);
                if (of == 0) {
                    TileRows.loadMean(mean, 0, kbar, scratch, kbarAt, baseA, baseB, n >> 1, D, dims);
                }
                float a0 = -scaleA * all[4 * n];
                float a1 = -scaleA * all[4 * n + 1];
                float b0 = -scaleB * all[4 * n + 2];
                float b1 = -scaleB * all[4 * n + 3];
                int pairA = Tile.half2(a0, a1);
                int pairB = Tile.half2(b0, b1);
                int restA = both != 0 ? Tile.half2(a0 - Tile.low(pairA), a1 - Tile.high(pairA)) : 0;
                int restB = both != 0 ? Tile.half2(b0 - Tile.low(pairB), b1 - Tile.high(pairB)) : 0;
                y[at] = pairA;
                y[at + 1] = pairB;
                rest[at] = restA;
                rest[at + 1] = restB;
                sumA += (Tile.low(pairA) + Tile.low(restA)) * mean[of] + (Tile.high(pairA) + Tile.high(restA)) * mean[of + 1];
                sumB += (Tile.low(pairB) + Tile.low(restB)) * mean[of + 2] + (Tile.high(pairB) + Tile.high(restB)) * mean[of + 3];
            }
            TilePieces.start(starts, scaleA - quadSum(sumA), scaleB - quadSum(sumB));
            int scoreAt = base + TilePieces.scoreByte(lane, stride);
            int sumAt = base + 8192 + TilePieces.sumByte(lane, strideV);
            for (int i = 0; i < dimsV / 2; i++) {
                acc[i] = 0f;
            }
            if (warpGroup != 0) {
                int zero = Tile.opaque(0);
                int buffer = 0;
                for (int t = 0; t < tiles; t++) {
                    Tile.await(0);
                    WarpGroup.publish();
                    ctx.localBarrier();
                    int keysAt = base + buffer;
                    buffer = 16384 - buffer;
                    if (t + 1 < tiles) {
                        WarpGroupPieces.copyTile(tile, base + buffer, packed, from + (t + 1) * keys * stride, tid, keys, stride);
                        WarpGroupPieces.copyTile(tile, base + buffer + 8192, packed, fromV + (t + 1) * keys * strideV, tid, keys, strideV);
                    }
                    Tile.commit();
                    WarpGroupTiles.output(acc, s, u, w, y, rest, both, zero, starts, tile, qAt, keysAt, keysAt + 8192, c, mA, mB,
                            (t + 1) * keys <= lowest ? 1 : 0, t * keys + 2 * quad, seesA, seesB, keys, dims, dimsV);
                }
                ctx.localBarrier();
            } else {
                int buffer = 16384;
                for (int t = 0; t < tiles; t++) {
                    Tile.await(0);
                    ctx.localBarrier();
                    int free = base + buffer; // the tile before this one's
                    buffer = buffer == 16384 ? 0 : 16384;
                    if (t + 1 < tiles) {
                        TilePieces.copyTile(tile, free, packed, from + (t + 1) * keys * stride, tid, keys, stride);
                        TilePieces.copyTile(tile, free + 8192, packed, fromV + (t + 1) * keys * strideV, tid, keys, strideV);
                    }
                    Tile.commit();
                    int key = t * keys;
                    int whole = key + keys <= low && both == 0 ? 1 : 0;
                    if (whole != 0) {
                        piece(acc, s, u, w, qf, y, b, tile, scoreAt + buffer, sumAt + buffer, 0, 0, c, mA, mB, starts, dims, dimsV);
                        piece(acc, s, u, w, qf, y, b, tile, scoreAt + buffer, sumAt + buffer, pieceBytes, pieceBytesV, c, mA, mB, starts, dims, dimsV);
                        if (keys > 32) {
                            piece(acc, s, u, w, qf, y, b, tile, scoreAt + buffer, sumAt + buffer, 2 * pieceBytes, 2 * pieceBytesV, c, mA, mB, starts, dims, dimsV);
                            piece(acc, s, u, w, qf, y, b, tile, scoreAt + buffer, sumAt + buffer, 3 * pieceBytes, 3 * pieceBytesV, c, mA, mB, starts, dims, dimsV);
                        }
                    }
                    int pieces = whole != 0 ? 0 : Math.min(keys / 16, (Math.max(0, high - key) + 15) / 16);
                    for (int j = 0; j < pieces; j++) {
                        int at = key + j * 16 + 2 * quad;
                        TilePieces.scoresAndProducts(s, u, qf, y, b, tile, scoreAt + buffer, j * pieceBytes, starts, dims);
                        if (both != 0) {
                            TilePieces.moreProducts(u, rest, b, tile, scoreAt + buffer, j * pieceBytes, dims);
                        }
                        TilePieces.weights(w, s, u, c, mA, mB, at, seesA, seesB);
                        TilePieces.sums(acc, w, b, tile, sumAt + buffer, j * pieceBytesV, dimsV);
                    }
                }
            }
            // where a weight was beyond float16, a sum is not finite: again with a shorter x
            float largestA = 0f;
            float largestB = 0f;
            for (int n = 0; n < dimsV / 8; n++) {
                largestA += Math.abs(acc[4 * n]) + Math.abs(acc[4 * n + 1]);
                largestB += Math.abs(acc[4 * n + 2]) + Math.abs(acc[4 * n + 3]);
            }
            float badA = quadSum(largestA < FINITE ? 0f : 1f);
            float badB = quadSum(largestB < FINITE ? 0f : 1f);
            again = uniform(round + 1 < ROUNDS ? Tile.count(badA + badB > 0f ? 1 : 0) : 0, warpGroup);
            scaleA *= again != 0 && badA > 0f ? SHORTER : 1f;
            scaleB *= again != 0 && badB > 0f ? SHORTER : 1f;
        }
        int ofA = TileRows.base(atA, quad, dimsV);
        int ofB = TileRows.base(atB, quad, dimsV);
        float unscaleA = UNSHIFT / scaleA;
        float unscaleB = UNSHIFT / scaleB;
        for (int n = 0; n < dimsV / 8; n++) {
            int column = TileRows.column(n, quad);
            for (int h = 0; h < 2; h++) {
                acc[4 * n + h] *= unscaleA;
                acc[4 * n + 2 + h] *= unscaleB;
                if (liveA != 0 && Dv != dimsV && column + h < Dv) {
                    o.set(atA * Dv + column + h, acc[4 * n + h]);
                }
                if (liveB != 0 && Dv != dimsV && column + h < Dv) {
                    o.set(atB * Dv + column + h, acc[4 * n + 2 + h]);
                }
            }
        }
        if (Dv == dimsV) {
            TileRows.storeAll(o, 0, ofA, ofB, acc, dimsV, liveA, liveB);
        }
        if (quad == 0) {
            if (liveA != 0) {
                report(stats, scratch, atA, numbers + NUMBERS * atA, settings.get(TileState.TOLERANCE));
            }
            if (liveB != 0) {
                report(stats, scratch, atB, numbers + NUMBERS * atB, settings.get(TileState.TOLERANCE));
            }
        }
    }

    private static void report(FloatArray stats, FloatArray scratch, int at, int numbers, float tolerance) {
        stats.set(2 * at, scratch.get(numbers + COUNT));
        stats.set(2 * at + 1, TileState.residual(scratch, numbers, scratch.get(numbers + TARGET) / (tolerance * tolerance)));
    }

    /** Adds 16 keys that all rows see to o. */
    private static void piece(float[] acc, float[] s, float[] u, int[] w, int[] q, int[] y, int[] b, int[] tile, int scoreAt, int sumAt,
            int offset, int offsetV, float c, float mA, float mB, float[] starts, int dims, int dimsV) {
        TilePieces.scoresAndProducts(s, u, q, y, b, tile, scoreAt, offset, starts, dims);
        TilePieces.weights(w, s, u, c, mA, mB, 0, EVERY_KEY, EVERY_KEY);
        TilePieces.sums(acc, w, b, tile, sumAt, offsetV, dimsV);
    }
}
