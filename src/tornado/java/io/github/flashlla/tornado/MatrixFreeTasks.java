package io.github.flashlla.tornado;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.kernels.DecodeKernels;
import io.github.flashlla.tornado.kernels.MatrixFreeDecode;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/** gather -> begin -> (multiply -> advance) as often as is launched -> output -> merge, as in {@link MatrixFreeDecode}. */
final class MatrixFreeTasks implements DecodeTasks {

    /**
     * Iterations launched. One that nothing is left to do for takes a few microseconds; where these are too few, the covariance form
     * is likely to be the faster one anyway.
     */
    static final int MOST_ITERATIONS = 6;

    private static final int GROUPS_PER_GPU_UNIT = 24;
    private static final int GROUPS_PER_CORE = 2;

    private final TornadoKvCache cache;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final DecodeArrays io;
    private final int heads;
    private final int threads;
    private final int splits;
    private final int tiles;
    private final int iterations;
    private final FloatArray scores;
    private final FloatArray products;
    private final FloatArray slopes;
    private final FloatArray sums;
    private final FloatArray state;
    private final FloatArray facts;
    private final FloatArray ayParts;
    private final FloatArray oParts;

    MatrixFreeTasks(TornadoKvCache cache, AttentionShape shape, LlaOptions options, DeviceInfo device, DecodeArrays io) {
        this.cache = cache;
        this.shape = shape;
        this.options = options;
        this.io = io;
        this.heads = headsPerGroup(shape);
        this.threads = threads(device);
        int dim = shape.headDim();
        int tile = MatrixFreeDecode.tile(dim, threads);
        this.tiles = Math.ceilDiv(shape.keyLength(), tile);
        int units = units();
        int wanted = Math.max(1, device.computeUnits())
                * (device.type() == DeviceInfo.Type.CPU ? GROUPS_PER_CORE : GROUPS_PER_GPU_UNIT);
        this.splits = Math.clamp(Math.ceilDiv(wanted, units), 1, Math.max(1, tiles / 4));
        this.iterations = Math.min(MOST_ITERATIONS, options.maxIterations());
        int rows = shape.batch() * shape.heads();
        int kept = Math.toIntExact((long) rows * tiles * tile);
        this.scores = new FloatArray(kept);
        this.products = new FloatArray(kept);
        this.slopes = new FloatArray(kept);
        this.sums = new FloatArray(rows * splits * (2 * dim + 3));
        this.state = new FloatArray(rows * MatrixFreeDecode.VECTORS * dim);
        this.facts = new FloatArray(rows * MatrixFreeDecode.FACTS);
        this.ayParts = new FloatArray(rows * splits * (dim + 1));
        this.oParts = new FloatArray(rows * splits * dim);
    }

    /** Whether the kernels take this shape, and the device their work-groups. */
    static boolean takes(AttentionShape shape, DeviceInfo device) {
        int dim = shape.headDim();
        if (dim != shape.valueDim() || DecodeKernels.lanes(dim) == dim || dim < MatrixFreeDecode.DIMS) {
            return false;
        }
        long local = (long) Float.BYTES * Math.max(MatrixFreeDecode.localFloats(dim, headsPerGroup(shape), threads(device)), 7 * dim);
        long kept = (long) shape.batch() * shape.heads() * (shape.keyLength() + MatrixFreeDecode.tile(dim, threads(device)));
        return kept < Integer.MAX_VALUE - 64 && (device.localMemoryBytes() <= 0 || local <= device.localMemoryBytes());
    }

    private static int headsPerGroup(AttentionShape shape) {
        return shape.group() % 4 == 0 ? 4 : shape.group() % 2 == 0 ? 2 : 1;
    }

    /** TornadoVM's PTX backend changes the size of larger work-groups that use many registers. */
    private static int threads(DeviceInfo device) {
        return device.backend().equals("ptx") ? 64 : 128;
    }

    private int units() {
        return shape.batch() * shape.heads() / heads;
    }

    @Override
    public DecodeMethod method() {
        return DecodeMethod.MATRIX_FREE;
    }

