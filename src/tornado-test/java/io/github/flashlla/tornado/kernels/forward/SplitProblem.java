package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.tornado.kernels.tile.JvmGroup;
import io.github.flashlla.tornado.kernels.tile.SplitRows;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/** Arrays of one problem for the kernels of float32 by three products. */
final class SplitProblem extends TileProblem {
    private final int causal;
    private final int dims;
    private final int dimsV;
    private final FloatArray centre;
    private final HalfFloatArray halves;
    private final FloatArray state;

    SplitProblem(int heads, int group, int Sq, int Sk, int D, int Dv, boolean causal, float scale, float tolerance, int most) {
        super(heads, group, Sq, Sk, D, Dv, causal, scale, tolerance, most);
        this.causal = causal ? 1 : 0;
        dims = TileState.dims(D);
        dimsV = TileState.dims(Dv);
        centre = new FloatArray(heads / group * D);
        halves = new HalfFloatArray((int) SplitRows.packedHalves(heads / group, Sk, D, Dv));
        state = poisoned((int) SplitRows.scratchFloats(heads, heads / group, Sq, dims));
    }

    @Override
    float held(float x) {
        return x;
    }

    /** The first key of each head is near the others where they have a large common part. */
    @Override
    TileProblem fill(long seed, float qTimes, float kPlus, float lambda) {
        super.fill(seed, qTimes, kPlus, lambda);
        for (int i = 0; i < centre.getSize(); i++) {
            centre.set(i, k.get(i / D * Sk * D + i % D));
        }
        return this;
    }

    @Override
    void runOnJvm() {
        JvmGroup.run(2 * heads / group, 256, ctx -> SplitMean.factors(ctx, k, v, centre, state, sizes, D, Dv, dims));
        JvmGroup.run(halves.getSize() / 4096, 256, ctx -> SplitMean.pack(ctx, k, v, centre, halves, state, sizes, D, Dv, dims,
                TilePieces.stride(dims), TilePieces.stride(dimsV)));
        JvmGroup.run(groups(), 128, ctx -> SplitMean.mean(ctx, q, halves, ridge, centre, lse, state, sizes, settings, D, dims, causal));
        JvmGroup.run(groups(), 128, ctx -> SplitSolve.solve(ctx, q, halves, ridge, state, sizes, settings, D, dims, causal, 0));
        JvmGroup.run(groups(), 64, ctx -> TileList.list(ctx, state, sizes, dims));
        JvmGroup.run(groups(), 128, ctx -> SplitSolve.solve(ctx, q, halves, ridge, state, sizes, settings, D, dims, causal, 1));
        JvmGroup.run(groups(), 128, ctx -> SplitOutput.output(ctx, q, halves, centre, kbar, x, stats, o, state, sizes, settings, D, Dv, dims, dimsV, causal));
    }

    @Override
    TaskGraph graph(String name, GridScheduler grids) {
        grids.addWorkerGrid(name + ".factors", grid(512 * heads / group, 256));
        grids.addWorkerGrid(name + ".pack", grid(halves.getSize() / 4096 * 256, 256));
        for (String task : new String[] {"mean", "solve", "left", "output"}) {
            grids.addWorkerGrid(name + "." + task, grid(128 * groups(), 128));
        }
        grids.addWorkerGrid(name + ".list", grid(64 * groups(), 64));
        return new TaskGraph(name)
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, q, k, v, ridge, centre, o, lse, kbar, x, stats, halves, state, sizes, settings)
                .task("factors", SplitMean::factors, new KernelContext(), k, v, centre, state, sizes, D, Dv, dims)
                .task("pack", SplitMean::pack, new KernelContext(), k, v, centre, halves, state, sizes, D, Dv, dims, TilePieces.stride(dims),
                        TilePieces.stride(dimsV))
                .task("mean", SplitMean::mean, new KernelContext(), q, halves, ridge, centre, lse, state, sizes, settings, D, dims, causal)
                .task("solve", SplitSolve::solve, new KernelContext(), q, halves, ridge, state, sizes, settings, D, dims, causal, 0)
                .task("list", TileList::list, new KernelContext(), state, sizes, dims)
                .task("left", SplitSolve::solve, new KernelContext(), q, halves, ridge, state, sizes, settings, D, dims, causal, 1)
                .task("output", SplitOutput::output, new KernelContext(), q, halves, centre, kbar, x, stats, o, state, sizes, settings, D, Dv, dims, dimsV, causal)
                .transferToHost(DataTransferMode.EVERY_EXECUTION, o, lse, kbar, x, stats);
    }
}
