package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.CacheArrays;
import io.github.flashlla.tornado.buffers.DecodeArrays;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.VariantDevice;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Decoding that sums and factors a matrix first, and then makes passes over keys and values along what the factors make of the residual:
 * start -> (pass -> advance) as often as is launched -> merge. The first graph has the passes that most steps do with, the second the rest.
 */
abstract class FactoredTasks extends SolveTasks {
    final CacheArrays cache;
    final DecodeArrays io;
    final int passes;
    /** Heads of a key/value head that a pass takes together. */
    final int passHeads;
    final FloatArray ayParts;
    final IntArray passSizes;
    final FloatArray settings;
    private final int first;
    private final int passSplits;
    private final FloatArray oParts;
    private final IntArray none = new IntArray(1);

    /**
     * @param passes of both graphs
     * @param first passes of the first graph
     */
    FactoredTasks(CacheArrays cache, AttentionShape shape, LlaOptions options, VariantDevice device, DecodeArrays io, int passes, int first) {
        super(shape);
        this.cache = cache;
        this.io = io;
        this.passes = passes;
        this.first = first;
        this.passHeads = CgDecodeTasks.headsPerGroup(CgDecodeVariant.TILE_CG, shape);
        this.passSplits = CgDecodeTasks.passSplits(device, shape);
        int dim = shape.headDim();
        this.passSizes = DecodeSizes.of(shape, cache.rowsPerSequence(), passSplits);
        passSizes.set(DecodeSizes.FINISHING_SPLITS, passSplits);
        this.settings = DecodeSizes.settings(options.scaleFor(dim), options.tolerance());
        this.ayParts = new FloatArray(queries() * passSplits * (dim + 1));
        this.oParts = new FloatArray(queries() * passSplits * 2 * dim);
    }

    /** Elements that no work array of the passes exceeds. */
    static long mostPassFloats(VariantDevice device, AttentionShape shape) {
        return (long) shape.batch() * shape.heads() * Math.max(CgDecodeState.VECTORS, 2 * CgDecodeTasks.passSplits(device, shape)) * shape.headDim();
    }

    /** Appends what comes before the first pass. */
    abstract void appendStart(TaskAppender tasks, KernelContext context);

    /** Appends the step that follows a pass. */
    abstract void appendAdvance(TaskAppender tasks, KernelContext context, int pass);

    /** Work arrays of the sums and factors. */
    abstract FloatArray[] factorArrays();

    @Override
    public int graphs() {
        return passes > first ? 2 : 1;
    }

    @Override
    public boolean unfinished(int row, int graph) {
        return graph == 0 && passes > first && fact(row, CgDecodeState.PLAN + first % 2) > 0;
    }

    @Override
    public void append(int graph, TaskAppender tasks) {
        KernelContext context = new KernelContext();
        if (graph == 0) {
            appendStart(tasks, context);
        }
        tasks.transferOnce(passSizes);
        for (int pass = graph * first; pass < (graph == 0 ? Math.min(first, passes) : passes); pass++) {
            appendPass(tasks, context, pass);
            appendAdvance(tasks, context, pass);
        }
        tasks.task("merge", TaskAppender.groups(Math.ceilDiv(io.o().getSize(), 64), 64), built -> built.task("merge", TileDecode::merge,
                context, oParts, facts, io.o(), passSplits, shape.headDim()));
    }

    private void appendPass(TaskAppender tasks, KernelContext context, int number) {
        tasks.task("pass" + number, TaskAppender.groups((long) queries() / passHeads * passSplits, TileRing.THREADS), built -> built.task(
                "pass" + number, TileDecodePass::run, context, cache.k().half, cache.v().half, io.scaledQ(), io.lengths(), state, facts, ayParts,
                oParts, io.o(), none, cache.rowsPerSequence(), shape.kvHeads(), shape.group(), passHeads, passSplits, passSplits, number % 2,
                shape.headDim(), 0));
    }

    /** The work arrays, with these sizes of the first kernels. */
    final Object[] scratch(IntArray sizes) {
        FloatArray[] own = factorArrays();
        Object[] all = new Object[own.length + 5];
        System.arraycopy(own, 0, all, 0, own.length);
        System.arraycopy(new Object[] {ayParts, oParts, sizes, settings, none}, 0, all, own.length, 5);
        return all;
    }

    @Override
    public long bytes() {
        long floats = (long) state.getSize() + facts.getSize() + ayParts.getSize() + oParts.getSize();
        for (FloatArray array : factorArrays()) {
            floats += array.getSize();
        }
        return Float.BYTES * floats;
    }

    @Override
    public long largestBytes() {
        int largest = oParts.getSize();
        for (FloatArray array : factorArrays()) {
            largest = Math.max(largest, array.getSize());
        }
        return (long) Float.BYTES * largest;
    }
}
