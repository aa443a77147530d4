package io.github.flashlla.jvm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Problems;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.Npy;
import io.github.flashlla.jvm.block.BlockLoops;
import io.github.flashlla.process.VectorModule;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.ExactIterations;
import io.github.flashlla.verify.GoldenCase;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

class JvmForwardTest {

    static List<JvmLoops> kernels() {
        assertTrue(JvmLoops.hasVectorModule(), "the tests run with " + VectorModule.FLAG);
        return List.of(JvmLoops.vector(), JvmLoops.scalar());
    }

    static Stream<Arguments> goldenCases() {
        return Problems.golden().stream().flatMap(c -> kernels().stream().flatMap(k ->
                Stream.of(Preconditioner.values()).map(p -> Arguments.of(c, p, k))));
    }

    @ParameterizedTest(name = "{0} {1}")
    @MethodSource("goldenCases")
    void golden(GoldenCase golden, Preconditioner preconditioner, JvmLoops kernels) {
        LlaOptions options = golden.options().withTolerance(1e-5).withKeepState(true).withPreconditioner(preconditioner)
                .withMaxIterations(200);
        try (JvmDevice device = JvmDevices.open(kernels, 2, true)) {
            LlaResult result = device.forward(golden.inputs(), options);
            double bar = golden.name().equals("peaked") ? 1e-3 : 1e-4;
            double error = Accuracy.relativeError(result.output(), golden.tensor("o"));
            assertTrue(error <= bar, "o is off by " + error);
            assertTrue(Accuracy.relativeError(result.kbar(), golden.tensor("kbar")) <= 1e-6, "kbar");
            assertTrue(Accuracy.relativeError(result.logSumExp(), golden.tensor("lse")) <= 1e-6, "lse");
            assertTrue(Accuracy.relativeError(result.x(), golden.tensor("x")) <= 10 * bar, "x");
            assertTrue(result.worstResidual() <= options.tolerance(), "residual " + result.worstResidual());
        }
    }

    /**
     * Sizes and the code they reach: less than one block, one block exactly and one more; tiles of 64 keys, exactly and
     * one more; dims that are padded to a multiple of 4; Sq above Sk, whose first queries see no key.
     */
    @ParameterizedTest(name = "{0}x{1}/{2} Sq={3} Sk={4} D={5} Dv={6} causal={7}")
    @CsvSource({
        "1,1,1,1,1,1,1,true", "1,1,1,5,5,8,8,true", "1,2,1,32,32,3,5,true", "2,4,2,33,97,17,60,true",
        "1,3,3,70,129,100,36,false", "1,1,1,64,64,16,16,true", "1,2,2,65,65,9,130,true", "1,2,1,5,300,256,256,true",
        "1,1,1,130,1,12,7,false", "1,2,1,40,7,6,6,true", "3,2,1,1,66,64,64,true", "1,1,1,31,128,31,33,false"})
    void raggedShapes(int batch, int heads, int kvHeads, int queries, int keys, int dim, int valueDim, boolean causal) {
        AttentionShape shape = new AttentionShape(batch, heads, kvHeads, queries, keys, dim, valueDim);
        LlaInputs inputs = Problems.normal(shape, 7).withRidge(Problems.ridges(shape, 0.3, 10, 8));
        LlaOptions options = LlaOptions.defaults().withCausal(causal).withMaxIterations(300);
        Tensor reference = Tensor.of(new DenseLla(inputs, options).output(), shape.outputDims());
        for (JvmLoops kernels : kernels()) {
            for (boolean keep : new boolean[] {true, false}) {
                try (JvmDevice device = JvmDevices.open(kernels, 2, keep)) {
                    LlaResult result = device.forward(inputs, options);
                    double error = Accuracy.relativeError(result.output(), reference);
                    assertTrue(error <= 1e-4, kernels + ", keeping " + keep + ": off by " + error);
                    assertTrue(result.worstResidual() <= options.tolerance(), "residual " + result.worstResidual());
                    checkRowsWithFewKeys(shape, causal, inputs, result);
                }
            }
        }
    }

