package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.BufferWishes;
import io.github.flashlla.tornado.kernels.ForwardVariant;
import io.github.flashlla.tornado.kernels.KernelVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import io.github.flashlla.tornado.kernels.tile.TileOperations;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import java.util.Optional;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Half-precision matrix units with fragments in registers, by operations of our own ({@link TileForward}); head dims to 128. */
public enum TileForwardVariant implements ForwardVariant {
    /** Products of single warps. */
    TILE("tile"),
    /** Products of four warps together, of compute capability 9.0 ({@link WarpGroupTiles}). */
    WARP_GROUP("warp_group");

    private static final int MAX_DIM = 128;
    private static final int LOCAL_BYTES = 48 << 10;

    private final String id;

    TileForwardVariant(String id) {
        this.id = id;
    }

    @Override
    public String id() {
        return id;
    }

    @Override
    public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return unsuitedToMatrixUnits(device, shape, options)
                .or(() -> this == WARP_GROUP ? TileOperations.warpGroupsUnavailable(device.info()) : Optional.empty())
                .or(() -> KernelVariant.unlessTooLarge(Math.max(scratchFloats(shape), packedHalves(shape))));
    }

    /** What forward and backward ask alike. */
    public static Optional<String> unsuitedToMatrixUnits(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return KernelVariant.unless(options.precision() == DataType.FLOAT16, "it computes in float16, which the options do not ask for")
                .or(() -> KernelVariant.unless(device.hasMatrixUnits(), "the device has no matrix units that TornadoVM reaches"))
                .or(() -> KernelVariant.unless(options.preconditioner() == Preconditioner.NONE, "it has no preconditioner"))
                .or(() -> KernelVariant.unless(Math.max(shape.headDim(), shape.valueDim()) <= MAX_DIM, "it takes head dims up to " + MAX_DIM))
                .or(() -> TileOperations.unavailable(device.info().name()));
    }

    @Override
    public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new WorkGroupDemand(TileState.THREADS, LOCAL_BYTES);
    }

    /** Rows left over are regrouped: a query iterates as often as it needs. */
    @Override
    public int blockRows(AttentionShape shape) {
        return 1;
    }

    @Override
    public BufferWishes wishes(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return new BufferWishes(false, packedHalves(shape), scratchFloats(shape));
    }

    private static long packedHalves(AttentionShape shape) {
        return TileState.packedHalves((long) shape.batch() * shape.kvHeads(), shape.keyLength(), shape.headDim(), shape.valueDim());
    }

    private static long scratchFloats(AttentionShape shape) {
        return TileState.scratchFloats((long) shape.batch() * shape.heads(), shape.queryLength(), TileState.dims(shape.headDim()));
    }

    /** Pack, mean, solve, list, solve of the list, output. */
    @Override
    public void append(TaskAppender tasks, VariantDevice device, LlaBuffers b, AttentionShape s, LlaOptions options, IntArray unread) {
        int heads = s.batch() * s.heads();
        IntArray sizes = TileState.sizes(s, options);
        FloatArray settings = ProblemData.settings(s, options);
        tasks.transferOnce(sizes, settings);
        int D = s.headDim();
        int Dv = s.valueDim();
        int dims = TileState.dims(D);
        int dimsV = TileState.dims(Dv);
        int warpGroup = this == WARP_GROUP ? 1 : 0;
        long groups = (long) heads * Math.ceilDiv(s.queryLength(), TileState.BLOCK);
        int sharing = TileSolve.sharing((long) heads * s.queryLength(), dims);
        tasks.task("lla_pack", TaskAppender.groups(Math.ceilDiv(packedHalves(s) / 8, (long) TileForward.PACK_THREADS), TileForward.PACK_THREADS),
                g -> g.task("lla_pack", TileForward::pack, new KernelContext(), b.k(), b.v(), b.packed(), sizes, D, Dv,
                        TilePieces.stride(dims), TilePieces.stride(dimsV)));
        tasks.task("lla_mean", TaskAppender.groups(groups, TileState.THREADS),
                g -> g.task("lla_mean", TileForward::mean, new KernelContext(), b.q(), b.packed(), b.ridge(), b.kbar(), b.x(), b.logSumExp(),
                        b.scratch(), sizes, settings, D, dims, warpGroup));
        tasks.task("lla_solve", TaskAppender.groups(groups, TileState.THREADS),
                g -> g.task("lla_solve", TileSolve::solve, new KernelContext(), b.q(), b.packed(), b.ridge(), b.kbar(), b.x(), b.scratch(), sizes, settings, D,
                        dims, 0, 1, warpGroup));
        tasks.task("lla_list", TaskAppender.groups(groups, TileState.BLOCK),
                g -> g.task("lla_list", TileList::list, new KernelContext(), b.scratch(), sizes, dims));
        tasks.task("lla_solve_left", TaskAppender.groups(sharing * groups, TileState.THREADS),
                g -> g.task("lla_solve_left", TileSolve::solve, new KernelContext(), b.q(), b.packed(), b.ridge(), b.kbar(), b.x(), b.scratch(), sizes, settings,
                        D, dims, sharing, 1, 0));
        tasks.task("lla_forward", TaskAppender.groups(groups, TileState.THREADS),
                g -> g.task("lla_forward", TileOutput::output, new KernelContext(), b.q(), b.packed(), b.kbar(), b.x(), b.stats(), b.o(), b.scratch(),
                        sizes, settings, D, Dv, dims, dimsV, warpGroup));
    }
}
