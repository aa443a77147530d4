package io.github.flashlla.tornado.kernels;

import io.github.flashlla.tornado.kernels.tile.CpuBlockLoops;
import java.util.function.IntToLongFunction;

/**
 * The work-items that a CPU's cores share, and the scratch memory of each.
 *
 * <p>Workers hold at most as much memory together as lets all work arrays stay within the size of q, k and o in the forward
 * pass, of q, k, v and o with the backward pass, or {@value #SMALL} bytes where that is more; but there is always one.
 *
 * @param count work-items
 * @param keepWeights 1 where a worker keeps its block's weights between passes, otherwise 0
 * @param sliceFloats scratch memory of one worker
 */
public record CpuWorkers(int count, int keepWeights, long sliceFloats) {
    /** So that a core that has finished takes over from one that is busy elsewhere. */
    private static final int WORKERS_PER_CORE = 4;
    public static final long SMALL = 4 << 20;

    public long floats() {
        return count * sliceFloats;
    }

    /** Blocks of all heads together. */
    public static long blocks(int heads, int length) {
        return (long) heads * Math.ceilDiv(length, CpuBlockLoops.ROWS);
    }

    /**
     * Workers that keep weights, where the memory lets every core have one.
     *
     * @param allowed bytes that their scratch memory may take
     * @param slice floats of one worker's scratch memory, by whether it keeps weights
     */
    public static CpuWorkers keeping(VariantDevice device, long blocks, long allowed, IntToLongFunction slice) {
        CpuWorkers keeping = fitting(device, blocks, allowed, 1, slice);
        return keeping.count() >= Math.min(blocks, device.computeUnits()) ? keeping : fitting(device, blocks, allowed, 0, slice);
    }

    /** The same that keep weights or do not. */
    public static CpuWorkers fitting(VariantDevice device, long blocks, long allowed, int keepWeights, IntToLongFunction slice) {
        long wanted = Math.min(blocks, (long) device.computeUnits() * WORKERS_PER_CORE);
        long floats = slice.applyAsLong(keepWeights);
        long count = Math.clamp(Math.max(allowed, SMALL) / (floats * Float.BYTES), 1, wanted);
        if (count < wanted && count > device.computeUnits()) {
            count -= count % device.computeUnits(); // 7 on two cores keep one of them waiting while the other does the 7th
        }
        return new CpuWorkers((int) count, keepWeights, floats);
    }
}
