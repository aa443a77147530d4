package io.github.flashlla.tornado.kernels.backward;

import static io.github.flashlla.tornado.kernels.tile.BackwardRow.ROW_SCALARS;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.EVERY_KEY;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.LOG2E;
import static io.github.flashlla.tornado.kernels.tile.TilePieces.quadSum;
import static io.github.flashlla.tornado.kernels.tile.TileState.BB;
import static io.github.flashlla.tornado.kernels.tile.TileState.BLOCK;
import static io.github.flashlla.tornado.kernels.tile.TileState.COUNT;
import static io.github.flashlla.tornado.kernels.tile.TileState.GBAR;
import static io.github.flashlla.tornado.kernels.tile.TileState.NUMBERS;
import static io.github.flashlla.tornado.kernels.tile.TileState.REFERENCE;
import static io.github.flashlla.tornado.kernels.tile.TileState.THREADS;

import io.github.flashlla.tornado.kernels.tile.BackwardRow;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileRows;
import io.github.flashlla.tornado.kernels.tile.TileState;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * dq and dridge of the float16 backward pass, in one sweep over keys and values:
 *
 * <pre>
 *   mu = sum p e h    dq = scale (sum p e h k - mu kbar) - u    dridge = -u.x
 * </pre>
 *
 * <p>Four products and one sum. h is one accumulator: u k^T, then g v^T, on top of -Gbar - u.kbar. What {@link TileBackwardKeys} needs
 * of a query is left behind: -x and u in float16, and its column.
 */
public final class TileBackwardQueries {

    private TileBackwardQueries() {}

