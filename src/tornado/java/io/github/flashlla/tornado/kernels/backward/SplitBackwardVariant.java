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
import io.github.flashlla.tornado.kernels.forward.SplitForwardVariant;
import io.github.flashlla.tornado.kernels.forward.SplitMean;
import io.github.flashlla.tornado.kernels.forward.SplitSolve;
import io.github.flashlla.tornado.kernels.forward.TileList;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import io.github.flashlla.tornado.kernels.tile.SplitPieces;
import io.github.flashlla.tornado.kernels.tile.SplitRows;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import java.util.Optional;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Float32 by three products of half-precision matrix units ({@link SplitBackward}); head dims to 128. */
public final class SplitBackwardVariant implements BackwardVariant {
    @Override
    public String id() {
        return "split";
    }

    @Override
    public Optional<String> unsuited(VariantDevice device, AttentionShape shape, LlaOptions options) {
        long floats = scratchFloats(device, shape, options);
        long halves = packedHalves(device, shape, options);
        return SplitForwardVariant.unsuitedToThreeProducts(device, shape, options, Float.BYTES * floats + Short.BYTES * halves)
                .or(() -> KernelVariant.unlessTooLarge(Math.max(floats, halves)));
    }

    @Override
    public WorkGroupDemand demand(VariantDevice device, AttentionShape shape, LlaOptions options) {
        int local = Integer.BYTES * Math.max(8320, SplitPieces.localInts(TileState.dims(shape.headDim())));
        int ofPairs = SplitBackward.alone(shape.headDim(), shape.valueDim()) ? 0
                : Math.max(SplitBackwardPairQueries.localBytes(), SplitBackwardPairKeys.localBytes());
        return new WorkGroupDemand(SplitMean.PACK_THREADS, Math.max(local, ofPairs));
    }

    /** Rows left over are regrouped: a query iterates as often as it needs. */
    @Override
    public int blockRows(AttentionShape shape) {
        return 1;
    }

    @Override
    public long scratchFloats(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return SplitBackward.scratchFloats((long) shape.batch() * shape.heads(), (long) shape.batch() * shape.kvHeads(), shape.queryLength(),
                shape.headDim());
    }

    @Override
    public long packedHalves(VariantDevice device, AttentionShape shape, LlaOptions options) {
        return SplitBackward.packedHalves((long) shape.batch() * shape.heads(), (long) shape.batch() * shape.kvHeads(), shape.queryLength(),
                shape.keyLength(), shape.headDim(), shape.valueDim());
    }

