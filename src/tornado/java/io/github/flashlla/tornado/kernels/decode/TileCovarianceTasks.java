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
final class TileCovarianceTasks extends SolveTasks {
    /** Passes of both graphs. Where these are too few, the factors are of little use, and the plain form is better. */
    private static final int MOST_PASSES = 4;
    /** Passes of the first graph. */
    private static final int FIRST = 1;
    private static final int SOLVERS = 256;

    private final CacheArrays cache;
    private final DecodeArrays io;
    private final int hw;
    private final int splits;
    private final int passHeads;
    private final int passSplits;
    private final int passes;
    private final FloatArray moments;
    private final FloatArray sums;
    private final FloatArray factors;
    private final FloatArray ayParts;
    private final FloatArray oParts;
    private final IntArray sizes;
    private final IntArray passSizes;
    private final FloatArray settings;
    private final IntArray none = new IntArray(1);

    TileCovarianceTasks(CacheArrays cache, AttentionShape shape, LlaOptions options, VariantDevice device, DecodeArrays io) {
        super(shape);
        this.cache = cache;
        this.io = io;
        int dim = shape.headDim();
        int rows = queries();
        this.hw = TileCovariance.headsPerUnit(shape.group());
        this.splits = splits(device, shape);
        this.passHeads = CgDecodeTasks.headsPerGroup(CgDecodeVariant.TILE_CG, shape);
        this.passSplits = CgDecodeTasks.passSplits(device, shape);
        this.passes = Math.clamp(options.maxIterations(), 1, MOST_PASSES);
        this.sizes = DecodeSizes.of(shape, cache.rowsPerSequence(), splits);
        this.passSizes = DecodeSizes.of(shape, cache.rowsPerSequence(), passSplits);
        passSizes.set(DecodeSizes.FINISHING_SPLITS, passSplits);
        this.settings = DecodeSizes.settings(options.scaleFor(dim), options.tolerance());
        this.moments = new FloatArray(Math.toIntExact(momentFloats(shape, splits)));
        this.sums = new FloatArray(rows * splits * (dim + 3));
        this.factors = new FloatArray(rows * TileCovarianceSolve.factorFloats(dim));
        this.ayParts = new FloatArray(rows * passSplits * (dim + 1));
        this.oParts = new FloatArray(rows * passSplits * 2 * dim);
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
        long rows = (long) shape.batch() * shape.heads();
        return Math.max(momentFloats(shape, splits(device, shape)), rows * Math.max(CgDecodeState.VECTORS, 2 * CgDecodeTasks.passSplits(device, shape))
                * shape.headDim());
    }

    @Override
    public DecodeMethod method() {
        return DecodeMethod.COVARIANCE;
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
        int dim = shape.headDim();
        if (graph == 0) {
            int threads = TileCovariance.threads(dim, hw);
            tasks.task("moments", TaskAppender.groups((long) queries() / hw * splits, threads), built -> built.task("moments",
                    TileCovariance::moments, context, cache.k().half, io.scaledQ(), io.lengths(), moments, sums, cache.rowsPerSequence(),
                    shape.kvHeads(), shape.group(), hw, splits, dim, TileCovariance.stages(), threads, TileCovariance.groupsPerUnit(dim, hw)));
            tasks.task("begin", TaskAppender.groups(queries(), SOLVERS), built -> built.task("begin", TileCovarianceSolve::begin, context,
                    cache.k().half, io.q(), io.ridges(), io.lengths(), moments, sums, state, facts, factors, sizes, settings, dim,
                    TileCovariance.shares(dim, hw), TileCovariance.parts(dim), SOLVERS, CgDecodeState.FINISH));
        }
        tasks.transferOnce(passSizes);
        for (int pass = graph * FIRST; pass < (graph == 0 ? Math.min(FIRST, passes) : passes); pass++) {
            appendPass(tasks, context, pass, dim);
        }
        tasks.task("merge", TaskAppender.groups(Math.ceilDiv(io.o().getSize(), 64), 64), built -> built.task("merge", TileDecode::merge,
                context, oParts, facts, io.o(), passSplits, dim));
    }

    private void appendPass(TaskAppender tasks, KernelContext context, int number, int dim) {
        int parity = number % 2;
        tasks.task("pass" + number, TaskAppender.groups((long) queries() / passHeads * passSplits, TileRing.THREADS), built -> built.task(
                "pass" + number, TileDecodePass::run, context, cache.k().half, cache.v().half, io.scaledQ(), io.lengths(), state, facts, ayParts,
                oParts, io.o(), none, cache.rowsPerSequence(), shape.kvHeads(), shape.group(), passHeads, passSplits, passSplits, parity, dim,
                0));
        tasks.task("advance" + number, TaskAppender.groups(queries(), dim), built -> built.task("advance" + number, TileCovarianceSolve::advance,
                context, io.ridges(), ayParts, state, facts, factors, passSizes, settings, dim, passHeads, parity));
    }

    @Override
    public Object[] scratch() {
        return new Object[] {moments, sums, factors, ayParts, oParts, sizes, settings, none};
    }

    @Override
    public long bytes() {
        return (long) Float.BYTES * ((long) moments.getSize() + sums.getSize() + factors.getSize() + state.getSize() + facts.getSize()
                + ayParts.getSize() + oParts.getSize());
    }

    @Override
    public long largestBytes() {
        return (long) Float.BYTES * Math.max(moments.getSize(), oParts.getSize());
    }
}
