package io.github.flashlla.tornado.kernels.tile;

import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.WorkerGrid1D;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Kernels that use every operation of {@link Tile}, with one group of {@value #THREADS} threads each, and what they work on. */
public final class TileKernels {
    static final int THREADS = 64;

    final FloatArray numbers = new FloatArray(THREADS);
    final HalfFloatArray halves = new HalfFloatArray(2 * 16 * 64);
    final FloatArray scalars = poisoned(8 * THREADS);
    final FloatArray together = poisoned(7 * THREADS);
    final IntArray counts = IntArray.fromElements(0, 5);
    final FloatArray products = poisoned(24 * THREADS);
    final FloatArray pairs = poisoned(14 * THREADS);
    final HalfFloatArray written = new HalfFloatArray(10 * THREADS);

    TileKernels() {
        for (int i = 0; i < THREADS; i++) {
            numbers.set(i, (i - 20) * 0.37f);
        }
        for (int i = 0; i < halves.getSize(); i++) {
            halves.set(i, new HalfFloat((i * 37 % 101 - 50) / 16f));
        }
    }

    private static FloatArray poisoned(int size) {
        FloatArray array = new FloatArray(size);
        array.init(Float.NaN);
        return array;
    }

    void runOnJvm() {
        JvmGroup.run(1, THREADS, ctx -> scalars(ctx, numbers, scalars));
        JvmGroup.run(1, THREADS, ctx -> together(ctx, numbers, counts, together));
        JvmGroup.run(1, THREADS, ctx -> products(ctx, halves, products));
        JvmGroup.run(1, THREADS, ctx -> pairs(ctx, numbers, pairs, written));
    }

    public static TaskGraph allOperations(GridScheduler grids) {
        return new TileKernels().graph("operations", grids);
    }

    TaskGraph graph(String name, GridScheduler grids) {
        for (String task : new String[] {"scalars", "together", "products", "pairs"}) {
            WorkerGrid1D grid = new WorkerGrid1D(THREADS);
            grid.setLocalWork(THREADS, 1, 1);
            grids.addWorkerGrid(name + "." + task, grid);
        }
        return new TaskGraph(name)
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, numbers, halves, counts, scalars, together, products, pairs, written)
                .task("scalars", TileKernels::scalars, new KernelContext(), numbers, scalars)
                .task("together", TileKernels::together, new KernelContext(), numbers, counts, together)
                .task("products", TileKernels::products, new KernelContext(), halves, products)
                .task("pairs", TileKernels::pairs, new KernelContext(), numbers, pairs, written)
                .transferToHost(DataTransferMode.EVERY_EXECUTION, counts, scalars, together, products, pairs, written);
    }

    static void scalars(KernelContext ctx, FloatArray in, FloatArray out) {
        int t = ctx.localIdx;
        float x = in.get(t);
        int pair = Tile.half2(x, 3f * x);
        out.set(8 * t, Tile.exp2(x));
        out.set(8 * t + 1, Tile.log2(x * x + 0.1f));
        out.set(8 * t + 2, Tile.rsqrt(x * x + 0.1f));
        out.set(8 * t + 3, Tile.low(pair));
        out.set(8 * t + 4, Tile.high(pair));
        out.set(8 * t + 5, pair & 0xffff);
        int other = Tile.half2(0.3f * x + 1f, x - 0.7f);
        out.set(8 * t + 6, Tile.low(Tile.multiply2(pair, other)));
        out.set(8 * t + 7, Tile.high(Tile.subtract2(pair, other)));
    }

    static void together(KernelContext ctx, FloatArray in, IntArray counts, FloatArray out) {
        int t = ctx.localIdx;
        float x = in.get(t);
        out.set(7 * t, Tile.shuffleXor(x, 5));
        out.set(7 * t + 1, Tile.shuffle(x, t + 7 & 31));
        out.set(7 * t + 2, Tile.any(x > 10f ? 1 : 0)); // of the second warp alone
        out.set(7 * t + 3, Tile.any(x > 100f ? 1 : 0));
        out.set(7 * t + 4, Tile.count(x > 0f ? 7 : 0));
        Tile.warpBarrier();
        out.set(7 * t + 5, Tile.count(x > 1f ? 1 : 0));
        out.set(7 * t + 6, Tile.arrive(counts, t & 1));
    }

    /** Each warp: its 16 x 64 halves, rows 16-byte chunks swizzled, as A and as B, plain and transposed. */
    static void products(KernelContext ctx, HalfFloatArray in, FloatArray out) {
        Tile.launchBounds(THREADS, 2);
        int[] tile = ctx.allocateIntLocalArray(1024);
        Tile.align(tile, 256);
        int base = Tile.address(tile);
        int t = ctx.localIdx;
        int lane = t & 31;
        int warp = t >> 5;
        for (int i = 0; i < 2; i++) {
            int chunk = 4 * lane + 2 * i;
            int to = base + 2048 * warp + 128 * (chunk >> 3);
            Tile.copy16(tile, to + ((chunk ^ (chunk >> 3)) & 7) * 16, in, 1024 * warp + 8 * chunk);
            Tile.copy16(tile, to + (((chunk + 1) ^ (chunk >> 3)) & 7) * 16, in, 1024 * warp + 8 * chunk, 8);
            Tile.commit();
        }
        Tile.await(1);
        Tile.await(0);
        ctx.localBarrier();
        int[] a = new int[4];
        int[] b = new int[4];
        float[] c = new float[8];
        float[] d = new float[16];
        float[] from = new float[4];
        from[0] = Tile.opaque(1f);
        from[1] = Tile.opaque(from[0]);
        from[2] = Tile.opaque(2f);
        from[3] = Tile.opaque(2f);
        int row = Tile.opaque(lane & 15);
        Tile.load4(a, 0, tile, base + 2048 * warp + 128 * row + (((lane >> 4) ^ (row & 7)) << 4));
        for (int i = 0; i < 2; i++) { // A of the first 16 columns with B of these columns, of either warp's rows
            int key = (lane & 7) + (lane >> 4) * 8;
            Tile.load4(b, 0, tile, base + 2048 * i + 128 * key + (((lane >> 3 & 1) ^ (key & 7)) << 4));
            Tile.mmaFrom(d, 8 * i, a, 0, b, 0, from);
            Tile.mmaFromZero(d, 8 * i + 4, a, 0, b, 2);
        }
        for (int i = 0; i < 8; i++) {
            c[i] = i;
        }
        Tile.load4Transposed(b, 0, tile, base + 2048 * warp + 128 * row + (((2 + (lane >> 4)) ^ (row & 7)) << 4));
        Tile.mma(c, 0, a, 0, b, 0);
        Tile.mma(c, 4, a, 0, b, 2);
        for (int i = 0; i < 16; i++) {
            out.set(24 * t + i, d[i]);
        }
        for (int i = 0; i < 8; i++) {
            out.set(24 * t + 16 + i, c[i]);
        }
    }

    static void pairs(KernelContext ctx, FloatArray in, FloatArray out, HalfFloatArray halves) {
        int t = ctx.localIdx;
        float[] two = new float[2];
        Tile.load2(two, 0, in, t & ~1);
        if ((t & 1) == 0) {
            Tile.store2(out, t, two[1], two[0]);
        }
        out.set(THREADS + t, Tile.loadBits(in, t) >> 20 & 0xfff);
        int half = Tile.half2(t, -t);
        Tile.store16(halves, 8 * t, half, half + 1, half + 2, half + 3);
        Tile.storeBits(out, 2 * THREADS + t, 0x3f800000 + (t << 16));
        int[] tile = ctx.allocateIntLocalArray(4 * THREADS);
        Tile.align(tile, 16);
        int base = Tile.address(tile);
        Tile.copy16(tile, base + 16 * t, in, 4 * (t & 15));
        Tile.commit();
        Tile.await(0);
        ctx.localBarrier();
        float[] four = new float[4];
        Tile.loadLocal4(four, 0, tile, base + 16 * (t ^ 33));
        ctx.localBarrier();
        Tile.storeLocal4(tile, base + 16 * t, four[3], four[2], four[1], four[0]);
        Tile.loadLocal4(four, 0, tile, base + 16 * t);
        Tile.storeLocal2(tile, base + 16 * t, four[3], four[2]);
        Tile.storeLocal2(tile, base + 16 * t + 8, four[1], four[0]);
        Tile.loadLocal4(four, 0, tile, base + 16 * t);
        out.set(3 * THREADS + t, four[0] + 2f * four[1] + 4f * four[2] + 8f * four[3]);
        ctx.localBarrier();
        Tile.storeLocal(tile, base + 16 * t, Tile.loadBits(in, t));
        ctx.localBarrier();
        Tile.loadLocal4(four, 0, tile, base + 16 * (t ^ 33));
        out.set(5 * THREADS + t, four[0]);
        Tile.storePair(halves, 8 * THREADS + 2 * t, half);
        out.set(4 * THREADS + t, Tile.low(Tile.loadPair(halves, 8 * THREADS + 2 * t)));
        float[] row = new float[6];
        int[] bits = new int[8];
        Tile.loadLocalBits2(bits, 0, tile, base + 16 * (t ^ 33));
        Tile.storeBits(out, 8 * THREADS + t, bits[0]);
        Tile.storeBits(out, 9 * THREADS + t, bits[1]);
        Tile.load4(row, 0, in, t & -4);
        Tile.loadBits4(bits, 1, in, t & -4);
        if ((t & 3) == 0) {
            Tile.store4(out, 6 * THREADS + t, row[5], row[4], row[1], row[0]);
            Tile.storeBits4(out, 7 * THREADS + t, bits[7], bits[5], bits[3], bits[1]);
        }
        ctx.localBarrier();
        int own = Tile.loadBits(in, t);
        Tile.storeLocalBits4(tile, base + 16 * t, own, own + 1, own + 2, own + 3);
        ctx.localBarrier();
        Tile.loadLocalBits4(bits, 2, tile, base + 16 * (t ^ 33));
        for (int i = 0; i < 4; i++) {
            Tile.storeBits(out, (10 + i) * THREADS + t, bits[2 + i]);
        }
    }
}
