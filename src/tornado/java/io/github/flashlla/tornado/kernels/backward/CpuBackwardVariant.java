package io.github.flashlla.tornado.kernels.backward;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.BackwardBuffers;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.buffers.ProblemArrays;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.BackwardVariant;
import io.github.flashlla.tornado.kernels.CpuWorkers;
import io.github.flashlla.tornado.kernels.KernelVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.kernels.forward.CpuForwardVariant;
import io.github.flashlla.tornado.kernels.tile.CpuBlockLoops;
import io.github.flashlla.tornado.kernels.tile.Masking;
import java.util.Optional;
import uk.ac.manchester.tornado.api.KernelContext;

/** A block of queries, then a block of keys, per work-item, one per lane; every head dim and preconditioner. */
public final class CpuBackwardVariant implements BackwardVariant {

    @Override
    public String id() {
        return "cpu";
    }

    @Override
    public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return KernelVariant.unless(device.isCpu(), "it is for CPUs");
    }

    @Override
    public boolean takesSpans() {
        return true;
    }

    @Override
    public boolean takesStrides() {
        return true;
    }

    @Override
    public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new WorkGroupDemand(1, 0);
    }

    @Override
    public int blockRows(AttentionShape shape) {
        return CpuBlockLoops.ROWS;
    }

    @Override
    public long scratchFloats(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return Math.max(queryWorkers(device, shape, options).floats(), keyWorkers(device, shape, options).floats());
    }

    private static CpuWorkers queryWorkers(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return CpuWorkers.keeping(device, CpuWorkers.blocks(shape.batch() * shape.heads(), shape.queryLength()),
                allowed(device, shape, options), keep -> CpuBackwardQueries.scratchFloats(ProblemArrays.strip(shape, options),
                        shape.headDim(), shape.valueDim(), Masking.flags(options), keep));
    }

    /** In the same scratch memory. */
    private static CpuWorkers keyWorkers(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return CpuWorkers.fitting(device, CpuWorkers.blocks(shape.batch() * shape.kvHeads(), shape.keyLength()),
                allowed(device, shape, options), 0, keep -> CpuBackwardKeys.scratchFloats(shape.headDim(), shape.valueDim()));
    }

    private static long allowed(VariantDevice device, AttentionShape shape, LlaOptions options) {
        boolean jacobi = Masking.isJacobi(options);
        return shape.tensorBytes(Float.BYTES) - (LlaBuffers.workspaceFloats(shape, jacobi)
                + CpuForwardVariant.workers(device, shape, options).floats()
                + BackwardBuffers.workspaceFloats(shape, jacobi)) * Float.BYTES;
    }

    @Override
    public void append(TaskAppender tasks, VariantDevice device, BackwardBuffers b, AttentionShape s, LlaOptions options) {
        LlaBuffers f = b.forward();
        ProblemArrays p = b.problem();
        CpuWorkers queries = queryWorkers(device, s, options);
        CpuWorkers keys = keyWorkers(device, s, options);
        tasks.task("lla_backward_queries", TaskAppender.groups(queries.count(), 1), graph -> graph.task(
                "lla_backward_queries", CpuBackwardQueries::queries, new KernelContext(), f.q(), f.k(), f.v(), f.ridge(),
                f.centre(), b.g(), f.logSumExp(), f.kbar(), f.x(), b.u(), b.rows(), b.dq(), b.dridge(), b.scratch(),
                p.sizes(), p.settings(), p.flags(), queries.keepWeights()));
        tasks.task("lla_backward_keys", TaskAppender.groups(keys.count(), 1), graph -> graph.task(
                "lla_backward_keys", CpuBackwardKeys::keys, new KernelContext(), f.q(), f.k(), f.v(), f.centre(), b.g(),
                f.x(), b.u(), b.rows(), b.dk(), b.dv(), b.visited(), b.scratch(), p.sizes(), p.settings(), p.flags(), s.group()));
    }
}
