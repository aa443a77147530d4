package io.github.flashlla.tornado.kernels.tile;

import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * The two rows of a lane, A and B, 8 apart among the 16 of its warp: where they are and what they see. A helper returns one number to a kernel;
 * these come as an object, which a compiler that has inlined all that sees it takes apart into registers.
 */
public final class TwoRows {
    /** 1 where there is such a row, else 0; then its numbers are those of the last one. */
    public final int liveA;
    public final int liveB;
    /** The row among those of all heads. */
    public final int atA;
    public final int atB;
    /** Keys that the row sees. */
    public final int seesA;
    public final int seesB;
    /** Keys that every row of the warp sees. */
    public final int low;
    /** Keys that the warp's last row sees. */
    public final int high;
    /** Keys that the group's last row sees. */
    public final int most;

    private TwoRows(int head, int liveA, int liveB, int rowA, int rowB, int first, int last, int end, int Sq, int Sk, int causal) {
        this.liveA = liveA;
        this.liveB = liveB;
        atA = head * Sq + rowA;
        atB = head * Sq + rowB;
        seesA = TileState.sees(rowA, Sq, Sk, causal);
        seesB = TileState.sees(rowB, Sq, Sk, causal);
        low = TileState.sees(first, Sq, Sk, causal);
        high = TileState.sees(last, Sq, Sk, causal);
        most = TileState.sees(end, Sq, Sk, causal);
    }

    /**
     * Of a head's rows in order.
     *
     * @param first place of the warp's rows
     * @param end behind the group's last place
     * @param causal 1 with the causal mask, else 0
     */
    public static TwoRows of(int lane, int head, int first, int end, int Sq, int Sk, int causal) {
        int row = first + (lane >> 2);
        return new TwoRows(head, row < Sq ? 1 : 0, row + 8 < Sq ? 1 : 0, Math.min(row, Sq - 1), Math.min(row + 8, Sq - 1), Math.min(first, Sq - 1),
                Math.min(first + 15, Sq - 1), Math.min(end, Sq) - 1, Sq, Sk, causal);
    }

    /**
     * Of the rows of a head that are listed, or of all.
     *
     * @param list of the head, in {@code scratch}
     * @param count of its places
     * @param listed 1 for the rows of the list, 0 for all
     */
    public static TwoRows listed(FloatArray scratch, int list, int count, int listed, int lane, int head, int first, int end, int Sq, int Sk, int causal) {
        int place = first + (lane >> 2);
        return new TwoRows(head, place < count ? 1 : 0, place + 8 < count ? 1 : 0, TileRows.row(scratch, list, place, count, listed),
                TileRows.row(scratch, list, place + 8, count, listed), TileRows.row(scratch, list, first, count, listed),
                TileRows.row(scratch, list, first + 15, count, listed), TileRows.row(scratch, list, end - 1, count, listed), Sq, Sk, causal);
    }
}
