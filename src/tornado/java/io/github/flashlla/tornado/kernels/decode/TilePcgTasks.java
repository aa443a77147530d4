package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.CacheArrays;
import io.github.flashlla.tornado.buffers.DecodeArrays;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.VariantDevice;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * gather -> begin -> (pass -> advance) as often as is launched -> merge, as in {@link TilePcg}. The first graph has the two passes that most steps
 * do with, the second the rest.
 */
final class TilePcgTasks extends SolveTasks {
    /** Passes of the first graph. */
    private static final int FIRST = 2;

    private final CacheArrays cache;
    private final DecodeArrays io;
    private final int hw;
    private final int splits;
    private final int passSplits;
    private final int passes;
    private final FloatArray sums;
    private final FloatArray moments;
    private final FloatArray inverses;
    private final FloatArray ayParts;
    private final FloatArray oParts;
    private final IntArray sizes;
    private final IntArray passSizes;
    private final FloatArray settings;
    private final IntArray none = new IntArray(1);

    TilePcgTasks(CacheArrays cache, AttentionShape shape, LlaOptions options, VariantDevice device, DecodeArrays io) {
        super(shape);
        this.cache = cache;
        this.io = io;
        this.hw = shape.group();
        this.splits = splits(device, shape);
        this.passSplits = CgDecodeTasks.passSplits(device, shape);
        this.passes = Math.min(options.maxIterations(), CgDecodeTasks.MOST_ITERATIONS);
        this.sizes = DecodeSizes.of(shape, cache.rowsPerSequence(), splits);
        this.passSizes = DecodeSizes.of(shape, cache.rowsPerSequence(), passSplits);
        passSizes.set(DecodeSizes.FINISHING_SPLITS, passSplits);
        this.settings = DecodeSizes.settings(options.scaleFor(TilePcg.DIM), options.tolerance());
        this.sums = new FloatArray(queries() * splits * TilePcg.WIDTH);
        this.moments = new FloatArray(units() * splits * TilePcg.MOMENTS);
        this.inverses = new FloatArray(units() * TilePcg.DIM * TilePcg.DIM);
        this.ayParts = new FloatArray(queries() * passSplits * (TilePcg.DIM + 1));
        this.oParts = new FloatArray(queries() * passSplits * 2 * TilePcg.DIM);
    }

    private int units() {
        return queries() / hw;
    }

    /** All groups of gather run, and end, together. */
    private static int splits(VariantDevice device, AttentionShape shape) {
        int units = shape.batch() * shape.kvHeads();
        return Math.clamp(device.computeUnits() * TilePcg.groupsPerUnit() / units, 1,
                Math.clamp(Math.ceilDiv(shape.keyLength(), TileRing.KEYS) / 4, 1, TilePcg.MOST_SPLITS));
    }

    /** Key/value heads of all sequences with which gather's groups fill a device. */
    static int fewest(VariantDevice device) {
        return Math.ceilDiv(device.computeUnits() * TilePcg.groupsPerUnit(), TilePcg.MOST_SPLITS);
    }

    /** Elements that no work array exceeds. */
    static long mostFloats(VariantDevice device, AttentionShape shape) {
        long units = (long) shape.batch() * shape.kvHeads();
        return Math.max(units * splits(device, shape) * TilePcg.MOMENTS,
                units * shape.group() * Math.max(CgDecodeState.VECTORS, 2 * CgDecodeTasks.passSplits(device, shape)) * TilePcg.DIM);
    }

    @Override
    public DecodeMethod method() {
        return DecodeMethod.MATRIX_FREE;
    }

    @Override
    public int graphs() {
        return passes > FIRST ? 2 : 1;
    }

    @Override
    public boolean unfinished(int row, int graph) {
        return graph == 0 && passes > FIRST && fact(row, CgDecodeState.PLAN + FIRST % 2) > 0;
    }

    @Override
    public void append(int graph, TaskAppender tasks) {
        KernelContext context = new KernelContext();
        if (graph == 0) {
            tasks.task("gather", TaskAppender.groups((long) units() * splits, TileRing.THREADS), built -> built.task("gather", TilePcg::gather, context,
                    cache.k().half, io.scaledQ(), io.lengths(), sums, moments, cache.rowsPerSequence(), shape.kvHeads(), shape.group(), hw, splits,
                    TilePcg.stages(), TilePcg.groupsPerUnit()));
            tasks.task("begin", TaskAppender.groups(units(), TilePcgBegin.THREADS), built -> built.task("begin", TilePcgBegin::run, context,
                    cache.k().half, io.q(), io.ridges(), io.lengths(), sums, moments, state, facts, inverses, sizes, settings, hw,
                    Math.min(passes, FIRST)));
        }
        tasks.transferOnce(passSizes);
        for (int pass = graph * FIRST; pass < (graph == 0 ? Math.min(FIRST, passes) : passes); pass++) {
            appendPass(tasks, context, pass);
        }
        tasks.task("merge", TaskAppender.groups(Math.ceilDiv(io.o().getSize(), 64), 64), built -> built.task("merge", TileDecode::merge,
                context, oParts, facts, io.o(), passSplits, TilePcg.DIM));
    }

    private void appendPass(TaskAppender tasks, KernelContext context, int number) {
        int parity = number % 2;
        int launched = number + 2 < passes ? parity + 3 : 0; // kernels have it compiled in: all passes but the last two have the same
        tasks.task("pass" + number, TaskAppender.groups((long) units() * passSplits, TileRing.THREADS), built -> built.task("pass" + number,
                TileDecodePass::run, context, cache.k().half, cache.v().half, io.scaledQ(), io.lengths(), state, facts, ayParts, oParts,
                io.o(), none, cache.rowsPerSequence(), shape.kvHeads(), shape.group(), hw, passSplits, passSplits, parity, TilePcg.DIM, 0));
        tasks.task("advance" + number, TaskAppender.groups(queries(), TilePcg.DIM), built -> built.task("advance" + number, TilePcgSolve::advance,
                context, io.q(), io.ridges(), ayParts, inverses, state, facts, passSizes, settings, hw, parity, launched));
    }

    @Override
    public Object[] scratch() {
        return new Object[] {sums, moments, inverses, ayParts, oParts, sizes, settings, none};
    }

    @Override
    public long bytes() {
        return (long) Float.BYTES * ((long) moments.getSize() + sums.getSize() + inverses.getSize() + state.getSize() + facts.getSize()
                + ayParts.getSize() + oParts.getSize());
    }

    @Override
    public long largestBytes() {
        return (long) Float.BYTES * Math.max(moments.getSize(), oParts.getSize());
    }
}
