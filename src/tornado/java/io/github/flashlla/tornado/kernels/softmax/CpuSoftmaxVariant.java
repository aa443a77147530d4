package io.github.flashlla.tornado.kernels.softmax;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.SoftmaxBuffers;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.BufferWishes;
import io.github.flashlla.tornado.kernels.CpuWorkers;
import io.github.flashlla.tornado.kernels.KernelVariant;
import io.github.flashlla.tornado.kernels.SoftmaxVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import java.util.Optional;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** A block of queries per work-item, one query per lane ({@link CpuSoftmax}); every head dim. */
public final class CpuSoftmaxVariant implements SoftmaxVariant {

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
    public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new WorkGroupDemand(1, 0);
    }

    @Override
    public BufferWishes wishes(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new BufferWishes(false, 0, workers(device, shape).floats());
    }

    /** As many as the forward pass has cores for: slices are small. */
    private static CpuWorkers workers(VariantDevice device, AttentionShape shape) {
        return CpuWorkers.fitting(device, CpuWorkers.blocks(shape.batch() * shape.heads(), shape.queryLength()),
                shape.tensorBytes(Float.BYTES), 0, keep -> CpuSoftmax.sliceFloats(shape.headDim(), shape.valueDim()));
    }

    @Override
    public void append(TaskAppender tasks, VariantDevice device, SoftmaxBuffers b, AttentionShape s, LlaOptions options) {
        IntArray sizes = SoftmaxData.sizes(s, options, s.keyLength());
        FloatArray scale = SoftmaxData.scale(s, options);
        tasks.transferOnce(sizes, scale);
        tasks.task("softmax", TaskAppender.groups(workers(device, s).count(), 1), graph -> graph.task("softmax", CpuSoftmax::softmax,
                new KernelContext(), b.q(), b.k(), b.v(), b.o(), b.logSumExp(), b.scratch(), sizes, scale));
    }
}
