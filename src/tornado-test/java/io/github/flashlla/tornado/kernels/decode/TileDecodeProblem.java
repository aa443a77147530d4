package io.github.flashlla.tornado.kernels.decode;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import io.github.flashlla.tornado.kernels.tile.JvmGroup;
import java.util.Random;
import java.util.stream.Stream;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.WorkerGrid1D;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * One decoding step of two sequences by the tile kernels, the second with a third of the keys; what they write, and what the cache has
 * beyond its tokens, is poisoned.
 */
public final class TileDecodeProblem {
    private static final int LAUNCHED = 4;
    private static final float TOLERANCE = 1e-4f;

    /** @param qTimes how much larger q is than normal numbers */
    record Case(int heads, int kvHeads, int length, int dim, int splits, float qTimes, float kPlus, double error, float ridge) {
        Case(int heads, int kvHeads, int length, int dim, int splits, float qTimes, float kPlus, double error) {
            this(heads, kvHeads, length, dim, splits, qTimes, kPlus, error, 30f);
        }
    }

    private final Case problem;
    private final int hw;
    private final int capacity;
    private final float scale;
    private final FloatArray q;
    private final FloatArray scaledQ;
    private final HalfFloatArray k;
    private final HalfFloatArray v;
    private final FloatArray ridges;
    private final IntArray lengths;
    private final IntArray arrived;
    private final FloatArray sums;
    private final FloatArray state;
    private final FloatArray facts;
    private final FloatArray parts;
    private final FloatArray outputs;
    private final FloatArray o;

    /** Problems that reach every path. */
    static Stream<Case> all() {
        return Stream.of(
                new Case(4, 1, 300, 64, 2, 1, 0, 2e-4),
                new Case(4, 2, 75, 128, 1, 1, 3, 1e-3),
                new Case(3, 1, 130, 128, 3, 1, 0, 2e-4),
                new Case(2, 2, 5, 64, 2, 1, 0, 2e-4),
                new Case(6, 1, 70, 64, 2, 1, 0, 2e-4),
                new Case(16, 2, 150, 128, 2, 1, 0, 2e-4),
                // a largest score that lies far above those of the first keys
                new Case(8, 2, 400, 64, 1, 20, 0, 1e-3));
    }

    /** The same for the covariance: every number of heads of a unit, and ridges that conjugate gradients would be long about. */
    static Stream<Case> covariances() {
        return Stream.of(
                new Case(4, 1, 330, 64, 2, 1, 3, 2e-4, 1f),
                new Case(2, 1, 175, 64, 2, 1, 0, 2e-4, 0.1f),
                new Case(1, 1, 130, 64, 1, 1, 0, 2e-4, 1f),
                new Case(4, 1, 110, 128, 2, 1, 0, 2e-4, 1f),
                new Case(2, 2, 65, 128, 1, 1, 0, 2e-4, 1f),
                new Case(2, 2, 5, 64, 2, 1, 0, 2e-4, 1f),
                // a largest score that lies far above those of the first keys
                new Case(4, 1, 400, 64, 1, 20, 0, 1e-3, 1f));
    }

    /** The same for the shared covariance: every number of heads of a unit, splits without keys, and ridges that take more than a pass. */
    static Stream<Case> preconditioned() {
        return Stream.of(
                new Case(1, 1, 330, 64, 3, 1, 0, 2e-4, 1f),
                new Case(1, 1, 330, 64, 1, 1, 0, 2e-4, 1f),
                new Case(4, 1, 330, 64, 3, 1, 3, 2e-4, 1f),
                new Case(8, 2, 300, 64, 2, 1, 0, 2e-4, 3f),
                new Case(3, 1, 175, 64, 2, 1, 0, 2e-4, 3f),
                new Case(2, 2, 5, 64, 2, 1, 0, 2e-4, 1f),
                new Case(2, 1, 130, 64, 5, 1, 0, 2e-4, 30f),
                // a largest score that lies far above those of the first keys
                new Case(4, 1, 400, 64, 1, 20, 0, 1e-3, 1f));
    }

