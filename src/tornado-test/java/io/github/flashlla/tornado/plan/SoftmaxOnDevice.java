package io.github.flashlla.tornado.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Problems;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.tornado.choice.KernelTable;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.kernels.SoftmaxVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.support.SoftmaxExpected;
import io.github.flashlla.tornado.support.TestDevice;
import io.github.flashlla.tornadovm.Pass;
import io.github.flashlla.verify.GoldenCase;
import io.github.flashlla.verify.RandomInputs;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Softmax attention of one TornadoVM device against float64. */
class SoftmaxOnDevice {
    private static final double BAR = 1e-5;
    private static final Set<String> FEW = Set.of("grouped", "peaked", "tiny", "wide");
    private static Device device;
    private static BackendDevice entry;
    private static DeviceState state;

    @BeforeAll
    static void open() {
        device = TestDevice.open();
        entry = BackendDevices.open(TestDevice.NAME);
        state = new DeviceState(TestDevice.NAME);
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
        assumeTrue(!VariantDevice.of(entry).isCpu() || FEW.contains(golden.name()), "on CPUs a few, since each is compiled anew");
        LlaInputs inputs = golden.inputs().as(DataType.FLOAT32);
        try (LlaPlan plan = device.softmaxPlan(inputs.shape(), golden.options())) {
            SoftmaxExpected.of(inputs, golden.options()).check(run(plan, inputs), golden.isPeaked() ? 1e-4 : BAR, BAR);
        }
    }

    /** Every kernel that the device takes: head dims on both sides of tile widths, lengths that fit no tile, masks, shared keys. */
    @ParameterizedTest
    @CsvSource({
        "1, 2, 1,  33,  97,  17,  60, true",
        "2, 3, 3,  70, 129,  64,  36, false",
        "1, 4, 2, 130,  67,  32,  64, true",
        "1, 2, 1,  40, 300, 128, 100, true",
        "1, 1, 1,  30,  70, 200, 256, false",
        "1, 2, 1,   9,   5,   1,   3, true"})
    void everyKernel(int batch, int heads, int kvHeads, int queries, int keys, int dim, int valueDim, boolean causal) {
        AttentionShape shape = new AttentionShape(batch, heads, kvHeads, queries, keys, dim, valueDim);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 7);
        // a negative scale would show masks that are put on before scaling
        LlaOptions options = LlaOptions.defaults().withCausal(causal).withScale(dim == 17 ? -0.25 : 1 / Math.sqrt(dim));
        SoftmaxExpected expected = SoftmaxExpected.of(inputs, options);
        VariantDevice traits = VariantDevice.of(entry);
        int ran = 0;
        for (KernelTable.Verdict verdict : KernelTable.verdicts(Pass.SOFTMAX, traits, shape, options)) {
            SoftmaxVariant variant = (SoftmaxVariant) verdict.variant();
            if (verdict.refusal().isEmpty() && isQuicklyCompiled(variant, dim)) {
                try (LlaPlan plan = new TornadoSoftmaxPlan(state, entry, shape, options, variant)) {
                    run(plan, inputs); // what a second run leaves out would be NaN
                    expected.check(run(plan, inputs), BAR, BAR);
                }
                ran++;
            }
        }
        assertTrue(ran > 0);
    }

    /** The drivers of CPUs compile kernels for GPUs and plain loops for seconds, those of SPIR-V for many. */
    private static boolean isQuicklyCompiled(SoftmaxVariant variant, int dim) {
        return switch (variant.id()) {
            case "gpu" -> !VariantDevice.of(entry).isCpu() || dim == 64 && entry.info().backend().equals("opencl");
            case "parallel" -> !VariantDevice.of(entry).isCpu() || dim == 1 || dim == 17 && entry.info().backend().equals("opencl");
            default -> true;
        };
    }

    @ParameterizedTest
    @CsvSource({
        "1, 2, 1,  33,  97, 17, 60, true",
        "2, 3, 3,  70, 129, 64, 36, false",
        "1, 4, 2, 130,  67, 32, 64, true",
        "1, 2, 2, 700, 700, 64, 64, true",
        "1, 2, 1, 300, 333, 96, 72, true",
        "1, 1, 1, 200, 200, 128, 128, false"})
    void float16Products(int batch, int heads, int kvHeads, int queries, int keys, int dim, int valueDim, boolean causal) {
        assumeTrue(device.info().precisions().contains(DataType.FLOAT16), "no matrix units");
        AttentionShape shape = new AttentionShape(batch, heads, kvHeads, queries, keys, dim, valueDim);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT16, 11);
        LlaOptions options = LlaOptions.defaults().withCausal(causal).withPrecision(DataType.FLOAT16);
        try (LlaPlan plan = device.softmaxPlan(shape, options)) {
            SoftmaxExpected.of(inputs, options).check(run(plan, inputs), 2e-3, 1e-3);
        }
    }

    /** Why no kernel takes a problem, and that a plan is of one shape and usable as long as it is open. */
    @Test
    void refusals() {
        AttentionShape shape = AttentionShape.square(1, 1, 8, 256);
        LlaOptions half = LlaOptions.defaults().withPrecision(DataType.FLOAT16);
        String message = assertThrows(InvalidInputException.class, () -> device.softmaxPlan(shape, half)).getMessage();
        assertTrue(message.contains(device.info().precisions().contains(DataType.FLOAT16) ? "tile: it takes head dims up to 128" : "float16"),
                message);
        String window = assertThrows(InvalidInputException.class,
                () -> device.softmaxPlan(shape, LlaOptions.defaults().withWindow(3))).getMessage();
        assertTrue(window.contains("window"), window);
        LlaInputs inputs = RandomInputs.normal(AttentionShape.square(1, 1, 8, 4), DataType.FLOAT32);
        LlaPlan plan = device.softmaxPlan(inputs.shape(), LlaOptions.defaults());
        LlaResult result = run(plan, inputs);
        assertEquals(0, result.maxIterations());
        LlaInputs other = RandomInputs.normal(AttentionShape.square(1, 1, 9, 4), DataType.FLOAT32);
        assertThrows(InvalidInputException.class, () -> plan.forward(other, result));
        plan.close();
        assertThrows(IllegalStateException.class, () -> plan.forward(inputs, result));
    }

    private static LlaResult run(LlaPlan plan, LlaInputs inputs) {
        LlaResult result = plan.newResult();
        plan.forward(inputs, result);
        return result;
    }
}
