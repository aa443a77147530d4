package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.tornado.buffers.DecodeArrays;
import io.github.flashlla.tornado.buffers.FloatArrays;
import io.github.flashlla.tornado.buffers.PagedArrays;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.DecodeTasks;
import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import java.util.stream.Stream;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** scan -> covariance -> solve -> output -> merge, as in {@link CovarianceDecode}. */
public final class CovarianceDecodeTasks implements DecodeTasks {

    private static final int FACTS = 5;

    private final PagedArrays cache;
    private final int format;
    private final AttentionShape shape;
    private final DecodeGrid grid;
    private final DecodeArrays io;
    private final KernelContext context = new KernelContext();
    private final FloatArray topScore;
    private final IntArray topKey;
    private final FloatArray sums;
    private final FloatArray sumZ;
    private final FloatArray centre;
    private final FloatArray a;
    private final FloatArray x;
    private final FloatArray kbar;
    private final FloatArray facts;
    private final FloatArray parts;
    private final IntArray sizes;

    /** @param window 0 for none */
    public CovarianceDecodeTasks(PagedArrays cache, AttentionShape shape, int window, DecodeGrid grid, DecodeArrays io) {
        this.cache = cache;
        this.format = CacheLayout.withWindow(cache.format(), window, shape.keyLength());
        this.shape = shape;
        this.grid = grid;
        this.io = io;
        int rows = shape.batch() * shape.heads();
        int dim = shape.headDim();
        this.sizes = DecodeSizes.of(shape, cache.pageSize(), grid.splits());
        sizes.set(DecodeSizes.PAGES, cache.pages().getSize() / shape.batch());
        this.topScore = new FloatArray(rows * grid.splits());
        this.topKey = new IntArray(rows * grid.splits());
        this.sums = new FloatArray(rows * grid.splits() * DecodeGrid.tiles(dim) * CovarianceDecode.STRIP * CovarianceDecode.STRIP);
        this.sumZ = new FloatArray(rows * grid.splits() * (dim + 1));
        this.centre = new FloatArray(rows * dim);
        this.a = new FloatArray(rows * dim * dim);
        this.x = new FloatArray(rows * dim);
        this.kbar = new FloatArray(rows * dim);
        this.facts = new FloatArray(rows * FACTS);
        this.parts = new FloatArray(rows * grid.splits() * shape.valueDim());
    }

    @Override
    public DecodeMethod method() {
        return DecodeMethod.COVARIANCE;
    }

    @Override
    public void append(int graph, TaskAppender tasks) {
        appendSolve(tasks);
        appendOutput(tasks, x, facts);
    }

    /** scan -> covariance -> solve. */
    public void appendSolve(TaskAppender tasks) {
        FloatArray k32 = cache.k32();
        HalfFloatArray k16 = cache.k16();
        IntArray pages = cache.pages();
        int dim = shape.headDim();
        int hw = grid.headsPerGroup();
        int splits = grid.splits();
        int units = grid.units(shape);
        tasks.task("scan", TaskAppender.groups(units * splits, grid.threads()), graphed -> graphed.task("scan",
                CovarianceDecode::scan, context, k32, k16, io.scaledQ(), io.lengths(), pages, topScore, topKey, sizes, format, dim, hw));
        tasks.task("covariance", TaskAppender.groups((long) units * splits * grid.chunks(), grid.covarianceThreads()),
                graphed -> graphed.task("covariance", CovarianceDecode::covariance, context, k32, k16, io.scaledQ(), io.lengths(),
                        pages, topScore, topKey, sums, sumZ, centre, sizes, format, dim, hw, grid.chunks()));
        tasks.task("solve", TaskAppender.groups(shape.batch() * shape.heads(), grid.threads()), this::solve);
    }

    /**
     * handOn: keeps values for a later graph's {@link #appendOutput}.
     *
     * @param handed one element
     */
    public void appendHandOn(TaskAppender tasks, FloatArray handed) {
        tasks.task("handOn", TaskAppender.groups(1, grid.threads()), graphed -> graphed.task("handOn", CovarianceDecode::handOn, context,
                cache.v32(), cache.v16(), handed, cache.format() & CacheLayout.FLOAT16));
    }

    /** The cache's page table; of {@link #scratch}, where there is none. */
    public IntArray pages() {
        return cache.pages();
    }

    /** Of {@link #scratch}: what kernels read of the step's sizes. */
    public IntArray sizes() {
        return sizes;
    }

