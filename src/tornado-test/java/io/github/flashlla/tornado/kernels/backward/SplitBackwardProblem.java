package io.github.flashlla.tornado.kernels.backward;

import io.github.flashlla.tornado.kernels.forward.SplitMean;
import io.github.flashlla.tornado.kernels.forward.SplitSolve;
import io.github.flashlla.tornado.kernels.forward.TileList;
import io.github.flashlla.tornado.kernels.tile.JvmGroup;
import io.github.flashlla.tornado.kernels.tile.SplitRows;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/** Arrays of one problem for the backward kernels of float32 by three products. */
public final class SplitBackwardProblem extends TileBackwardProblem {
    private final int causal;
    private final int dimsK;
    private final int dimsV;
    private final FloatArray centre;
    private final FloatArray u;
    private final HalfFloatArray halves;
    private final FloatArray state;

    public SplitBackwardProblem(int heads, int group, int Sq, int Sk, int D, int Dv, boolean causal, float scale, float tolerance, int most) {
        super(heads, group, Sq, Sk, D, Dv, causal, scale, tolerance, most);
        this.causal = causal ? 1 : 0;
        dimsK = TileState.dims(D);
        dimsV = TileState.dims(Dv);
        centre = new FloatArray(kvHeads * D);
        u = poisoned(heads * Sq * D);
        halves = new HalfFloatArray((int) SplitBackward.packedHalves(heads, kvHeads, Sq, Sk, D, Dv));
        for (int i = 0; i < halves.getSize(); i++) {
            halves.set(i, new HalfFloat(Float.NaN));
        }
        state = poisoned((int) SplitBackward.scratchFloats(heads, kvHeads, Sq, D));
    }

    @Override
    void hold(FloatArray array) {}

    /** The first key of each head is near the others where they have a large common part. */
    @Override
    TileBackwardProblem fill(long seed, float qTimes, float gTimes, float kPlus, float vPlus, float lambda) {
        super.fill(seed, qTimes, gTimes, kPlus, vPlus, lambda);
        for (int i = 0; i < centre.getSize(); i++) {
            centre.set(i, k.get(i / D * Sk * D + i % D));
        }
        return this;
    }

    private int packs() {
        return (int) SplitRows.packedHalves(kvHeads, Sk, D, Dv) / 16;
    }

    private int rowChunks() {
        return (int) SplitBackward.rowChunks(heads, Sq, D, Dv);
    }

    @Override
    public void runOnJvm() {
        JvmGroup.run(2 * kvHeads, 256, ctx -> SplitMean.factors(ctx, k, v, centre, state, sizes, D, Dv, dimsK));
        JvmGroup.run(packs() / 256, 256, ctx -> SplitMean.pack(ctx, k, v, centre, halves, state, sizes, D, Dv, dimsK, TilePieces.stride(dimsK),
                TilePieces.stride(dimsV)));
        JvmGroup.run(groups(), 128, ctx -> SplitBackwardGather.gather(ctx, q, g, halves, centre, kbar, lse, ridge, rows, state, sizes, settings, D, Dv,
                dimsK, dimsV, causal));
        JvmGroup.run(groups(), 128, ctx -> SplitSolve.solve(ctx, q, halves, ridge, state, sizes, settings, D, dimsK, causal, 0));
        JvmGroup.run(groups(), 64, ctx -> TileList.list(ctx, state, sizes, dimsK));
        JvmGroup.run(groups(), 128, ctx -> SplitSolve.solve(ctx, q, halves, ridge, state, sizes, settings, D, dimsK, causal, 1));
        JvmGroup.run(Math.ceilDiv(u.getSize(), 256), 256, ctx -> SplitBackward.finish(ctx, state, u, rows, sizes, D, dimsK));
        int block = SplitBackward.block(D, Dv);
        JvmGroup.run(heads * Math.ceilDiv(Sq, block), 128, ctx -> {
            if (alone()) {
                SplitBackwardQueries.queries(ctx, q, g, halves, centre, kbar, x, u, dq, dridge, rows, state, sizes, settings, D, Dv, causal);
            } else {
                SplitBackwardPairQueries.queries(ctx, q, g, halves, centre, kbar, x, u, dq, dridge, rows, state, sizes, settings, D, Dv, dimsK, dimsV,
                        causal);
            }
        });
        JvmGroup.run(4 * kvHeads, 256, ctx -> SplitBackward.largest(ctx, q, x, u, g, state, sizes, D, Dv, dimsK));
        JvmGroup.run(rowChunks() / 256, 256, ctx -> SplitBackward.packRows(ctx, q, x, u, g, halves, state, rows, sizes, D, Dv, dimsK, dimsV));
        JvmGroup.run(kvHeads * Math.ceilDiv(Sk, block), 128, ctx -> {
            if (alone()) {
                SplitBackwardKeys.keys(ctx, halves, state, dk, dv, visited, sizes, settings, D, Dv, causal);
            } else {
                SplitBackwardPairKeys.keys(ctx, halves, state, dk, dv, visited, sizes, settings, D, Dv, dimsK, dimsV, causal);
            }
        });
    }

