package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.CacheArrays;
import io.github.flashlla.tornado.buffers.DecodeArrays;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.VariantDevice;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.WorkerGrid;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * gather -> begin -> (multiply -> advance) as often as is launched -> output -> merge, as in {@link CgDecode}; where there are
 * matrix units for the cache, gather -> pass as often as is launched, as in {@link TileDecode}, or
 * gather -> begin -> (multiply -> finish -> advance) -> merge, as in {@link TensorCoreCgDecode}.
 *
 * <p>The first graph has the {@value #FIRST_ITERATIONS} iterations that most long contexts do with, the second the rest: a task that
 * has nothing to do still takes some microseconds to start, and a second to compile.
 */
public final class CgDecodeTasks extends SolveTasks {

    /** Iterations of both graphs. Where these are too few, the covariance form is likely to be the faster one anyway. */
    static final int MOST_ITERATIONS = 5;

    private static final int FIRST_ITERATIONS = 2;

    /** Threads of a head between passes. */
    private static final int SOLVERS = 64;

    private static final int GROUPS_PER_GPU_UNIT = 24;
    private static final int GROUPS_PER_CORE = 2;
    /** Work-groups of {@link TensorCoreCgDecode} that a multiprocessor of compute capability 9.0 holds at once: all run, and end, together. */
    private static final int MATRIX_GROUPS_PER_UNIT = 12;
    private static final int FINISHING_GROUPS_PER_UNIT = 6;
    /** Most units are done with the first graph: those that are left get so many times as many splits, or some multiprocessors would idle. */
    private static final int LATER_SPLITS = 4;

    private final CacheArrays cache;
    private final LlaOptions options;
    private final DecodeArrays io;
    private final boolean matrixUnits;
    /** {@link TileDecode}'s kernels, on matrix units. */
    private final boolean inRegisters;
    private final int heads;
    private final int threads;
    private final int splits;
    private final int finishingSplits;
    private final int tiles;
    private final int iterations;
    private final FloatArray scores;
    private final FloatArray products;
    private final FloatArray slopes;
    private final FloatArray sums;
    private final FloatArray ayParts;
    private final FloatArray oParts;
    private final FloatArray work;
    private final IntArray sizes;
    private final FloatArray settings;
    /** Groups of a unit that are done with a pass. */
    private final IntArray arrived;

    CgDecodeTasks(CgDecodeVariant kernels, CacheArrays cache, AttentionShape shape, LlaOptions options, VariantDevice device, DecodeArrays io) {
        super(shape);
        this.cache = cache;
        this.options = options;
        this.io = io;
        this.matrixUnits = kernels != CgDecodeVariant.CG;
        this.inRegisters = kernels == CgDecodeVariant.TILE_CG;
        this.heads = headsPerGroup(kernels, shape);
        this.threads = inRegisters ? TileRing.THREADS : matrixUnits ? TensorCoreCgDecode.THREADS : threads(device);
        int dim = shape.headDim();
        int tile = inRegisters ? TileRing.KEYS : matrixUnits ? TensorCoreCgDecode.TILE : CgDecode.tile(dim, threads);
        this.tiles = Math.ceilDiv(shape.keyLength(), tile);
        int units = units();
        int computeUnits = device.computeUnits();
        int most = Math.max(1, tiles / 4);
        if (inRegisters) { // gather's groups all run, and end, together
            this.splits = Math.clamp(computeUnits * TileDecode.groupsPerUnit(dim, heads) / units, 1, most);
            this.finishingSplits = passSplits(device, shape);
        } else if (matrixUnits) {
            this.splits = Math.clamp(computeUnits * MATRIX_GROUPS_PER_UNIT / units, 1, most);
            this.finishingSplits = Math.clamp(computeUnits * FINISHING_GROUPS_PER_UNIT / units, 1, most);
        } else {
            int groups = device.isCpu() ? GROUPS_PER_CORE : GROUPS_PER_GPU_UNIT;
            this.splits = Math.clamp(Math.ceilDiv(computeUnits * groups, units), 1, most);
            this.finishingSplits = splits;
        }
        this.sizes = DecodeSizes.of(shape, cache.rowsPerSequence(), splits);
        sizes.set(DecodeSizes.FINISHING_SPLITS, finishingSplits);
        sizes.set(DecodeSizes.TILES, tiles);
        this.settings = DecodeSizes.settings(options.scaleFor(dim), options.tolerance());
        this.iterations = Math.min(MOST_ITERATIONS, options.maxIterations());
        int rows = queries();
        int kept = matrixUnits ? 1 : rows * tiles * tile;
        this.scores = new FloatArray(kept);
        this.products = new FloatArray(kept);
        this.slopes = new FloatArray(kept);
        this.sums = new FloatArray(rows * splits * (2 * dim + 3));
        this.ayParts = new FloatArray(rows * rooms() * (dim + 1));
        this.oParts = new FloatArray(rows * (inRegisters ? rooms() : finishingSplits) * (matrixUnits ? 2 * dim : dim));
        this.arrived = new IntArray(units);
        int warps = units * Math.max(splits, TensorCoreCgDecode.WARPS * finishingSplits);
        this.work = new FloatArray(matrixUnits && !inRegisters ? warps * TensorCoreCgDecode.SCRATCH : 1);
    }

    /** Elements that no work array exceeds: scores of all keys, states of the solves, sums of all splits, memory of all warps. */
    static long mostFloats(CgDecodeVariant kernels, VariantDevice device, AttentionShape shape) {
        long rows = (long) shape.batch() * shape.heads();
        int dim = shape.headDim();
        int heads = headsPerGroup(kernels, shape);
        long groups = rows / heads + (long) device.computeUnits() * GROUPS_PER_GPU_UNIT; // units times splits, rounded up
        if (kernels == CgDecodeVariant.TILE_CG) {
            groups = LATER_SPLITS * (rows / heads + (long) device.computeUnits() * TileDecodePass.groupsPerUnit(dim, heads));
        }
        long kept = switch (kernels) {
            case TILE_CG -> 1;
            case MATRIX_CG -> groups * TensorCoreCgDecode.WARPS * TensorCoreCgDecode.SCRATCH;
            case CG -> rows * (shape.keyLength() + CgDecode.tile(dim, threads(device)));
        };
        return Math.max(kept, Math.max(rows * CgDecodeState.VECTORS * dim, groups * heads * (2L * dim + 3)));
    }

    /** Heads of a key/value head that share what is read of it. */
    static int headsPerGroup(CgDecodeVariant kernels, AttentionShape shape) {
        int heads = shape.group() % 4 == 0 ? 4 : shape.group() % 2 == 0 ? 2 : 1;
        if (kernels == CgDecodeVariant.TILE_CG) {
            heads = TileDecode.HEADS;
            while (shape.group() % heads != 0) {
                heads--;
            }
        }
        return heads;
    }

    /** TornadoVM's PTX backend changes the size of larger work-groups that use many registers. */
    static int threads(VariantDevice device) {
        return device.info().backend().equals("ptx") ? 64 : 128;
    }

    /** Splits of a {@link TileDecodePass}: its groups all run together. */
    static int passSplits(VariantDevice device, AttentionShape shape) {
        int heads = headsPerGroup(CgDecodeVariant.TILE_CG, shape);
        int units = shape.batch() * shape.heads() / heads;
        return Math.clamp((long) device.computeUnits() * TileDecodePass.groupsPerUnit(shape.headDim(), heads) / units, 1,
                Math.max(1, Math.ceilDiv(shape.keyLength(), TileRing.KEYS) / 4));
    }

    /** Splits of the last pass of a unit, if it is that iteration's. */
    private int finishingSplits(int iteration) {
        boolean few = inRegisters && iteration >= FIRST_ITERATIONS; // units that are left
        return few ? Math.min(LATER_SPLITS * finishingSplits, Math.max(1, tiles / 4)) : finishingSplits;
    }

    /** Splits that a pass has room for. */
    private int rooms() {
        return Math.max(splits, finishingSplits(FIRST_ITERATIONS));
    }

    private int units() {
        return queries() / heads;
    }

    @Override
    public DecodeMethod method() {
        return DecodeMethod.MATRIX_FREE;
    }

    @Override
    public int graphs() {
        return iterations > FIRST_ITERATIONS ? 2 : 1;
    }

    /** The first iteration that a graph is no longer for. */
    private int end(int graph) {
        return graph == graphs() - 1 ? iterations : FIRST_ITERATIONS;
    }

    @Override
    public boolean unfinished(int row, int graph) {
        int next = (matrixUnits ? CgDecodeState.PLAN : CgDecodeState.ACTIVE) + end(graph) % 2;
        return end(graph) < iterations && fact(row, next) > 0;
    }

    @Override
    public void append(int graph, TaskAppender tasks) {
        KernelContext context = new KernelContext();
        if (graph == 0) {
            appendStart(tasks, context);
        }
        for (int pass = graph * FIRST_ITERATIONS; pass < end(graph); pass++) {
            appendIteration(tasks, context, pass);
        }
        if (!inRegisters) {
            appendOutput(tasks, context);
        }
    }

    private void appendStart(TaskAppender tasks, KernelContext context) {
        FloatArray k32 = cache.k().single;
        HalfFloatArray k16 = cache.k().half;
        int binary16 = cache.k().halves() ? 1 : 0;
        int dim = shape.headDim();
        tasks.task("gather", TaskAppender.groups(units() * splits, threads), graph -> {
            if (inRegisters) {
                graph.task("gather", TileDecode::gather, context, k16, io.scaledQ(), io.lengths(), io.ridges(), settings, sums, state, facts,
                        arrived, cache.rowsPerSequence(), shape.kvHeads(), shape.group(), heads, splits, dim, iterations,
                        TileDecode.stages(dim), TileDecode.groupsPerUnit(dim, heads));
            } else if (matrixUnits) {
                graph.task("gather", TensorCoreCgDecode::gather, context, k16, io.scaledQ(), io.lengths(), sums, work, sizes, heads);
            } else {
                graph.task("gather", CgDecode::gather, context, k32, k16, io.scaledQ(), io.lengths(), scores, sums, sizes, binary16, dim,
                        heads, threads);
            }
        });
        if (!inRegisters) {
            tasks.task("begin", TaskAppender.groups(queries(), SOLVERS), graph -> graph.task("begin", CgDecodeSolve::begin, context, k32, k16, io.q(),
                    io.ridges(), io.lengths(), sums, state, facts, sizes, settings, binary16, dim, Math.min(iterations, FIRST_ITERATIONS)));
        }
    }

    /**
     * Kernels have the pass compiled in. They ask only whether it is even, whether it is the first or the second, and whether two more follow: passes
     * that answer alike get the same numbers, and are compiled once.
     */
    private void appendIteration(TaskAppender tasks, KernelContext context, int number) {
        int parity = number % 2;
        int pass = matrixUnits || number < 2 ? parity : 2 + parity;
        int launched = number + 2 < iterations ? parity + 3 : 0;
        FloatArray k32 = cache.k().single;
        HalfFloatArray k16 = cache.k().half;
        int binary16 = cache.k().halves() ? 1 : 0;
        int dim = shape.headDim();
        int finishing = finishingSplits(number);
        if (inRegisters) {
            tasks.task("pass" + number, TaskAppender.groups(units() * finishing, threads), graph -> graph.task("pass" + number,
                    TileDecodePass::run, context, k16, cache.v().half, io.scaledQ(), io.lengths(), state, facts, ayParts, oParts, io.o(), arrived,
                    cache.rowsPerSequence(), shape.kvHeads(), shape.group(), heads, finishing, rooms(), parity, dim, iterations));
        } else if (matrixUnits) {
            tasks.task("multiply" + number, TaskAppender.groups(units() * splits, threads), graph -> graph.task("multiply" + number,
                    TensorCoreCgMultiply::multiply, context, k16, io.scaledQ(), io.lengths(), state, facts, ayParts, work, sizes, heads, pass));
            tasks.task("finish" + number, TaskAppender.groups(units() * finishingSplits, TensorCoreCgDecode.WARPS
                    * TensorCoreCgDecode.THREADS), graph -> graph.task("finish" + number, TensorCoreCgFinish::finish, context, k16,
                            cache.v().half, io.scaledQ(), io.lengths(), state, facts, ayParts, oParts, work, sizes, heads, pass));
        } else {
            tasks.task("multiply" + number, TaskAppender.groups(units() * splits, threads), graph -> graph.task("multiply" + number,
                    CgDecodeSolve::multiply, context, k32, k16, io.lengths(), scores, products, slopes, state, facts, ayParts, sizes, binary16,
                    dim, heads, threads, pass));
        }
        if (!inRegisters) {
            tasks.task("advance" + number, TaskAppender.groups(queries(), SOLVERS), graph -> graph.task("advance" + number, CgDecodeSolve::advance,
                    context, io.q(), io.ridges(), ayParts, state, facts, sizes, settings, dim, heads, parity,
                    launched));
        }
    }

    private void appendOutput(TaskAppender tasks, KernelContext context) {
        int dim = shape.headDim();
        WorkerGrid merging = TaskAppender.groups(Math.ceilDiv(io.o().getSize(), 64), 64);
        if (matrixUnits) {
            tasks.task("merge", merging, graph -> graph.task("merge", TensorCoreCgDecode::merge, context, oParts, facts, io.o(),
                    sizes));
        } else {
            tasks.task("output", TaskAppender.groups(units() * splits, threads), graph -> graph.task("output", CgDecode::output,
                    context, cache.v().single, cache.v().half, io.lengths(), scores, products, slopes, facts, oParts, sizes,
                    cache.k().halves() ? 1 : 0, dim, heads, threads));
            tasks.task("merge", merging, graph -> graph.task("merge", CovarianceDecode::merge, context, oParts, io.o(), sizes, dim, 64));
        }
    }

    @Override
    public Object[] scratch() {
        return new Object[] {scores, products, slopes, sums, ayParts, oParts, work, sizes, settings, arrived};
    }

    @Override
    public long bytes() {
        return (long) Float.BYTES * (3L * scores.getSize() + sums.getSize() + state.getSize() + facts.getSize()
                + ayParts.getSize() + oParts.getSize() + work.getSize());
    }

    @Override
    public long largestBytes() {
        return (long) Float.BYTES * scores.getSize();
    }
}
