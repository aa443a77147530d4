package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.buffers.ProblemArrays;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.BufferWishes;
import io.github.flashlla.tornado.kernels.CpuWorkers;
import io.github.flashlla.tornado.kernels.ForwardVariant;
import io.github.flashlla.tornado.kernels.KernelVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.kernels.tile.CpuBlockLoops;
import io.github.flashlla.tornado.kernels.tile.Masking;
import java.util.Optional;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** A block of queries per work-item, one query per lane; every head dim and preconditioner. */
public final class CpuForwardVariant implements ForwardVariant {

    @Override
    public String id() {
        return "cpu";
    }

    @Override
    public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return KernelVariant.unless(device.isCpu(), "it is for CPUs")
                .or(() -> KernelVariant.unless(options.precision() == DataType.FLOAT32, "it computes in float32"));
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
    public BufferWishes wishes(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new BufferWishes(true, 0, workers(device, shape, options).floats());
    }

    /** The workers of the forward pass. */
    public static CpuWorkers workers(VariantDevice device, AttentionShape shape, LlaOptions options) {
        long allowed = shape.tensorBytes(Float.BYTES) - (LlaBuffers.elements(shape.valueDims())
                + LlaBuffers.workspaceFloats(shape, Masking.isJacobi(options))) * Float.BYTES;
        return CpuWorkers.keeping(device, CpuWorkers.blocks(shape.batch() * shape.heads(), shape.queryLength()), allowed,
                keep -> CpuForward.scratchFloats(ProblemArrays.strip(shape, options), shape.headDim(), shape.valueDim(), Masking.flags(options), keep));
    }

    @Override
    public boolean readsSizes() {
        return true;
    }

    @Override
    public void append(TaskAppender tasks, VariantDevice device, LlaBuffers b, AttentionShape s, LlaOptions options, IntArray sizes) {
        CpuWorkers workers = workers(device, s, options);
        ProblemArrays problem = b.problem();
        tasks.task("lla_forward", TaskAppender.groups(workers.count(), 1), graph -> graph.task("lla_forward", CpuForward::forward,
                new KernelContext(), b.q(), b.k(), b.v(), b.ridge(), b.centre(), b.o(), b.logSumExp(), b.kbar(), b.x(), b.stats(),
                b.scratch(), sizes, problem.settings(), problem.flags(), workers.keepWeights()));
    }
}