    TileDecodeProblem(Case problem) {
        this.problem = problem;
        int group = problem.heads / problem.kvHeads;
        int shared = TileDecode.HEADS;
        while (group % shared != 0) {
            shared--;
        }
        hw = shared;
        capacity = (problem.length + 95) / 32 * 32;
        int dim = problem.dim;
        int rows = 2 * problem.heads;
        scale = (float) (1 / Math.sqrt(dim));
        Random random = new Random(3);
        q = new FloatArray(rows * dim);
        scaledQ = new FloatArray(rows * dim);
        for (int i = 0; i < q.getSize(); i++) {
            q.set(i, (float) random.nextGaussian() * problem.qTimes);
            scaledQ.set(i, q.get(i) * scale);
        }
        k = cache(random, problem.kPlus);
        v = cache(random, 0);
        ridges = new FloatArray(rows);
        ridges.init(problem.ridge);
        lengths = IntArray.fromElements(problem.length, problem.length / 3);
        arrived = new IntArray(rows / hw);
        sums = poisoned(rows * problem.splits * (2 * dim + 3));
        state = poisoned(rows * CgDecodeState.VECTORS * dim);
        facts = poisoned(rows * CgDecodeState.FACTS);
        parts = poisoned(rows * rooms() * (dim + 1));
        outputs = poisoned(rows * rooms() * 2 * dim);
        o = poisoned(rows * dim);
    }

    private static FloatArray poisoned(int size) {
        FloatArray array = new FloatArray(size);
        array.init(Float.NaN);
        return array;
    }

    private HalfFloatArray cache(Random random, float plus) {
        HalfFloatArray cache = new HalfFloatArray(2 * problem.kvHeads * capacity * problem.dim);
        for (int i = 0; i < cache.getSize(); i++) {
            cache.set(i, new HalfFloat(Float.NaN));
        }
        for (int sequence = 0; sequence < 2; sequence++) {
            for (int row = 0; row < problem.kvHeads * problem.length; row++) {
                for (int d = 0; d < problem.dim; d++) {
                    int at = (sequence * problem.kvHeads + row / problem.length) * capacity + row % problem.length;
                    if (row % problem.length < (sequence == 0 ? problem.length : problem.length / 3)) {
                        cache.set(CacheLayout.index(at, d, problem.dim), new HalfFloat((float) random.nextGaussian() + plus));
                    }
                }
            }
        }
        return cache;
    }

    /** Splits of a pass at most: later ones have more. */
    private int rooms() {
        return problem.splits + 1;
    }

    private int units() {
        return 2 * problem.heads / hw;
    }

    private IntArray sizes(int splits, int finishing) {
        IntArray sizes = DecodeSizes.of(new AttentionShape(2, problem.heads, problem.kvHeads, 1, capacity, problem.dim, problem.dim), capacity, splits);
        sizes.set(DecodeSizes.FINISHING_SPLITS, finishing);
        return sizes;
    }

    void runOnJvm() {
        int dim = problem.dim;
        int group = problem.heads / problem.kvHeads;
        int splits = problem.splits;
        int kv = problem.kvHeads;
        int stages = TileDecode.stages(dim);
        FloatArray settings = DecodeSizes.settings(scale, TOLERANCE);
        JvmGroup.run(units() * splits, TileRing.THREADS, ctx -> TileDecode.gather(ctx, k, scaledQ, lengths, ridges, settings, sums,
                state, facts, arrived, capacity, kv, group, hw, splits, dim, LAUNCHED, stages, TileDecode.groupsPerUnit(dim, hw)));
        assertArrived();
        float[] passes = new float[2 * problem.heads];
        for (int i = 0; i < LAUNCHED; i++) {
            int pass = i;
            for (int head = 0; head < passes.length; head++) {
                passes[head] += CgDecodeState.unitPlan(facts, head / hw, hw, pass) > 0 && passes[head] == pass ? 1 : 0;
            }
            int most = i < 2 ? splits : rooms();
            JvmGroup.run(units() * most, TileRing.THREADS, ctx -> TileDecodePass.run(ctx, k, v, scaledQ, lengths, state, facts, parts, outputs, o,
                    arrived, capacity, kv, group, hw, most, rooms(), pass % 2, dim, LAUNCHED));
            assertArrived();
        }
        for (int head = 0; head < 2 * problem.heads; head++) {
            assertTogether(head);
            assertEquals(passes[head], fact(head, CgDecodeState.PASSES), problem + ": a pass after the last one of head " + head);
        }
    }

    /** That a head takes every step that another of its unit needs, as long as there is something left of its residual. */
    private void assertTogether(int head) {
        float steps = fact(head, CgDecodeState.ITERATIONS);
        float most = steps;
        for (int other = head / hw * hw; other < (head / hw + 1) * hw; other++) {
            most = Math.max(most, fact(other, CgDecodeState.ITERATIONS));
        }
        float residual = fact(head, CgDecodeState.RESIDUAL);
        assertTrue(steps == most || residual <= 1e-3f * TOLERANCE, problem + ": head " + head + " took " + steps + " of " + most + " steps to " + residual);
        assertTrue(residual <= TOLERANCE || steps == LAUNCHED, problem + ": head " + head + " ended at " + residual);
    }