    private static void checkRowsWithFewKeys(AttentionShape shape, boolean causal, LlaInputs inputs, LlaResult result) {
        for (int row = 0; row < shape.rows(); row++) {
            int seen = shape.visibleKeys(row % shape.queryLength(), causal);
            int kvHead = row / shape.queryLength() / shape.group();
            if (seen <= 1) {
                assertEquals(0, result.iterations()[row]);
                assertEquals(0, result.residual()[row]);
                for (int e = 0; e < shape.valueDim(); e++) {
                    double only = inputs.v().get((long) kvHead * shape.keyLength() * shape.valueDim() + e);
                    assertEquals(seen == 0 ? 0 : only, result.output().get((long) row * shape.valueDim() + e));
                }
            }
            if (seen == 0) {
                assertEquals(Double.NEGATIVE_INFINITY, result.logSumExp().get(row));
            }
        }
    }

    @Test
    void iterationsThatAreCountedAreThoseOfTheBlocks() {
        AttentionShape shape = AttentionShape.square(1, 2, 100, 16);
        try (JvmDevice device = JvmDevices.open(JvmLoops.vector(), 2, true)) {
            LlaResult result = device.forward(Problems.normal(shape, 1), LlaOptions.defaults());
            long expected = 0;
            for (int row = 0; row < shape.rows(); row++) {
                int i = row % 100;
                int first = row - i % BlockLoops.ROWS;
                int last = Math.min(first + BlockLoops.ROWS, row - i + 100);
                expected += Arrays.stream(result.iterations(), first, last).max().orElseThrow() * (i + 1L);
            }
            assertEquals(expected, result.pairIterations());
        }
    }

    static Stream<Arguments> goldenCasesAndKernels() {
        return Problems.golden().stream().flatMap(c -> kernels().stream().map(k -> Arguments.of(c, k)));
    }

    /** Whatever the order of the loops' sums. */
    @ParameterizedTest(name = "{0} {1}")
    @MethodSource("goldenCasesAndKernels")
    void iterationsAreThoseOfExactArithmetic(GoldenCase golden, JvmLoops kernels) {
        try (JvmDevice device = JvmDevices.open(kernels, 2, true)) {
            assertExactIterations(golden.inputs(), golden.options(), device.forward(golden.inputs(), golden.options()), 1);
        }
    }

    private static void assertExactIterations(LlaInputs inputs, LlaOptions options, LlaResult result, int every) {
        ExactIterations exact = new ExactIterations(inputs, options, options.preconditioner() == Preconditioner.NONE);
        for (int row = 0; row < result.iterations().length; row += every) {
            assertEquals(exact.of(row), result.iterations()[row], 1, "query " + row);
        }
    }

    /** A trained head group; the oracle solves every 29th query. */
    @ParameterizedTest
    @CsvSource({"1", "0.1"})
    void trainedHeads(double ridge) {
        Path folder = Path.of(System.getProperty("flashlla.root", "."), "bench/data/attention");
        LlaInputs inputs = LlaInputs.of(Npy.read(folder.resolve("q.npy")), Npy.read(folder.resolve("k.npy")),
                Npy.read(folder.resolve("v.npy")));
        LlaOptions options = LlaOptions.defaults().withRidge(ridge);
        try (JvmDevice device = JvmDevices.open(JvmLoops.vector(), 2, true)) {
            LlaResult result = device.forward(inputs, options);
            DenseLla oracle = new DenseLla(inputs, options);
            double difference = 0;
            double norm = 0;
            for (int row = 0; row < result.shape().rows(); row += 29) {
                double[] o = oracle.output(row);
                for (int e = 0; e < o.length; e++) {
                    double d = result.output().get((long) row * o.length + e) - o[e];
                    difference += d * d;
                    norm += o[e] * o[e];
                }
            }
            double error = Math.sqrt(difference / norm);
            assertTrue(error <= 1e-4, "off by " + error);
            assertExactIterations(inputs, options, result, 29);
        }
    }

    @Test
    void scoresOfTenThousand() {
        AttentionShape shape = AttentionShape.square(1, 2, 90, 16);
        LlaInputs inputs = Problems.normal(shape, 3);
        LlaOptions options = LlaOptions.defaults().withScale(1e4 / 16).withMaxIterations(200);
        for (JvmLoops kernels : kernels()) {
            try (JvmDevice device = JvmDevices.open(kernels, 2, true)) {
                LlaResult result = device.forward(inputs, options);
                double largest = 0;
                for (long i = 0; i < result.logSumExp().size(); i++) {
                    largest = Math.max(largest, Math.abs(result.logSumExp().get(i)));
                }
                assertTrue(largest > 1e4, "the scores only reach " + largest);
                double error = Accuracy.relativeError(result.output(),
                        Tensor.of(new DenseLla(inputs, options).output(), shape.outputDims()));
                assertTrue(error <= 1e-3, kernels + ": off by " + error);
            }
        }
    }

