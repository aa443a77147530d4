package io.github.flashlla.tornado.kernels.forward;

import static org.junit.jupiter.api.Assertions.assertAll;
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
import java.util.stream.Stream;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * Problems that reach every path of the tile kernels, and what each may miss float64 by.
 *
 * @param spike key 500, which the maximum is not taken from, is so many times q's first row; not if 0
 */
record TileCase(int heads, int group, int Sq, int Sk, int D, int Dv, boolean causal, float qTimes, float kPlus, float ridge, int spike,
        double errorO, double errorX, float tolerance) {

    TileCase(int heads, int group, int Sq, int Sk, int D, int Dv, boolean causal, float qTimes, float kPlus, float ridge, int spike,
            double errorO, double errorX) {
        this(heads, group, Sq, Sk, D, Dv, causal, qTimes, kPlus, ridge, spike, errorO, errorX, 1e-3f);
    }

    /** All of them. */
    static Stream<TileCase> all() {
        return Stream.of(
                new TileCase(2, 2, 70, 70, 64, 64, true, 1, 0, 1, 0, 1.5e-3, 1e-3),
                new TileCase(4, 2, 64, 64, 64, 64, false, 1, 0, 1, 0, 1.5e-3, 1e-3),
                new TileCase(1, 1, 33, 150, 40, 33, true, 1, 0, 0.1f, 0, 2e-3, 1e-3),
                new TileCase(1, 1, 20, 65, 64, 64, false, 1, 3, 1, 0, 2e-3, 1e-3),
                new TileCase(1, 1, 30, 11, 17, 64, true, 1, 0, 1, 0, 1e-3, 1e-3),
                new TileCase(1, 1, 70, 11, 64, 64, true, 1, 0, 1, 0, 1e-3, 1e-3),
                new TileCase(1, 1, 1, 1, 64, 64, true, 1, 0, 1, 0, 1e-3, 1e-3),
                new TileCase(1, 1, 16, 530, 64, 64, false, 20, 0, 1, 0, 5e-3, 1e-3),
                new TileCase(1, 1, 16, 100, 128, 128, false, 20, 0, 1, 0, 5e-3, 1e-3),
                new TileCase(1, 1, 16, 900, 64, 64, false, 1, 0, 1, 5, 3e-3, 1e-3),
                // weights beyond float16 in every pass; what o misses is kbar's rounding, times |x| of 200 and keys of 200
                new TileCase(1, 1, 16, 900, 64, 64, false, 1, 0, 1, 24, 5e-2, 1e-3),
                new TileCase(1, 1, 17, 70, 96, 72, true, 1, 0, 1, 0, 2e-3, 1e-3),
                new TileCase(1, 1, 17, 70, 64, 128, true, 1, 0, 1, 0, 2e-3, 1e-3),
                new TileCase(1, 1, 17, 70, 128, 20, false, 1, 0, 1, 0, 2e-3, 1e-3),
                // rows that take no iteration: x is the first step
                new TileCase(1, 1, 70, 70, 64, 64, true, 1, 0, 1, 0, 0.6, 0.3, 0.6f),
                new TileCase(1, 1, 17, 70, 72, 33, true, 1, 0, 1, 0, 0.6, 0.3, 0.6f));
    }

    LlaOptions options() {
        return LlaOptions.defaults().withCausal(causal).withTolerance(tolerance).withKeepState(true);
    }

    TileProblem problem() {
        return filled(new TileProblem(heads, group, Sq, Sk, D, Dv, causal, (float) options().scaleFor(D), tolerance, 64));
    }

    /** The same for the kernels of float32. */
    SplitProblem splitProblem() {
        return filled(new SplitProblem(heads, group, Sq, Sk, D, Dv, causal, (float) options().scaleFor(D), tolerance, 64));
    }

    private <P extends TileProblem> P filled(P problem) {
        problem.fill(7, qTimes, kPlus, ridge);
        for (int d = 0; spike != 0 && d < D; d++) {
            problem.k.set(500 * D + d, problem.held(spike * problem.q.get(d)));
        }
        return problem;
    }

    /** That the kernels ran on it, and computed every query. */
    void check(TileProblem problem) {
        LlaResult expected = expected(problem);
        assertAll(
                () -> assertError("o", problem.o, expected.output(), errorO),
                () -> assertError("kbar", problem.kbar, expected.kbar(), Math.min(1e-3, errorO)),
                () -> assertError("x", problem.x, expected.x(), errorX),
                () -> assertError("lse", problem.lse, expected.logSumExp(), Math.min(1e-4, errorO / 10)));
        for (int row = 0; row < heads * Sq; row++) {
            assertTrue(problem.stats.get(2 * row) >= 0 && problem.stats.get(2 * row + 1) <= tolerance, "row " + row + " of "
                    + problem.stats.get(2 * row) + " iterations has residual " + problem.stats.get(2 * row + 1));
        }
    }

    private LlaResult expected(TileProblem p) {
        AttentionShape shape = new AttentionShape(1, p.heads, p.heads / p.group, p.Sq, p.Sk, p.D, p.Dv);
        try (Device device = Devices.open("reference"); LlaPlan plan = device.plan(shape, options())) {
            LlaResult result = plan.newResult();
            plan.forward(new LlaInputs(tensor(p.q, shape.queryDims()), tensor(p.k, shape.keyDims()), tensor(p.v, shape.valueDims()),
                    tensor(p.ridge, shape.rowDims())), result);
            return result;
        }
    }

    private static Tensor tensor(FloatArray array, long[] dims) {
        return Tensor.of(array.toHeapArray(), dims);
    }

    private void assertError(String what, FloatArray found, Tensor expected, double bar) {
        assertEquals(expected.size(), found.getSize());
        double error = 0;
        double size = 0;
        for (int i = 0; i < found.getSize(); i++) {
            double e = expected.get(i);
            if (e != found.get(i)) {
                error += Math.pow(e - found.get(i), 2);
                size += e * e;
            } else if (Double.isFinite(e)) {
                size += e * e;
            }
        }
        double relative = Math.sqrt(error / Math.max(size, 1e-30));
        if (Boolean.getBoolean("flashlla.test.print")) {
            System.out.printf("%s: error of %s %.2e%n", this, what, relative);
        }
        assertTrue(relative <= bar, what + " has an error of " + relative);
    }
}