    /** Of {@link #scratch}, what only the output reads. */
    public FloatArray parts() {
        return parts;
    }

    /**
     * output -> merge, with a solution that may come from elsewhere.
     *
     * @param solution x (B*H,D)
     * @param scales (B*H,5) as the solve leaves its facts
     */
    public void appendOutput(TaskAppender tasks, FloatArray solution, FloatArray scales) {
        int splits = grid.splits();
        tasks.task("output", TaskAppender.groups(grid.units(shape) * splits, grid.threads()), graphed -> graphed.task("output",
                CovarianceDecode::output, context, cache.k32(), cache.k16(), cache.v32(), cache.v16(), io.scaledQ(), io.lengths(),
                cache.pages(), centre, solution, scales, parts, sizes, format, shape.headDim(), shape.valueDim(), grid.headsPerGroup()));
        tasks.task("merge", TaskAppender.groups(Math.ceilDiv(io.o().getSize(), grid.threads()), grid.threads()),
                graphed -> graphed.task("merge", CovarianceDecode::merge, context, parts, io.o(), sizes, shape.valueDim(), grid.threads()));
    }

    private void solve(TaskGraph graph) {
        int dim = shape.headDim();
        int hw = grid.headsPerGroup();
        if (dim == 1) {
            graph.task("solve", CovarianceSolve::solveOneDim, context, io.q(), io.ridges(), io.lengths(), topScore, sums, sumZ, centre,
                    x, kbar, facts, sizes, hw, dim);
        } else if (grid.localSolve()) {
            graph.task("solve", CovarianceSolve::solve, context, io.q(), io.ridges(), io.lengths(), topScore, sums, sumZ, centre, a, x,
                    kbar, facts, sizes, dim, hw);
        } else {
            graph.task("solve", CovarianceSolve::solveInGlobal, context, io.q(), io.ridges(), io.lengths(), topScore, sums, sumZ,
                    centre, a, x, kbar, facts, sizes, dim, hw);
        }
    }

    @Override
    public Object[] scratch() {
        Object[] own = {topScore, topKey, sums, sumZ, centre, a, parts, sizes};
        return cache.isPaged() ? own : Stream.concat(Stream.of(own), Stream.of(cache.pages())).toArray(); // a table is the caller's to transfer
    }

    @Override
    public FloatArray[] results() {
        return new FloatArray[] {x, kbar, facts};
    }

    @Override
    public FloatArray facts() {
        return facts;
    }

    @Override
    public FloatArray[] state() {
        return new FloatArray[] {x, kbar};
    }

    @Override
    public float logSumExp(int row) {
        return facts.get(row * FACTS + 3);
    }

    @Override
    public float residual(int row) {
        return facts.get(row * FACTS + 4);
    }

    @Override
    public int iterations(int row) {
        return 0;
    }

    @Override
    public void kbar(int row, float[] to) {
        FloatArrays.copy(kbar, row * to.length, to);
    }

    @Override
    public void x(int row, float[] to) {
        FloatArrays.copy(x, row * to.length, to);
    }

    /** The key that a head's numbers are about (B*H,D). */
    public FloatArray centre() {
        return centre;
    }

    /** A (B*H,D,D), as the solve leaves it: {@link #covariance} reads it. */
    public FloatArray a() {
        return a;
    }

    /** Element of a head's A = covariance + ridge I, where {@link #a} was read. */
    public double covariance(int row, int i, int j) {
        int dim = shape.headDim();
        int at = row * dim * dim;
        int low = Math.min(i, j);
        int high = Math.max(i, j);
        if (grid.localSolve()) {
            return a.get(at + high * dim + low);
        }
        if (i != j) {
            return a.get(at + low * dim + high);
        }
        double sum = 0; // the solve left its factor L in the lower triangle: A = L L^T
        for (int c = 0; c <= i; c++) {
            sum += (double) a.get(at + i * dim + c) * a.get(at + i * dim + c);
        }
        return sum;
    }

    @Override
    public long bytes() {
        return (long) Float.BYTES * ((long) topScore.getSize() + topKey.getSize() + sums.getSize() + sumZ.getSize()
                + centre.getSize() + a.getSize() + x.getSize() + kbar.getSize() + facts.getSize() + parts.getSize());
    }

    @Override
    public long largestBytes() {
        return (long) Float.BYTES * sums.getSize();
    }
}