    @Override
    public String[] names() {
        String[] names = new String[4 + 2 * iterations];
        System.arraycopy(new String[] {"gather", "begin", "output", "merge"}, 0, names, 0, 4);
        for (int pass = 0; pass < iterations; pass++) {
            names[4 + 2 * pass] = "multiply" + pass;
            names[5 + 2 * pass] = "advance" + pass;
        }
        return names;
    }

    @Override
    public TaskGraph append(TaskGraph graph, String name, GridScheduler grids, KernelContext context) {
        FloatArray k32 = cache.k().single;
        HalfFloatArray k16 = cache.k().half;
        int binary16 = cache.k().halves() ? 1 : 0;
        int dim = shape.headDim();
        int rows = cache.rowsPerSequence();
        int group = shape.group();
        float tolerance = (float) options.tolerance();
        int groups = units() * splits;
        int queries = shape.batch() * shape.heads();
        TaskGraph tasks = graph.task("gather", MatrixFreeDecode::gather, context, k32, k16, io.scaledQ(), io.lengths(), scores, sums, binary16, dim,
                        rows, shape.kvHeads(), group, heads, splits, tiles, threads)
                .task("begin", MatrixFreeDecode::begin, context, k32, k16, io.q(), io.ridges(), io.lengths(), sums, state, facts,
                        binary16, dim, rows, shape.heads(), group, splits, (float) options.scaleFor(dim), tolerance);
        DecodeTasks.workers(grids, name + ".gather", groups, threads);
        DecodeTasks.workers(grids, name + ".begin", queries, 64);
        for (int pass = 0; pass < iterations; pass++) {
            tasks = tasks.task("multiply" + pass, MatrixFreeDecode::multiply, context, k32, k16, io.lengths(), scores, products,
                            slopes, state, facts, ayParts, binary16, dim, rows, shape.kvHeads(), group, heads, splits, tiles,
                            threads, pass)
                    .task("advance" + pass, MatrixFreeDecode::advance, context, io.q(), io.ridges(), ayParts, state, facts, dim,
                            heads, splits, tolerance, pass);
            DecodeTasks.workers(grids, name + ".multiply" + pass, groups, threads);
            DecodeTasks.workers(grids, name + ".advance" + pass, queries, 64);
        }
        DecodeTasks.workers(grids, name + ".output", groups, threads);
        DecodeTasks.workers(grids, name + ".merge", Math.ceilDiv(io.o().getSize(), 64), 64);
        return tasks.task("output", MatrixFreeDecode::output, context, cache.v().single, cache.v().half, io.lengths(), scores,
                        products, slopes, facts, oParts, binary16, dim, rows, shape.kvHeads(), group, heads, splits, tiles, threads)
                .task("merge", DecodeKernels::merge, context, oParts, io.o(), dim, splits);
    }

    @Override
    public Object[] scratch() {
        return new Object[] {scores, products, slopes, sums, ayParts, oParts};
    }

    @Override
    public FloatArray[] results() {
        return new FloatArray[] {state, facts};
    }

    @Override
    public FloatArray facts() {
        return facts;
    }

    @Override
    public FloatArray[] state() {
        return new FloatArray[] {state};
    }

    @Override
    public float logSumExp(int row) {
        return facts.get(row * MatrixFreeDecode.FACTS + MatrixFreeDecode.LSE);
    }

    @Override
    public float residual(int row) {
        return facts.get(row * MatrixFreeDecode.FACTS + MatrixFreeDecode.RESIDUAL);
    }

    @Override
    public int iterations(int row) {
        return (int) facts.get(row * MatrixFreeDecode.FACTS + MatrixFreeDecode.ITERATIONS);
    }

    @Override
    public float kbar(int row, int d) {
        return state.get((row * MatrixFreeDecode.VECTORS + MatrixFreeDecode.KBAR) * shape.headDim() + d);
    }

    @Override
    public float x(int row, int d) {
        return state.get((row * MatrixFreeDecode.VECTORS + MatrixFreeDecode.X) * shape.headDim() + d);
    }

    @Override
    public long bytes() {
        return (long) Float.BYTES * (3L * scores.getSize() + sums.getSize() + state.getSize() + facts.getSize()
                + ayParts.getSize() + oParts.getSize());
    }

    @Override
    public long largestBytes() {
        return (long) Float.BYTES * scores.getSize();
    }
}
