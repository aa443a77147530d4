package io.github.flashlla.tornado.kernels.tile;

import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.WorkerGrid1D;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/** Kernels that use every operation of {@link WarpGroup}, with one group of eight warps each, and what they work on. */
public final class WarpGroupKernels {
    static final int THREADS = 256;
    /** Of both matrices. */
    static final int ROWS = 64;
    static final int COLUMNS = 128;
    /** Of B, in the kernels that give scores, and in those that give sums. */
    static final int[] SCORES = {32, 64};
    static final int[] SUMS = {32, 64, 96, 128};
    private static final int PANEL = 128 * ROWS;

    final HalfFloatArray queries = new HalfFloatArray(ROWS * COLUMNS);
    final HalfFloatArray keys = new HalfFloatArray(ROWS * COLUMNS);
    final FloatArray[] scores = new FloatArray[SCORES.length];
    final FloatArray[] localRows = new FloatArray[SCORES.length];
    final FloatArray[] sums = new FloatArray[SUMS.length];

    WarpGroupKernels() {
        for (int i = 0; i < queries.getSize(); i++) {
            queries.set(i, new HalfFloat((i * 37 % 101 - 50) / 16f));
            keys.set(i, new HalfFloat((i * 53 % 97 - 48) / 16f));
        }
        for (int i = 0; i < SCORES.length; i++) {
            scores[i] = poisoned(SCORES[i]);
            localRows[i] = poisoned(SCORES[i]);
        }
        for (int i = 0; i < SUMS.length; i++) {
            sums[i] = poisoned(SUMS[i]);
        }
    }

    private static FloatArray poisoned(int columns) {
        FloatArray array = new FloatArray(THREADS * columns / 2);
        array.init(Float.NaN);
        return array;
    }

    void runOnJvm() {
        for (int i = 0; i < SCORES.length; i++) {
            int n = i;
            JvmGroup.run(1, THREADS, ctx -> scores(ctx, queries, keys, scores[n], SCORES[n]));
            JvmGroup.run(1, THREADS, ctx -> localRows(ctx, queries, keys, localRows[n], SCORES[n]));
        }
        for (int i = 0; i < SUMS.length; i++) {
            int n = i;
            JvmGroup.run(1, THREADS, ctx -> sums(ctx, queries, keys, sums[n], SUMS[n]));
        }
    }

    public static TaskGraph allOperations(GridScheduler grids) {
        return new WarpGroupKernels().graph("warpgroup", grids);
    }

    TaskGraph graph(String name, GridScheduler grids) {
        TaskGraph graph = new TaskGraph(name).transferToDevice(DataTransferMode.FIRST_EXECUTION, queries, keys);
        for (int i = 0; i < SCORES.length; i++) {
            graph.transferToDevice(DataTransferMode.FIRST_EXECUTION, scores[i], localRows[i])
                    .task("scores" + i, WarpGroupKernels::scores, new KernelContext(), queries, keys, scores[i], SCORES[i])
                    .task("localRows" + i, WarpGroupKernels::localRows, new KernelContext(), queries, keys, localRows[i], SCORES[i])
                    .transferToHost(DataTransferMode.EVERY_EXECUTION, scores[i], localRows[i]);
            grids.addWorkerGrid(name + ".scores" + i, grid());
            grids.addWorkerGrid(name + ".localRows" + i, grid());
        }
        for (int i = 0; i < SUMS.length; i++) {
            graph.transferToDevice(DataTransferMode.FIRST_EXECUTION, sums[i])
                    .task("sums" + i, WarpGroupKernels::sums, new KernelContext(), queries, keys, sums[i], SUMS[i])
                    .transferToHost(DataTransferMode.EVERY_EXECUTION, sums[i]);
            grids.addWorkerGrid(name + ".sums" + i, grid());
        }
        return graph;
    }

    private static WorkerGrid1D grid() {
        WorkerGrid1D grid = new WorkerGrid1D(THREADS);
        grid.setLocalWork(THREADS, 1, 1);
        return grid;
    }