    private boolean alone() {
        return SplitBackward.alone(D, Dv);
    }

    @Override
    public TaskGraph graph(String name, GridScheduler grids) {
        grids.addWorkerGrid(name + ".factors", grid(512 * kvHeads, 256));
        grids.addWorkerGrid(name + ".pack", grid(packs() / 256 * 256, 256));
        for (String task : new String[] {"gather", "solve", "left"}) {
            grids.addWorkerGrid(name + "." + task, grid(128 * groups(), 128));
        }
        grids.addWorkerGrid(name + ".list", grid(64 * groups(), 64));
        grids.addWorkerGrid(name + ".finish", grid(Math.ceilDiv(u.getSize(), 256) * 256, 256));
        int block = SplitBackward.block(D, Dv);
        grids.addWorkerGrid(name + ".queries", grid(128 * heads * Math.ceilDiv(Sq, block), 128));
        grids.addWorkerGrid(name + ".keys", grid(128 * kvHeads * Math.ceilDiv(Sk, block), 128));
        grids.addWorkerGrid(name + ".largest", grid(1024 * kvHeads, 256));
        grids.addWorkerGrid(name + ".rows", grid(rowChunks(), 256));
        TaskGraph graph = new TaskGraph(name)
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, q, k, v, g, ridge, lse, kbar, x, centre, u, dq, dk, dv, dridge, rows, visited, halves,
                        state, sizes, settings)
                .task("factors", SplitMean::factors, new KernelContext(), k, v, centre, state, sizes, D, Dv, dimsK)
                .task("pack", SplitMean::pack, new KernelContext(), k, v, centre, halves, state, sizes, D, Dv, dimsK, TilePieces.stride(dimsK),
                        TilePieces.stride(dimsV))
                .task("gather", SplitBackwardGather::gather, new KernelContext(), q, g, halves, centre, kbar, lse, ridge, rows, state, sizes, settings, D,
                        Dv, dimsK, dimsV, causal)
                .task("solve", SplitSolve::solve, new KernelContext(), q, halves, ridge, state, sizes, settings, D, dimsK, causal, 0)
                .task("list", TileList::list, new KernelContext(), state, sizes, dimsK)
                .task("left", SplitSolve::solve, new KernelContext(), q, halves, ridge, state, sizes, settings, D, dimsK, causal, 1)
                .task("finish", SplitBackward::finish, new KernelContext(), state, u, rows, sizes, D, dimsK);
        if (alone()) {
            graph.task("queries", SplitBackwardQueries::queries, new KernelContext(), q, g, halves, centre, kbar, x, u, dq, dridge, rows, state, sizes,
                    settings, D, Dv, causal);
        } else {
            graph.task("queries", SplitBackwardPairQueries::queries, new KernelContext(), q, g, halves, centre, kbar, x, u, dq, dridge, rows, state,
                    sizes, settings, D, Dv, dimsK, dimsV, causal);
        }
        graph.task("largest", SplitBackward::largest, new KernelContext(), q, x, u, g, state, sizes, D, Dv, dimsK)
                .task("rows", SplitBackward::packRows, new KernelContext(), q, x, u, g, halves, state, rows, sizes, D, Dv, dimsK, dimsV);
        if (alone()) {
            graph.task("keys", SplitBackwardKeys::keys, new KernelContext(), halves, state, dk, dv, visited, sizes, settings, D, Dv, causal);
        } else {
            graph.task("keys", SplitBackwardPairKeys::keys, new KernelContext(), halves, state, dk, dv, visited, sizes, settings, D, Dv, dimsK, dimsV,
                    causal);
        }
        return graph.transferToHost(DataTransferMode.EVERY_EXECUTION, dq, dk, dv, dridge, rows, visited);
    }
}
