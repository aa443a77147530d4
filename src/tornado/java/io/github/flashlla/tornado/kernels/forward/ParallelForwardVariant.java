package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.buffers.ProblemArrays;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.BufferWishes;
import io.github.flashlla.tornado.kernels.ForwardVariant;
import io.github.flashlla.tornado.kernels.KernelVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import java.util.Optional;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** {@link ParallelForward}: plain loops, for devices that no tuned kernel fits. */
public final class ParallelForwardVariant implements ForwardVariant {

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
        return KernelVariant.unless(options.precision() == DataType.FLOAT32, "it computes in float32")
                .or(() -> KernelVariant.unless(options.preconditioner() == Preconditioner.NONE, "it has no preconditioner"));
    }

    @Override
    public boolean takesSpans() {
        return true;
    }

    @Override
    public boolean takesStrides() {
        return true;
    }

    /** TornadoVM chooses work-groups that the device takes. */
    @Override
    public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new WorkGroupDemand(1, 0);
    }

    @Override
    public int blockRows(AttentionShape shape) {
        return 1;
    }

    @Override
    public BufferWishes wishes(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new BufferWishes(true, 0, ParallelForward.stateFloats(shape.rows(), shape.headDim(),
                GpuForwardVariant.keptResiduals(shape, options)));
    }

    @Override
    public void append(TaskAppender tasks, VariantDevice device, LlaBuffers b, AttentionShape s, LlaOptions options, IntArray sizes) {
        int rows = Math.toIntExact(s.rows());
        float scale = (float) options.scaleFor(s.headDim());
        ProblemArrays p = b.problem();
        tasks.loop("lla_softmax", rows, (graph, threads) -> graph.task("lla_softmax", ParallelForward::softmax, b.q(), b.k(), b.centre(),
                b.kbar(), b.scratch(), sizes, threads, rows, s.group(), s.queryLength(), s.keyLength(), s.headDim(), scale, p.flags()));
        tasks.loop("lla_solve", rows, (graph, threads) -> graph.task("lla_solve", ParallelForward::solve, b.q(), b.k(), b.centre(),
                b.kbar(), b.ridge(), b.x(), b.scratch(), b.stats(), sizes, threads, rows, s.group(), s.queryLength(), s.keyLength(),
                s.headDim(), scale, p.flags(), (float) options.tolerance(), GpuForwardVariant.keptResiduals(s, options)));
        tasks.loop("lla_forward", rows, (graph, threads) -> graph.task("lla_forward", ParallelForward::output, b.q(), b.k(), b.v(),
                b.centre(), b.kbar(), b.x(), b.scratch(), b.o(), b.logSumExp(), sizes, threads, rows, s.group(), s.queryLength(),
                s.keyLength(), s.headDim(), s.valueDim(), scale, p.flags()));
    }
}
