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
 * moments -> begin -> (pass -> advance) as often as is launched -> merge, as in {@link TileCovariance}. The first graph has the one pass that
 * most steps do with, the second the rest.
 */
final class TileCovarianceTasks extends FactoredTasks {
    /** Passes of both graphs. Where these are too few, the factors are of little use, and the plain form is better. */
    private static final int MOST_PASSES = 4;
    /** Passes of the first graph. */
    private static final int FIRST = 1;
    private static final int SOLVERS = 256;

    private final int hw;
    private final int splits;
    private final FloatArray moments;
    private final FloatArray sums;
    private final FloatArray factors;
    private final IntArray sizes;

    TileCovarianceTasks(CacheArrays cache, AttentionShape shape, LlaOptions options, VariantDevice device, DecodeArrays io) {
        super(cache, shape, options, device, io, Math.clamp(options.maxIterations(), 1, MOST_PASSES), FIRST);
        int dim = shape.headDim();
        this.hw = TileCovariance.headsPerUnit(shape.group());
        this.splits = splits(device, shape);
        this.sizes = DecodeSizes.of(shape, cache.rowsPerSequence(), splits);
        this.moments = new FloatArray(Math.toIntExact(momentFloats(shape, splits)));
        this.sums = new FloatArray(queries() * splits * (dim + 3));
        this.factors = new FloatArray(queries() * TileCovarianceSolve.factorFloats(dim));
    }

    private static int splits(VariantDevice device, AttentionShape shape) {
        int heads = TileCovariance.headsPerUnit(shape.group());
        int dim = shape.headDim();
        int units = shape.batch() * shape.heads() / heads;
        return Math.clamp(device.computeUnits() * TileCovariance.groupsPerUnit(dim, heads) / units, 1,
                Math.max(1, shape.keyLength() / (4 * TileCovariance.tile(dim))));
    }

    private static long momentFloats(AttentionShape shape, int splits) {
        int dim = shape.headDim();
        return (long) shape.batch() * shape.heads() * splits * TileCovariance.shares(dim, TileCovariance.headsPerUnit(shape.group()))
                * TileCovariance.blocks(dim) * 256;
    }

    /** Elements that no work array exceeds. */
    static long mostFloats(VariantDevice device, AttentionShape shape) {
        return Math.max(momentFloats(shape, splits(device, shape)), mostPassFloats(device, shape));
    }

    @Override
    public DecodeMethod method() {
        return DecodeMethod.COVARIANCE;
    }

    @Override
    void appendStart(TaskAppender tasks, KernelContext context) {
        int dim = shape.headDim();
        int threads = TileCovariance.threads(dim, hw);
        tasks.task("moments", TaskAppender.groups((long) queries() / hw * splits, threads), built -> built.task("moments",
                TileCovariance::moments, context, cache.k().half, io.scaledQ(), io.lengths(), moments, sums, cache.rowsPerSequence(),
                shape.kvHeads(), shape.group(), hw, splits, dim, TileCovariance.stages(hw), threads, TileCovariance.groupsPerUnit(dim, hw)));
        tasks.task("begin", TaskAppender.groups(queries(), SOLVERS), built -> built.task("begin", TileCovarianceSolve::begin, context,
                cache.k().half, io.q(), io.ridges(), io.lengths(), moments, sums, state, facts, factors, sizes, settings, dim,
                TileCovariance.shares(dim, hw), TileCovariance.parts(dim), SOLVERS, CgDecodeState.FINISH));
    }

    @Override
    void appendAdvance(TaskAppender tasks, KernelContext context, int pass) {
        int dim = shape.headDim();
        tasks.task("advance" + pass, TaskAppender.groups(queries(), dim), built -> built.task("advance" + pass, TileCovarianceSolve::advance,
                context, io.ridges(), ayParts, state, facts, factors, passSizes, settings, dim, passHeads, pass % 2));
    }

    @Override
    FloatArray[] factorArrays() {
        return new FloatArray[] {moments, sums, factors};
    }

    @Override
    public Object[] scratch() {
        return scratch(sizes);
    }
}
