package io.github.flashlla.tornado.ondevice;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Problems;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import io.github.flashlla.tornado.support.TestDevice;
import io.github.flashlla.tornadovm.DeviceProfile;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.ExactIterations;
import io.github.flashlla.verify.GoldenCase;
import io.github.flashlla.verify.RandomInputs;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The forward pass of one TornadoVM device against float64. */
public class ForwardOnDevice {
    private static final double BAR = 1e-4;
    private static final Path ROOT = Path.of(System.getProperty("flashlla.root", "."));

    private static Device device;

    @BeforeAll
    static void open() {
        device = TestDevice.open();
    }

    @AfterAll
    static void close() {
        device.close();
    }

    static List<GoldenCase> goldenCases() {
        return Problems.golden();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("goldenCases")
    void golden(GoldenCase golden) {
        LlaInputs inputs = golden.inputs().as(DataType.FLOAT32);
        LlaResult result = forward(inputs, golden.options());
        assertExactIterations(inputs, golden.options(), result, 1);
        assertError(golden.isPeaked() ? 1e-3 : BAR, Accuracy.relativeError(result.output(), golden.tensor("o")));
        assertError(BAR, Accuracy.relativeError(visible(result.logSumExp()), visible(golden.tensor("lse"))));
    }

    /** Head dims on both sides of every tile width, lengths that fit no tile, all ways to share and mask keys. */
    @ParameterizedTest
    @CsvSource({
        "1, 2, 1,  33,  97,  17,  60, true",
        "2, 3, 3,  70, 129,  64,  36, false",
        "1, 4, 2, 130,  67,  32,  64, true",
        "1, 2, 1,  40, 300, 256, 256, true",
        "1, 2, 2, 260, 260,  64,  64, true"})
    void raggedShapes(int batch, int heads, int kvHeads, int queries, int keys, int dim, int valueDim, boolean causal) {
        AttentionShape shape = new AttentionShape(batch, heads, kvHeads, queries, keys, dim, valueDim);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 7).withRidge(TestDevice.ridges(shape, 0.3, 10, 8));
        LlaOptions options = LlaOptions.defaults().withCausal(causal).withMaxIterations(300);
        LlaResult result = forward(inputs, options);
        assertError(BAR, Accuracy.relativeError(result.output(), TestDevice.expected(inputs, options)));
        assertTrue(result.worstResidual() <= options.tolerance(), "residual " + result.worstResidual());
        for (int row = 0; row < shape.rows(); row++) {
            int seen = shape.visibleKeys(row % queries, causal);
            if (seen == 0) {
                assertEquals(0, result.iterations()[row]);
                assertEquals(Double.NEGATIVE_INFINITY, result.logSumExp().get(row));
                assertEquals(0, result.output().get((long) row * valueDim));
            }
        }
    }

