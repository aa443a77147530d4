package io.github.flashlla.tornado.kernels.softmax;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.SoftmaxBuffers;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.BufferWishes;
import io.github.flashlla.tornado.kernels.KernelVariant;
import io.github.flashlla.tornado.kernels.SoftmaxVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import java.util.Optional;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Work-group tiles in local memory, register tiles of scalars ({@link GpuSoftmax}). */
public final class GpuSoftmaxVariant implements SoftmaxVariant {

    @Override
    public String id() {
        return "gpu";
    }

    @Override
    public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return KernelVariant.unless(options.precision() == DataType.FLOAT32, "it computes in float32")
                .or(() -> KernelVariant.unless(Math.max(shape.headDim(), shape.valueDim()) <= GpuSoftmax.MAX_DIM,
                        "it takes head dims up to " + GpuSoftmax.MAX_DIM));
    }

    @Override
    public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new WorkGroupDemand(GpuSoftmax.THREADS, GpuSoftmax.localBytes(paddedDim(shape)));
    }

    private static int paddedDim(AttentionShape shape) {
        return GpuSoftmax.paddedDim(shape.headDim(), shape.valueDim());
    }

    @Override
    public BufferWishes wishes(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new BufferWishes(false, 0, 0);
    }

    @Override
    public void append(TaskAppender tasks, VariantDevice device, SoftmaxBuffers b, AttentionShape s, LlaOptions options) {
        IntArray sizes = SoftmaxData.sizes(s, options, s.keyLength());
        FloatArray scale = SoftmaxData.scale(s, options);
        tasks.transferOnce(sizes, scale);
        long groups = (long) s.batch() * s.heads() * Math.ceilDiv(s.queryLength(), GpuSoftmax.blockRows(paddedDim(s)));
        tasks.task("softmax", TaskAppender.groups(groups, GpuSoftmax.THREADS), graph -> graph.task("softmax", GpuSoftmax::softmax,
                new KernelContext(), b.q(), b.k(), b.v(), b.o(), b.logSumExp(), sizes, scale, s.headDim(), s.valueDim()));
    }
}