    private float fact(int head, int number) {
        return facts.get(head * CgDecodeState.FACTS + number);
    }

    /** That the groups of every unit, or none, were counted. */
    private void assertArrived() {
        for (int i = 0; i < arrived.getSize(); i++) {
            assertEquals(0, arrived.get(i), "unit " + i);
        }
    }

    void runCovarianceOnJvm() {
        int dim = problem.dim;
        int group = problem.heads / problem.kvHeads;
        int splits = problem.splits;
        int kv = problem.kvHeads;
        int heads = TileCovariance.headsPerUnit(group);
        int threads = TileCovariance.threads(dim, heads);
        int shares = TileCovariance.shares(dim, heads);
        FloatArray settings = DecodeSizes.settings(scale, TOLERANCE);
        FloatArray moments = poisoned(2 * problem.heads * splits * shares * TileCovariance.blocks(dim) * 256);
        FloatArray means = poisoned(2 * problem.heads * splits * (dim + 3));
        FloatArray factors = poisoned(2 * problem.heads * TileCovarianceSolve.factorFloats(dim));
        JvmGroup.run(2 * problem.heads / heads * splits, threads, ctx -> TileCovariance.moments(ctx, k, scaledQ, lengths, moments, means, capacity,
                kv, group, heads, splits, dim, TileCovariance.stages(), threads, TileCovariance.groupsPerUnit(dim, heads)));
        JvmGroup.run(2 * problem.heads, 256, ctx -> TileCovarianceSolve.begin(ctx, k, q, ridges, lengths, moments, means, state, facts, factors,
                sizes(splits, splits), settings, dim, shares, TileCovariance.parts(dim), 256, CgDecodeState.FINISH));
        for (int i = 0; i < LAUNCHED - 1; i++) {
            int pass = i;
            int most = rooms();
            IntArray sizes = sizes(most, most);
            JvmGroup.run(units() * most, TileRing.THREADS, ctx -> TileDecodePass.run(ctx, k, v, scaledQ, lengths, state, facts, parts, outputs, o,
                    arrived, capacity, kv, group, hw, most, rooms(), pass % 2, dim, 0));
            JvmGroup.run(2 * problem.heads, dim, ctx -> TileCovarianceSolve.advance(ctx, ridges, parts, state, facts, factors, sizes, settings, dim,
                    hw, pass));
            if (Boolean.getBoolean("flashlla.test.print")) {
                System.out.printf("pass %d: residual %.2e %.2e%n", pass, facts.get(CgDecodeState.RESIDUAL),
                        facts.get((2 * problem.heads - 1) * CgDecodeState.FACTS + CgDecodeState.RESIDUAL));
            }
        }
        JvmGroup.run((o.getSize() + 63) / 64, 64, ctx -> TileDecode.merge(ctx, outputs, facts, o, rooms(), dim));
    }

    /** @param overflown whether the first unit's moments have a number that is none: its heads then go without */
    void runPreconditionedOnJvm(boolean overflown) {
        int dim = problem.dim;
        int group = problem.heads / problem.kvHeads;
        int splits = problem.splits;
        int kv = problem.kvHeads;
        FloatArray settings = DecodeSizes.settings(scale, TOLERANCE);
        FloatArray numbers = poisoned(2 * problem.heads * splits * TilePcg.WIDTH);
        FloatArray moments = poisoned(units() * splits * TilePcg.MOMENTS);
        FloatArray inverses = poisoned(units() * dim * dim);
        JvmGroup.run(units() * splits, TileRing.THREADS, ctx -> TilePcg.gather(ctx, k, scaledQ, lengths, numbers, moments, capacity, kv, group, hw,
                splits, TilePcg.stages(), TilePcg.groupsPerUnit()));
        if (overflown) {
            moments.set(77, Float.POSITIVE_INFINITY);
        }
        JvmGroup.run(units(), TilePcgBegin.THREADS, ctx -> TilePcgBegin.run(ctx, k, q, ridges, lengths, numbers, moments, state, facts, inverses,
                sizes(splits, splits), settings, hw, LAUNCHED));
        for (int i = 0; i < 2 * LAUNCHED; i++) {
            int pass = i;
            int most = rooms();
            IntArray sizes = sizes(most, most);
            if (Boolean.getBoolean("flashlla.test.print")) {
                for (int h = 0; h < 2 * problem.heads; h++) {
                    System.out.printf("before pass %d, head %d: residual %.2e plan %.0f%n", pass, h, facts.get(h * CgDecodeState.FACTS + CgDecodeState.RESIDUAL),
                            facts.get(h * CgDecodeState.FACTS + CgDecodeState.PLAN + pass % 2));
                }
            }
            JvmGroup.run(units() * most, TileRing.THREADS, ctx -> TileDecodePass.run(ctx, k, v, scaledQ, lengths, state, facts, parts, outputs,
                    o, arrived, capacity, kv, group, hw, most, rooms(), pass % 2, dim, 0));
            JvmGroup.run(2 * problem.heads, dim, ctx -> TilePcgSolve.advance(ctx, q, ridges, parts, inverses, state, facts, sizes, settings, hw, pass,
                    2 * LAUNCHED));
        }
        JvmGroup.run((o.getSize() + 63) / 64, 64, ctx -> TileDecode.merge(ctx, outputs, facts, o, rooms(), dim));
    }

