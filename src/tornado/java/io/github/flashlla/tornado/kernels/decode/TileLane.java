package io.github.flashlla.tornado.kernels.decode;

/**
 * Which heads and keys a thread of {@link TileRing#THREADS} has in the kernels of {@link TileDecode}: of up to 4 heads each warp takes 16 of a tile's 32
 * keys, of more each warp takes all keys for 4 heads. Like {@link DecodeSplit}, no object in a kernel.
 */
final class TileLane {
    final int thread;
    final int lane;
    final int warp;
    /** Of the 4 lanes that share a row of a fragment. */
    final int quad;
    /** Of a fragment, the first of the lane's two. */
    final int row;
    /** Pieces of 16 keys of a tile that a warp takes. */
    final int pieces;
    /** The first of them. */
    final int piece;
    /** Of a unit, that of the lane's rows; rows without a head have the last one again. */
    final int head;
    /** Bytes, in a tile, of the lane's rows of keys for scores and for sums. */
    final int scoreAt;
    final int sumAt;
    /** Of a tile, the first key whose weight the lane has. */
    final int keyAt;

    /** @param hw heads of a unit */
    TileLane(int thread, int hw, int dim) {
        this.thread = thread;
        lane = thread & 31;
        warp = thread >> 5;
        quad = lane & 3;
        row = lane >> 2;
        pieces = hw > 4 ? 2 : 1;
        piece = pieces > 1 ? 0 : warp;
        int set = pieces > 1 ? warp : 0;
        head = Math.min(4 * set + (row & 3), hw - 1);
        scoreAt = TileRing.scoreByte(lane, dim) + piece * TileRing.pieceBytes(dim);
        sumAt = TileRing.sumByte(lane, dim) + piece * TileRing.pieceBytes(dim);
        keyAt = 16 * piece + 2 * quad;
    }
}
