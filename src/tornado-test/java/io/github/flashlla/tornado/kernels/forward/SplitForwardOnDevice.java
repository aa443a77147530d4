package io.github.flashlla.tornado.kernels.forward;

import static org.junit.jupiter.api.Assertions.assertEquals;
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
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import io.github.flashlla.tornado.kernels.tile.TileOnDevice;
import io.github.flashlla.tornado.support.TestDevice;
import io.github.flashlla.tornadovm.DeviceProfile;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.RandomInputs;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;

/** The kernels of float32 by three products on a GPU against float64. */
class SplitForwardOnDevice {
    private static final Path DATA = Path.of(System.getProperty("flashlla.root", ".")).resolve("bench/data/attention");
    private static final LlaOptions OPTIONS = LlaOptions.defaults().withTolerance(2e-4).withMaxIterations(300);

    private static Device device;

    @BeforeAll
    static void open() {
        TileOnDevice.assumeOperations();
        device = TestDevice.open();
    }

    @AfterAll
    static void close() {
        if (device != null) {
            device.close();
        }
    }

    @ParameterizedTest
    @MethodSource("io.github.flashlla.tornado.kernels.forward.SplitForwardOnJvm#cases")
    void agrees(TileCase problemCase) throws Exception {
        SplitProblem problem = problemCase.splitProblem();
        GridScheduler grids = new GridScheduler();
        try (TornadoExecutionPlan plan = new TornadoExecutionPlan(problem.graph("split", grids).snapshot())) {
            plan.withGridScheduler(grids).execute();
        }
        problemCase.check(problem);
    }

    /** Plans of shapes that fit no tile, and gradients from the state that these kernels keep, which have kernels of three products, too. */
    @ParameterizedTest
    @CsvSource({"2, 4, 2, 130, 67, 32, 64, true", "1, 3, 3, 70, 129, 64, 36, false", "1, 2, 1, 70, 90, 128, 128, true"})
    void plans(int batch, int heads, int kvHeads, int queries, int keys, int dim, int valueDim, boolean causal) {
        AttentionShape shape = new AttentionShape(batch, heads, kvHeads, queries, keys, dim, valueDim);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 7).withRidge(TestDevice.ridges(shape, 0.3, 10, 8));
        LlaOptions options = OPTIONS.withCausal(causal).withKeepState(true);
        DeviceProfile.forceKernel("split");
        try (LlaPlan plan = device.plan(shape, options); Device reference = Devices.open("reference");
                LlaPlan exact = reference.plan(shape, options.withTolerance(1e-9))) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            LlaResult expected = exact.newResult();
            exact.forward(inputs, expected);
            assertError(2e-4, Accuracy.relativeError(result.output(), expected.output()));
            assertTrue(result.worstResidual() <= options.tolerance(), "residual " + result.worstResidual());
            for (int row = 0; row < shape.rows(); row++) {
                if (shape.visibleKeys(row % queries, causal) == 0) {
                    assertEquals(0, result.iterations()[row]);
                    assertEquals(Double.NEGATIVE_INFINITY, result.logSumExp().get(row));
                    assertEquals(0, result.output().get((long) row * valueDim));
                }
            }
            Tensor g = RandomInputs.gradient(shape);
            LlaGradients gradients = plan.newGradients();
            plan.backward(inputs, result, g, gradients);
            LlaGradients exactGradients = exact.newGradients();
            exact.backward(inputs, expected, g, exactGradients);
            assertError(1e-3, Accuracy.relativeError(gradients.dq(), exactGradients.dq()));
            assertError(1e-3, Accuracy.relativeError(gradients.dk(), exactGradients.dk()));
            assertError(1e-3, Accuracy.relativeError(gradients.dv(), exactGradients.dv()));
        } finally {
            DeviceProfile.forceKernel(null);
        }
    }

    /** Queries, keys and values of a trained model, all heads at two ridges; every 29th query is held against float64. */
    @ParameterizedTest
    @CsvSource({"1", "0.1"})
    void trainedHeads(double ridge) {
        LlaInputs inputs = LlaInputs.of(Npy.read(DATA.resolve("q.npy")), Npy.read(DATA.resolve("k.npy")), Npy.read(DATA.resolve("v.npy")));
        DeviceProfile.forceKernel("split");
        try {
            LlaResult result = device.forward(inputs, OPTIONS.withRidge(ridge));
            assertError(3e-4, Accuracy.sampledError(inputs, OPTIONS.withRidge(ridge), result, 1 + 1024 / 29).error());
        } finally {
            DeviceProfile.forceKernel(null);
        }
    }

    private static void assertError(double bar, double error) {
        if (Boolean.getBoolean("flashlla.test.print")) {
            System.out.println("error " + error);
        }
        assertTrue(error <= bar, "error " + error + " is above " + bar);
    }
}
