package io.github.flashlla.tornado.kernels.backward;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.BackwardBuffers;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.buffers.ProblemArrays;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.BackwardVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import java.util.Optional;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.WorkerGrid;

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
    public boolean takesSpans() {
        return true;
    }

    @Override
    public boolean takesStrides() {
        return true;
    }

    @Override
    public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new WorkGroupDemand(GpuBackward.THREADS, GpuBackward.localBytes(paddedDim(shape)));
    }

    @Override
    public int blockRows(AttentionShape shape) {
        return rows(shape);
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
        ProblemArrays p = b.problem();
        tasks.task("lla_backward_solve", queryGrid(s), graph -> graph.task("lla_backward_solve", GpuBackwardSolve::solve, new KernelContext(), f.q(),
                f.k(), f.v(), f.ridge(), f.centre(), b.g(), f.logSumExp(), f.kbar(), b.u(), b.dq(), b.rows(), p.sizes(), p.settings(), s.headDim(),
                s.valueDim(), p.flags()));
        appendQueries(tasks, b, s);
        appendKeys(tasks, b, s);
    }

    /** dq and dridge, from u and the numbers of each query. */
    static void appendQueries(TaskAppender tasks, BackwardBuffers b, AttentionShape s) {
        LlaBuffers f = b.forward();
        ProblemArrays p = b.problem();
        tasks.task("lla_backward_queries", queryGrid(s), graph -> graph.task("lla_backward_queries", GpuBackwardQueries::queries, new KernelContext(),
                f.q(), f.k(), f.v(), f.centre(), b.g(), f.kbar(), f.x(), b.u(), b.rows(), b.dq(), b.dridge(), p.sizes(), p.settings(), s.headDim(),
                s.valueDim(), p.flags()));
    }

    /** dk and dv, behind those. */
    static void appendKeys(TaskAppender tasks, BackwardBuffers b, AttentionShape s) {
        LlaBuffers f = b.forward();
        ProblemArrays p = b.problem();
        WorkerGrid grid = TaskAppender.groups((long) s.batch() * s.kvHeads() * Math.ceilDiv(s.keyLength(), rows(s)), GpuBackward.THREADS);
        tasks.task("lla_backward_keys", grid, graph -> graph.task("lla_backward_keys", GpuBackwardKeys::keys, new KernelContext(), f.q(), f.k(),
                f.v(), f.centre(), b.g(), f.x(), b.u(), b.rows(), b.dk(), b.dv(), b.visited(), p.sizes(), p.settings(), s.headDim(), s.valueDim(),
                p.flags()));
    }

    private static WorkerGrid queryGrid(AttentionShape s) {
        return TaskAppender.groups((long) s.batch() * s.heads() * Math.ceilDiv(s.queryLength(), rows(s)), GpuBackward.THREADS);
    }

    private static int rows(AttentionShape s) {
        return GpuBackward.blockRows(paddedDim(s));
    }
}
