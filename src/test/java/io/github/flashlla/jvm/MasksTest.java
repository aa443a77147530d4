package io.github.flashlla.jvm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.PackedPlan;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Problems;
import io.github.flashlla.Sequences;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.TensorFile;
import io.github.flashlla.verify.Accuracy;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Windows and packed sequences, against dense masks in float64 that {@code make.py} computes, against float64, and against single calls. */
class MasksTest {
    private static final LlaOptions OPTIONS = LlaOptions.defaults().withKeepState(true).withMaxIterations(200);

    @ParameterizedTest(name = "{0} {1}")
    @CsvSource({"window,jvm", "packed,jvm", "packed-window,jvm", "window,reference", "packed,reference", "packed-window,reference"})
    void equalDenseMasks(String name, String device) {
        LlaInputs inputs = LlaInputs.of(golden(name, "q"), golden(name, "k"), golden(name, "v")).withRidge(golden(name, "lambda").reshape(1, 2,
                golden(name, "lambda").dim(2)));
        Sequences sequences = switch (name) {
            case "window" -> new Sequences(new int[] {0, 40}, new int[] {0, 50});
            case "packed" -> new Sequences(new int[] {0, 1, 6, 18}, new int[] {0, 1, 10, 22});
            default -> new Sequences(new int[] {0, 1, 6, 18, 21}, new int[] {0, 1, 10, 22, 52});
        };
        LlaOptions options = OPTIONS.withTolerance(1e-6).withWindow(name.equals("window") ? 7 : name.equals("packed") ? 0 : 4);
        try (Device opened = Devices.open(device); PackedPlan plan = opened.packedPlan(inputs.shape(), options)) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, sequences, result);
            LlaGradients gradients = plan.newGradients();
            plan.backward(inputs, sequences, golden(name, "g"), gradients);
            double bar = device.equals("jvm") ? 1e-5 : 1e-7; // results are float32
            assertNear(golden(name, "o"), result.output(), bar);
            assertNear(golden(name, "dq"), gradients.dq(), 10 * bar);
            assertNear(golden(name, "dk"), gradients.dk(), 10 * bar);
            assertNear(golden(name, "dv"), gradients.dv(), 10 * bar);
            assertNear(golden(name, "dlambda"), gradients.dridge(), 10 * bar);
        }
    }

    private static void assertNear(Tensor want, Tensor found, double bar) {
        double error = Accuracy.relativeError(found, want);
        assertTrue(error <= bar, "off by " + error);
    }

    /** (1,H,S,dim) or (1,H,S) */
    private static Tensor golden(String name, String array) {
        Tensor tensor = new TensorFile(Path.of(System.getProperty("flashlla.root", "."), "src/test/resources/masks", name + ".npz"), array).read();
        return tensor.rank() == 3 ? tensor.reshape(1, tensor.dim(0), tensor.dim(1), tensor.dim(2)) : tensor.reshape(1, tensor.dim(0), tensor.dim(1));
    }

    /** Tiles have 64 keys, blocks 32 queries: windows that end within and between them, wider than all keys, and with and without kept weights. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 31, 33, 64, 128, 200, 500})
    void windowsEqualFloat64(int window) {
        AttentionShape shape = new AttentionShape(1, 4, 2, 170, 330, 24, 20);
        LlaInputs inputs = Problems.normal(shape, window);
        Tensor g = Problems.normal(new Random(window), DataType.FLOAT32, 1, shape.outputDims());
        LlaOptions options = OPTIONS.withTolerance(1e-6).withWindow(window);
        try (Device reference = Devices.open("reference"); LlaPlan exact = reference.plan(shape, options)) {
            LlaResult want = exact.newResult();
            exact.forward(inputs, want);
            LlaGradients wanted = exact.newGradients();
            exact.backward(inputs, want, g, wanted);
            for (boolean keep : new boolean[] {true, false}) {
                for (Preconditioner preconditioner : Preconditioner.values()) {
                    try (Device device = JvmDevices.open(JvmLoops.fastest(), 2, keep); LlaPlan plan = device.plan(shape, options.withPreconditioner(preconditioner))) {
                        LlaResult result = plan.newResult();
                        plan.forward(inputs, result);
                        LlaGradients gradients = plan.newGradients();
                        plan.backward(inputs, result, g, gradients);
                        assertNear(want.output(), result.output(), 1e-5);
                        assertNear(want.logSumExp(), result.logSumExp(), 1e-5);
                        assertNear(wanted.dq(), gradients.dq(), 1e-4);
                        assertNear(wanted.dk(), gradients.dk(), 1e-4);
                        assertNear(wanted.dv(), gradients.dv(), 1e-4);
                        assertTrue(window > 1 || result.maxIterations() == 0, "one key needs no solve");
                    }
                }
            }
        }
    }

    /** Blocks of keys that no query of a block sees are never visited: 8192 keys take 32 times as many pairs as a window of 128. */
    @Test
    void aWindowTakesLessThanATenthOfTheTime() {
        AttentionShape shape = AttentionShape.square(1, 1, 8192, 64);
        LlaInputs inputs = Problems.normal(shape, 1);
        LlaOptions options = LlaOptions.defaults().withTolerance(1e-3);
        try (Device device = Devices.open("jvm"); LlaPlan all = device.plan(shape, options); LlaPlan windowed = device.plan(shape, options.withWindow(128))) {
            double whole = Double.POSITIVE_INFINITY;
            double part = Double.POSITIVE_INFINITY;
            LlaResult result = windowed.newResult();
            for (int run = 0; run < 3; run++) {
                all.forward(inputs, result);
                whole = Math.min(whole, result.timing().wallNanos() / 1e6);
            }
            for (int run = 0; run < 100 && part >= whole / 10; run++) { // until compiled, and other work on the machine is no fault
                windowed.forward(inputs, result);
                part = Math.min(part, result.timing().wallNanos() / 1e6);
            }
            System.out.printf("8192 keys: %.1f ms, a window of 128: %.1f ms%n", whole, part);
            assertTrue(part < whole / 10, part + " ms of " + whole);
        }
    }

    /** Keys before the window weigh nothing, wherever it begins in a tile of 128. */
    @ParameterizedTest
    @EnumSource
    void stepsSeeTheirWindow(DecodeMethod method) {
        Random random = new Random(8);
        KvCacheShape shape = new KvCacheShape(2, 2, 6000, 24, 20, DataType.FLOAT32);
        try (Device jvm = Devices.open("jvm"); Device reference = Devices.open("reference");
                KvCache cache = jvm.kvCache(shape); KvCache exact = reference.kvCache(shape)) {
            JvmDecodeTest.fill(random, 1, new int[] {300, 5900}, cache, exact);
            Tensor q = Problems.normal(random, DataType.FLOAT32, 1, 2, 4, 1, 24);
            for (int window : new int[] {1, 5, 128, 129, 1000, 4500}) {
                LlaOptions options = LlaOptions.defaults().withWindow(window).withKeepState(true);
                try (DecodePlan plan = cache.decodePlan(4, options, method); DecodePlan oracle = exact.decodePlan(4, options)) {
                    LlaResult want = oracle.newResult();
                    oracle.decode(q, want);
                    LlaResult found = plan.newResult();
                    plan.decode(q, found);
                    assertNear(want.output(), found.output(), 1e-4);
                    assertNear(want.kbar(), found.kbar(), 1e-4);
                    assertNear(want.logSumExp(), found.logSumExp(), 1e-5);
                }
                int from = 5900 - Math.min(window, 5900); // what the window sees, alone
                try (Device device = Devices.open("reference")) {
                    LlaInputs seen = LlaInputs.of(q.part(0, 1, 1), cache.keys(1).part(2, from, 5900 - from), cache.values(1).part(2, from, 5900 - from));
                    assertNear(device.forward(seen, LlaOptions.defaults()).output(), decodeLast(exact, q, options), 1e-6);
                }
            }
        }
    }

    private static Tensor decodeLast(KvCache cache, Tensor q, LlaOptions options) {
        try (DecodePlan plan = cache.decodePlan(4, options)) {
            LlaResult result = plan.newResult();
            plan.decode(q, result);
            return result.output().part(0, 1, 1);
        }
    }

    @Test
    void packedSequencesEqualOneCallEach() {
        int[] lengths = {1, 17, 300, 1024, 0, 17};
        AttentionShape shape = new AttentionShape(1, 4, 2, 1359, 1359, 32, 32);
        LlaInputs inputs = Problems.normal(shape, 5);
        Tensor g = Problems.normal(new Random(6), DataType.FLOAT32, 1, shape.outputDims());
        try (Device device = Devices.open("jvm"); PackedPlan packed = device.packedPlan(shape, OPTIONS)) {
            LlaResult result = packed.newResult();
            LlaGradients gradients = packed.newGradients();
            packed.forward(inputs, Sequences.ofLengths(lengths), result);
            packed.backward(inputs, Sequences.ofLengths(lengths), g, gradients);
            int first = 0;
            long pairIterations = 0;
            for (int n : lengths) {
                if (n > 0) {
                    LlaInputs own = LlaInputs.of(inputs.q().part(2, first, n).copy(), inputs.k().part(2, first, n).copy(), inputs.v().part(2, first, n).copy());
                    try (LlaPlan plan = device.plan(own.shape(), OPTIONS)) {
                        LlaResult alone = plan.newResult();
                        plan.forward(own, alone);
                        LlaGradients ownGradients = plan.newGradients();
                        plan.backward(own, alone, g.part(2, first, n), ownGradients);
                        assertSame(alone.output(), result.output(), first, n);
                        assertSame(alone.logSumExp(), result.logSumExp(), first, n);
                        assertSame(alone.x(), result.x(), first, n);
                        assertSame(ownGradients.dq(), gradients.dq(), first, n);
                        assertSame(ownGradients.dk(), gradients.dk(), first, n);
                        assertSame(ownGradients.dv(), gradients.dv(), first, n);
                        assertEquals(alone.residual()[2 * n], result.residual()[2 * 1359 + first]);
                        pairIterations += alone.pairIterations();
                    }
                }
                first += n;
            }
            assertEquals(pairIterations, result.pairIterations());
            assertTrue(result.timing().wallNanos() > 0);
        }
    }

    private static void assertSame(Tensor alone, Tensor all, int first, int n) {
        assertArrayEquals(alone.toFloatArray(), all.part(2, first, n).toFloatArray(), n + " at " + first);
    }

    @Test
    void whatMakesNoSenseIsRefused() {
        assertThrows(InvalidInputException.class, () -> OPTIONS.withWindow(-1));
        for (int[] lengths : List.of(new int[] {1, -3}, new int[] {Integer.MAX_VALUE, 1})) {
            String said = assertThrows(InvalidInputException.class, () -> Sequences.ofLengths(lengths)).getMessage();
            assertTrue(said.startsWith("lengths of sequences must be 0 or more and add up to at most "), said);
        }
        assertThrows(InvalidInputException.class, () -> OPTIONS.withWindow(3).withCausal(false));
        assertThrows(InvalidInputException.class, () -> new Sequences(new int[] {0, 4, 3}, new int[] {0, 4, 5}));
        assertThrows(InvalidInputException.class, () -> new Sequences(new int[] {1, 4}, new int[] {0, 4}));
        assertThrows(InvalidInputException.class, () -> new Sequences(new int[] {0, 4}, new int[] {0, 0}));
        assertThrows(InvalidInputException.class, () -> new Sequences(new int[] {0, 4}, new int[] {0, 2, 4}));
        try (Device device = Devices.open("jvm")) {
            assertThrows(InvalidInputException.class, () -> device.packedPlan(AttentionShape.square(2, 1, 8, 4), OPTIONS));
            AttentionShape shape = AttentionShape.square(1, 1, 8, 4);
            try (PackedPlan plan = device.packedPlan(shape, OPTIONS)) {
                assertThrows(InvalidInputException.class, () -> plan.forward(Problems.normal(shape, 1), Sequences.ofLengths(3, 4), plan.newResult()));
            }
        }
    }
}