    /**
     * One group of {@value TileState#THREADS} for each {@value TileState#BLOCK} rows of a head, the longest first.
     *
     * @param packed keys, values, q and g in; rows of -x and u out
     * @param kbar weighted mean keys that forward saved (B,H,Sq,D)
     * @param x forward's solution (B,H,Sq,D)
     * @param dq out (B,H,Sq,D)
     * @param dridge out (B,H,Sq)
     * @param row out (B,H,Sq,{@value BackwardRow#ROW_SCALARS}), in part
     * @param scratch as {@link TileBackward} has it; its columns out
     */
    public static void queries(KernelContext ctx, HalfFloatArray packed, FloatArray kbar, FloatArray x, FloatArray dq, FloatArray dridge,
            FloatArray row, FloatArray scratch, IntArray sizes, FloatArray settings, int D, int dims) {
        Tile.launchBounds(THREADS, dims <= 64 ? 3 : 2);
        int[] tile = ctx.allocateIntLocalArray(8192); // two tiles of keys and of values
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        int stride = dims <= 64 ? 64 : 128;
        int keys = dims <= 64 ? 64 : 32;
        int pieceBytes = 32 * stride;

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
        int tiles = (TileState.sees(Math.min(block * BLOCK + BLOCK, Sq) - 1, Sq, Sk, causal) + keys - 1) / keys;
        int from = head / group * padded * stride;
        int fromV = from + heads / group * padded * stride;
        float c = settings.get(TileState.SCALE) * LOG2E;
        int numbers = TileState.numbersAt(rows, dims);
        int uAt = 2 * rows * dims;
        int baseA = TileRows.base(atA, quad, dims);
        int baseB = TileRows.base(atB, quad, dims);
        int paddedRow = head * TileBackward.paddedRows(Sq) + rowA;
        int packedA = Tile.opaque(TilePieces.FIRST + paddedRow * stride + 2 * quad);
        int rowsAt = TileBackward.rowsAt(0, heads, group, Sq, padded, stride) + packedA;
        int array = heads * TileBackward.paddedRows(Sq) * stride;

        int[] qf = new int[dims / 4];
        int[] xf = new int[dims / 4];
        int[] uf = new int[dims / 4];
        int[] gf = new int[dims / 4];
        int[] rest = new int[4];
        int[] b = new int[4];
        int[] w = new int[4];
        int[] one = new int[2];
        float[] s = new float[8];
        float[] e = new float[8];
        float[] h = new float[8];
        float[] acc = new float[dims / 2];
        float[] total = new float[4];
        float[] four = new float[8];
        float[] startE = new float[4];
        float[] startH = new float[4];
        one[0] = Tile.opaque(0x3C003C00);
        one[1] = Tile.opaque(0x3C003C00);
        float xkA = 0f;
        float xkB = 0f;
        float ukA = 0f;
        float ukB = 0f;
        float uxA = 0f;
        float uxB = 0f;
        float xxA = 0f;
        float xxB = 0f;
        for (int n = 0; n < dims / 8; n++) {
            for (int i = 0; i < 2; i++) {
                int column = TileRows.column(n, quad) + i;
                float xA = column < D ? x.get(atA * D + column) : 0f;
                float xB = column < D ? x.get(atB * D + column) : 0f;
                xxA += xA * xA;
                xxB += xB * xB;
            }
        }
        float longest = TileBackward.LONGEST * TileBackward.LONGEST;
        int both = Tile.count(Math.max(quadSum(xxA), quadSum(xxB)) > longest ? 1 : 0);
        if (tid == 0) {
            scratch.set(TileBackward.longAt(heads, Sq, dims) + paddedRow / BLOCK, both > 0 ? 1f : 0f);
        }
        int hereA = Tile.opaque(atA); // or all of x is kept from the loop above
        int hereB = Tile.opaque(atB);
        int leftX = rowsAt + TileBackward.LEFT_X_ROWS * array;
        int leftU = rowsAt + TileBackward.LEFT_U_ROWS * array;
        int leftXA = Tile.opaque(leftX);
        int leftXB = Tile.opaque(leftX + 8 * stride);
        int leftUA = Tile.opaque(leftU);
        int leftUB = Tile.opaque(leftU + 8 * stride);
        for (int n = 0; n < dims / 8; n++) {
            int at = 4 * (n >> 1) + 2 * (n & 1);
            int column = TileRows.column(n, quad);
            int of = 4 * (n & 1);
            if (of == 0) {
                TileRows.load(four, 0, scratch, uAt, baseA, baseB, n >> 1);
            }
            float xA0 = column < D ? x.get(hereA * D + column) : 0f;
            float xA1 = column + 1 < D ? x.get(hereA * D + column + 1) : 0f;
            float xB0 = column < D ? x.get(hereB * D + column) : 0f;
            float xB1 = column + 1 < D ? x.get(hereB * D + column + 1) : 0f;
            float kA0 = column < D ? kbar.get(atA * D + column) : 0f;
            float kA1 = column + 1 < D ? kbar.get(atA * D + column + 1) : 0f;
            float kB0 = column < D ? kbar.get(atB * D + column) : 0f;
            float kB1 = column + 1 < D ? kbar.get(atB * D + column + 1) : 0f;
            xf[at] = Tile.half2(-xA0, -xA1);
            xf[at + 1] = Tile.half2(-xB0, -xB1);
            uf[at] = Tile.half2(four[of], four[of + 1]);
            uf[at + 1] = Tile.half2(four[of + 2], four[of + 3]);
            int restXA = both > 0 ? left(-xA0, -xA1, xf[at]) : 0;
            int restXB = both > 0 ? left(-xB0, -xB1, xf[at + 1]) : 0;
            int restUA = both > 0 ? left(four[of], four[of + 1], uf[at]) : 0;
            int restUB = both > 0 ? left(four[of + 2], four[of + 3], uf[at + 1]) : 0;
            xkA += (Tile.low(xf[at]) + Tile.low(restXA)) * kA0 + (Tile.high(xf[at]) + Tile.high(restXA)) * kA1;
            xkB += (Tile.low(xf[at + 1]) + Tile.low(restXB)) * kB0 + (Tile.high(xf[at + 1]) + Tile.high(restXB)) * kB1;
            ukA += (Tile.low(uf[at]) + Tile.low(restUA)) * kA0 + (Tile.high(uf[at]) + Tile.high(restUA)) * kA1;
            ukB += (Tile.low(uf[at + 1]) + Tile.low(restUB)) * kB0 + (Tile.high(uf[at + 1]) + Tile.high(restUB)) * kB1;
            Tile.storePair(packed, leftXA + 8 * n, liveA != 0 ? restXA : 0);
            Tile.storePair(packed, leftXB + 8 * n, liveB != 0 ? restXB : 0);
            Tile.storePair(packed, leftUA + 8 * n, liveA != 0 ? restUA : 0);
            Tile.storePair(packed, leftUB + 8 * n, liveB != 0 ? restUB : 0);
            uxA += four[of] * xA0 + four[of + 1] * xA1;
            uxB += four[of + 2] * xB0 + four[of + 3] * xB1;
        }
        TileBackward.storeRows(packed, xf, rowsAt + TileBackward.X_ROWS * array, rowsAt + TileBackward.X_ROWS * array + 8 * stride, dims, liveA, liveB);
        TileBackward.storeRows(packed, uf, rowsAt + TileBackward.U_ROWS * array, rowsAt + TileBackward.U_ROWS * array + 8 * stride, dims, liveA, liveB);
        TileBackward.loadRows(qf, packed, rowsAt + TileBackward.Q_ROWS * array, rowsAt + TileBackward.Q_ROWS * array + 8 * stride, dims);
        TileBackward.loadRows(gf, packed, rowsAt + TileBackward.G_ROWS * array, rowsAt + TileBackward.G_ROWS * array + 8 * stride, dims);
        uxA = quadSum(uxA);
        uxB = quadSum(uxB);
        float eA = 1f - quadSum(xkA);
        float eB = 1f - quadSum(xkB);
        float hA = -scratch.get(numbers + NUMBERS * atA + GBAR) - quadSum(ukA);
        float hB = -scratch.get(numbers + NUMBERS * atB + GBAR) - quadSum(ukB);
        float mA = scratch.get(numbers + NUMBERS * atA + REFERENCE) + (TilePieces.SHIFT - TileBackward.SHIFT);
        float mB = scratch.get(numbers + NUMBERS * atB + REFERENCE) + (TilePieces.SHIFT - TileBackward.SHIFT);
        TilePieces.start(startE, eA, eB);
        TilePieces.start(startH, hA, hB);
        int scoreAt = base + TilePieces.scoreByte(lane, stride);
        int sumAt = base + TilePieces.sumByte(lane, stride);
        for (int i = 0; i < dims / 2; i++) {
            acc[i] = 0f;
        }
        for (int i = 0; i < 4; i++) {
            total[i] = 0f;
        }
        TilePieces.copyTile(tile, base, packed, from, tid, keys, stride);
        TilePieces.copyTile(tile, base + 8192, packed, fromV, tid, keys, stride);
        Tile.commit();
        for (int t = 0; t < tiles; t++) {
            Tile.await(0);
            ctx.localBarrier();
            int buffer = (t & 1) << 14;
            if (t + 1 < tiles) {
                TilePieces.copyTile(tile, base + (16384 - buffer), packed, from + (t + 1) * keys * stride, tid, keys, stride);
                TilePieces.copyTile(tile, base + (16384 - buffer) + 8192, packed, fromV + (t + 1) * keys * stride, tid, keys, stride);
                Tile.commit();
            }
            int key = t * keys;
            int whole = key + keys <= low && both == 0 ? 1 : 0;
            if (whole != 0) {
                piece(acc, total, s, e, h, w, qf, xf, uf, gf, b, one, tile, scoreAt + buffer, sumAt + buffer, 0, c, mA, mB, startE, startH, 0,
                        EVERY_KEY, EVERY_KEY, dims);
                piece(acc, total, s, e, h, w, qf, xf, uf, gf, b, one, tile, scoreAt + buffer, sumAt + buffer, pieceBytes, c, mA, mB, startE,
                        startH, 0, EVERY_KEY, EVERY_KEY, dims);
                if (keys > 32) {
                    piece(acc, total, s, e, h, w, qf, xf, uf, gf, b, one, tile, scoreAt + buffer, sumAt + buffer, 2 * pieceBytes, c, mA, mB,
                            startE, startH, 0, EVERY_KEY, EVERY_KEY, dims);
                    piece(acc, total, s, e, h, w, qf, xf, uf, gf, b, one, tile, scoreAt + buffer, sumAt + buffer, 3 * pieceBytes, c, mA, mB,
                            startE, startH, 0, EVERY_KEY, EVERY_KEY, dims);
                }
            }
            int pieces = whole != 0 ? 0 : Math.min(keys / 16, (Math.max(0, high - key) + 15) / 16);
            for (int j = 0; j < pieces; j++) {
                products(s, e, h, qf, xf, uf, gf, b, tile, scoreAt + buffer, j * pieceBytes, startE, startH, dims);
                if (both > 0) {
                    moreProducts(e, rest, packed, leftX, stride, b, tile, scoreAt + buffer, j * pieceBytes, dims);
                    moreProducts(h, rest, packed, leftU, stride, b, tile, scoreAt + buffer, j * pieceBytes, dims);
                }
                sum(acc, total, s, e, h, w, b, one, tile, sumAt + buffer, j * pieceBytes, c, mA, mB, key + j * 16 + 2 * quad, seesA, seesB, dims);
            }
        }

        float muA = total[0] * TileBackward.UNSHIFT;
        float muB = total[2] * TileBackward.UNSHIFT;
        float scale = settings.get(TileState.SCALE);
        float back = Tile.exp2(-TileBackward.gradientShift(scratch, head, group, heads, Sq, dims, lane));
        for (int n = 0; n < dims / 8; n++) {
            int of = 4 * (n & 1);
            if (of == 0) {
                TileRows.load(four, 0, scratch, uAt, baseA, baseB, n >> 1);
            }
            for (int i = 0; i < 2; i++) {
                int column = TileRows.column(n, quad) + i;
                if (liveA != 0 && column < D) {
                    float sum = acc[4 * n + i] * TileBackward.UNSHIFT - muA * kbar.get(atA * D + column);
                    dq.set(atA * D + column, (scale * sum - four[of + i]) * back);
                }
                if (liveB != 0 && column < D) {
                    float sum = acc[4 * n + 2 + i] * TileBackward.UNSHIFT - muB * kbar.get(atB * D + column);
                    dq.set(atB * D + column, (scale * sum - four[of + 2 + i]) * back);
                }
            }
        }
        if (quad == 0) {
            int columns = TileBackward.columnsAt(heads, Sq, dims) + 4 * paddedRow;
            column(scratch, columns, mA, eA, hA, muA, liveA != 0 && seesA > 0 ? 1 : 0);
            column(scratch, columns + 32, mB, eB, hB, muB, liveB != 0 && seesB > 0 ? 1 : 0);
            if (liveA != 0) {
                report(row, dridge, scratch, atA, numbers + NUMBERS * atA, -uxA * back, muA);
            }
            if (liveB != 0) {
                report(row, dridge, scratch, atB, numbers + NUMBERS * atB, -uxB * back, muB);
            }
        }
    }

