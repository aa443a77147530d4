package io.github.flashlla.tornado.kernels.backward;

import static io.github.flashlla.tornado.kernels.tile.TileState.BLOCK;
import static io.github.flashlla.tornado.kernels.tile.TileState.GROUP;
import static io.github.flashlla.tornado.kernels.tile.TileState.HEADS;
import static io.github.flashlla.tornado.kernels.tile.TileState.SQ;
import static io.github.flashlla.tornado.kernels.tile.TileState.THREADS;

import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * What the kernels of the float16 backward pass on matrix units share. Everything stays in registers, as in
 * {@link io.github.flashlla.tornado.kernels.forward.TileForward}; the solve for u is forward's own kernel.
 *
 * <pre>
 *   largest  the largest |g| of each block of rows: gradients are computed of g times a power of two, 1 at most
 *   gather   {@link TileBackwardGather}: Gbar and c, and the first direction
 *   solve    {@link io.github.flashlla.tornado.kernels.forward.TileSolve}: A u = -c; rows left over are listed and solved again
 *   queries  {@link TileBackwardQueries}: dq and dridge
 *   keys     {@link TileBackwardKeys}: dk and dv
 * </pre>
 *
 * <p>Formulas as in {@link GpuBackward}, where e = 1 - a and h = G - Gbar + b. One head dim serves keys and values: the larger,
 * padded.
 *
 * <p>{@code packed} holds float16 rows of {@link TilePieces#stride} numbers: keys and values as forward has them, each head's padded
 * to whole tiles, then q, -x, u and g of every query, each head's padded to whole blocks with zeros. {@code scratch} holds
 * {@link TileState}, then {@code columns}, four numbers for each row of q: the exponent's reference, 1 + x.kbar, -Gbar - u.kbar, mu;
 * then {@code largest}, one for each block, and {@code long}, 1 for a block with an x longer than {@value #LONGEST}. Of such a block,
 * {@code packed} also holds what rounding left of -x and of u, and that is multiplied, too: x.(k - kbar) is far above 1, and h, which dk
 * has times x, is a small difference of G - Gbar and u.(k - kbar).
 */
public final class TileBackward {
    /** 2^this is how large p can be: less than in forward, since it multiplies G, which is not bounded as y.k is. */
    static final float SHIFT = 4f;
    /** 2^-SHIFT. */
    static final float UNSHIFT = 0.0625f;
    /** Exponent's reference of a row that sees nothing, or is not there. */
    static final float NOTHING = 10000f;

    static final int Q_ROWS = 0;
    static final int X_ROWS = 1;
    static final int U_ROWS = 2;
    static final int G_ROWS = 3;
    static final int LEFT_X_ROWS = 4;
    static final int LEFT_U_ROWS = 5;

    /** Of x, for one float16 number to do. */
    static final float LONGEST = 8f;

    private TileBackward() {}

    /** Rows of a head with those that fill the last block. */
    static int paddedRows(int Sq) {
        return (Sq + BLOCK - 1) / BLOCK * BLOCK;
    }

    /** float16 elements of {@code packed}. */
    public static long packedHalves(long heads, long kvHeads, long Sq, long Sk, int dims) {
        return TilePieces.FIRST + (2 * kvHeads * TileState.paddedKeys(Sk) + 6 * heads * Math.ceilDiv(Sq, (long) BLOCK) * BLOCK) * TilePieces.stride(dims);
    }

    /** Floats of {@code scratch}. */
    public static long scratchFloats(long heads, long Sq, int dims) {
        long blocks = heads * Math.ceilDiv(Sq, (long) BLOCK);
        return (TileState.scratchFloats(heads, Sq, dims) + 3) / 4 * 4 + 4 * BLOCK * blocks + 2 * blocks;
    }

    /** Where the columns start in {@code scratch}: at a multiple of 16 bytes. */
    static int columnsAt(int heads, int Sq, int dims) {
        return (TileState.leftAt(heads * Sq, dims) + heads * ((Sq + BLOCK - 1) / BLOCK + 1) + 3) / 4 * 4;
    }

    static int largestAt(int heads, int Sq, int dims) {
        return columnsAt(heads, Sq, dims) + 4 * heads * paddedRows(Sq);
    }

    static int longAt(int heads, int Sq, int dims) {
        return largestAt(heads, Sq, dims) + heads * paddedRows(Sq) / BLOCK;
    }

    /** First element of one of the six arrays of rows in {@code packed}, behind {@link TilePieces#FIRST}. */
    static int rowsAt(int which, int heads, int group, int Sq, int paddedKeys, int stride) {
        return (2 * (heads / group) * paddedKeys + which * heads * paddedRows(Sq)) * stride;
    }

    /**
     * The largest |g| of each block of rows. One group of {@value TileState#THREADS} for each block.
     *
     * @param g (B,H,Sq,Dv)
     * @param scratch its {@code largest} out
     */
    public static void largest(KernelContext ctx, FloatArray g, FloatArray scratch, IntArray sizes, int Dv, int dims) {
        float[] warps = ctx.allocateFloatLocalArray(4);
        int tid = ctx.localIdx;
        int heads = sizes.get(HEADS);
        int Sq = sizes.get(SQ);
        int blocks = (Sq + BLOCK - 1) / BLOCK;
        int head = ctx.groupIdx / blocks;
        int first = ctx.groupIdx % blocks * BLOCK;
        int from = (head * Sq + first) * Dv;
        int elements = Math.min(BLOCK, Sq - first) * Dv;
        float largest = 0f;
        for (int i = tid; i < elements; i += THREADS) {
            largest = Math.max(largest, Math.abs(g.get(from + i)));
        }
        largest = warpMax(largest);
        if ((tid & 31) == 0) {
            warps[tid >> 5] = largest;
        }
        ctx.localBarrier();
        if (tid == 0) {
            scratch.set(largestAt(heads, Sq, dims) + ctx.groupIdx,
                    Math.max(Math.max(warps[0], warps[1]), Math.max(warps[2], warps[3])));
        }
    }

    private static float warpMax(float x) {
        float a = Math.max(x, Tile.shuffleXor(x, 16));
        float b = Math.max(a, Tile.shuffleXor(a, 8));
        float c = Math.max(b, Tile.shuffleXor(b, 4));
        float d = Math.max(c, Tile.shuffleXor(c, 2));
        return Math.max(d, Tile.shuffleXor(d, 1));
    }

    /** log2 of what g is multiplied with, a whole number; the same for all heads of a kv head. All lanes must get here. */
    static float gradientShift(FloatArray scratch, int head, int group, int heads, int Sq, int dims, int lane) {
        int blocks = group * ((Sq + BLOCK - 1) / BLOCK);
        int from = largestAt(heads, Sq, dims) + head / group * blocks;
        float largest = 0f;
        for (int i = lane; i < blocks; i += 32) {
            largest = Math.max(largest, scratch.get(from + i));
        }
        largest = warpMax(largest);
        return largest > 0f ? (float) -(int) Math.max(-100f, Math.min(100f, Tile.log2(largest))) : 0f;
    }

    /** A lane's part of two rows, as {@link io.github.flashlla.tornado.kernels.tile.TileRows} has it, to rows of float16; 0 where not live. */
    static void storeRows(HalfFloatArray packed, int[] fragment, int baseA, int baseB, int dims, int liveA, int liveB) {
        for (int n = 0; n < dims / 8; n++) {
            int at = 4 * (n >> 1) + 2 * (n & 1);
            int pairA = liveA != 0 ? fragment[at] : 0;
            int pairB = liveB != 0 ? fragment[at + 1] : 0;
            Tile.storePair(packed, baseA + 8 * n, pairA);
            Tile.storePair(packed, baseB + 8 * n, pairB);
        }
    }

    /** The way back. */
    static void loadRows(int[] fragment, HalfFloatArray packed, int baseA, int baseB, int dims) {
        for (int n = 0; n < dims / 8; n++) {
            int at = 4 * (n >> 1) + 2 * (n & 1);
            fragment[at] = Tile.loadPair(packed, baseA + 8 * n);
            fragment[at + 1] = Tile.loadPair(packed, baseB + 8 * n);
        }
    }
}
