package io.github.flashlla.tornado.kernels.backward;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.BackwardBuffers;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.device.WorkGroupDemand;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.BackwardVariant;
import io.github.flashlla.tornado.kernels.KernelVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.kernels.forward.TileForward;
import io.github.flashlla.tornado.kernels.forward.TileForwardVariant;
import io.github.flashlla.tornado.kernels.forward.TileList;
import io.github.flashlla.tornado.kernels.forward.TileSolve;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import io.github.flashlla.tornado.kernels.tile.TileOperations;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import java.util.Optional;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Half-precision matrix units with fragments in registers, by operations of our own ({@link TileBackward}); head dims to 128. */
public enum TileBackwardVariant implements BackwardVariant {
    /** Products of single warps. */
    TILE("tile"),
    /** The solve by products of four warps together, of compute capability 9.0. */
    WARP_GROUP("warp_group");

    private static final int LOCAL_BYTES = 48 << 10;

    private final String id;

    TileBackwardVariant(String id) {
        this.id = id;
    }

    @Override
    public String id() {
        return id;
    }

    @Override
    public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return TileForwardVariant.unsuitedToMatrixUnits(device, shape, options)
                .or(() -> this == WARP_GROUP ? TileOperations.warpGroupsUnavailable(device.info()) : Optional.empty())
                .or(() -> KernelVariant.unlessTooLarge(Math.max(scratchFloats(device, shape, options), packedHalves(device, shape, options))));
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
    public long scratchFloats(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return TileBackward.scratchFloats((long) shape.batch() * shape.heads(), shape.queryLength(), dims(shape));
    }

    @Override
    public long packedHalves(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return TileBackward.packedHalves((long) shape.batch() * shape.heads(), (long) shape.batch() * shape.kvHeads(), shape.queryLength(),
                shape.keyLength(), dims(shape));
    }

    private static int dims(AttentionShape shape) {
        return TileState.dims(Math.max(shape.headDim(), shape.valueDim()));
    }

    /** Pack, largest, gather, solve, list, solve of the list, queries, keys. */
    @Override
    public void append(TaskAppender tasks, VariantDevice device, BackwardBuffers b, AttentionShape s, LlaOptions options) {
        LlaBuffers f = b.forward();
        int heads = s.batch() * s.heads();
        IntArray sizes = TileState.sizes(s, options);
        FloatArray settings = ProblemData.settings(s, options);
        tasks.transferOnce(sizes, settings);
        int D = s.headDim();
        int Dv = s.valueDim();
        int dims = dims(s);
        int stride = TilePieces.stride(dims);
        int kvHeads = s.batch() * s.kvHeads();
        long packs = TileState.packedHalves(kvHeads, s.keyLength(), dims, dims) / 8;
        long groups = (long) heads * Math.ceilDiv(s.queryLength(), TileState.BLOCK);
        int sharing = TileSolve.sharing((long) heads * s.queryLength(), dims);
        long keyGroups = (long) kvHeads * Math.ceilDiv(s.keyLength(), TileState.BLOCK);
        tasks.task("lla_backward_pack", TaskAppender.groups(Math.ceilDiv(packs, (long) TileForward.PACK_THREADS), TileForward.PACK_THREADS),
                g -> g.task("lla_backward_pack", TileForward::pack, new KernelContext(), f.k(), f.v(), b.packed(), sizes, D, Dv, stride, stride));
        tasks.task("lla_backward_largest", TaskAppender.groups(groups, TileState.THREADS),
                g -> g.task("lla_backward_largest", TileBackward::largest, new KernelContext(), b.g(), b.scratch(), sizes, Dv, dims));
        tasks.task("lla_backward_gather", TaskAppender.groups(groups, TileState.THREADS),
                g -> g.task("lla_backward_gather", TileBackwardGather::gather, new KernelContext(), f.q(), b.g(), b.packed(), f.kbar(),
                        f.logSumExp(), f.ridge(), b.scratch(), sizes, settings, D, Dv, dims));
        tasks.task("lla_backward_solve", TaskAppender.groups(groups, TileState.THREADS),
                g -> g.task("lla_backward_solve", TileSolve::solve, new KernelContext(), f.q(), b.packed(), f.ridge(), f.kbar(), f.x(), b.scratch(), sizes,
                        settings, D, dims, 0, 0, this == WARP_GROUP ? 1 : 0));
        tasks.task("lla_backward_list", TaskAppender.groups(groups, TileState.BLOCK),
                g -> g.task("lla_backward_list", TileList::list, new KernelContext(), b.scratch(), sizes, dims));
        tasks.task("lla_backward_solve_left", TaskAppender.groups(sharing * groups, TileState.THREADS),
                g -> g.task("lla_backward_solve_left", TileSolve::solve, new KernelContext(), f.q(), b.packed(), f.ridge(), f.kbar(), f.x(), b.scratch(), sizes,
                        settings, D, dims, sharing, 0, 0));
        tasks.task("lla_backward_queries", TaskAppender.groups(groups, TileState.THREADS),
                g -> g.task("lla_backward_queries", TileBackwardQueries::queries, new KernelContext(), b.packed(), f.kbar(), f.x(), b.dq(),
                        b.dridge(), b.rows(), b.scratch(), sizes, settings, D, dims));
        tasks.task("lla_backward_keys", TaskAppender.groups(keyGroups, TileState.THREADS),
                g -> g.task("lla_backward_keys", TileBackwardKeys::keys, new KernelContext(), b.packed(), b.scratch(), b.dk(), b.dv(),
                        b.visited(), sizes, settings, D, Dv, dims));
    }
}