    /** Masks must hold where the largest product has the least score: keys that fill no tile, and such that not all queries see. */
    @ParameterizedTest
    @CsvSource({
        "1, 1, 1,   9,   9,  16,  16, true",
        "1, 2, 1,  33,  97,  17,  60, true",
        "1, 2, 2,  40,  67,  64,  64, false",
        "1, 1, 1,  20,  70, 256, 256, true"})
    void negativeScale(int batch, int heads, int kvHeads, int queries, int keys, int dim, int valueDim, boolean causal) {
        AttentionShape shape = new AttentionShape(batch, heads, kvHeads, queries, keys, dim, valueDim);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 9);
        LlaOptions options = LlaOptions.defaults().withScale(-0.25).withCausal(causal).withMaxIterations(300);
        assertError(BAR, Accuracy.relativeError(forward(inputs, options).output(), TestDevice.expected(inputs, options)));
    }

    /** Fewer keys than dims at small ridges: float32 alone is off by 1e-3 at 1e-3 and does not notice. */
    @ParameterizedTest
    @ValueSource(doubles = {1e-3, 1e-6})
    void fewKeysAtASmallRidge(double ridge) {
        LlaInputs inputs = RandomInputs.normal(AttentionShape.square(1, 1, 4, 64), DataType.FLOAT32, 13);
        LlaOptions options = LlaOptions.defaults().withRidge(ridge);
        LlaResult result = forward(inputs, options);
        assertError(BAR, Accuracy.relativeError(result.output(), TestDevice.expected(inputs, options)));
        assertTrue(result.worstResidual() <= options.tolerance(), "residual " + result.worstResidual());
    }

    /** Products of float16 where the device has units for them, of one warp or of four: lengths that fill no tile, all ways to share and mask keys. */
    @ParameterizedTest
    @CsvSource({
        "1, 2, 1,  33,  97, 17, 60, true",
        "2, 3, 3,  70, 129, 64, 36, false",
        "1, 4, 2, 130,  67, 32, 64, true",
        "1, 2, 2, 700, 700, 64, 64, true",
        "1, 2, 1, 300, 333, 96, 72, true",
        "1, 1, 1, 200, 200, 128, 128, false"})
    void float16Products(int batch, int heads, int kvHeads, int queries, int keys, int dim, int valueDim, boolean causal) {
        Assumptions.assumeTrue(device.info().precisions().contains(DataType.FLOAT16), "no matrix units");
        AttentionShape shape = new AttentionShape(batch, heads, kvHeads, queries, keys, dim, valueDim);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT16, 11).withRidge(TestDevice.ridges(shape, 1, 10, 12));
        LlaOptions options = LlaOptions.defaults().withCausal(causal).withPrecision(DataType.FLOAT16).withTolerance(1e-3)
                .withMaxIterations(300);
        Tensor expected = TestDevice.expected(inputs, options);
        String kernel = float16Products(inputs, options, expected);
        if (device.info().has(DeviceInfo.Trait.WARP_GROUPS)) {
            assertTrue(kernel.contains("warp_group"), kernel);
            DeviceProfile.forceKernel("tile");
            try {
                kernel = float16Products(inputs, options, expected);
                assertTrue(kernel.contains("tile"), kernel);
            } finally {
                DeviceProfile.forceKernel(null);
            }
        }
    }

    /** Returns the kernels' name, of a plan of its own: the device keeps plans, whatever kernel is forced since. */
    private static String float16Products(LlaInputs inputs, LlaOptions options, Tensor expected) {
        try (LlaPlan plan = device.plan(inputs.shape(), options)) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            assertError(5e-3, Accuracy.relativeError(result.output(), expected));
            assertTrue(result.worstResidual() <= options.tolerance(), "residual " + result.worstResidual());
            return result.computedBy();
        }
    }

    /** Queries, keys and values of a trained model, at two ridges; every 29th query is held against float64. */
    @ParameterizedTest
    @CsvSource({"1", "0.1"})
    void trainedHeads(double ridge) {
        Path folder = ROOT.resolve("bench/data/attention");
        LlaInputs inputs = LlaInputs.of(head(folder, "q"), head(folder, "k"), head(folder, "v"));
        LlaOptions options = LlaOptions.defaults().withRidge(ridge);
        LlaResult result = forward(inputs, options);
        assertError(BAR, Accuracy.sampledError(inputs, options, result, 1 + 1024 / 29).error());
        assertExactIterations(inputs, options, result, 29);
    }

    /** The first head alone: all four take a core of a CPU a minute. */
    private static Tensor head(Path folder, String name) {
        Tensor all = Npy.read(folder.resolve(name + ".npy"));
        MemorySegment first = all.segment().asSlice(0, all.byteSize() / all.dim(1));
        return Tensor.wrap(first, all.type(), 1, 1, all.dim(2), all.dim(3));
    }

    @Test
    void scoresOfTenThousand() {
        AttentionShape shape = AttentionShape.square(1, 2, 90, 16);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 3);
        LlaOptions options = LlaOptions.defaults().withScale(1e4 / 16).withMaxIterations(200);
        LlaResult result = forward(inputs, options);
        double largest = 0;
        for (long i = 0; i < result.logSumExp().size(); i++) {
            largest = Math.max(largest, Math.abs(result.logSumExp().get(i)));
        }
        assertTrue(largest > 1e4, "the scores only reach " + largest);
        assertError(1e-3, Accuracy.relativeError(result.output(), TestDevice.expected(inputs, options)));
    }

    /** From 1e-3 to 1e6 in one problem; a solve that was cut short says so. */
    @Test
    void ridgesSmallAndLargeAndACappedSolve() {
        AttentionShape shape = new AttentionShape(1, 2, 1, 96, 96, 32, 32);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 5).withRidge(TestDevice.ridges(shape, 1e-3, 1e6, 4));
        LlaOptions options = LlaOptions.defaults().withMaxIterations(400);
        LlaResult result = forward(inputs, options);
        assertTrue(result.worstResidual() <= options.tolerance(), "residual " + result.worstResidual());
        assertError(1e-3, Accuracy.relativeError(result.output(), TestDevice.expected(inputs, options)));
        LlaResult capped = forward(inputs, options.withMaxIterations(1));
        assertEquals(1, capped.maxIterations());
        assertTrue(capped.worstResidual() > options.tolerance(), "residual " + capped.worstResidual());
    }

    /** One visible key: o is that value, and there is nothing to solve. */
    @Test
    void oneKey() {
        AttentionShape shape = new AttentionShape(1, 1, 1, 40, 1, 12, 7);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 2);
        LlaResult result = forward(inputs, LlaOptions.defaults().withCausal(false));
        for (long n = 0; n < result.output().size(); n++) {
            assertEquals(inputs.v().get(n % 7), result.output().get(n), 1e-6);
        }
        assertTrue(result.maxIterations() <= 1, "iterations " + result.maxIterations());
    }

    /** Skips what no kernel of the device is written for, with the device's own words. */
    private static LlaResult forward(LlaInputs inputs, LlaOptions options) {
        try {
            return device.forward(inputs, options);
        } catch (InvalidInputException e) {
            Assumptions.assumeFalse(e.getMessage().contains("cannot take"), e.getMessage());
            throw e;
        }
    }

    /** Within one, as jvm has them: kept residuals leave nothing to the order of sums. All kernels but the plain loops take the first step along q. */
    private static void assertExactIterations(LlaInputs inputs, LlaOptions options, LlaResult result, int every) {
        boolean alongQuery = DeviceProfile.forcedKernel().map(kernel -> !kernel.equals("parallel")).orElse(device.info().type() != DeviceInfo.Type.ACCELERATOR);
        ExactIterations exact = new ExactIterations(inputs, options, alongQuery);
        for (int row = 0; row < result.iterations().length; row += every) {
            assertEquals(exact.of(row), result.iterations()[row], 1, "query " + row);
        }
    }

    private static Tensor visible(Tensor logSumExp) {
        Tensor finite = Tensor.allocate(DataType.FLOAT64, logSumExp.dims());
        for (long n = 0; n < finite.size(); n++) {
            finite.set(n, Math.max(-1e30, logSumExp.get(n)));
        }
        return finite;
    }

    private static void assertError(double bar, double error) {
        assertTrue(error <= bar, "off by " + error + ", more than " + bar); // false for NaN
    }
}
