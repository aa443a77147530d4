package io.github.flashlla.tornado;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.kernels.CpuForward;

/**
 * The work-items that a CPU's cores share, and the scratch memory of each.
 *
 * <p>Workers hold at most as much memory together as lets all work arrays stay within the size of q, k and o, or
 * {@value #SMALL} bytes where that is more; but there is always one.
 *
 * @param count work-items
 * @param keepWeights whether a worker keeps its block's weights between passes, ROWS x Sk floats
 * @param sliceFloats scratch memory of one worker
 */
record CpuWorkers(int count, boolean keepWeights, long sliceFloats) {
    /** So that a core that has finished takes over from one that is busy elsewhere. */
    private static final int WORKERS_PER_CORE = 4;
    private static final long SMALL = 4 << 20;

    static CpuWorkers of(DeviceInfo device, AttentionShape shape, LlaOptions options) {
        int cores = Math.max(1, device.computeUnits());
        long blocks = (long) shape.batch() * shape.heads() * Math.ceilDiv(shape.queryLength(), CpuForward.ROWS);
        CpuWorkers keeping = fitting(Math.min(blocks, (long) cores * WORKERS_PER_CORE), true, shape, options);
        if (keeping.count() >= Math.min(blocks, cores)) {
            return keeping;
        }
        return fitting(Math.min(blocks, (long) cores * WORKERS_PER_CORE), false, shape, options);
    }

    long floats() {
        return count * sliceFloats;
    }

    private static CpuWorkers fitting(long wanted, boolean keepWeights, AttentionShape shape, LlaOptions options) {
        boolean jacobi = LlaTasks.isJacobi(options);
        int flags = (jacobi ? CpuForward.JACOBI : 0) | (keepWeights ? CpuForward.KEEP_WEIGHTS : 0);
        long slice = CpuForward.scratchFloats(shape.keyLength(), shape.headDim(), shape.valueDim(), flags);
        long allowed = shape.tensorBytes(Float.BYTES) - DeviceLimits.elements(shape.valueDims()) * Float.BYTES
                - LlaBuffers.workspaceFloats(shape, jacobi) * Float.BYTES;
        long count = Math.max(allowed, SMALL) / (slice * Float.BYTES);
        return new CpuWorkers((int) Math.clamp(count, 1, wanted), keepWeights, slice);
    }
}
