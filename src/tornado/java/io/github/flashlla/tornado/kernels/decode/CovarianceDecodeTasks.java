package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.tornado.buffers.DecodeArrays;
import io.github.flashlla.tornado.buffers.PagedArrays;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.DecodeTasks;
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
    private final AttentionShape shape;
    private final DecodeGrid grid;
    private final DecodeArrays io;
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

    public CovarianceDecodeTasks(PagedArrays cache, AttentionShape shape, DecodeGrid grid, DecodeArrays io) {
        this.cache = cache;
        this.shape = shape;
        this.grid = grid;
        this.io = io;
        int rows = shape.batch() * shape.heads();
        int dim = shape.headDim();
        this.topScore = new FloatArray(rows * grid.splits());
        this.topKey = new IntArray(rows * grid.splits());
        this.sums = new FloatArray(Math.toIntExact((long) rows * grid.splits() * DecodeGrid.tiles(dim) * CovarianceDecode.STRIP
                * CovarianceDecode.STRIP));
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
        KernelContext context = new KernelContext();
        FloatArray k32 = cache.k32();
        HalfFloatArray k16 = cache.k16();
        IntArray pages = cache.pages();
        int format = cache.format();
        int dim = shape.headDim();
        int pageSize = cache.pageSize();
        int group = shape.group();
        int hw = grid.headsPerGroup();
        int splits = grid.splits();
        int units = grid.units(shape);
        tasks.task("scan", TaskAppender.groups(units * splits, grid.threads()), graphed -> graphed.task("scan",
                CovarianceDecode::scan, context, k32, k16, io.scaledQ(), io.lengths(), pages, topScore, topKey, format, dim, pageSize,
                shape.kvHeads(), group, hw, splits));
        tasks.task("covariance", TaskAppender.groups((long) units * splits * grid.chunks(), grid.covarianceThreads()),
                graphed -> graphed.task("covariance", CovarianceDecode::covariance, context, k32, k16, io.scaledQ(), io.lengths(),
                        pages, topScore, topKey, sums, sumZ, centre, format, dim, pageSize, shape.kvHeads(), group, hw, splits, grid.chunks()));
        tasks.task("solve", TaskAppender.groups(shape.batch() * shape.heads(), grid.threads()), graphed -> solve(graphed, context));
        tasks.task("output", TaskAppender.groups(units * splits, grid.threads()), graphed -> graphed.task("output",
                CovarianceDecode::output, context, k32, k16, cache.v32(), cache.v16(), io.scaledQ(), io.lengths(), pages, centre, x,
                facts, parts, format, dim, shape.valueDim(), pageSize, shape.kvHeads(), group, hw, splits));
        tasks.task("merge", TaskAppender.groups(Math.ceilDiv(io.o().getSize(), grid.threads()), grid.threads()),
                graphed -> graphed.task("merge", CovarianceDecode::merge, context, parts, io.o(), shape.valueDim(), splits));
    }

    private void solve(TaskGraph graph, KernelContext context) {
        int dim = shape.headDim();
        int hw = grid.headsPerGroup();
        int splits = grid.splits();
        if (dim == 1) {
            graph.task("solve", CovarianceSolve::solveOneDim, context, io.q(), io.ridges(), io.lengths(), topScore, sums, sumZ, centre,
                    x, kbar, facts, hw, shape.heads(), splits);
        } else if (grid.localSolve()) {
            graph.task("solve", CovarianceSolve::solve, context, io.q(), io.ridges(), io.lengths(), topScore, sums, sumZ, centre, a, x,
                    kbar, facts, dim, hw, shape.heads(), splits);
        } else {
            graph.task("solve", CovarianceSolve::solveInGlobal, context, io.q(), io.ridges(), io.lengths(), topScore, sums, sumZ,
                    centre, a, x, kbar, facts, dim, hw, shape.heads(), splits);
        }
    }

    @Override
    public Object[] scratch() {
        Object[] own = {topScore, topKey, sums, sumZ, centre, a, parts};
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
    public float kbar(int row, int d) {
        return kbar.get(row * shape.headDim() + d);
    }

    @Override
    public float x(int row, int d) {
        return x.get(row * shape.headDim() + d);
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
