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
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** The tile kernels, run by the JVM, against float64. */
class TileForwardOnJvm {
    @ParameterizedTest
    @CsvSource({
        // heads, group, Sq, Sk, D, Dv, causal, q times, k plus, ridge, error of o, of x
        "2, 2, 70, 70, 64, 64, true, 1, 0, 1, 1.5e-3, 2e-3",
        "1, 1, 33, 150, 40, 33, true, 1, 0, 0.1, 3e-3, 4e-3",
        "1, 1, 20, 65, 64, 64, false, 1, 3, 1, 2e-3, 2e-3",
        "1, 1, 30, 11, 17, 64, true, 1, 0, 1, 2e-3, 2e-3",
        "1, 1, 16, 530, 64, 64, false, 20, 0, 1, 5e-3, 4e-3",
        "1, 1, 17, 70, 96, 72, true, 1, 0, 1, 2e-3, 2e-3",
        "1, 1, 17, 70, 128, 20, false, 1, 0, 1, 2e-3, 2e-3"})
    void agrees(int heads, int group, int Sq, int Sk, int D, int Dv, boolean causal, float qTimes, float kPlus, float ridge, double errorO,
            double errorX) {
        LlaOptions options = LlaOptions.defaults().withCausal(causal).withTolerance(1e-3).withKeepState(true);
        TileProblem problem = new TileProblem(heads, group, Sq, Sk, D, Dv, causal, (float) options.scaleFor(D), 1e-3f, 64)
                .fill(7, qTimes, kPlus, ridge);
        problem.runOnJvm();
        LlaResult expected = expected(problem, options);
        assertAll(
                () -> assertError("o", problem.o, expected.output(), errorO),
                () -> assertError("kbar", problem.kbar, expected.kbar(), 1e-3),
                () -> assertError("x", problem.x, expected.x(), errorX),
                () -> assertError("lse", problem.lse, expected.logSumExp(), 1e-4));
        for (int row = 0; row < heads * Sq; row++) {
            assertTrue(problem.stats.get(2 * row) >= 0 && problem.stats.get(2 * row + 1) <= 1e-3f, "row " + row + " of "
                    + problem.stats.get(2 * row) + " iterations has residual " + problem.stats.get(2 * row + 1));
        }
    }

    private static LlaResult expected(TileProblem p, LlaOptions options) {
        AttentionShape shape = new AttentionShape(1, p.heads, p.heads / p.group, p.Sq, p.Sk, p.D, p.Dv);
        try (Device device = Devices.open("reference"); LlaPlan plan = device.plan(shape, options)) {
            LlaResult result = plan.newResult();
            plan.forward(new LlaInputs(tensor(p.q, shape.queryDims()), tensor(p.k, shape.keyDims()), tensor(p.v, shape.valueDims()),
                    tensor(p.ridge, shape.rowDims())), result);
            return result;
        }
    }

    private static Tensor tensor(FloatArray array, long[] dims) {
        return Tensor.of(array.toHeapArray(), dims);
    }

    private static void assertError(String what, FloatArray found, Tensor expected, double bar) {
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
        System.out.printf("%s %.2e%n", what, relative);
        assertTrue(relative <= bar, what + " has an error of " + relative);
    }
}
