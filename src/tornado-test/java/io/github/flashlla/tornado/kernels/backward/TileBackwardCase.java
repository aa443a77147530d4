package io.github.flashlla.tornado.kernels.backward;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.kernels.tile.BackwardRow;
import java.util.stream.Stream;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Problems that reach every path of the backward tile kernels, and what each may miss float64 by. */
record TileBackwardCase(int heads, int group, int Sq, int Sk, int D, int Dv, boolean causal, float qTimes, float gTimes, float kPlus,
        float vPlus, float ridge, double error, double ridgeError, float tolerance) {
    private static final float TOLERANCE = 1e-3f;

    TileBackwardCase(int heads, int group, int Sq, int Sk, int D, int Dv, boolean causal, float qTimes, float gTimes, float kPlus, float vPlus,
            float ridge, double error, double ridgeError) {
        this(heads, group, Sq, Sk, D, Dv, causal, qTimes, gTimes, kPlus, vPlus, ridge, error, ridgeError, TOLERANCE);
    }

    /** All of them. */
    static Stream<TileBackwardCase> all() {
        return Stream.of(
                new TileBackwardCase(2, 2, 70, 70, 64, 64, true, 1, 1, 0, 0, 1, 3e-3, 6e-3),
                new TileBackwardCase(2, 2, 64, 64, 64, 64, false, 1, 1e-6f, 0, 0, 1, 3e-3, 6e-3),
                new TileBackwardCase(1, 1, 33, 150, 40, 33, true, 1, 1000, 0, 0, 0.1f, 5e-3, 1e-2),
                new TileBackwardCase(1, 1, 20, 200, 64, 64, false, 1, 1, 3, 10, 1, 5e-3, 1e-2),
                new TileBackwardCase(1, 1, 100, 11, 17, 64, true, 1, 1, 0, 0, 1, 3e-3, 6e-3),
                new TileBackwardCase(1, 1, 1, 1, 64, 64, true, 1, 1, 0, 0, 1, 3e-3, 6e-3),
                new TileBackwardCase(1, 1, 40, 100, 64, 64, true, 4, 1, 0, 0, 1, 1e-2, 2e-2),
                // scores in the hundreds, x of 160
                new TileBackwardCase(1, 1, 64, 300, 64, 64, true, 20, 1, 0, 0, 1, 1e-2, 2e-2),
                // x of 1600: what one float16 number leaves of x and u shows
                new TileBackwardCase(1, 1, 40, 100, 64, 64, true, 20, 1, 0, 0, 0.1f, 1e-2, 2e-2),
                new TileBackwardCase(1, 1, 70, 90, 96, 64, false, 20, 1, 0, 0, 1, 5e-3, 2e-2),
                new TileBackwardCase(1, 1, 17, 70, 96, 72, true, 1, 1, 0, 0, 1, 3e-3, 6e-3),
                new TileBackwardCase(2, 2, 40, 70, 128, 20, true, 1, 1, 0, 0, 1, 5e-3, 1e-2));
    }

    LlaOptions options() {
        return LlaOptions.defaults().withCausal(causal).withTolerance(tolerance).withKeepState(true);
    }

    TileBackwardProblem problem() {
        return filled(new TileBackwardProblem(heads, group, Sq, Sk, D, Dv, causal, (float) options().scaleFor(D), tolerance, 64));
    }

    SplitBackwardProblem splitProblem() {
        return (SplitBackwardProblem) filled(new SplitBackwardProblem(heads, group, Sq, Sk, D, Dv, causal, (float) options().scaleFor(D), tolerance, 64));
    }

    private TileBackwardProblem filled(TileBackwardProblem problem) {
        problem.fill(7, qTimes, gTimes, kPlus, vPlus, ridge);
        reference(problem, (LlaResult forward, LlaGradients ignored) -> {
            copy(forward.logSumExp(), problem.lse);
            copy(forward.kbar(), problem.kbar);
            copy(forward.x(), problem.x);
        });
        return problem;
    }

    /** That the kernels ran on it, and computed every gradient. */
    void check(TileBackwardProblem p) {
        reference(p, (LlaResult ignored, LlaGradients expected) -> assertAll(
                () -> assertError("dq", p.dq, expected.dq(), error),
                () -> assertError("dk", p.dk, expected.dk(), error),
                () -> assertError("dv", p.dv, expected.dv(), error),
                () -> assertError("dridge", p.dridge, expected.dridge(), ridgeError)));
        for (int row = 0; row < heads * Sq; row++) {
            float count = p.rows.get(row * BackwardRow.ROW_SCALARS + BackwardRow.ITERATIONS);
            float residual = p.rows.get(row * BackwardRow.ROW_SCALARS + BackwardRow.RESIDUAL);
            assertTrue(count >= 0 && residual <= tolerance, "row " + row + " of " + count + " iterations has residual " + residual);
            assertTrue(Float.isFinite(p.rows.get(row * BackwardRow.ROW_SCALARS + BackwardRow.MU)), "mu of row " + row);
        }
        for (int key = 0; key < p.visited.getSize(); key++) {
            assertTrue(p.visited.get(key) >= 0, "key " + key);
        }
    }

    private interface Outcome {
        void see(LlaResult forward, LlaGradients gradients);
    }

    private void reference(TileBackwardProblem p, Outcome outcome) {
        AttentionShape shape = new AttentionShape(1, heads, heads / group, Sq, Sk, D, Dv);
        try (Device device = Devices.open("reference"); LlaPlan plan = device.plan(shape, options())) {
            LlaResult result = plan.newResult();
            LlaGradients gradients = plan.newGradients();
            LlaInputs inputs = new LlaInputs(tensor(p.q, shape.queryDims()), tensor(p.k, shape.keyDims()), tensor(p.v, shape.valueDims()),
                    tensor(p.ridge, shape.rowDims()));
            plan.forward(inputs, result);
            plan.backward(inputs, result, tensor(p.g, shape.outputDims()), gradients);
            outcome.see(result, gradients);
        }
    }

    private static void copy(Tensor from, FloatArray to) {
        for (int i = 0; i < to.getSize(); i++) {
            to.set(i, (float) from.get(i));
        }
    }

    private static Tensor tensor(FloatArray array, long[] dims) {
        return Tensor.of(array.toHeapArray(), dims);
    }

    private void assertError(String what, FloatArray found, Tensor expected, double bar) {
        assertEquals(expected.size(), found.getSize());
        double distance = 0;
        double size = 0;
        for (int i = 0; i < found.getSize(); i++) {
            distance += Math.pow(expected.get(i) - found.get(i), 2);
            size += Math.pow(expected.get(i), 2);
        }
        double relative = Math.sqrt(distance / Math.max(size, 1e-4 * gTimes * gTimes)); // a lone key's dk and dq are 0
        if (Boolean.getBoolean("flashlla.test.print")) {
            System.out.printf("%s: error of %s %.2e of %.2e%n", this, what, relative, Math.sqrt(size));
        }
        assertTrue(relative <= bar, what + " has an error of " + relative);
    }
}