    /** Where a solve has not reached the tolerance, the residual says so; where it has, the answer is right. */
    @ParameterizedTest
    @CsvSource({"1e-3", "1e-2", "1", "1e3", "1e6"})
    void ridgesSmallAndLarge(double ridge) {
        AttentionShape shape = new AttentionShape(1, 2, 1, 96, 96, 32, 32);
        LlaInputs inputs = Problems.normal(shape, 5);
        LlaOptions options = LlaOptions.defaults().withRidge(ridge).withMaxIterations(400);
        try (JvmDevice device = JvmDevices.open(JvmLoops.vector(), 2, true)) {
            LlaResult result = device.forward(inputs, options);
            double error = Accuracy.relativeError(result.output(),
                    Tensor.of(new DenseLla(inputs, options).output(), shape.outputDims()));
            assertTrue(result.worstResidual() <= options.tolerance(), "residual " + result.worstResidual());
            assertTrue(error <= (ridge < 1e-2 ? 1e-3 : 1e-4), "off by " + error);
            LlaResult capped = device.forward(inputs, options.withMaxIterations(1).withTolerance(1e-7));
            assertTrue(ridge > 1e2 || capped.worstResidual() > 1e-7, "a capped solve must own up");
            assertTrue(capped.maxIterations() <= 1);
        }
    }

    @ParameterizedTest
    @EnumSource(value = DataType.class, names = "FLOAT32", mode = EnumSource.Mode.EXCLUDE)
    void otherElementTypesAreConverted(DataType type) {
        AttentionShape shape = new AttentionShape(1, 2, 1, 50, 70, 12, 20);
        LlaInputs rounded = Problems.normal(shape, 9).withRidge(Problems.ridges(shape, 0.5, 2, 1)).as(type);
        try (JvmDevice device = JvmDevices.open(JvmLoops.vector(), 2, true)) {
            LlaResult direct = device.forward(rounded, LlaOptions.defaults());
            LlaResult converted = device.forward(rounded.as(DataType.FLOAT32), LlaOptions.defaults());
            assertArrayEquals(converted.output().toFloatArray(), direct.output().toFloatArray());
            LlaResult narrow = new LlaResult(shape, type, false);
            device.plan(shape, LlaOptions.defaults()).forward(rounded, narrow);
            assertArrayEquals(direct.output().as(type).toFloatArray(), narrow.output().toFloatArray());
        }
    }

    /** Solved rows freeze, so neither threads, nor blocks, nor what else is in the batch changes a bit of the result. */
    @Test
    void resultsDoNotDependOnGrouping() {
        AttentionShape shape = AttentionShape.square(1, 2, 200, 24);
        LlaInputs inputs = Problems.normal(shape, 2);
        LlaOptions options = LlaOptions.defaults().withTolerance(1e-3);
        try (JvmDevice one = JvmDevices.open(JvmLoops.vector(), 1, true);
                JvmDevice three = JvmDevices.open(JvmLoops.vector(), 3, true)) {
            LlaResult result = one.forward(inputs, options);
            assertArrayEquals(result.output().toFloatArray(), three.forward(inputs, options).output().toFloatArray());

            int last = 77; // the same last queries as a chunk appended to a cache: other blocks
            AttentionShape chunk = new AttentionShape(1, 2, 2, last, 200, 24, 24);
            Tensor q = Tensor.allocate(DataType.FLOAT32, chunk.queryDims());
            for (int head = 0; head < 2; head++) {
                for (int at = 0; at < last * 24; at++) {
                    q.set(head * last * 24L + at, inputs.q().get((head * 200L + 200 - last) * 24 + at));
                }
            }
            LlaResult appended = three.forward(LlaInputs.of(q, inputs.k(), inputs.v()), options);
            for (int head = 0; head < 2; head++) {
                for (int row = 0; row < last; row++) {
                    assertEquals(result.iterations()[head * 200 + 200 - last + row], appended.iterations()[head * last + row]);
                    for (int e = 0; e < 24; e++) {
                        assertEquals(result.output().get((head * 200L + 200 - last + row) * 24 + e),
                                appended.output().get((head * (long) last + row) * 24 + e));
                    }
                }
            }
        }
    }
}