    /** Factors, pack, gather, solve, list, solve of the list, finish; then queries and keys. */
    @Override
    public void append(TaskAppender tasks, VariantDevice device, BackwardBuffers b, AttentionShape s, LlaOptions options) {
        LlaBuffers f = b.forward();
        IntArray sizes = TileState.sizes(s, options);
        FloatArray settings = ProblemData.settings(s, options);
        tasks.transferOnce(sizes, settings);
        int causal = options.causal() ? 1 : 0;
        int D = s.headDim();
        int Dv = s.valueDim();
        int dims = TileState.dims(D);
        int dimsV = TileState.dims(Dv);
        long heads = (long) s.batch() * s.heads();
        long kvHeads = (long) s.batch() * s.kvHeads();
        long groups = heads * Math.ceilDiv(s.queryLength(), TileState.BLOCK);
        long packs = SplitRows.packedHalves(kvHeads, s.keyLength(), D, Dv) / 16;
        tasks.task("lla_backward_factors", TaskAppender.groups(2 * kvHeads, SplitMean.PACK_THREADS),
                g -> g.task("lla_backward_factors", SplitMean::factors, new KernelContext(), f.k(), f.v(), f.centre(), b.scratch(), sizes, D, Dv, dims));
        tasks.task("lla_backward_pack", TaskAppender.groups(Math.ceilDiv(packs, (long) SplitMean.PACK_THREADS), SplitMean.PACK_THREADS),
                g -> g.task("lla_backward_pack", SplitMean::pack, new KernelContext(), f.k(), f.v(), f.centre(), b.packed(), b.scratch(), sizes, D, Dv,
                        dims, TilePieces.stride(dims), TilePieces.stride(dimsV)));
        tasks.task("lla_backward_gather", TaskAppender.groups(groups, TileState.THREADS),
                g -> g.task("lla_backward_gather", SplitBackwardGather::gather, new KernelContext(), f.q(), b.g(), b.packed(), f.centre(), f.kbar(),
                        f.logSumExp(), f.ridge(), b.rows(), b.scratch(), sizes, settings, D, Dv, dims, dimsV, causal));
        tasks.task("lla_backward_solve", TaskAppender.groups(groups, TileState.THREADS),
                g -> g.task("lla_backward_solve", SplitSolve::solve, new KernelContext(), f.q(), b.packed(), f.ridge(), b.scratch(), sizes, settings, D,
                        dims, causal, 0));
        tasks.task("lla_backward_list", TaskAppender.groups(groups, TileState.BLOCK),
                g -> g.task("lla_backward_list", TileList::list, new KernelContext(), b.scratch(), sizes, dims));
        tasks.task("lla_backward_solve_left", TaskAppender.groups(groups, TileState.THREADS),
                g -> g.task("lla_backward_solve_left", SplitSolve::solve, new KernelContext(), f.q(), b.packed(), f.ridge(), b.scratch(), sizes, settings,
                        D, dims, causal, 1));
        long elements = heads * s.queryLength() * D;
        tasks.task("lla_backward_finish", TaskAppender.groups(Math.ceilDiv(elements, (long) SplitBackward.ROW_THREADS), SplitBackward.ROW_THREADS),
                g -> g.task("lla_backward_finish", SplitBackward::finish, new KernelContext(), b.scratch(), b.u(), b.rows(), sizes, D, dims));
        boolean alone = SplitBackward.alone(D, Dv);
        long queryGroups = heads * Math.ceilDiv(s.queryLength(), SplitBackward.block(D, Dv));
        long keyGroups = kvHeads * Math.ceilDiv(s.keyLength(), SplitBackward.block(D, Dv));
        if (alone) {
            tasks.task("lla_backward_queries", TaskAppender.groups(queryGroups, TileState.THREADS),
                    g -> g.task("lla_backward_queries", SplitBackwardQueries::queries, new KernelContext(), f.q(), b.g(), b.packed(), f.centre(), f.kbar(),
                            f.x(), b.u(), b.dq(), b.dridge(), b.rows(), b.scratch(), sizes, settings, D, Dv, causal));
        } else {
            tasks.task("lla_backward_queries", TaskAppender.groups(queryGroups, TileState.THREADS),
                    g -> g.task("lla_backward_queries", SplitBackwardPairQueries::queries, new KernelContext(), f.q(), b.g(), b.packed(), f.centre(),
                            f.kbar(), f.x(), b.u(), b.dq(), b.dridge(), b.rows(), b.scratch(), sizes, settings, D, Dv, dims, dimsV, causal));
        }
        tasks.task("lla_backward_largest", TaskAppender.groups(4 * kvHeads, SplitBackward.ROW_THREADS),
                g -> g.task("lla_backward_largest", SplitBackward::largest, new KernelContext(), f.q(), f.x(), b.u(), b.g(), b.scratch(), sizes, D, Dv,
                        dims));
        long rowChunks = SplitBackward.rowChunks(heads, s.queryLength(), D, Dv);
        tasks.task("lla_backward_rows", TaskAppender.groups(rowChunks / SplitBackward.ROW_THREADS, SplitBackward.ROW_THREADS),
                g -> g.task("lla_backward_rows", SplitBackward::packRows, new KernelContext(), f.q(), f.x(), b.u(), b.g(), b.packed(), b.scratch(),
                        b.rows(), sizes, D, Dv, dims, dimsV));
        if (alone) {
            tasks.task("lla_backward_keys", TaskAppender.groups(keyGroups, TileState.THREADS),
                    g -> g.task("lla_backward_keys", SplitBackwardKeys::keys, new KernelContext(), b.packed(), b.scratch(), b.dk(), b.dv(), b.visited(),
                            sizes, settings, D, Dv, causal));
        } else {
            tasks.task("lla_backward_keys", TaskAppender.groups(keyGroups, TileState.THREADS),
                    g -> g.task("lla_backward_keys", SplitBackwardPairKeys::keys, new KernelContext(), b.packed(), b.scratch(), b.dk(), b.dv(),
                            b.visited(), sizes, settings, D, Dv, dims, dimsV, causal));
        }
    }
}