    /** The tile kernels alone, as {@code TileSource} compiles them. */
    public static TaskGraph kernels(int heads, int dim, GridScheduler grids) {
        TileDecodeProblem p = new TileDecodeProblem(new Case(heads, 1, 300, dim, 2, 1, 0, 0));
        FloatArray settings = DecodeSizes.settings(p.scale, TOLERANCE);
        for (String task : new String[] {"gather", "pass"}) {
            WorkerGrid1D grid = new WorkerGrid1D(TileRing.THREADS);
            grid.setLocalWork(TileRing.THREADS, 1, 1);
            grids.addWorkerGrid("tile." + task, grid);
        }
        return new TaskGraph("tile")
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, p.k, p.v, p.scaledQ, p.lengths, p.ridges, settings, p.sums, p.state, p.facts, p.parts,
                        p.outputs, p.o, p.arrived)
                .task("gather", TileDecode::gather, new KernelContext(), p.k, p.scaledQ, p.lengths, p.ridges, settings, p.sums, p.state, p.facts,
                        p.arrived, p.capacity, 1, heads, heads, 2, dim, LAUNCHED, TileDecode.stages(dim), TileDecode.groupsPerUnit(dim, heads))
                .task("pass", TileDecodePass::run, new KernelContext(), p.k, p.v, p.scaledQ, p.lengths, p.state, p.facts, p.parts, p.outputs, p.o,
                        p.arrived, p.capacity, 1, heads, heads, 2, 3, 0, dim, LAUNCHED)
                .transferToHost(DataTransferMode.EVERY_EXECUTION, p.sums, p.parts, p.outputs);
    }

    /** The covariance's kernels alone, likewise. */
    public static TaskGraph covarianceKernels(int heads, int dim, GridScheduler grids) {
        TileDecodeProblem p = new TileDecodeProblem(new Case(heads, 1, 300, dim, 2, 1, 0, 0));
        int threads = TileCovariance.threads(dim, heads);
        int shares = TileCovariance.shares(dim, heads);
        FloatArray moments = poisoned(2 * heads * 2 * shares * TileCovariance.blocks(dim) * 256);
        FloatArray means = poisoned(2 * heads * 2 * (dim + 3));
        FloatArray factors = poisoned(2 * heads * TileCovarianceSolve.factorFloats(dim));
        IntArray sizes = p.sizes(2, 2);
        FloatArray settings = DecodeSizes.settings(1, TOLERANCE);
        int[] threadsOf = {threads, 256, dim};
        String[] tasks = {"moments", "begin", "advance"};
        for (int i = 0; i < tasks.length; i++) {
            WorkerGrid1D grid = new WorkerGrid1D(threadsOf[i]);
            grid.setLocalWork(threadsOf[i], 1, 1);
            grids.addWorkerGrid("tile." + tasks[i], grid);
        }
        return new TaskGraph("tile")
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, p.k, p.q, p.scaledQ, p.lengths, p.ridges, p.parts, p.state, p.facts, moments,
                        means, factors, sizes, settings)
                .task("moments", TileCovariance::moments, new KernelContext(), p.k, p.scaledQ, p.lengths, moments, means, p.capacity, 1, heads,
                        heads, 2, dim, TileCovariance.stages(), threads, TileCovariance.groupsPerUnit(dim, heads))
                .task("begin", TileCovarianceSolve::begin, new KernelContext(), p.k, p.q, p.ridges, p.lengths, moments, means, p.state, p.facts,
                        factors, sizes, settings, dim, shares, TileCovariance.parts(dim), 256, CgDecodeState.FINISH)
                .task("advance", TileCovarianceSolve::advance, new KernelContext(), p.ridges, p.parts, p.state, p.facts, factors, sizes, settings,
                        dim, heads, 0)
                .transferToHost(DataTransferMode.EVERY_EXECUTION, moments, means, p.state, p.facts);
    }

    /** The shared covariance's kernels alone, likewise. */
    public static TaskGraph preconditionedKernels(int heads, int dim, GridScheduler grids) {
        TileDecodeProblem p = new TileDecodeProblem(new Case(heads, 1, 300, dim, 2, 1, 0, 0));
        FloatArray numbers = poisoned(2 * heads * 2 * TilePcg.WIDTH);
        FloatArray moments = poisoned(2 * 2 * TilePcg.MOMENTS);
        FloatArray inverses = poisoned(2 * dim * dim);
        IntArray sizes = p.sizes(2, 2);
        FloatArray settings = DecodeSizes.settings(1, TOLERANCE);
        int[] threadsOf = {TileRing.THREADS, TilePcgBegin.THREADS, dim};
        String[] tasks = {"gather", "begin", "advance"};
        for (int i = 0; i < tasks.length; i++) {
            WorkerGrid1D grid = new WorkerGrid1D(threadsOf[i]);
            grid.setLocalWork(threadsOf[i], 1, 1);
            grids.addWorkerGrid("tile." + tasks[i], grid);
        }
        return new TaskGraph("tile")
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, p.k, p.q, p.scaledQ, p.lengths, p.ridges, p.parts, p.state, p.facts, moments,
                        numbers, inverses, sizes, settings)
                .task("gather", TilePcg::gather, new KernelContext(), p.k, p.scaledQ, p.lengths, numbers, moments, p.capacity, 1, heads, heads, 2,
                        TilePcg.stages(), TilePcg.groupsPerUnit())
                .task("begin", TilePcgBegin::run, new KernelContext(), p.k, p.q, p.ridges, p.lengths, numbers, moments, p.state, p.facts, inverses,
                        sizes, settings, heads, 2)
                .task("advance", TilePcgSolve::advance, new KernelContext(), p.q, p.ridges, p.parts, inverses, p.state, p.facts, sizes, settings, heads,
                        0, 3)
                .transferToHost(DataTransferMode.EVERY_EXECUTION, moments, numbers, p.state, p.facts);
    }

    /** That every head of both sequences was computed. */
    void check() {
        for (int sequence = 0; sequence < 2; sequence++) {
            AttentionShape shape = new AttentionShape(1, problem.heads, problem.kvHeads, 1, lengths.get(sequence), problem.dim, problem.dim);
            LlaOptions options = LlaOptions.defaults().withRidge(problem.ridge).withTolerance(1e-6f);
            try (Device device = Devices.open("reference"); LlaPlan plan = device.plan(shape, options)) {
                LlaResult expected = plan.newResult();
                float[] queries = new float[problem.heads * problem.dim];
                for (int i = 0; i < queries.length; i++) {
                    queries[i] = q.get(sequence * queries.length + i);
                }
                plan.forward(new LlaInputs(Tensor.of(queries, shape.queryDims()), rows(k, sequence, shape.keyDims()),
                        rows(v, sequence, shape.valueDims()), null), expected);
                double distance = 0;
                double size = 0;
                for (int i = 0; i < queries.length; i++) {
                    distance += Math.pow(expected.output().get(i) - o.get(sequence * queries.length + i), 2);
                    size += Math.pow(expected.output().get(i), 2);
                }
                double error = Math.sqrt(distance / size);
                if (Boolean.getBoolean("flashlla.test.print")) {
                    System.out.printf("%s: error of o %.2e%n", problem, error);
                }
                assertTrue(error <= problem.error, problem + ", sequence " + sequence + ": error " + error);
            }
        }
    }

    private Tensor rows(HalfFloatArray cache, int sequence, long[] dims) {
        int length = lengths.get(sequence);
        float[] rows = new float[problem.kvHeads * length * problem.dim];
        for (int i = 0; i < rows.length; i++) {
            int row = i / problem.dim;
            int at = (sequence * problem.kvHeads + row / length) * capacity + row % length;
            rows[i] = cache.get(CacheLayout.index(at, i % problem.dim, problem.dim)).getFloat32();
        }
        return Tensor.of(rows, dims);
    }
}
