package io.github.flashlla.tornado.ondevice;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.LlaBackwardTasks;
import io.github.flashlla.tornado.LlaTasks;
import io.github.flashlla.tornado.buffers.FloatArrays;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.kernels.CpuWorkers;
import io.github.flashlla.tornado.kernels.forward.GpuForwardVariant;
import io.github.flashlla.tornado.support.TestDevice;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.GoldenCase;
import io.github.flashlla.verify.RandomInputs;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** The gradients of one TornadoVM device against float64. */
public class BackwardOnDevice {
    private static final double BAR = 3e-4;
    private static final Set<String> FEW = Set.of("grouped", "peaked", "per-query-ridge");

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
        return ForwardOnDevice.goldenCases();
    }

    /** Errors, and the same bits again, also after other inputs went through the plan. */
    @ParameterizedTest(name = "{0}")
    @MethodSource("goldenCases")
    void golden(GoldenCase golden) {
        Assumptions.assumeTrue(device.info().type() != DeviceInfo.Type.CPU || FEW.contains(golden.name()),
                "a CPU takes 3 to 10 s to compile each case; flashlla verify runs this one");
        LlaInputs inputs = golden.inputs().as(DataType.FLOAT32);
        AttentionShape shape = inputs.shape();
        Tensor g = golden.tensor("g").as(DataType.FLOAT32);
        try (LlaPlan plan = device.plan(shape, keeping(golden.options()))) {
            LlaResult saved = plan.newResult();
            plan.forward(inputs, saved);
            LlaGradients first = plan.newGradients();
            plan.backward(inputs, saved, g, first);
            assertErrors(golden.isPeaked() ? 1e-2 : BAR, first, golden.tensor("dq"), golden.tensor("dk"), golden.tensor("dv"),
                    golden.tensor("dridge"));
            assertFalse(saved.computedBy().isEmpty(), "forward's kernels have no name");
            boolean allInFloat64 = first.recomputedRows() == shape.rows(); // as those of a peaked softmax may be
            assertEquals(allInFloat64, first.computedBy().isEmpty(), "gradients' kernels: '" + first.computedBy() + "'");
            assertEquals(!allInFloat64, first.timing().kernelNanos() > 0 && first.timing().compileNanos() > 0);
            LlaGradients again = plan.newGradients();
            plan.backward(inputs, saved, g, again);
            assertEquals(0, again.timing().compileNanos());
            assertSame(first, again);
            plan.forward(RandomInputs.normal(shape, DataType.FLOAT32, 2), plan.newResult());
            plan.backward(inputs, saved, g, again);
            assertSame(first, again);
        }
    }

    /** Fewer keys than dims at small ridges, so that x is long: dk and dv hold x.(k - kbar), which is 0 for the query of one key. */
    @ParameterizedTest
    @CsvSource({"4, 64, 1e-3", "4, 64, 1e-6", "16, 128, 1e-3", "16, 128, 3e-3"})
    void fewKeysAtASmallRidge(int keys, int dim, double ridge) {
        AttentionShape shape = AttentionShape.square(1, 1, keys, dim);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 13);
        Tensor g = RandomInputs.gradient(shape);
        LlaOptions options = LlaOptions.defaults().withRidge(ridge).withKeepState(true);
        try (Device reference = Devices.open("reference"); LlaPlan exact = reference.plan(shape, options); LlaPlan plan = device.plan(shape, options)) {
            LlaGradients expected = gradients(exact, inputs, g);
            LlaGradients found = gradients(plan, inputs, g);
            assertError("dq", BAR, found.dq(), expected.dq());
            assertError("dk", BAR, found.dk(), expected.dk());
            assertError("dv", BAR, found.dv(), expected.dv());
        }
    }

    private static LlaGradients gradients(LlaPlan plan, LlaInputs inputs, Tensor g) {
        LlaResult saved = plan.newResult();
        plan.forward(inputs, saved);
        LlaGradients gradients = plan.newGradients();
        plan.backward(inputs, saved, g, gradients);
        return gradients;
    }

    /** Beyond q, k, v and o a plan holds twice their bytes at most, g and the gradients included; on CPUs more of small ones. */
    @Test
    void holdsLittleBesideTheTensors() {
        AttentionShape shape = AttentionShape.square(1, 1, 64, 64);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 1);
        try (LlaPlan plan = device.plan(shape, keeping(LlaOptions.defaults()))) {
            LlaResult saved = plan.newResult();
            plan.forward(inputs, saved);
            plan.backward(inputs, saved, RandomInputs.gradient(shape), plan.newGradients());
            long held = plan.workspaceBytes() + shape.tensorBytes(Float.BYTES);
            long scratch = device.info().type() == DeviceInfo.Type.CPU ? 2 * CpuWorkers.SMALL : GpuForwardVariant.KEPT_BYTES;
            assertTrue(held <= 2 * shape.tensorBytes(Float.BYTES) + scratch, held + " bytes");
        }
    }

    /** Queries that see no key, shared keys, values wider and narrower than keys, both kinds of mask and preconditioner. */
    @ParameterizedTest
    @CsvSource({"2, 4, 2, 75, 50, 20, 40, true, NONE", "1, 3, 1, 70, 131, 100, 9, false, JACOBI",
        "1, 2, 1, 40, 70, 256, 256, true, NONE"})
    void raggedShapes(int batch, int heads, int kvHeads, int queries, int keys, int dim, int valueDim, boolean causal,
            Preconditioner preconditioner) {
        AttentionShape shape = new AttentionShape(batch, heads, kvHeads, queries, keys, dim, valueDim);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 7).withRidge(TestDevice.ridges(shape, 0.3, 10, 8));
        assertRight(inputs, keeping(LlaOptions.defaults().withCausal(causal).withPreconditioner(preconditioner)));
    }

    /** Masks must hold where the largest product has the least score. Of head dims that other tests have compiled: {@link #raggedShapes} has the odd ones. */
    @ParameterizedTest
    @CsvSource({"9, 9, 16, 16, true", "40, 67, 64, 64, false"})
    void negativeScale(int queries, int keys, int dim, int valueDim, boolean causal) {
        AttentionShape shape = new AttentionShape(1, 2, 1, queries, keys, dim, valueDim);
        assertRight(RandomInputs.normal(shape, DataType.FLOAT32, 9),
                keeping(LlaOptions.defaults().withScale(-0.25).withCausal(causal)));
    }

    /** Products of float16 where the device has units for them; {@code TileBackwardOnDevice} has the kernels of single warps at every path. */
    @ParameterizedTest
    @CsvSource({"1, 2, 1, 130, 150, 64, 64, true", "1, 1, 1, 70, 90, 96, 64, false", "1, 2, 2, 70, 70, 128, 20, true"})
    void float16Products(int batch, int heads, int kvHeads, int queries, int keys, int dim, int valueDim, boolean causal) {
        Assumptions.assumeTrue(device.info().precisions().contains(DataType.FLOAT16), "no matrix units");
        AttentionShape shape = new AttentionShape(batch, heads, kvHeads, queries, keys, dim, valueDim);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT16, 11);
        LlaOptions options = keeping(LlaOptions.defaults().withCausal(causal));
        Tensor g = RandomInputs.gradient(shape);
        LlaGradients want = expected(inputs, options, g);
        try (LlaPlan plan = device.plan(shape, options.withPrecision(DataType.FLOAT16).withTolerance(1e-3))) {
            LlaGradients found = gradients(plan, inputs, g);
            assertErrors(2e-2, found, want.dq(), want.dk(), want.dv(), want.dridge());
            if (device.info().has(DeviceInfo.Trait.WARP_GROUPS)) {
                assertTrue(found.computedBy().contains("warp_group"), found.computedBy());
            }
        }
    }

    private static void assertRight(LlaInputs inputs, LlaOptions options) {
        Tensor g = RandomInputs.gradient(inputs.shape());
        LlaGradients want = expected(inputs, options, g);
        try (LlaPlan plan = device.plan(inputs.shape(), options)) {
            LlaResult saved = plan.newResult();
            plan.forward(inputs, saved);
            LlaGradients found = plan.newGradients();
            plan.backward(inputs, saved, g, found);
            assertErrors(BAR, found, want.dq(), want.dk(), want.dv(), want.dridge());
            for (float residual : found.residual()) {
                assertTrue(residual <= options.tolerance(), "residual " + residual);
            }
        }
    }

    /** Both passes in one graph of the caller's: what forward saves does not leave the device. */
    @Test
    void inAGraphOfTheCallers() throws Exception {
        AttentionShape shape = new AttentionShape(1, 2, 1, 20, 30, 16, 12);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 3);
        LlaOptions options = keeping(LlaOptions.defaults());
        Tensor g = RandomInputs.gradient(shape);
        FloatArray[] in = {array(inputs.q()), array(inputs.k()), array(inputs.v()), array(g)};
        FloatArray[] out = {LlaBuffers.array(shape.queryDims()), LlaBuffers.array(shape.keyDims()),
            LlaBuffers.array(shape.valueDims()), LlaBuffers.array(shape.outputDims())};
        LlaTasks forward = LlaTasks.of(TestDevice.NAME, shape, options, in[0], in[1], in[2], null, out[3]);
        LlaBackwardTasks backward = LlaBackwardTasks.of(forward, in[3], out[0], out[1], out[2], null);
        GridScheduler grids = new GridScheduler();
        TaskGraph graph = new TaskGraph("training").transferToDevice(DataTransferMode.EVERY_EXECUTION, (Object[]) in)
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, (Object[]) out);
        forward.appendTo(graph, grids);
        backward.appendTo(graph, grids);
        graph.transferToHost(DataTransferMode.EVERY_EXECUTION, (Object[]) out);
        try (TornadoExecutionPlan plan = new TornadoExecutionPlan(graph.snapshot())) {
            forward.configure(plan).withGridScheduler(grids);
            TornadoExecutionResult result = plan.execute();
            forward.check(result);
            backward.check(result);
        }
        LlaGradients want = expected(inputs, options, g);
        LlaGradients found = new LlaGradients(shape, DataType.FLOAT32);
        FloatArrays.store(out[0], found.dq());
        FloatArrays.store(out[1], found.dk());
        FloatArrays.store(out[2], found.dv());
        assertError("dq", BAR, found.dq(), want.dq());
        assertError("dk", BAR, found.dk(), want.dk());
        assertError("dv", BAR, found.dv(), want.dv());
        assertTrue(backward.iterations()[19] > 0 && backward.residual()[19] <= options.tolerance());
    }

    @Test
    void refusesWhatItCannotUse() {
        AttentionShape shape = new AttentionShape(1, 1, 1, 20, 20, 16, 16);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 1);
        Tensor g = RandomInputs.gradient(shape);
        try (LlaPlan plan = device.plan(shape, LlaOptions.defaults())) {
            assertRefused("keeps no state", plan, inputs, plan.newResult(), g);
        }
        try (LlaPlan plan = device.plan(shape, keeping(LlaOptions.defaults()))) {
            assertRefused("has shape (1,1,20,15)", plan, inputs, plan.newResult(), Tensor.allocate(DataType.FLOAT32, 1, 1, 20, 15));
        }
    }

    private static void assertRefused(String said, LlaPlan plan, LlaInputs inputs, LlaResult saved, Tensor g) {
        String message = assertThrows(InvalidInputException.class,
                () -> plan.backward(inputs, saved, g, plan.newGradients())).getMessage();
        assertTrue(message.contains(said), message);
    }

    private static LlaOptions keeping(LlaOptions options) {
        return options.withTolerance(1e-6).withMaxIterations(256).withKeepState(true);
    }

    private static LlaGradients expected(LlaInputs inputs, LlaOptions options, Tensor g) {
        try (Device reference = Devices.open("reference"); LlaPlan plan = reference.plan(inputs.shape(), options)) {
            LlaResult saved = plan.newResult();
            plan.forward(inputs, saved);
            LlaGradients gradients = plan.newGradients();
            plan.backward(inputs, saved, g, gradients);
            return gradients;
        }
    }

    private static FloatArray array(Tensor tensor) {
        FloatArray array = LlaBuffers.array(tensor.dims());
        FloatArrays.load(tensor, array);
        return array;
    }

    private static void assertSame(LlaGradients one, LlaGradients other) {
        assertArrayEquals(one.dq().toFloatArray(), other.dq().toFloatArray());
        assertArrayEquals(one.dk().toFloatArray(), other.dk().toFloatArray());
        assertArrayEquals(one.dv().toFloatArray(), other.dv().toFloatArray());
        assertArrayEquals(one.dridge().toFloatArray(), other.dridge().toFloatArray());
    }

    private static void assertErrors(double bar, LlaGradients found, Tensor dq, Tensor dk, Tensor dv, Tensor dridge) {
        assertError("dq", bar, found.dq(), dq);
        assertError("dk", bar, found.dk(), dk);
        assertError("dv", bar, found.dv(), dv);
        assertError("dridge", bar, found.dridge(), dridge);
    }

    private static void assertError(String name, double bar, Tensor found, Tensor want) {
        double error = Accuracy.relativeError(found, want);
        assertTrue(error <= bar, name + " is off by " + error + ", more than " + bar); // false for NaN
    }
}
