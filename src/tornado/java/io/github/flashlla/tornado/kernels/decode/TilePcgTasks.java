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
final class TilePcgTasks extends FactoredTasks {
    /** Passes of the first graph. */
    private static final int FIRST = 2;

    private final int hw;
    private final int splits;
    private final FloatArray sums;
    private final FloatArray moments;
    private final FloatArray inverses;
    private final IntArray sizes;

    TilePcgTasks(CacheArrays cache, AttentionShape shape, LlaOptions options, VariantDevice device, DecodeArrays io) {
        super(cache, shape, options, device, io, Math.min(options.maxIterations(), CgDecodeTasks.MOST_ITERATIONS), FIRST);
        this.hw = shape.group();
        this.splits = splits(device, shape);
        this.sizes = DecodeSizes.of(shape, cache.rowsPerSequence(), splits);
        this.sums = new FloatArray(queries() * splits * TilePcg.WIDTH);
        this.moments = new FloatArray(units() * splits * TilePcg.MOMENTS);
        this.inverses = new FloatArray(units() * TilePcg.DIM * TilePcg.DIM);
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
        return Math.max(units * splits(device, shape) * TilePcg.MOMENTS, mostPassFloats(device, shape));
    }

    @Override
    public DecodeMethod method() {
        return DecodeMethod.MATRIX_FREE;
    }

    @Override
    void appendStart(TaskAppender tasks, KernelContext context) {
        tasks.task("gather", TaskAppender.groups((long) units() * splits, TileRing.THREADS), built -> built.task("gather", TilePcg::gather, context,
                cache.k().half, io.scaledQ(), io.lengths(), sums, moments, cache.rowsPerSequence(), shape.kvHeads(), shape.group(), hw, splits,
                TilePcg.stages(), TilePcg.groupsPerUnit()));
        tasks.task("begin", TaskAppender.groups(units(), TilePcgBegin.THREADS), built -> built.task("begin", TilePcgBegin::run, context,
                cache.k().half, io.q(), io.ridges(), io.lengths(), sums, moments, state, facts, inverses, sizes, settings, hw,
                Math.min(passes, FIRST)));
    }

    @Override
    void appendAdvance(TaskAppender tasks, KernelContext context, int pass) {
        int parity = pass % 2;
        int launched = pass + 2 < passes ? parity + 3 : 0; // kernels have it compiled in: all passes but the last two have the same
        tasks.task("advance" + pass, TaskAppender.groups(queries(), TilePcg.DIM), built -> built.task("advance" + pass, TilePcgSolve::advance,
                context, io.q(), io.ridges(), ayParts, inverses, state, facts, passSizes, settings, hw, parity, launched));
    }

    @Override
    FloatArray[] factorArrays() {
        return new FloatArray[] {sums, moments, inverses};
    }

    @Override
    public Object[] scratch() {
        return scratch(sizes);
    }
}
