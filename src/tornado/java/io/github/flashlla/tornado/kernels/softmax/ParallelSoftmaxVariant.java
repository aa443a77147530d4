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
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** {@link ParallelSoftmax}: plain loops, for devices that no tuned kernel fits. */
public final class ParallelSoftmaxVariant implements SoftmaxVariant {

    @Override
    public String id() {
        return "parallel";
    }

    @Override
    public boolean isLastResort() {
        return true;
    }

    @Override
    public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return KernelVariant.unless(options.precision() == DataType.FLOAT32, "it computes in float32");
    }

    /** TornadoVM chooses work-groups that the device takes. */
    @Override
    public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new WorkGroupDemand(1, 0);
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
        int rows = Math.toIntExact(s.rows());
        tasks.loop("softmax", rows, (graph, threads) -> graph.task("softmax", ParallelSoftmax::softmax, b.q(), b.k(), b.v(), b.o(),
                b.logSumExp(), sizes, scale, threads, rows, s.headDim(), s.valueDim()));
    }
}
