package io.github.flashlla.tornado.ondevice;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.LlaResult;
import io.github.flashlla.tornado.support.TestDevice;
import io.github.flashlla.tornadovm.DeviceProfile;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.GoldenCase;
import io.github.flashlla.verify.RandomInputs;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The kernel of plain loops, which every backend must compile and compute with, whichever kernel the device would choose. */
class ParallelForwardOnDevice {
    private static final double BAR = 1e-4;
    /** Of the test vectors, those that no other case resembles. */
    private static final Set<String> FEW = Set.of("full", "grouped", "peaked", "per-query-ridge", "small-ridge", "wide");
    private static Device device;

    @BeforeAll
    static void open() {
        DeviceProfile.forceKernel("parallel");
        device = TestDevice.open();
    }

    @AfterAll
    static void close() {
        DeviceProfile.forceKernel(null);
        device.close();
    }

    static List<GoldenCase> goldenCases() {
        return ForwardOnDevice.goldenCases();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("goldenCases")
    void goldenWithinBars(GoldenCase golden) {
        assumeTrue(!device.info().backend().equals("spirv") || golden.name().equals("grouped"),
                "SPIR-V drivers compile this kernel for half a minute, and each shape anew");
        assumeTrue(device.info().type() != DeviceInfo.Type.CPU || FEW.contains(golden.name()), "a CPU takes 2 to 4 s to compile each case");
        LlaResult result = forward(golden.inputs().as(DataType.FLOAT32), golden.options());
        double error = Accuracy.relativeError(result.output(), golden.tensor("o"));
        assertTrue(error <= (golden.isPeaked() ? 1e-3 : BAR), "error " + error);
    }

    @ParameterizedTest
    @CsvSource({
        "1, 2, 1,  9, 13,   1,   1, false",
        "1, 4, 2, 21, 17,   5,  33, true",
        "2, 2, 2, 30, 30, 100,  64, true",
        "1, 2, 1, 17, 50, 256, 256, true",
        "1, 1, 1,  8, 70, 200, 256, false"})
    void everyHeadDimShareMaskAndRidge(int batch, int heads, int kvHeads, int queries, int keys, int dim, int valueDim, boolean causal) {
        assumeTrue(!device.info().backend().equals("spirv") || dim == 5, "SPIR-V drivers compile this kernel for half a minute, and each shape anew");
        AttentionShape shape = new AttentionShape(batch, heads, kvHeads, queries, keys, dim, valueDim);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 7).withRidge(TestDevice.ridges(shape, 0.3, 10, 8));
        LlaOptions options = LlaOptions.defaults().withCausal(causal).withMaxIterations(300);
        LlaResult result = forward(inputs, options);
        double error = Accuracy.relativeError(result.output(), TestDevice.expected(inputs, options));
        assertTrue(error <= BAR, "error " + error);
        assertTrue(result.worstResidual() <= options.tolerance(), "residual " + result.worstResidual());
    }

    private static LlaResult forward(LlaInputs inputs, LlaOptions options) {
        try (LlaPlan plan = device.plan(inputs.shape(), options)) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            return result;
        }
    }
}
