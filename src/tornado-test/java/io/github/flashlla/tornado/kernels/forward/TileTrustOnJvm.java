package io.github.flashlla.tornado.kernels.forward;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.SolveState;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import io.github.flashlla.precise.PrecisePlan;
import java.nio.file.Path;
import java.util.Random;
import java.util.function.BiConsumer;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Float16's errors stay within its bars, or the result says so: trained heads, with q as it is and with scores in the hundreds. */
class TileTrustOnJvm {
    private static final int LENGTH = 128;
    private static final int D = 64;
    private static final AttentionShape SHAPE = new AttentionShape(1, 1, 1, LENGTH, LENGTH, D, D);
    private static final double BAR = 5e-3;
    private static final double GRADIENT_BAR = 1e-2;
    private static final double ROW_BAR = 2e-2;

    /** A result's error is within the bar, or estimated to be beyond it, or it has queries that are not solved. */
    @ParameterizedTest
    @CsvSource({"20, 1, 1e-2", "20, 0.1, 1e-3"})
    void isRightOrSaysSo(double qTimes, double ridge, double tolerance) {
        try (PrecisePlan plan = new PrecisePlan("emulated", SHAPE, options(ridge, tolerance), o -> new EmulatedTilePlan(SHAPE, o))) {
            LlaInputs inputs = inputs(qTimes);
            LlaResult found = plan.newResult();
            plan.forward(inputs, found);
            LlaGradients foundGradients = plan.newGradients();
            Tensor g = gradient();
            plan.backward(inputs, found, g, foundGradients);
            reference(inputs, options(ridge, tolerance), g, (expected, gradients) -> {
                assertTrue(found.estimatedError() > BAR || found.count(SolveState.UNSOLVED, tolerance) > 0
                        || error(found.output(), expected.output()) <= BAR, () -> "o is off by " + error(found.output(), expected.output()));
                assertAll(() -> assertGradient("dq", foundGradients.dq(), gradients.dq(), foundGradients, tolerance),
                        () -> assertGradient("dk", foundGradients.dk(), gradients.dk(), foundGradients, tolerance),
                        () -> assertGradient("dv", foundGradients.dv(), gradients.dv(), foundGradients, tolerance));
            });
        }
    }

    /** Of the kernels alone, a query that is far off says that it is not solved; most are right, and say that they are solved. */
    @ParameterizedTest
    @CsvSource({"1, 1, 1e-3, false", "20, 0.1, 1e-2, false", "1, 0.1, 1e-3, true", "20, 1, 1e-3, true"})
    void queriesSaySo(double qTimes, double ridge, double tolerance, boolean warpGroups) {
        try (EmulatedTilePlan plan = new EmulatedTilePlan(SHAPE, options(ridge, tolerance))) {
            if (warpGroups) {
                plan.byWarpGroups();
            }
            LlaInputs inputs = inputs(qTimes);
            LlaResult found = plan.newResult();
            plan.forward(inputs, found);
            reference(inputs, options(ridge, tolerance), gradient(), (expected, gradients) -> {
                double typical = size(expected.output(), 0, expected.output().size()) / Math.sqrt(LENGTH);
                int solved = 0;
                for (int row = 0; row < LENGTH; row++) {
                    double off = distance(found.output(), expected.output(), row * D, D) / Math.max(typical, size(expected.output(), row * D, D));
                    boolean says = found.residual()[row] > tolerance;
                    assertTrue(off <= ROW_BAR || says, "query " + row + " is off by " + off + ", and its residual is " + found.residual()[row]);
                    solved += says ? 0 : 1;
                }
                assertTrue(solved > LENGTH / 2, "only " + solved + " say that they are solved");
                if (solved == LENGTH) {
                    assertTrue(error(found.output(), expected.output()) <= BAR, () -> "o is off by " + error(found.output(), expected.output()));
                }
            });
        }
    }

    private static LlaOptions options(double ridge, double tolerance) {
        return LlaOptions.defaults().withCausal(true).withRidge(ridge).withTolerance(tolerance).withKeepState(true)
                .withPrecision(DataType.FLOAT16);
    }

    private static LlaInputs inputs(double qTimes) {
        return LlaInputs.of(head("q", qTimes), head("k", 1), head("v", 1));
    }

    private static Tensor gradient() {
        Tensor g = Tensor.allocate(DataType.FLOAT32, SHAPE.outputDims());
        Random random = new Random(3);
        for (int i = 0; i < g.size(); i++) {
            g.set(i, Float.float16ToFloat(Float.floatToFloat16((float) random.nextGaussian())));
        }
        return g;
    }

    private static void reference(LlaInputs inputs, LlaOptions options, Tensor g, BiConsumer<LlaResult, LlaGradients> then) {
        try (Device device = Devices.open("reference"); LlaPlan plan = device.plan(SHAPE, options.withPrecision(DataType.FLOAT32).withTolerance(1e-5))) {
            LlaResult expected = plan.newResult();
            plan.forward(inputs, expected);
            LlaGradients gradients = plan.newGradients();
            plan.backward(inputs, expected, g, gradients);
            then.accept(expected, gradients);
        }
    }

    private static void assertGradient(String what, Tensor found, Tensor expected, LlaGradients all, double tolerance) {
        assertTrue(all.count(SolveState.UNSOLVED, tolerance) > 0 || error(found, expected) <= GRADIENT_BAR,
                () -> what + " is off by " + error(found, expected));
    }

    private static Tensor head(String name, double times) {
        Tensor all = Npy.read(Path.of("bench/data/attention", name + ".npy"));
        Tensor head = Tensor.allocate(DataType.FLOAT32, 1, 1, LENGTH, D);
        for (int i = 0; i < head.size(); i++) {
            head.set(i, Float.float16ToFloat(Float.floatToFloat16((float) (all.get(i) * times))));
        }
        return head;
    }

    private static double error(Tensor found, Tensor expected) {
        return distance(found, expected, 0, expected.size()) / size(expected, 0, expected.size());
    }

    private static double distance(Tensor found, Tensor expected, long from, long count) {
        double sum = 0;
        for (long i = from; i < from + count; i++) {
            sum += Math.pow(found.get(i) - expected.get(i), 2);
        }
        return Math.sqrt(sum);
    }

    private static double size(Tensor tensor, long from, long count) {
        double sum = 0;
        for (long i = from; i < from + count; i++) {
            sum += Math.pow(tensor.get(i), 2);
        }
        return Math.sqrt(sum);
    }
}
