package io.github.flashlla.tornado.kernels;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.BackwardBuffers;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.kernels.backward.CpuBackwardKeys;
import io.github.flashlla.tornado.kernels.backward.CpuBackwardQueries;
import io.github.flashlla.tornado.kernels.forward.CpuForward;
import io.github.flashlla.tornado.kernels.tile.CpuBlockLoops;
import io.github.flashlla.tornado.kernels.tile.CpuProblem;
import io.github.flashlla.tornado.kernels.tile.Masking;
import java.util.function.IntToLongFunction;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

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

    /** Of the forward pass. */
    static CpuWorkers forward(DeviceInfo device, AttentionShape shape, LlaOptions options) {
        long allowed = shape.tensorBytes(Float.BYTES) - (DeviceLimits.elements(shape.valueDims())
                + LlaBuffers.workspaceFloats(shape, Masking.isJacobi(options))) * Float.BYTES;
        return keeping(device, queryBlocks(shape), allowed,
                keep -> CpuForward.scratchFloats(shape.keyLength(), shape.headDim(), shape.valueDim(),
                        Masking.flags(options), keep));
    }

    /** Of the backward pass over blocks of queries. */
    static CpuWorkers backwardQueries(DeviceInfo device, AttentionShape shape, LlaOptions options) {
        return keeping(device, queryBlocks(shape), allowedBackward(device, shape, options),
                keep -> CpuBackwardQueries.scratchFloats(shape.keyLength(), shape.headDim(), shape.valueDim(),
                        Masking.flags(options), keep));
    }

    /** Of the backward pass over blocks of keys, in the same scratch memory. */
    static CpuWorkers backwardKeys(DeviceInfo device, AttentionShape shape, LlaOptions options) {
        long blocks = (long) shape.batch() * shape.kvHeads() * Math.ceilDiv(shape.keyLength(), CpuBlockLoops.ROWS);
        return fitting(wanted(device, blocks), allowedBackward(device, shape, options), 0,
                keep -> CpuBackwardKeys.scratchFloats(shape.headDim(), shape.valueDim()));
    }

    /** The problem's sizes as the kernels take them. */
    static IntArray sizes(AttentionShape shape, LlaOptions options) {
        return CpuProblem.sizes(shape.batch() * shape.heads(), shape.group(), shape.queryLength(), shape.keyLength(),
                shape.headDim(), shape.valueDim(), options.maxIterations());
    }

    /** The problem's settings as the kernels take them. */
    static FloatArray settings(AttentionShape shape, LlaOptions options) {
        return CpuProblem.settings((float) options.scaleFor(shape.headDim()), (float) options.tolerance());
    }

    long floats() {
        return count * sliceFloats;
    }

    private static long queryBlocks(AttentionShape shape) {
        return (long) shape.batch() * shape.heads() * Math.ceilDiv(shape.queryLength(), CpuBlockLoops.ROWS);
    }

    private static long wanted(DeviceInfo device, long blocks) {
        return Math.min(blocks, (long) Math.max(1, device.computeUnits()) * WORKERS_PER_CORE);
    }

    private static long allowedBackward(DeviceInfo device, AttentionShape shape, LlaOptions options) {
        boolean jacobi = Masking.isJacobi(options);
        return shape.tensorBytes(Float.BYTES) - (LlaBuffers.workspaceFloats(shape, jacobi) + forward(device, shape, options).floats()
                + BackwardBuffers.workspaceFloats(shape, jacobi)) * Float.BYTES;
    }

    /** Workers that keep weights, where the memory lets every core have one. */
    private static CpuWorkers keeping(DeviceInfo device, long blocks, long allowed, IntToLongFunction slice) {
        long wanted = wanted(device, blocks);
        CpuWorkers keeping = fitting(wanted, allowed, 1, slice);
        return keeping.count() >= Math.min(blocks, Math.max(1, device.computeUnits())) ? keeping
                : fitting(wanted, allowed, 0, slice);
    }

    /** @param slice floats of one worker's scratch memory, by whether it keeps weights */
    private static CpuWorkers fitting(long wanted, long allowed, int keepWeights, IntToLongFunction slice) {
        long floats = slice.applyAsLong(keepWeights);
        long count = Math.max(allowed, SMALL) / (floats * Float.BYTES);
        return new CpuWorkers((int) Math.clamp(count, 1, wanted), keepWeights, floats);
    }
}
