package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.BufferWishes;
import io.github.flashlla.tornado.kernels.ForwardVariant;
import io.github.flashlla.tornado.kernels.KernelVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.kernels.tile.SplitPieces;
import io.github.flashlla.tornado.kernels.tile.SplitRows;
import io.github.flashlla.tornado.kernels.tile.TileOperations;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import java.util.Optional;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Float32 by three products of half-precision matrix units, with operations of our own ({@link SplitMean}); head dims to 128. */
public final class SplitForwardVariant implements ForwardVariant {
    private static final int MAX_DIM = 128;
    private static final double SMALLEST_TOLERANCE = 1e-5;
    private static final double SMALLEST_SCALE = 1e-12;

    @Override
    public String id() {
        return "split";
    }

    @Override
    public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return unsuitedToThreeProducts(device, shape, options, workBytes(shape))
                .or(() -> KernelVariant.unlessTooLarge(Math.max(scratchFloats(shape), packedHalves(shape))));
    }

    /**
     * Why three products cannot compute a problem, forward or backward.
     *
     * @param workBytes of work arrays
     */
    public static Optional<String> unsuitedToThreeProducts(VariantDevice device, AttentionShape shape, LlaOptions options, long workBytes) {
        return KernelVariant.unless(options.precision() == DataType.FLOAT32, "it computes in float32")
                .or(() -> KernelVariant.unless(device.hasMatrixUnits(), "the device has no matrix units that TornadoVM reaches"))
                .or(() -> KernelVariant.unless(options.preconditioner() == Preconditioner.NONE, "it has no preconditioner"))
                .or(() -> KernelVariant.unless(options.tolerance() >= SMALLEST_TOLERANCE,
                        "it takes tolerances from " + Numbers.plain(SMALLEST_TOLERANCE) + " on"))
                .or(() -> KernelVariant.unless(GpuForwardVariant.keptResiduals(shape, options) == 0,
                        "a problem this small at so low a tolerance needs kept residuals, and it keeps none"))
                .or(() -> KernelVariant.unless(Math.abs(options.scaleFor(shape.headDim())) > SMALLEST_SCALE, "the scale is too near 0"))
                .or(() -> KernelVariant.unless(Math.max(shape.headDim(), shape.valueDim()) <= MAX_DIM, "it takes head dims up to " + MAX_DIM))
                .or(() -> KernelVariant.unless(device.info().memoryBytes() <= 0 || workBytes <= device.info().memoryBytes() / 4,
                        "its work arrays would take more than a quarter of the device's memory"))
                .or(() -> TileOperations.unavailable(device.info().name()));
    }

    @Override
    public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
        int dims = TileState.dims(shape.headDim());
        return new WorkGroupDemand(SplitMean.PACK_THREADS, Integer.BYTES * Math.max(8192, SplitPieces.localInts(dims)));
    }

    /** Rows left over are regrouped: a query iterates as often as it needs. */
    @Override
    public int blockRows(AttentionShape shape) {
        return 1;
    }

    @Override
    public BufferWishes wishes(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new BufferWishes(true, packedHalves(shape), scratchFloats(shape));
    }

    @Override
    public boolean readsSizes() {
        return true;
    }

    private static long packedHalves(AttentionShape shape) {
        return SplitRows.packedHalves((long) shape.batch() * shape.kvHeads(), shape.keyLength(), shape.headDim(), shape.valueDim());
    }

    private static long scratchFloats(AttentionShape shape) {
        return SplitRows.scratchFloats((long) shape.batch() * shape.heads(), (long) shape.batch() * shape.kvHeads(), shape.queryLength(),
                TileState.dims(shape.headDim()));
    }

    private static long workBytes(AttentionShape shape) {
        return Float.BYTES * scratchFloats(shape) + Short.BYTES * packedHalves(shape);
    }

    /** Factors, pack, mean, solve, list, solve of the list, output. */
    @Override
    public void append(TaskAppender tasks, VariantDevice device, LlaBuffers b, AttentionShape s, LlaOptions options, IntArray sizes) {
        int heads = s.batch() * s.heads();
        FloatArray settings = b.problem().settings();
        int causal = options.causal() ? 1 : 0;
        int D = s.headDim();
        int Dv = s.valueDim();
        int dims = TileState.dims(D);
        int dimsV = TileState.dims(Dv);
        long groups = (long) heads * Math.ceilDiv(s.queryLength(), TileState.BLOCK);
        tasks.task("lla_factors", TaskAppender.groups(2L * s.batch() * s.kvHeads(), SplitMean.PACK_THREADS),
                g -> g.task("lla_factors", SplitMean::factors, new KernelContext(), b.k(), b.v(), b.centre(), b.scratch(), sizes, D, Dv, dims));
        tasks.task("lla_pack", TaskAppender.groups(Math.ceilDiv(packedHalves(s) / 16, (long) SplitMean.PACK_THREADS), SplitMean.PACK_THREADS),
                g -> g.task("lla_pack", SplitMean::pack, new KernelContext(), b.k(), b.v(), b.centre(), b.packed(), b.scratch(), sizes, D, Dv, dims,
                        TilePieces.stride(dims), TilePieces.stride(dimsV)));
        tasks.task("lla_mean", TaskAppender.groups(groups, TileState.THREADS),
                g -> g.task("lla_mean", SplitMean::mean, new KernelContext(), b.q(), b.packed(), b.ridge(), b.centre(), b.logSumExp(), b.scratch(),
                        sizes, settings, D, dims, causal));
        tasks.task("lla_solve", TaskAppender.groups(groups, TileState.THREADS),
                g -> g.task("lla_solve", SplitSolve::solve, new KernelContext(), b.q(), b.packed(), b.ridge(), b.scratch(), sizes, settings, D, dims,
                        causal, 0));
        tasks.task("lla_list", TaskAppender.groups(groups, TileState.BLOCK),
                g -> g.task("lla_list", TileList::list, new KernelContext(), b.scratch(), sizes, dims));
        tasks.task("lla_solve_left", TaskAppender.groups(groups, TileState.THREADS),
                g -> g.task("lla_solve_left", SplitSolve::solve, new KernelContext(), b.q(), b.packed(), b.ridge(), b.scratch(), sizes, settings, D, dims,
                        causal, 1));
        tasks.task("lla_forward", TaskAppender.groups(groups, TileState.THREADS),
                g -> g.task("lla_forward", SplitOutput::output, new KernelContext(), b.q(), b.packed(), b.centre(), b.kbar(), b.x(), b.stats(), b.o(),
                        b.scratch(), sizes, settings, D, Dv, dims, dimsV, causal));
    }
}
