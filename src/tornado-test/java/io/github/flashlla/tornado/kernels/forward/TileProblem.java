package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.tornado.kernels.tile.JvmGroup;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import java.util.Random;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.WorkerGrid1D;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Arrays of one problem for the tile kernels, poisoned where they are written; inputs that float16 holds. */
class TileProblem {
    final int heads;
    final int group;
    final int Sq;
    final int Sk;
    final int D;
    final int Dv;
    final FloatArray q;
    final FloatArray k;
    final FloatArray v;
    final FloatArray ridge;
    final FloatArray o;
    final FloatArray lse;
    final FloatArray kbar;
    final FloatArray x;
    final FloatArray stats;
    final HalfFloatArray packed;
    final FloatArray scratch;
    final IntArray sizes = new IntArray(TileState.SIZES);
    final FloatArray settings = new FloatArray(TileState.SETTINGS);
    /** Warps that have the same 16 rows left over. */
    int sharing;
    private int warpGroup;

    TileProblem(int heads, int group, int Sq, int Sk, int D, int Dv, boolean causal, float scale, float tolerance, int most) {
        this.heads = heads;
        this.group = group;
        this.Sq = Sq;
        this.Sk = Sk;
        this.D = D;
        this.Dv = Dv;
        sharing = TileSolve.sharing((long) heads * Sq, TileState.dims(D));
        q = new FloatArray(heads * Sq * D);
        k = new FloatArray(heads / group * Sk * D);
        v = new FloatArray(heads / group * Sk * Dv);
        ridge = new FloatArray(heads * Sq);
        o = poisoned(heads * Sq * Dv);
        lse = poisoned(heads * Sq);
        kbar = poisoned(heads * Sq * D);
        x = poisoned(heads * Sq * D);
        stats = poisoned(heads * Sq * 2);
        packed = new HalfFloatArray((int) TileState.packedHalves(heads / group, Sk, D, Dv));
        scratch = poisoned((int) TileState.scratchFloats(heads, Sq, TileState.dims(D)));
        sizes.set(TileState.HEADS, heads);
        sizes.set(TileState.GROUP, group);
        sizes.set(TileState.SQ, Sq);
        sizes.set(TileState.SK, Sk);
        sizes.set(TileState.PADDED_SK, (int) TileState.paddedKeys(Sk));
        sizes.set(TileState.CAUSAL, causal ? 1 : 0);
        sizes.set(TileState.MAX_ITERATIONS, most);
        settings.set(TileState.SCALE, scale);
        settings.set(TileState.TOLERANCE, tolerance);
    }

    /** Products of four warps together from here on. */
    TileProblem byWarpGroups() {
        warpGroup = 1;
        return this;
    }

    static FloatArray poisoned(int size) {
        FloatArray array = new FloatArray(size);
        array.init(Float.NaN);
        return array;
    }

    /** Normal inputs; q and k times {@code qTimes} and plus {@code kPlus}; ridges from {@code lambda} on. */
    TileProblem fill(long seed, float qTimes, float kPlus, float lambda) {
        Random random = new Random(seed);
        fill(q, random, qTimes, 0f);
        fill(k, random, 1f, kPlus);
        fill(v, random, 1f, 0f);
        for (int i = 0; i < ridge.getSize(); i++) {
            ridge.set(i, lambda * (1 + i % 3));
        }
        return this;
    }

    private void fill(FloatArray array, Random random, float times, float plus) {
        for (int i = 0; i < array.getSize(); i++) {
            array.set(i, held((float) random.nextGaussian() * times + plus));
        }
    }

    /** The number of an input nearest to this. */
    float held(float x) {
        return Float.float16ToFloat(Float.floatToFloat16(x));
    }

    int groups() {
        return heads * Math.ceilDiv(Sq, TileState.BLOCK);
    }

    void runOnJvm() {
        int dims = TileState.dims(D);
        JvmGroup.run(packed.getSize() / 2048, 256, ctx -> TileForward.pack(ctx, k, v, packed, sizes, D, Dv, TilePieces.stride(dims),
                TilePieces.stride(TileState.dims(Dv))));
        JvmGroup.run(groups(), 128, ctx -> TileForward.mean(ctx, q, packed, ridge, kbar, x, lse, scratch, sizes, settings, D, dims, warpGroup));
        JvmGroup.run(groups(), 128, ctx -> TileSolve.solve(ctx, q, packed, ridge, kbar, x, scratch, sizes, settings, D, dims, 0, 1, warpGroup));
        JvmGroup.run(groups(), 64, ctx -> TileList.list(ctx, scratch, sizes, dims));
        JvmGroup.run(sharing * groups(), 128, ctx -> TileSolve.solve(ctx, q, packed, ridge, kbar, x, scratch, sizes, settings, D, dims, sharing, 1, 0));
        JvmGroup.run(groups(), 128, ctx -> TileOutput.output(ctx, q, packed, kbar, x, stats, o, scratch, sizes, settings, D, Dv, dims,
                TileState.dims(Dv), warpGroup));
    }

    /** The tasks behind each other, and their launch sizes. */
    TaskGraph graph(String name, GridScheduler grids) {
        int dims = TileState.dims(D);
        grids.addWorkerGrid(name + ".pack", grid(packed.getSize() / 2048 * 256, 256));
        for (String task : new String[] {"mean", "solve", "left", "output"}) {
            grids.addWorkerGrid(name + "." + task, grid((task.equals("left") ? sharing : 1) * 128 * groups(), 128));
        }
        grids.addWorkerGrid(name + ".list", grid(64 * groups(), 64));
        return new TaskGraph(name)
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, q, k, v, ridge, o, lse, kbar, x, stats, packed, scratch, sizes, settings)
                .task("pack", TileForward::pack, new KernelContext(), k, v, packed, sizes, D, Dv, TilePieces.stride(dims),
                        TilePieces.stride(TileState.dims(Dv)))
                .task("mean", TileForward::mean, new KernelContext(), q, packed, ridge, kbar, x, lse, scratch, sizes, settings, D, dims, warpGroup)
                .task("solve", TileSolve::solve, new KernelContext(), q, packed, ridge, kbar, x, scratch, sizes, settings, D, dims, 0, 1, warpGroup)
                .task("list", TileList::list, new KernelContext(), scratch, sizes, dims)
                .task("left", TileSolve::solve, new KernelContext(), q, packed, ridge, kbar, x, scratch, sizes, settings, D, dims, sharing, 1, 0)
                .task("output", TileOutput::output, new KernelContext(), q, packed, kbar, x, stats, o, scratch, sizes, settings, D, Dv, dims,
                        TileState.dims(Dv), warpGroup)
                .transferToHost(DataTransferMode.EVERY_EXECUTION, o, lse, kbar, x, stats);
    }

    static WorkerGrid1D grid(int threads, int group) {
        WorkerGrid1D grid = new WorkerGrid1D(threads);
        grid.setLocalWork(group, 1, 1);
        return grid;
    }
}
