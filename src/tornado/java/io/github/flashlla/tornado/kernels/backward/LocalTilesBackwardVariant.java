package io.github.flashlla.tornado.kernels.backward;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.BackwardBuffers;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.BackwardVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.kernels.tile.Masking;
import java.util.Optional;
import uk.ac.manchester.tornado.api.KernelContext;

/** Work-group tiles in local memory; every head dim and preconditioner. */
public final class LocalTilesBackwardVariant implements BackwardVariant {

    @Override
    public String id() {
        return "gpu";
    }

    @Override
    public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return Optional.empty();
    }

    @Override
    public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new WorkGroupDemand(GpuBackward.THREADS, GpuBackward.localBytes(paddedDim(shape)));
    }

    @Override
    public int blockRows(AttentionShape shape) {
        return GpuBackward.blockRows(paddedDim(shape));
    }

    @Override
    public long scratchFloats(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return 0;
    }

    private static int paddedDim(AttentionShape shape) {
        return GpuBackward.paddedDim(shape.headDim(), shape.valueDim());
    }

    @Override
    public void append(TaskAppender tasks, VariantDevice device, BackwardBuffers b, AttentionShape s, LlaOptions options) {
        LlaBuffers f = b.forward();
        float scale = (float) options.scaleFor(s.headDim());
        int flags = Masking.flags(options);
        long queryBlocks = (long) s.batch() * s.heads() * Math.ceilDiv(s.queryLength(), blockRows(s));
        long keyBlocks = (long) s.batch() * s.kvHeads() * Math.ceilDiv(s.keyLength(), blockRows(s));
        tasks.task("lla_backward_solve", TaskAppender.groups(queryBlocks, GpuBackward.THREADS), graph -> graph.task(
                "lla_backward_solve", GpuBackwardSolve::solve, new KernelContext(), f.q(), f.k(), f.v(), f.ridge(),
                f.centre(), b.g(), f.logSumExp(), f.kbar(), b.u(), b.dq(), b.rows(), s.queryLength(), s.keyLength(),
                s.headDim(), s.valueDim(), scale, flags, (float) options.tolerance(), options.maxIterations()));
        tasks.task("lla_backward_queries", TaskAppender.groups(queryBlocks, GpuBackward.THREADS), graph -> graph.task(
                "lla_backward_queries", GpuBackwardQueries::queries, new KernelContext(), f.q(), f.k(), f.v(), f.centre(),
                b.g(), f.kbar(), f.x(), b.u(), b.rows(), b.dq(), b.dridge(), s.group(), s.queryLength(), s.keyLength(),
                s.headDim(), s.valueDim(), scale, flags));
        tasks.task("lla_backward_keys", TaskAppender.groups(keyBlocks, GpuBackward.THREADS), graph -> graph.task(
                "lla_backward_keys", GpuBackwardKeys::keys, new KernelContext(), f.q(), f.k(), f.v(), f.centre(), b.g(),
                f.x(), b.u(), b.rows(), b.dk(), b.dv(), b.visited(), s.group(), s.queryLength(), s.keyLength(), s.headDim(),
                s.valueDim(), scale, flags));
    }
}
