package io.github.flashlla.tornado.kernels.backward;

import io.github.flashlla.tornado.kernels.tile.BackwardRow;
import io.github.flashlla.tornado.kernels.tile.SplitPieces;
import io.github.flashlla.tornado.kernels.tile.SplitRows;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
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
 * </pre>
 *
 * <p>A row's g, and with it u, is multiplied with a power of two until {@code finish}, so that c is about as large whatever g and v are.
 * {@code scratch} is that of {@link SplitRows}; of a row's numbers, {@link TileState#GBAR} is what u is to be multiplied with.
 */
public final class SplitBackward {
    /** Threads of a group of {@link #finish} and {@link #packRows}, and of {@link #largest}. */
    static final int ROW_THREADS = 256;
    /** Head dim, padded, to which queries and keys have kernels of three products: above it their rows fit no registers. */
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

    /** Whether queries and keys of these head dims have kernels of three products. */
    static boolean fits(int D, int Dv) {
        return Math.max(D, Dv) <= DIMS;
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