    /** u += y k^T with y in global memory, where this lane wrote it: held in registers, it would push what each piece needs out of them. */
    private static void moreProducts(float[] u, int[] y, HalfFloatArray packed, int rows, int stride, int[] b, int[] tile, int at, int offset,
            int dims) {
        int rowA = Tile.opaque(rows);
        int rowB = Tile.opaque(rows + 8 * stride);
        for (int k = 0; k < dims / 16; k++) {
            y[0] = Tile.loadPair(packed, rowA + 16 * k);
            y[1] = Tile.loadPair(packed, rowB + 16 * k);
            y[2] = Tile.loadPair(packed, rowA + 16 * k + 8);
            y[3] = Tile.loadPair(packed, rowB + 16 * k + 8);
            Tile.load4(b, 0, tile, (at ^ (k << 5)) + offset);
            Tile.mma(u, 0, y, 0, b, 0);
            Tile.mma(u, 4, y, 0, b, 2);
        }
    }

    /** What rounding left of two numbers. */
    private static int left(float first, float second, int rounded) {
        return Tile.half2(first - Tile.low(rounded), second - Tile.high(rounded));
    }

    private static void column(FloatArray scratch, int at, float m, float e, float h, float mu, int there) {
        scratch.set(at, there != 0 ? m : TileBackward.NOTHING);
        scratch.set(at + 1, there != 0 ? e : 0f);
        scratch.set(at + 2, there != 0 ? h : 0f);
        scratch.set(at + 3, there != 0 ? mu : 0f);
    }

