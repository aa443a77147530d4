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
import io.github.flashlla.LlaInputs.Strides;
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
import io.github.flashlla.tornado.buffers.CacheRows;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.support.BothPasses;
import io.github.flashlla.tornado.support.ShortPasses;
import io.github.flashlla.tornado.support.TestDevice;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.RandomInputs;
import java.nio.file.Path;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import uk.ac.manchester.tornado.api.types.arrays.BFloat16Array;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/** Strides, windows and packed sequences as data of the kernels: both passes, with outputs that are NaN before. */
class ViewsOnDevice {
    private static final LlaOptions OPTIONS = LlaOptions.defaults().withKeepState(true).withTolerance(1e-6).withMaxIterations(256);
    private static final double BAR = 2e-4;
    private static final boolean HALVES = CacheRows.hasHalf(BackendDevices.open(TestDevice.NAME).info());
    /** Whether kernels take strides; elsewhere tensors are copied on the device. */
    private static final boolean IN_PLACE = !TestDevice.NAME.startsWith("spirv");

    /** (B,S,H,D), and q, k and v in one array, equal float64, and (B,H,S,D) with work arrays as large where kernels take strides. */
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
        long bytes = LlaTasks.of(BackendDevices.open(TestDevice.NAME), shape, OPTIONS).workspaceBytes();
        try (BothPasses passes = passes(shape, OPTIONS, LlaArrays.packed(shape, BothPasses.array(qkv), out[0]), g, out)) {
            passes.run();
            assertEquals(bytes + (IN_PLACE ? 0 : shape.tensorBytes(Float.BYTES)), passes.forward().workspaceBytes());
            String said = passes.forward().describe();
            assertTrue(said.contains(IN_PLACE ? "nothing is copied" : "are q (float32, strides), k (float32, strides)"), said);
        }
        assertGradients(shape, expected(inputs, OPTIONS, g, Sequences.ofLengths(75)), out);
    }

    /** Arrays in float16, and in bfloat16 where TornadoVM has it, all eight of both passes: (B,S,H,D), q, k and v in one array. */
    @ParameterizedTest
    @EnumSource(names = {"FLOAT16", "BFLOAT16"})
    void shortTypesEndToEnd(DataType type) throws Exception {
        assumeTrue(type == DataType.FLOAT16 ? HALVES : TestDevice.NAME.startsWith("cuda"), "the device has no " + type);
        AttentionShape shape = new AttentionShape(2, 4, 2, 75, 75, 24, 24);
        Tensor qkv = rounded(RandomInputs.normal(new AttentionShape(2, 75, 75, 8, 8, 24, 24), DataType.FLOAT32, 7).q(), type);
        LlaInputs inputs = LlaInputs.packed(qkv, 4, 2);
        Tensor g = rounded(RandomInputs.gradient(shape), type);
        Expected want = expected(inputs, OPTIONS, g);
        double bar = type == DataType.FLOAT16 ? 1e-3 : 8e-3; // of rounding what is written
        try (ShortPasses passes = new ShortPasses(shape, OPTIONS, type, qkv, g)) {
            passes.run();
            assertNear("o", want.o(), passes.o(), bar);
            assertNear("dq", want.gradients().dq(), passes.dq(), bar);
            assertNear("dk", want.gradients().dk(), passes.dk(), bar);
            assertNear("dv", want.gradients().dv(), passes.dv(), bar);
            assertTrue(passes.describe().contains("q (" + type.name().toLowerCase(Locale.ROOT) + ", strides)"), passes.describe());
        }
    }

    /** On matrix units, whose kernels take row-major tensors: copies are made on the device, and said. */
    @Test
    void float16ProductsOfViews() throws Exception {
        try (Device device = TestDevice.open()) {
            assumeTrue(device.info().precisions().contains(DataType.FLOAT16), "the device does not compute in float16");
        }
        AttentionShape shape = new AttentionShape(2, 4, 2, 150, 150, 64, 64);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 7);
        Tensor g = RandomInputs.gradient(shape);
        LlaOptions options = OPTIONS.withPrecision(DataType.FLOAT16).withTolerance(1e-3);
        FloatArray[] out = outputs(shape);
        Expected want = expected(inputs, OPTIONS, g);
        try (BothPasses passes = passes(shape, options, rows(inputs, out[0]), g, out)) {
            passes.run();
            assertTrue(passes.forward().describe().contains("q (float32, strides)"), passes.forward().describe());
            assertEquals(DataType.FLOAT16, passes.forward().options().precision());
        }
        assertNear("o", want.o(), BothPasses.tensor(out[0], true, shape.outputDims()), 5e-3);
        assertNear("dq", want.gradients().dq(), BothPasses.tensor(out[1], true, shape.queryDims()), 1e-2);
        assertNear("dk", want.gradients().dk(), BothPasses.tensor(out[2], true, shape.keyDims()), 1e-2);
        assertNear("dv", want.gradients().dv(), BothPasses.tensor(out[3], true, shape.valueDims()), 1e-2);
        LlaTasks windowed = LlaTasks.of(TestDevice.NAME, shape, options.withWindow(9), rows(inputs, out[0]));
        assertTrue(windowed.describe().contains("nothing is copied. Products are in float32"), windowed.describe());
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
        if (!name.equals("packed-window")) {
            TestDevice.assumeQuickCompiler();
        }
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
        assertNear("o", golden(name, "o"), BothPasses.tensor(out[0], true, shape.outputDims()));
        assertNear("dq", golden(name, "dq"), BothPasses.tensor(out[1], true, shape.queryDims()));
        assertNear("dk", golden(name, "dk"), BothPasses.tensor(out[2], true, shape.keyDims()));
        assertNear("dv", golden(name, "dv"), BothPasses.tensor(out[3], true, shape.valueDims()));
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
        assertRefused("must fill its array of 65", shape, LlaArrays.of(q, k, v, new FloatArray(65)).rowsFirst(shape));
        assertRefused("reaches to 64", shape, LlaArrays.of(new FloatArray(63), k, v, new FloatArray(64)).rowsFirst(shape));
        if (!HALVES) {
            assertRefused("no half type", shape, LlaArrays.of(new HalfFloatArray(64), new HalfFloatArray(64), new HalfFloatArray(64),
                    new HalfFloatArray(64)));
        }
        if (!TestDevice.NAME.startsWith("cuda")) {
            assertRefused("bfloat16 on cuda alone", shape, LlaArrays.of(new BFloat16Array(64), new BFloat16Array(64), new BFloat16Array(64),
                    new BFloat16Array(64)));
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
        AttentionShape s = inputs.shape();
        return LlaArrays.of(array(inputs.q()), array(inputs.k()), array(inputs.v()), o).withStrides(rows(s.queryLength(), s.heads(), s.headDim()),
                rows(s.keyLength(), s.kvHeads(), s.headDim()), rows(s.keyLength(), s.kvHeads(), s.valueDim()), rows(s.queryLength(), s.heads(), s.valueDim()));
    }

    /** What {@link LlaArrays#rowsFirst} gives to (B,S,H,D). */
    private static Strides rows(int length, int heads, int dim) {
        return new Strides(0, (long) length * heads * dim, dim, (long) heads * dim);
    }

    private static BothPasses passes(AttentionShape shape, LlaOptions options, LlaArrays arrays, Tensor g, FloatArray[] out) {
        LlaArrays gradients = LlaArrays.of(out[1], out[2], out[3], array(g));
        return new BothPasses(shape, options, arrays, gradients.rowsFirst(shape));
    }

    private static void assertGradients(AttentionShape shape, Expected want, FloatArray[] out) {
        assertNear("o", want.o(), BothPasses.tensor(out[0], true, shape.outputDims()));
        assertNear("dq", want.gradients().dq(), BothPasses.tensor(out[1], true, shape.queryDims()));
        assertNear("dk", want.gradients().dk(), BothPasses.tensor(out[2], true, shape.keyDims()));
        assertNear("dv", want.gradients().dv(), BothPasses.tensor(out[3], true, shape.valueDims()));
    }

    private static void assertNear(String name, Tensor want, Tensor found) {
        assertNear(name, want, found, BAR);
    }

    private static void assertNear(String name, Tensor want, Tensor found, double bar) {
        double error = Accuracy.relativeError(found, want);
        assertTrue(error <= bar, name + " is off by " + error); // false for NaN
    }

    private static Tensor rounded(Tensor tensor, DataType type) {
        Tensor rounded = Tensor.allocate(type, tensor.dims());
        for (long i = 0; i < tensor.size(); i++) {
            rounded.set(i, tensor.get(i));
        }
        return rounded;
    }

    private static FloatArray array(Tensor tensor) {
        return BothPasses.array(tensor.permute(0, 2, 1, 3));
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
