package io.github.flashlla.tornado.kernels.backward;

import io.github.flashlla.tornado.kernels.forward.TileForward;
import io.github.flashlla.tornado.kernels.forward.TileList;
import io.github.flashlla.tornado.kernels.forward.TileSolve;
import io.github.flashlla.tornado.kernels.tile.BackwardRow;
import io.github.flashlla.tornado.kernels.tile.JvmGroup;
import io.github.flashlla.tornado.kernels.tile.TilePieces;
import io.github.flashlla.tornado.kernels.tile.TileState;
import java.util.Random;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.WorkerGrid1D;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Arrays of one problem for the backward tile kernels, poisoned where they are written; q, k and v that float16 holds. */
public class TileBackwardProblem {
    final int heads;
    final int kvHeads;
    final int Sq;
    final int Sk;
    final int D;
    final int Dv;
    final int dims;
    public final FloatArray q;
    public final FloatArray k;
    public final FloatArray v;
    public final FloatArray g;
    public final FloatArray ridge;
    public final FloatArray lse;
    public final FloatArray kbar;
    public final FloatArray x;
    public final FloatArray dq;
    public final FloatArray dk;
    public final FloatArray dv;
    public final FloatArray dridge;
    public final FloatArray rows;
    final FloatArray visited;
    final HalfFloatArray packed;
    final FloatArray scratch;
    final IntArray sizes;
    final FloatArray settings;
    private int warpGroup;

    public TileBackwardProblem(int heads, int group, int Sq, int Sk, int D, int Dv, boolean causal, float scale, float tolerance, int most) {
        this.heads = heads;
        this.kvHeads = heads / group;
        this.Sq = Sq;
        this.Sk = Sk;
        this.D = D;
        this.Dv = Dv;
        dims = TileState.dims(Math.max(D, Dv));
        q = new FloatArray(heads * Sq * D);
        k = new FloatArray(kvHeads * Sk * D);
        v = new FloatArray(kvHeads * Sk * Dv);
        g = new FloatArray(heads * Sq * Dv);
        ridge = new FloatArray(heads * Sq);
        lse = new FloatArray(heads * Sq);
        kbar = new FloatArray(heads * Sq * D);
        x = new FloatArray(heads * Sq * D);
        dq = poisoned(heads * Sq * D);
        dk = poisoned(kvHeads * Sk * D);
        dv = poisoned(kvHeads * Sk * Dv);
        dridge = poisoned(heads * Sq);
        rows = poisoned(heads * Sq * BackwardRow.ROW_SCALARS);
        visited = poisoned(kvHeads * Sk);
        packed = new HalfFloatArray((int) TileBackward.packedHalves(heads, kvHeads, Sq, Sk, dims));
        for (int i = 0; i < packed.getSize(); i++) {
            packed.set(i, new HalfFloat(Float.NaN));
        }
        scratch = poisoned((int) TileBackward.scratchFloats(heads, Sq, dims));
        sizes = IntArray.fromElements(heads, group, Sq, Sk, (int) TileState.paddedKeys(Sk), causal ? 1 : 0, most);
        settings = FloatArray.fromElements(scale, tolerance);
    }

    /** The solve by products of four warps together from here on. */
    TileBackwardProblem byWarpGroups() {
        warpGroup = 1;
        return this;
    }

    static FloatArray poisoned(int size) {
        FloatArray array = new FloatArray(size);
        array.init(Float.NaN);
        return array;
    }

    /** Normal inputs; q, and g, so many times them, k and v plus so much; ridges from {@code lambda} on. */
    TileBackwardProblem fill(long seed, float qTimes, float gTimes, float kPlus, float vPlus, float lambda) {
        Random random = new Random(seed);
        fill(q, random, qTimes, 0f);
        fill(k, random, 1f, kPlus);
        fill(v, random, 1f, vPlus);
        fill(g, random, gTimes, 0f);
        for (FloatArray array : new FloatArray[] {q, k, v}) {
            hold(array);
        }
        for (int i = 0; i < ridge.getSize(); i++) {
            ridge.set(i, lambda * (1 + i % 3));
        }
        return this;
    }

    /** Leaves what the kernels' inputs hold. */
    void hold(FloatArray array) {
        for (int i = 0; i < array.getSize(); i++) {
            array.set(i, Float.float16ToFloat(Float.floatToFloat16(array.get(i))));
        }
    }

