package io.github.flashlla.tornado.kernels.backward;

import io.github.flashlla.tornado.kernels.forward.SplitMean;
import io.github.flashlla.tornado.kernels.tile.BackwardRow;
import io.github.flashlla.tornado.kernels.tile.SplitPair;
import io.github.flashlla.tornado.kernels.tile.SplitPieces;
import io.github.flashlla.tornado.kernels.tile.SplitRows;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * What the kernels of the float32 backward pass on half-precision matrix units share: three products for one, as
 * {@link io.github.flashlla.tornado.kernels.tile.SplitPieces} has them. Formulas as in {@link GpuBackward}.
 *
 * <pre>
 *   factors, pack  {@link io.github.flashlla.tornado.kernels.forward.SplitMean}: keys and values in two float16 each
 *   gather         {@link SplitBackwardGather}: Gbar and c, and the first direction
 *   solve          {@link io.github.flashlla.tornado.kernels.forward.SplitSolve}: A u = -c; rows left over are listed and solved again
 *   finish         {@link #finish}: u as it is
 *   queries        {@link SplitBackwardQueries} or {@link SplitBackwardPairQueries}: dq and dridge
 *   largest, rows  {@link #largest}, {@link #packRows}: rows of queries in two float16 each
 *   keys           {@link SplitBackwardKeys} or {@link SplitBackwardPairKeys}: dk and dv
 * </pre>
 *
 * <p>A row's g, and with it u, is multiplied with a power of two until {@code finish}, so that c is about as large whatever g and v are.
 * {@code scratch} is that of {@link SplitRows}; of a row's numbers, {@link TileState#GBAR} is what u is to be multiplied with. Behind it are the
 * largest numbers of q, x, u and g of each kv head and a column of four numbers for each row; {@code packed} holds the rows behind keys and
 * values. Both serve the last kernel. Queries and keys have a form for head dims to {@value #DIMS} and one for those above.
 */
public final class SplitBackward {
    /** Threads of a group of {@link #finish} and {@link #packRows}, and of {@link #largest}. */
    static final int ROW_THREADS = 256;
    /** Head dim, padded, to which a warp of queries and keys has its rows in registers. Above it two warps share them. */
    static final int DIMS = 64;
    /** Where products of numbers up to 1024 count as 1, weights are up to 2^7: 2^this is what they are divided by. */
    static final float WEIGHT = 13f;
    /** 2^WEIGHT. */
    static final float UNWEIGHT = 8192f;
    /** Sweeps at most, each with weights {@value #SHORTER} times those of the one before, where one is beyond float16. */
    static final int ROUNDS = 4;
    static final float SHORTER = 1 / 256f;
    /** A sum above this has met a weight beyond float16. */
    static final float FINITE = 1e30f;
    /** e = 1 - x.(k - kbar) is made of products up to this times too large, whatever x is. */
    private static final float LARGEST_PRODUCT = 0x1p40f;

    private SplitBackward() {}

    /** Whether one warp has the rows of these head dims in registers. */
    static boolean alone(int D, int Dv) {
        return Math.max(D, Dv) <= DIMS;
    }

    /** Rows of a group of queries, and keys of one of keys. */
    static int block(int D, int Dv) {
        return alone(D, Dv) ? TileState.BLOCK : SplitPair.BLOCK;
    }

    /** float16 elements from row to row of packed queries: q, x, u and g have the same. */
    static int rowStride(int D, int Dv) {
        return TilePieces.stride(TileState.dims(Math.max(D, Dv)));
    }

    /** Threads of {@link #packRows}. */
    static long rowChunks(long heads, long Sq, int D, int Dv) {
        return 4 * heads * TileState.paddedKeys(Sq) * (rowStride(D, Dv) / 8);
    }

    /** float16 elements of {@code packed}. */
    static long packedHalves(long heads, long kvHeads, long Sq, long Sk, int D, int Dv) {
        return SplitRows.packedHalves(kvHeads, Sk, D, Dv) + 16 * rowChunks(heads, Sq, D, Dv);
    }

    /** Floats of {@code scratch}. */
    static long scratchFloats(long heads, long kvHeads, long Sq, int D) {
        return (SplitRows.scratchFloats(heads, kvHeads, Sq, TileState.dims(D)) + 4 * kvHeads + 3) / 4 * 4 + 4 * heads * TileState.paddedKeys(Sq);
    }

    /** Where rows of queries start in {@code packed}. */
    static int rowsAt(int kvHeads, int Sk, int stride, int strideV) {
        return 2 * kvHeads * SplitRows.paddedKeys(Sk) * (stride + strideV);
    }

    /** Where the largest numbers of q, x, u and g are in {@code scratch}, one for each kv head. */
    private static int largestAt(int heads, int kvHeads, int Sq, int dims) {
        return SplitRows.factorsAt(heads, Sq, dims) + 2 * kvHeads;
    }

    /** Where the columns start in {@code scratch}: at a multiple of 16 bytes. */
    static int columnsAt(int heads, int kvHeads, int Sq, int dims) {
        return (largestAt(heads, kvHeads, Sq, dims) + 4 * kvHeads + 3) / 4 * 4;
    }

    /** What keys are multiplied with. */
    static float keyFactor(FloatArray scratch, int heads, int kvHeads, int kvHead, int Sq, int dims) {
        return scratch.get(SplitRows.factorsAt(heads, Sq, dims) + kvHead);
    }

    /** What values are multiplied with. */
    static float valueFactor(FloatArray scratch, int heads, int kvHeads, int kvHead, int Sq, int dims) {
        return scratch.get(SplitRows.factorsAt(heads, Sq, dims) + kvHeads + kvHead);
    }

    /** What rows of q are multiplied with, all of a kv head. */
    static float queryFactor(FloatArray scratch, int heads, int kvHeads, int kvHead, int Sq, int dims) {
        return SplitPieces.factor(scratch.get(largestAt(heads, kvHeads, Sq, dims) + kvHead));
    }

    /** What rows of x are multiplied with, all of a kv head. */
    static float directionFactor(FloatArray scratch, int heads, int kvHeads, int kvHead, int Sq, int dims) {
        return directionFactor(scratch.get(largestAt(heads, kvHeads, Sq, dims) + kvHeads + kvHead), keyFactor(scratch, heads, kvHeads, kvHead, Sq, dims));
    }

    /** {@link #gradientUnit} of all rows of a kv head. */
    static float gradientUnit(FloatArray scratch, int heads, int kvHeads, int kvHead, int Sq, int dims) {
        int at = largestAt(heads, kvHeads, Sq, dims) + kvHead;
        return gradientUnit(scratch.get(at + 2 * kvHeads), scratch.get(at + 3 * kvHeads), keyFactor(scratch, heads, kvHeads, kvHead, Sq, dims),
                valueFactor(scratch, heads, kvHeads, kvHead, Sq, dims));
    }

    /**
     * The largest numbers of q, x, u and g, in absolute value. One group of {@value #ROW_THREADS} for q of each kv head, and then for the others.
     *
     * @param scratch its largest numbers out
     */
    public static void largest(KernelContext ctx, FloatArray q, FloatArray x, FloatArray u, FloatArray g, FloatArray scratch, IntArray sizes, int D,
            int Dv, int dims) {
        float[] all = ctx.allocateFloatLocalArray(ROW_THREADS);
        int tid = ctx.localIdx;
        int heads = sizes.get(TileState.HEADS);
        int group = sizes.get(TileState.GROUP);
        int kvHeads = heads / group;
        int rows = group * sizes.get(TileState.SQ);
        int which = ctx.groupIdx / kvHeads;
        int first = ctx.groupIdx % kvHeads * rows;
        int ofQ = which == 0 ? rows * D : 0; // in a loop's condition TornadoVM would leave the loop out
        int ofX = which == 1 ? rows * D : 0;
        int ofU = which == 2 ? rows * D : 0;
        int ofG = which == 3 ? rows * Dv : 0;
        float largest = 0f;
        for (int i = tid; i < ofQ; i += ROW_THREADS) {
            largest = Math.max(largest, Math.abs(q.get(first * D + i)));
        }
        for (int i = tid; i < ofX; i += ROW_THREADS) {
            largest = Math.max(largest, Math.abs(x.get(first * D + i)));
        }
        for (int i = tid; i < ofU; i += ROW_THREADS) {
            largest = Math.max(largest, Math.abs(u.get(first * D + i)));
        }
        for (int i = tid; i < ofG; i += ROW_THREADS) {
            largest = Math.max(largest, Math.abs(g.get(first * Dv + i)));
        }
        all[tid] = largest;
        ctx.localBarrier();
        if (tid == 0) {
            for (int i = 1; i < ROW_THREADS; i++) {
                largest = Math.max(largest, all[i]);
            }
            scratch.set(largestAt(heads, kvHeads, sizes.get(TileState.SQ), dims) + ctx.groupIdx, largest);
        }
    }

    /**
     * Rows of q, -x, u and g as two float16 each, padded with zeros, first halves and second ones of each array in turn, and a column of each
     * query: the exponent's reference, 1 + x.kbar and -Gbar - u.kbar as their products are, mu. One thread for 8 elements.
     *
     * @param packed its rows out
     * @param scratch its largest numbers in, its columns out
     * @param row (B,H,Sq,{@value BackwardRow#ROW_SCALARS}), complete
     */
    public static void packRows(KernelContext ctx, FloatArray q, FloatArray x, FloatArray u, FloatArray g, HalfFloatArray packed, FloatArray scratch,
            FloatArray row, IntArray sizes, int D, int Dv, int dims, int dimsV) {
        int stride = TilePieces.stride(dims);
        int strideV = TilePieces.stride(dimsV);
        int each = Math.max(stride, strideV) / 8; // chunks of a row
        int heads = sizes.get(TileState.HEADS);
        int group = sizes.get(TileState.GROUP);
        int kvHeads = heads / group;
        int Sq = sizes.get(TileState.SQ);
        int padded = SplitRows.paddedKeys(Sq);
        int chunks = heads * padded * each;
        int which = ctx.globalIdx / chunks;
        int chunk = ctx.globalIdx % chunks;
        int at = chunk / each;
        int column = 8 * (chunk % each);
        int kvHead = Math.min(at / padded / group, kvHeads - 1);
        float factor = keyFactor(scratch, heads, kvHeads, kvHead, Sq, dims);
        float factorQ = queryFactor(scratch, heads, kvHeads, kvHead, Sq, dims);
        float factorX = directionFactor(scratch, heads, kvHeads, kvHead, Sq, dims);
        float unit = gradientUnit(scratch, heads, kvHeads, kvHead, Sq, dims);
        int to = rowsAt(kvHeads, sizes.get(TileState.SK), stride, strideV) + 8 * (2 * which * chunks + chunk);
        if (which == 0) {
            SplitMean.packRow(q, q, 0, 0f, factorQ, packed, to, 8 * chunks, at, column, Sq, D);
        }
        if (which == 1) {
            SplitMean.packRow(x, x, 0, 0f, -factorX, packed, to, 8 * chunks, at, column, Sq, D);
        }
        if (which == 2) {
            SplitMean.packRow(u, u, 0, 0f, unit / factor, packed, to, 8 * chunks, at, column, Sq, D);
        }
        if (which == 3) {
            SplitMean.packRow(g, g, 0, 0f, unit / valueFactor(scratch, heads, kvHeads, kvHead, Sq, dims), packed, to, 8 * chunks, at, column, Sq, Dv);
        }
        if (which == 0 && column == 0) {
            int there = at % padded < Sq ? 1 : 0;
            int query = at / padded * Sq + Math.min(at % padded, Sq - 1);
            int columns = columnsAt(heads, kvHeads, Sq, dims) + 4 * at;
            scratch.set(columns, there != 0 ? reference(row, query) : TileBackward.NOTHING);
            scratch.set(columns + 1, there != 0 ? (1f + row.get(BackwardRow.ROW_SCALARS * query + BackwardRow.X_KBAR)) * (factorX * factor) : 0f);
            scratch.set(columns + 2, there != 0 ? row.get(BackwardRow.ROW_SCALARS * query + BackwardRow.H_SHIFT) * unit : 0f);
            scratch.set(columns + 3, there != 0 ? row.get(BackwardRow.ROW_SCALARS * query + BackwardRow.MU) : 0f);
        }
    }

    /** A lane's part of two rows that are 8 apart, from {@code packed}: first halves and, {@code half} behind them, second ones. */
    static void loadRows(int[] fragment, HalfFloatArray packed, int at, int half, int stride, int dims) {
        loadRows(fragment, packed, at, half, stride, dims, dims);
    }

    /** The same into a fragment with room for {@code room} dims. */
    static void loadRows(int[] fragment, HalfFloatArray packed, int at, int half, int stride, int dims, int room) {
        for (int n = 0; n < dims / 8; n++) {
            int to = 4 * (n >> 1) + 2 * (n & 1);
            fragment[to] = Tile.loadPair(packed, at + 8 * n);
            fragment[to + 1] = Tile.loadPair(packed, at + 8 * stride + 8 * n);
            fragment[room / 4 + to] = Tile.loadPair(packed, at + half + 8 * n);
            fragment[room / 4 + to + 1] = Tile.loadPair(packed, at + half + 8 * stride + 8 * n);
        }
    }

    /** What to multiply x with, whose largest this is, where keys are multiplied with {@code factor}. */
    static float directionFactor(float largest, float factor) {
        return Math.min(SplitPieces.factor(largest), LARGEST_PRODUCT / factor);
    }

    /**
     * How many times too large u.k and g.v are, so that both can be in one sum: neither u nor g is multiplied to beyond 1024.
     *
     * @param largestU of u
     * @param largestG of g
     * @param factor what keys are multiplied with
     * @param factorV what values are
     */
    static float gradientUnit(float largestU, float largestG, float factor, float factorV) {
        float ofU = SplitPieces.factor(largestU) * factor;
        float ofG = SplitPieces.factor(largestG) * factorV;
        float unit = Math.min(ofU, ofG);
        unit = largestU > 0f ? unit : ofG;
        return largestG > 0f ? unit : ofU;
    }

    /** The exponent's reference of a row, in base 2. */
    static float reference(FloatArray row, int at) {
        return row.get(BackwardRow.ROW_SCALARS * at + BackwardRow.LSE) * TilePieces.LOG2E
                - Tile.log2(row.get(BackwardRow.ROW_SCALARS * at + BackwardRow.FACTOR));
    }

    /** A lane's part of y.kbar, kbar relative to the centre. */
    static float product(FloatArray y, FloatArray kbar, FloatArray centre, int row, int kvHead, int quad, int D, int dims) {
        float sum = 0f;
        for (int n = 0; n < dims / 8; n++) {
            for (int i = 0; i < 2; i++) {
                int column = 8 * n + 2 * quad + i;
                sum += SplitPieces.element(y, row, column, D)
                        * (SplitPieces.element(kbar, row, column, D) - SplitPieces.element(centre, kvHead, column, D));
            }
        }
        return sum;
    }

    /**
     * One thread for each element of u.
     *
     * @param scratch after the solve
     * @param u out (B,H,Sq,D)
     * @param row out (B,H,Sq,{@value BackwardRow#ROW_SCALARS}): iterations and residual
     */
    public static void finish(KernelContext ctx, FloatArray scratch, FloatArray u, FloatArray row, IntArray sizes, int D, int dims) {
        int rows = sizes.get(TileState.HEADS) * sizes.get(TileState.SQ);
        int at = ctx.globalIdx;
        if (at < rows * D) {
            int query = at / D;
            int column = at % D;
            int numbers = TileState.numbersAt(rows, dims) + TileState.NUMBERS * query;
            u.set(at, scratch.get((2 * rows + query) * dims + column) * scratch.get(numbers + TileState.GBAR));
            if (column == 0) {
                float rr = scratch.get(numbers + TileState.RR);
                row.set(BackwardRow.ROW_SCALARS * query + BackwardRow.ITERATIONS, scratch.get(numbers + TileState.COUNT));
                row.set(BackwardRow.ROW_SCALARS * query + BackwardRow.RESIDUAL,
                        rr > SplitRows.SMALLEST ? TornadoMath.sqrt(rr / scratch.get(numbers + TileState.BB)) : 0f);
            }
        }
    }
}