    private static void report(FloatArray row, FloatArray dridge, FloatArray scratch, int at, int numbers, float gradient, float mu) {
        row.set(ROW_SCALARS * at + BackwardRow.ITERATIONS, scratch.get(numbers + COUNT));
        row.set(ROW_SCALARS * at + BackwardRow.RESIDUAL, TileState.residual(scratch, numbers, scratch.get(numbers + BB)));
        row.set(ROW_SCALARS * at + BackwardRow.MU, mu);
        dridge.set(at, gradient);
    }

    /** Adds 16 keys to sum p e h k. */
    private static void piece(float[] acc, float[] total, float[] s, float[] e, float[] h, int[] w, int[] q, int[] x, int[] u, int[] g, int[] b,
            int[] one, int[] tile, int scoreAt, int sumAt, int offset, float c, float mA, float mB, float[] startE, float[] startH, int key,
            int seesA, int seesB, int dims) {
        products(s, e, h, q, x, u, g, b, tile, scoreAt, offset, startE, startH, dims);
        sum(acc, total, s, e, h, w, b, one, tile, sumAt, offset, c, mA, mB, key, seesA, seesB, dims);
    }

    private static void products(float[] s, float[] e, float[] h, int[] q, int[] x, int[] u, int[] g, int[] b, int[] tile, int scoreAt,
            int offset, float[] startE, float[] startH, int dims) {
        Tile.load4(b, 0, tile, scoreAt + offset);
        Tile.mmaFromZero(s, 0, q, 0, b, 0);
        Tile.mmaFromZero(s, 4, q, 0, b, 2);
        Tile.mmaFrom(e, 0, x, 0, b, 0, startE);
        Tile.mmaFrom(e, 4, x, 0, b, 2, startE);
        Tile.mmaFrom(h, 0, u, 0, b, 0, startH);
        Tile.mmaFrom(h, 4, u, 0, b, 2, startH);
        for (int k = 1; k < dims / 16; k++) {
            Tile.load4(b, 0, tile, (scoreAt ^ (k << 5)) + offset);
            Tile.mma(s, 0, q, 4 * k, b, 0);
            Tile.mma(s, 4, q, 4 * k, b, 2);
            Tile.mma(e, 0, x, 4 * k, b, 0);
            Tile.mma(e, 4, x, 4 * k, b, 2);
            Tile.mma(h, 0, u, 4 * k, b, 0);
            Tile.mma(h, 4, u, 4 * k, b, 2);
        }
        TilePieces.moreProducts(h, g, b, tile, scoreAt + 8192, offset, dims);
    }

    private static void sum(float[] acc, float[] total, float[] s, float[] e, float[] h, int[] w, int[] b, int[] one, int[] tile, int sumAt,
            int offset, float c, float mA, float mB, int key, int seesA, int seesB, int dims) {
        for (int i = 0; i < 8; i++) {
            e[i] *= h[i];
        }
        TilePieces.weights(w, s, e, c, mA, mB, key, seesA, seesB);
        TilePieces.sums(acc, w, b, tile, sumAt, offset, dims);
        Tile.mma(total, 0, w, 0, one, 0);
    }
}
