package io.github.flashlla.tornado.kernels.forward;

import static io.github.flashlla.tornado.kernels.tile.TileState.BLOCK;
import static io.github.flashlla.tornado.kernels.tile.TileState.NUMBERS;

import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TileState;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Lists the rows that a solve in blocks left over, for another one over full blocks of them. */
public final class TileList {
    private TileList() {}

    /**
     * The rows that go on, of each head, in order. One group of {@value TileState#BLOCK} for each so many rows of a head.
     *
     * @param scratch as {@link TileState} has it; its list and counts out
     */
    public static void list(KernelContext ctx, FloatArray scratch, IntArray sizes, int dims) {
        int[] goOn = ctx.allocateIntLocalArray(BLOCK);
        int[] sum = ctx.allocateIntLocalArray(BLOCK);
        int tid = ctx.localIdx;
        int heads = sizes.get(TileState.HEADS);
        int Sq = sizes.get(TileState.SQ);
        int rows = heads * Sq;
        int blocks = (Sq + BLOCK - 1) / BLOCK;
        int leftAt = TileState.leftAt(rows, dims);
        int numbers = TileState.numbersAt(rows, dims);
        int head = ctx.groupIdx / blocks;
        int block = ctx.groupIdx % blocks;
        int row = block * BLOCK + tid;
        int goesOn = 0;
        if (row < Sq) {
            goesOn = TileState.goesOn(scratch, numbers + NUMBERS * (head * Sq + row), sizes.get(TileState.MAX_ITERATIONS));
        }
        goOn[tid] = goesOn;
        int before = 0;
        for (int n = tid; n < block; n += BLOCK) {
            before += Tile.loadBits(scratch, leftAt + head * blocks + n);
        }
        sum[tid] = before;
        ctx.localBarrier();
        int place = 0;
        for (int n = 0; n < BLOCK; n++) {
            place += sum[n];
            place += n < tid ? goOn[n] : 0;
        }
        if (goesOn != 0) {
            Tile.storeBits(scratch, TileState.listAt(rows, dims) + head * Sq + place, row);
        }
        if (block == blocks - 1 && tid == BLOCK - 1) {
            Tile.storeBits(scratch, leftAt + heads * blocks + head, place + goesOn);
        }
    }
}