    /** Queries' products with the first keys, in two sets. */
    @Architecture(WarpGroup.ARCHITECTURE)
    static void scores(KernelContext ctx, HalfFloatArray queries, HalfFloatArray keys, FloatArray out, int columns) {
        Tile.launchBounds(THREADS, 1);
        int[] tile = ctx.allocateIntLocalArray(PANEL);
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        load(tile, base, queries, keys, ctx.localIdx);
        ctx.localBarrier();
        int[] a = new int[COLUMNS / 4];
        fragments(a, tile, base, ctx.localIdx, COLUMNS);
        int zero = Tile.opaque(0);
        for (int i = 0; i < COLUMNS / 4; i++) {
            WarpGroup.renew(a, i, zero);
        }
        float[] c = new float[columns / 2];
        for (int i = 0; i < columns / 2; i++) {
            c[i] = 1e30f; // counts for nothing
        }
        WarpGroup.hold(c, 0, columns / 2);
        WarpGroup.fence();
        for (int k = 0; k < 4; k++) {
            WarpGroup.multiply(c, 0, columns, a, 4 * k, tile, base + 2 * PANEL + 32 * k, Math.min(k, 1));
        }
        WarpGroup.commit();
        for (int k = 0; k < 4; k++) {
            WarpGroup.multiply(c, 0, columns, a, 4 * k + 16, tile, base + 3 * PANEL + 32 * k, 1);
        }
        WarpGroup.commit();
        WarpGroup.await(1);
        WarpGroup.await(0);
        WarpGroup.hold(c, 0, columns / 2);
        int warp = WarpGroup.uniform(ctx.localIdx >> 5);
        for (int i = 0; i < columns / 2; i++) {
            out.set((32 * warp + (ctx.localIdx & 31)) * (columns / 2) + i, c[i]);
        }
    }

    /** The same with the queries in local memory. */
    @Architecture(WarpGroup.ARCHITECTURE)
    static void localRows(KernelContext ctx, HalfFloatArray queries, HalfFloatArray keys, FloatArray out, int columns) {
        Tile.launchBounds(THREADS, 1);
        int[] tile = ctx.allocateIntLocalArray(PANEL);
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        load(tile, base, queries, keys, ctx.localIdx);
        ctx.localBarrier();
        float[] c = new float[columns / 2];
        for (int i = 0; i < columns / 2; i++) {
            c[i] = 1e30f;
        }
        WarpGroup.hold(c, 0, columns / 2);
        WarpGroup.fence();
        for (int k = 0; k < 8; k++) {
            int at = base + k / 4 * PANEL + k % 4 * 32;
            WarpGroup.multiplyLocal(c, 0, columns, tile, at, tile, at + 2 * PANEL, Math.min(k, 1));
        }
        WarpGroup.commit();
        WarpGroup.await(0);
        WarpGroup.hold(c, 0, columns / 2);
        for (int i = 0; i < columns / 2; i++) {
            out.set(ctx.localIdx * (columns / 2) + i, c[i]);
        }
    }

    /** The keys' first columns summed with the queries' as weights, and the lane's float's number. */
    @Architecture(WarpGroup.ARCHITECTURE)
    static void sums(KernelContext ctx, HalfFloatArray queries, HalfFloatArray keys, FloatArray out, int columns) {
        Tile.launchBounds(THREADS, 1);
        int[] tile = ctx.allocateIntLocalArray(PANEL);
        Tile.align(tile, 1024);
        int base = Tile.address(tile);
        load(tile, base, queries, keys, ctx.localIdx);
        ctx.localBarrier();
        int[] a = new int[ROWS / 4];
        fragments(a, tile, base, ctx.localIdx, ROWS);
        float[] c = new float[columns / 2];
        for (int i = 0; i < columns / 2; i++) {
            c[i] = i;
        }
        WarpGroup.hold(c, 0, columns / 2);
        WarpGroup.fence();
        for (int k = 0; k < ROWS / 16; k++) {
            WarpGroup.multiplyRows(c, 0, columns, a, 4 * k, tile, base + 2 * PANEL + 2048 * k, PANEL, 1);
        }
        WarpGroup.commit();
        WarpGroup.await(0);
        WarpGroup.hold(c, 0, columns / 2);
        for (int i = 0; i < columns / 2; i++) {
            out.set(ctx.localIdx * (columns / 2) + i, c[i]);
        }
    }

    /** Queries in two panels, and keys in two behind them. */
    private static void load(int[] tile, int base, HalfFloatArray queries, HalfFloatArray keys, int thread) {
        for (int i = 0; i < 1024 / THREADS; i++) {
            int chunk = thread + i * THREADS;
            int row = chunk >> 4;
            int to = base + (chunk >> 3 & 1) * PANEL + 128 * row + (((chunk ^ row) & 7) << 4);
            Tile.copy16(tile, to, queries, 8 * chunk);
            Tile.copy16(tile, to + 2 * PANEL, keys, 8 * chunk);
        }
        Tile.commit();
        Tile.await(0);
        WarpGroup.publish();
    }

    private static void fragments(int[] a, int[] tile, int base, int thread, int columns) {
        int row = (thread >> 5 & 3) * 16 + (thread & 15);
        for (int k = 0; k < columns / 16; k++) {
            Tile.load4(a, 4 * k, tile, base + k / 4 * PANEL + 128 * row + (((k % 4 * 2 + (thread >> 4 & 1)) ^ (row & 7)) << 4));
        }
    }
}
