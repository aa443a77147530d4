package io.github.flashlla.tornado.ondevice;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.PackedPlan;
import io.github.flashlla.Sequences;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.TensorFile;
import io.github.flashlla.tornado.LlaArrays;
import io.github.flashlla.tornado.LlaTasks;
import io.github.flashlla.tornado.buffers.ArrayView;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.support.BothPasses;
import io.github.flashlla.tornado.support.TestDevice;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.RandomInputs;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Strides, windows and packed sequences as data of the kernels: both passes, with outputs that are NaN before. */
class ViewsOnDevice {
    private static final LlaOptions OPTIONS = LlaOptions.defaults().withKeepState(true).withTolerance(1e-6).withMaxIterations(256);
    private static final double BAR = 2e-4;
    /** Whether tensors are (B,S,H,D), where kernels take strides. */
    private static final boolean ROWS = !TestDevice.NAME.startsWith("spirv");

    /** (B,S,H,D), and q, k and v in one array, equal float64, and (B,H,S,D) with work arrays as large. */
    @Test
    void stridesCopyNothing() throws Exception {
        AttentionShape shape = new AttentionShape(2, 4, 2, 75, 75, 20, 20);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 7);
        Tensor g = RandomInputs.gradient(shape);
        Tensor qkv = Tensor.allocate(DataType.FLOAT32, 2, 75, 8, 20);
        LlaInputs parts = LlaInputs.packed(qkv, 4, 2);
        copy(inputs.q(), parts.q());
        copy(inputs.k(), parts.k());
        copy(inputs.v(), parts.v());
        FloatArray[] out = outputs(shape);
        if (!ROWS) {
            assertRefused("with strides is not valid", shape, LlaArrays.packed(shape, BothPasses.array(qkv), out[0]));
            return;
        }
        long bytes = LlaTasks.of(BackendDevices.open(TestDevice.NAME), shape, OPTIONS).workspaceBytes();
        try (BothPasses passes = passes(shape, OPTIONS, LlaArrays.packed(shape, BothPasses.array(qkv), out[0]), g, out)) {
            passes.run();
            assertEquals(bytes, passes.forward().workspaceBytes());
        }
        assertGradients(shape, expected(inputs, OPTIONS, g, Sequences.ofLengths(75)), out);
    }

    /** One compiled graph, lengths as data: each sequence as alone, in float64. */
    @ParameterizedTest
    @ValueSource(ints = {0, 40})
    void packedSequencesAreData(int window) throws Exception {
        AttentionShape shape = new AttentionShape(1, 2, 1, 343, 343, 24, 20);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 5);
        Tensor g = RandomInputs.gradient(shape);
        LlaOptions options = OPTIONS.withWindow(window);
        Sequences first = Sequences.ofLengths(1, 17, 300, 0, 25);
        FloatArray[] out = outputs(shape);
        try (BothPasses passes = passes(shape, options, rows(inputs, out[0]).withSequences(first), g, out)) {
            for (Sequences sequences : new Sequences[] {first, new Sequences(new int[] {0, 5, 100, 343}, new int[] {0, 90, 100, 343})}) {
                passes.setSequences(sequences);
                passes.run();
                assertGradients(shape, expected(inputs, options, g, sequences), out);
            }
            assertThrows(InvalidInputException.class, () -> passes.setSequences(Sequences.ofLengths(1, 2)));
        }
    }

    /** What {@code make.py} computes with dense masks in float64, all sequences in one call. */
    @ParameterizedTest
    @ValueSource(strings = {"window", "packed", "packed-window"})
    void equalDenseMasks(String name) throws Exception {
        LlaInputs inputs = LlaInputs.of(golden(name, "q"), golden(name, "k"), golden(name, "v"));
        AttentionShape shape = inputs.shape();
        Sequences sequences = switch (name) {
            case "window" -> new Sequences(new int[] {0, 40}, new int[] {0, 50});
            case "packed" -> new Sequences(new int[] {0, 1, 6, 18}, new int[] {0, 1, 10, 22});
            default -> new Sequences(new int[] {0, 1, 6, 18, 21}, new int[] {0, 1, 10, 22, 52});
        };
        LlaOptions options = OPTIONS.withWindow(name.equals("window") ? 7 : name.equals("packed") ? 0 : 4);
        FloatArray[] out = outputs(shape);
        LlaArrays arrays = rows(inputs, out[0]).withRidge(BothPasses.array(golden(name, "lambda"))).withSequences(sequences);
        try (BothPasses passes = passes(shape, options, arrays, golden(name, "g"), out)) {
            passes.run();
        }
        assertNear("o", golden(name, "o"), BothPasses.tensor(out[0], ROWS, shape.outputDims()));
        assertNear("dq", golden(name, "dq"), BothPasses.tensor(out[1], ROWS, shape.queryDims()));
        assertNear("dk", golden(name, "dk"), BothPasses.tensor(out[2], ROWS, shape.keyDims()));
        assertNear("dv", golden(name, "dv"), BothPasses.tensor(out[3], ROWS, shape.valueDims()));
    }

    /** Tiles have 16 to 128 keys, blocks 16 to 128 queries: windows that end within and between them. */
    @ParameterizedTest
    @ValueSource(ints = {1, 33, 128, 500})
    void windowsEqualFloat64(int window) {
        TestDevice.assumeQuickCompiler();
        AttentionShape shape = new AttentionShape(1, 4, 2, 170, 330, 24, 20);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, window);
        Tensor g = RandomInputs.gradient(shape);
        LlaOptions options = OPTIONS.withWindow(window);
        Expected want = expected(inputs, options, g, new Sequences(new int[] {0, 170}, new int[] {0, 330}));
        try (Device device = TestDevice.open(); LlaPlan plan = device.plan(shape, options)) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            LlaGradients gradients = plan.newGradients();
            plan.backward(inputs, result, g, gradients);
            assertNear("o", want.o(), result.output());
            assertNear("dq", want.gradients().dq(), gradients.dq());
            assertNear("dk", want.gradients().dk(), gradients.dk());
            assertNear("dv", want.gradients().dv(), gradients.dv());
            assertTrue(result.worstResidual() <= options.tolerance(), "residual " + result.worstResidual());
        }
    }

    /** Blocks of keys that no query of a block sees are never visited. */
    @Test
    void aWindowTakesLessThanATenthOfTheTime() {
        assumeTrue(Boolean.getBoolean("flashlla.test.times"), "a time is asked for by -Dflashlla.test.times=true, on a machine that does nothing else");
        AttentionShape shape = AttentionShape.square(1, TestDevice.isCpu() ? 1 : 32, 8192, 64);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 1);
        LlaOptions options = LlaOptions.defaults().withTolerance(1e-3);
        try (Device device = TestDevice.open()) {
            double whole = fastest(device, shape, options, inputs, 2, 0);
            double part = fastest(device, shape, options.withWindow(128), inputs, 40, whole / 10);
            System.out.printf("%s, 8192 keys: %.1f ms, a window of 128: %.1f ms%n", TestDevice.NAME, whole, part);
            assertTrue(part < whole / 10, part + " ms of " + whole);
        }
    }

    /** Milliseconds that the kernels take, in as many runs as it takes to get below the goal: other work on the machine is no fault. */
    private static double fastest(Device device, AttentionShape shape, LlaOptions options, LlaInputs inputs, int most, double goal) {
        double fastest = Double.POSITIVE_INFINITY;
        try (LlaPlan plan = device.plan(shape, options)) {
            LlaResult result = plan.newResult();
            for (int run = 0; run < most && fastest >= goal; run++) {
                plan.forward(inputs, result);
                fastest = Math.min(fastest, result.timing().kernelNanos() / 1e6);
            }
        }
        return fastest;
    }

    @Test
    void whatItCannotUseIsRefused() {
        AttentionShape shape = AttentionShape.square(1, 2, 8, 4);
        FloatArray q = new FloatArray(64);
        FloatArray k = new FloatArray(64);
        FloatArray v = new FloatArray(64);
        if (ROWS) {
            assertRefused("must fill its array of 65", shape, LlaArrays.of(q, k, v, new FloatArray(65)).rowsFirst(shape));
            assertRefused("reaches to 64", shape, LlaArrays.of(new FloatArray(63), k, v, new FloatArray(64)).rowsFirst(shape));
        }
        assertRefused("v is another one", shape, LlaArrays.of(q, k, k, new FloatArray(64)));
        assertRefused("7 keys in all", shape, LlaArrays.of(q, k, v, new FloatArray(64)).withSequences(Sequences.ofLengths(3, 4)));
    }

    private static void assertRefused(String said, AttentionShape shape, LlaArrays arrays) {
        String message = assertThrows(InvalidInputException.class, () -> LlaTasks.of(TestDevice.NAME, shape, OPTIONS, arrays)).getMessage();
        assertTrue(message.contains(said), message);
    }

    private record Expected(Tensor o, LlaGradients gradients) {}

    private static Expected expected(LlaInputs inputs, LlaOptions options, Tensor g, Sequences sequences) {
        if (inputs.shape().batch() > 1) {
            return expected(inputs, options, g);
        }
        try (Device reference = Devices.open("reference"); PackedPlan plan = reference.packedPlan(inputs.shape(), options)) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, sequences, result);
            LlaGradients gradients = plan.newGradients();
            plan.backward(inputs, sequences, g, gradients);
            return new Expected(result.output(), gradients);
        }
    }

    private static Expected expected(LlaInputs inputs, LlaOptions options, Tensor g) {
        try (Device reference = Devices.open("reference"); LlaPlan plan = reference.plan(inputs.shape(), options)) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            LlaGradients gradients = plan.newGradients();
            plan.backward(inputs, result, g, gradients);
            return new Expected(result.output(), gradients);
        }
    }

    /** o, dq, dk and dv. */
    private static FloatArray[] outputs(AttentionShape shape) {
        return new FloatArray[] {LlaBuffers.array(shape.outputDims()), LlaBuffers.array(shape.queryDims()), LlaBuffers.array(shape.keyDims()),
            LlaBuffers.array(shape.valueDims())};
    }

    private static LlaArrays rows(LlaInputs inputs, FloatArray o) {
        LlaArrays arrays = LlaArrays.of(array(inputs.q()), array(inputs.k()), array(inputs.v()), o);
        return ROWS ? arrays.rowsFirst(inputs.shape()) : arrays;
    }

    private static BothPasses passes(AttentionShape shape, LlaOptions options, LlaArrays arrays, Tensor g, FloatArray[] out) {
        return new BothPasses(shape, options, arrays, view(array(g), shape.outputDims()), view(out[1], shape.queryDims()),
                view(out[2], shape.keyDims()), view(out[3], shape.valueDims()));
    }

    private static ArrayView view(FloatArray array, long[] dims) {
        return ROWS ? ArrayView.rowsFirst(array, (int) dims[2], (int) dims[1], (int) dims[3]) : ArrayView.of(array);
    }

    private static void assertGradients(AttentionShape shape, Expected want, FloatArray[] out) {
        assertNear("o", want.o(), BothPasses.tensor(out[0], ROWS, shape.outputDims()));
        assertNear("dq", want.gradients().dq(), BothPasses.tensor(out[1], ROWS, shape.queryDims()));
        assertNear("dk", want.gradients().dk(), BothPasses.tensor(out[2], ROWS, shape.keyDims()));
        assertNear("dv", want.gradients().dv(), BothPasses.tensor(out[3], ROWS, shape.valueDims()));
    }

    private static void assertNear(String name, Tensor want, Tensor found) {
        double error = Accuracy.relativeError(found, want);
        assertTrue(error <= BAR, name + " is off by " + error); // false for NaN
    }

    private static FloatArray array(Tensor tensor) {
        return BothPasses.array(ROWS ? tensor.permute(0, 2, 1, 3) : tensor);
    }

    private static void copy(Tensor from, Tensor to) {
        float[] values = from.toFloatArray();
        to.copyFrom(values, 0, 0, values.length);
    }

    /** (1,H,S,dim) or (1,H,S) */
    static Tensor golden(String name, String array) {
        Tensor tensor = new TensorFile(Path.of(System.getProperty("flashlla.root", "."), "src/test/resources/masks", name + ".npz"), array).read();
        return tensor.rank() == 3 ? tensor.reshape(1, tensor.dim(0), tensor.dim(1), tensor.dim(2)) : tensor.reshape(1, tensor.dim(0), tensor.dim(1));
    }
}