    private static void fill(FloatArray array, Random random, float times, float plus) {
        for (int i = 0; i < array.getSize(); i++) {
            array.set(i, (float) random.nextGaussian() * times + plus);
        }
    }

    int groups() {
        return heads * Math.ceilDiv(Sq, TileState.BLOCK);
    }

    int keyGroups() {
        return kvHeads * Math.ceilDiv(Sk, TileState.BLOCK);
    }

    private int packThreads() {
        return (int) (TileState.packedHalves(kvHeads, Sk, dims, dims) / 8);
    }

    public void runOnJvm() {
        int stride = TilePieces.stride(dims);
        JvmGroup.run(Math.ceilDiv(packThreads(), 256), 256, ctx -> TileForward.pack(ctx, k, v, packed, sizes, D, Dv, stride, stride));
        JvmGroup.run(groups(), 128, ctx -> TileBackward.largest(ctx, g, scratch, sizes, Dv, dims));
        JvmGroup.run(groups(), 128, ctx -> TileBackwardGather.gather(ctx, q, g, packed, kbar, lse, ridge, scratch, sizes, settings, D, Dv, dims));
        JvmGroup.run(groups(), 128, ctx -> TileSolve.solve(ctx, q, packed, ridge, kbar, x, scratch, sizes, settings, D, dims, 0, 0, warpGroup));
        JvmGroup.run(groups(), 64, ctx -> TileList.list(ctx, scratch, sizes, dims));
        JvmGroup.run(sharing() * groups(), 128, ctx -> TileSolve.solve(ctx, q, packed, ridge, kbar, x, scratch, sizes, settings, D, dims, sharing(), 0, 0));
        JvmGroup.run(groups(), 128, ctx -> TileBackwardQueries.queries(ctx, packed, kbar, x, dq, dridge, rows, scratch, sizes, settings, D, dims));
        JvmGroup.run(keyGroups(), 128, ctx -> TileBackwardKeys.keys(ctx, packed, scratch, dk, dv, visited, sizes, settings, D, Dv, dims));
    }

    /** The tasks behind each other, and their launch sizes. */
    public TaskGraph graph(String name, GridScheduler grids) {
        int stride = TilePieces.stride(dims);
        grids.addWorkerGrid(name + ".pack", grid(Math.ceilDiv(packThreads(), 256) * 256, 256));
        for (String task : new String[] {"largest", "gather", "solve", "left", "queries"}) {
            grids.addWorkerGrid(name + "." + task, grid((task.equals("left") ? sharing() : 1) * 128 * groups(), 128));
        }
        grids.addWorkerGrid(name + ".list", grid(64 * groups(), 64));
        grids.addWorkerGrid(name + ".keys", grid(128 * keyGroups(), 128));
        return new TaskGraph(name)
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, q, k, v, g, ridge, lse, kbar, x, dq, dk, dv, dridge, rows, visited, packed,
                        scratch, sizes, settings)
                .task("pack", TileForward::pack, new KernelContext(), k, v, packed, sizes, D, Dv, stride, stride)
                .task("largest", TileBackward::largest, new KernelContext(), g, scratch, sizes, Dv, dims)
                .task("gather", TileBackwardGather::gather, new KernelContext(), q, g, packed, kbar, lse, ridge, scratch, sizes, settings, D, Dv, dims)
                .task("solve", TileSolve::solve, new KernelContext(), q, packed, ridge, kbar, x, scratch, sizes, settings, D, dims, 0, 0, warpGroup)
                .task("list", TileList::list, new KernelContext(), scratch, sizes, dims)
                .task("left", TileSolve::solve, new KernelContext(), q, packed, ridge, kbar, x, scratch, sizes, settings, D, dims, sharing(), 0, 0)
                .task("queries", TileBackwardQueries::queries, new KernelContext(), packed, kbar, x, dq, dridge, rows, scratch, sizes, settings,
                        D, dims)
                .task("keys", TileBackwardKeys::keys, new KernelContext(), packed, scratch, dk, dv, visited, sizes, settings, D, Dv, dims)
                .transferToHost(DataTransferMode.EVERY_EXECUTION, dq, dk, dv, dridge, rows, visited);
    }

    static WorkerGrid1D grid(int threads, int group) {
        WorkerGrid1D grid = new WorkerGrid1D(threads);
        grid.setLocalWork(group, 1, 1);
        return grid;
    }

    private int sharing() {
        return TileSolve.sharing((long) heads * Sq, TileState.dims(D));
    }
}
