package io.github.flashlla.tornado.kernels.decode;

import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * What a work-group reads: one part of a sequence's keys, for a unit of heads that share them. A kernel makes one at its start; all of it is inlined,
 * so that no object is left in the kernel, and nothing but its numbers.
 */
final class DecodeSplit {
    /** Of all sequences' units. */
    final int unit;
    /** Of the unit's splits. */
    final int number;
    /** Keys of the sequence. */
    final int length;
    /** The first of its keys that are read, and the first behind them. */
    final int from;
    final int to;

    /**
     * @param workGroup its index
     * @param lengths (B)
     * @param sharing units of a key/value head
     * @param splits of a unit
     * @param tile keys that splits are multiples of
     */
    DecodeSplit(int workGroup, IntArray lengths, int kvHeads, int sharing, int splits, int tile) {
        unit = workGroup / splits;
        number = workGroup % splits;
        length = lengths.get(kvUnit(workGroup, sharing, splits) / kvHeads);
        int perSplit = CgDecodeState.keysPerSplit(length, splits, tile);
        from = Math.min(number * perSplit, length);
        to = Math.min(from + perSplit, length);
    }

    /**
     * Of all sequences' key/value heads, that of a work-group. A method and no field: TornadoVM knows of what it returns that it is not negative, and
     * divides it by a shift.
     */
    static int kvUnit(int workGroup, int sharing, int splits) {
        return workGroup / splits / sharing;
    }

    /** Tiles that are read. */
    int tiles(int tile) {
        return (to - from + tile - 1) / tile;
    }
}
