package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.buffers.ProblemArrays;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.BufferWishes;
import io.github.flashlla.tornado.kernels.ForwardVariant;
import io.github.flashlla.tornado.kernels.KernelVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.kernels.tile.KeptResiduals;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import java.util.Optional;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.WorkerGrid;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Work-group tiles in local memory, in float32, every head dim to {@value GpuTiles#MAX_DIM} and preconditioner: a task for each pass. */
public final class GpuForwardVariant implements ForwardVariant {
    private static final int FEWEST_KEPT = 8;
    /** Most that kept residuals may take together. */
    public static final long KEPT_BYTES = 16 << 20;

    @Override
    public String id() {
        return "gpu";
    }

    @Override
    public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return KernelVariant.unless(options.precision() == DataType.FLOAT32, "it computes in float32")
                .or(() -> KernelVariant.unless(!device.info().backend().equals("spirv"), "TornadoVM's SPIR-V for its vectors in registers is not valid"))
                .or(() -> KernelVariant.unless(Math.max(shape.headDim(), shape.valueDim()) <= GpuTiles.MAX_DIM,
                        "it takes head dims up to " + GpuTiles.MAX_DIM))
                .or(() -> KernelVariant.unlessTooLarge(scratchFloats(shape, options)));
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
        int widest = GpuTiles.dims(Math.max(shape.headDim(), shape.valueDim()));
        int dims = GpuTiles.dims(shape.headDim());
        return new WorkGroupDemand(Math.max(GpuTiles.threads(dims), GpuTiles.threads(widest)),
                Math.max(GpuTiles.localBytes(dims), GpuTiles.localBytes(widest)));
    }

    @Override
    public int blockRows(AttentionShape shape) {
        return GpuTiles.block(GpuTiles.dims(shape.headDim()));
    }

    @Override
    public BufferWishes wishes(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new BufferWishes(true, 0, scratchFloats(shape, options));
    }

    private static long scratchFloats(AttentionShape shape, LlaOptions options) {
        return GpuTiles.scratchFloats(shape.rows(), shape.headDim(), keptResiduals(shape, options));
    }

    @Override
    public boolean readsSizes() {
        return true;
    }

    @Override
    public void append(TaskAppender tasks, VariantDevice device, LlaBuffers b, AttentionShape s, LlaOptions options, IntArray sizes) {
        int kept = keptResiduals(s, options);
        ProblemArrays p = b.problem();
        int flags = p.flags() + (kept > 0 ? KeptResiduals.UNIT : 0);
        sizes.set(ProblemData.KEPT, kept);
        int D = s.headDim();
        int Dv = s.valueDim();
        int dims = GpuTiles.dims(D);
        int widest = GpuTiles.dims(Math.max(D, Dv));
        KernelContext ctx = new KernelContext();
        tasks.task("lla_mean", grid(s, dims), graph -> graph.task("lla_mean", GpuMean::mean, ctx, b.q(), b.k(), b.ridge(), b.centre(),
                b.logSumExp(), b.kbar(), b.x(), b.o(), b.scratch(), sizes, p.settings(), D, Dv, flags));
        tasks.task("lla_solve", grid(s, dims), graph -> graph.task("lla_solve", GpuSolve::solve, ctx, b.q(), b.k(), b.ridge(), b.centre(),
                b.logSumExp(), b.kbar(), b.x(), b.o(), b.scratch(), sizes, p.settings(), D, Dv, flags));
        tasks.task("lla_forward", grid(s, widest), graph -> graph.task("lla_forward", GpuOutput::output, ctx, b.q(), b.k(), b.v(),
                b.centre(), b.logSumExp(), b.kbar(), b.x(), b.o(), b.stats(), b.scratch(), sizes, p.settings(), D, Dv, flags));
    }

    private static WorkerGrid grid(AttentionShape s, int dims) {
        return TaskAppender.groups((long) s.batch() * s.heads() * Math.ceilDiv(s.queryLength(), GpuTiles.block(dims)), GpuTiles.threads(dims));
    }

    /**
     * Residuals that are kept: as many as a few megabytes hold. Large problems keep none, since each is as large as q; nor do
     * those with a tolerance that is reached before rounding counts.
     */
    static int keptResiduals(AttentionShape shape, LlaOptions options) {
        long fitting = KEPT_BYTES / (shape.rows() * shape.headDim() * Float.BYTES);
        int kept = (int) Math.min(Math.min(KeptResiduals.MOST, fitting), Math.min(shape.headDim(), options.maxIterations()));
        return kept < Math.min(FEWEST_KEPT, shape.headDim()) || options.tolerance() > 1e-4 ? 0 : kept;
    }
}
