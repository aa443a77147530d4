package io.github.flashlla.jvm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Problems;
import io.github.flashlla.Tensor;
import io.github.flashlla.reference.ReferenceKvCache;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.GoldenCase;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class JvmDecodeTest {

    static List<DecodeMethod> methods() {
        return List.of(DecodeMethod.values());
    }

    static Stream<Arguments> methodsAndKernels() {
        return methods().stream().flatMap(m -> JvmForwardTest.kernels().stream().map(k -> Arguments.of(m, k)));
    }

    /** What is in no cache yet is read where it is, and comes out as from a cache, bit for bit. */
    @ParameterizedTest
    @EnumSource
    void aStepWithoutACacheEqualsOneWithIt(DataType type) {
        Random random = new Random(5);
        for (int length : new int[] {1, 127, 300, 5000}) {
            LlaInputs inputs = LlaInputs.of(Problems.normal(random, DataType.FLOAT32, 1, 2, 4, 1, 24),
                    Problems.normal(random, DataType.FLOAT32, 1, 2, 2, length, 24).as(type),
                    Problems.normal(random, DataType.FLOAT32, 1, 2, 2, length, 20).as(type));
            DataType stored = type == DataType.FLOAT16 ? type : DataType.FLOAT32;
            try (JvmDevice device = JvmDevices.open(JvmLoops.fastest());
                    KvCache cache = device.kvCache(new KvCacheShape(2, 2, length, 24, 20, stored));
                    DecodePlan plan = cache.decodePlan(4, LlaOptions.defaults())) {
                cache.append(inputs.k(), inputs.v());
                LlaResult cached = plan.newResult();
                plan.decode(inputs.q(), cached);
                LlaResult direct = device.decode(inputs, LlaOptions.defaults());
                assertArrayEquals(cached.output().toFloatArray(), direct.output().toFloatArray(), type + ", " + length + " keys");
                assertArrayEquals(cached.residual(), direct.residual());
            }
        }
    }

    /** Fills both caches with the same random tokens, in chunks. */
    static void fill(Random random, double size, int[] lengths, KvCache... caches) {
        KvCacheShape shape = caches[0].shape();
        for (int sequence = 0; sequence < lengths.length; sequence++) {
            int left = lengths[sequence];
            while (left > 0) {
                int chunk = Math.min(left, 1 + random.nextInt(4096));
                Tensor k = Problems.normal(random, DataType.FLOAT32, size, shape.kvHeads(), chunk, shape.headDim());
                Tensor v = Problems.normal(random, DataType.FLOAT32, 1, shape.kvHeads(), chunk, shape.valueDim());
                for (KvCache cache : caches) {
                    cache.append(sequence, k, v);
                }
                left -= chunk;
            }
        }
    }

    /** Decodes random queries on the device and in float64 and compares everything that comes back. */
    private static void compare(JvmLoops kernels, KvCacheShape shape, int heads, int[] lengths, DecodeMethod method,
            LlaOptions options, double size, boolean ridgePerQuery, double bar) {
        Random random = new Random(Arrays.hashCode(lengths) + shape.headDim());
        try (JvmDevice device = JvmDevices.open(kernels);
                KvCache cache = device.kvCache(shape);
                KvCache reference = new ReferenceKvCache(shape);
                DecodePlan plan = cache.decodePlan(heads, options.withKeepState(true), method);
                DecodePlan exact = reference.decodePlan(heads, options.withKeepState(true))) {
            fill(random, size, lengths, cache, reference);
            Tensor q = Problems.normal(random, DataType.FLOAT32, size, plan.shape().queryDims());
            Tensor ridge = Tensor.allocate(DataType.FLOAT32, plan.shape().rowDims());
            for (int i = 0; i < ridge.size(); i++) {
                ridge.set(i, 0.01 * (i + 1));
            }
            LlaResult result = plan.newResult();
            LlaResult expected = exact.newResult();
            plan.decode(q, ridgePerQuery ? ridge : null, result);
            exact.decode(q, ridgePerQuery ? ridge : null, expected);
            assertClose("o", result.output(), expected.output(), bar);
            assertClose("kbar", result.kbar(), expected.kbar(), bar);
            assertClose("x", result.x(), expected.x(), 10 * bar);
            for (int row = 0; row < result.logSumExp().size(); row++) {
                double lse = expected.logSumExp().get(row);
                assertEquals(lse, result.logSumExp().get(row), Double.isInfinite(lse) ? 0 : 1e-5 * (1 + Math.abs(lse)));
            }
            assertTrue(result.worstResidual() <= options.tolerance(), "residual " + result.worstResidual());
        }
    }

    static void assertClose(String what, Tensor actual, Tensor expected, double bar) {
        double error = Accuracy.relativeError(actual, expected);
        assertTrue(error <= bar, what + " is off by " + error);
    }

    @ParameterizedTest(name = "{0} {1}")
    @MethodSource("methodsAndKernels")
    void raggedBatch(DecodeMethod method, JvmLoops kernels) {
        int[] lengths = {1, 0, 2, 63, 127, 128, 129, 700, 2500};
        KvCacheShape shape = new KvCacheShape(lengths.length, 2, 2500, 64, 64, DataType.FLOAT32);
        compare(kernels, shape, 6, lengths, method, LlaOptions.defaults(), 1, true, 1e-4);
    }

    @ParameterizedTest
    @MethodSource("methods")
    void oneSequenceOverAllThreads(DecodeMethod method) {
        KvCacheShape shape = new KvCacheShape(1, 1, 9000, 64, 64, DataType.FLOAT32);
        compare(JvmLoops.vector(), shape, 1, new int[] {8999}, method, LlaOptions.defaults(), 1, false, 1e-4);
    }

    static Stream<Arguments> widths() {
        int[][] widths = {{8, 8}, {17, 5}, {32, 48}, {80, 16}, {128, 128}, {256, 64}};
        return methods().stream().flatMap(m -> Arrays.stream(widths).map(w -> Arguments.of(m, w[0], w[1])));
    }

    @ParameterizedTest
    @MethodSource("widths")
    void anyWidth(DecodeMethod method, int headDim, int valueDim) {
        KvCacheShape shape = new KvCacheShape(2, 1, 400, headDim, valueDim, DataType.FLOAT32);
        compare(JvmLoops.vector(), shape, 2, new int[] {400, 97}, method, LlaOptions.defaults().withMaxIterations(256),
                1, false, 1e-4);
    }

    @ParameterizedTest
    @MethodSource("methods")
    void float16CacheIsReadAsStored(DecodeMethod method) {
        KvCacheShape shape = new KvCacheShape(2, 2, 1500, 64, 48, DataType.FLOAT16);
        compare(JvmLoops.vector(), shape, 4, new int[] {1500, 333}, method, LlaOptions.defaults(), 1, false, 1e-4);
    }

    @ParameterizedTest
    @MethodSource("methods")
    void peakedScoresAndSmallRidge(DecodeMethod method) {
        // scores of +-600; float32 rounds a score of 600 by 6e-5, which is what the bar leaves room for
        KvCacheShape shape = new KvCacheShape(2, 1, 3000, 64, 64, DataType.FLOAT32);
        compare(JvmLoops.vector(), shape, 2, new int[] {3000, 40}, method,
                LlaOptions.defaults().withRidge(0.1).withMaxIterations(1000), 5, false, 1e-3);
    }

    /** Conjugate to an inexact A q, iterations need not end within D; begun anew, they do. */
    @Test
    void fewKeysAtASmallRidgeEnd() {
        for (int length : new int[] {2, 3, 5, 17}) {
            KvCacheShape shape = new KvCacheShape(1, 1, length, 64, 64, DataType.FLOAT32);
            compare(JvmLoops.vector(), shape, 2, new int[] {length}, DecodeMethod.MATRIX_FREE,
                    LlaOptions.defaults().withRidge(0.01).withMaxIterations(128), 1, false, 2e-4);
        }
    }

    /** Long enough that sums in float32 would show their rounding. */
    @Test
    void longContext() {
        KvCacheShape shape = new KvCacheShape(2, 1, 131072, 64, 64, DataType.FLOAT32);
        compare(JvmLoops.vector(), shape, 1, new int[] {63, 131071}, DecodeMethod.AUTO, LlaOptions.defaults(), 1,
                false, 1e-4);
        compare(JvmLoops.vector(), shape, 1, new int[] {131072, 1000}, DecodeMethod.MOMENTS, LlaOptions.defaults(), 1,
                false, 1e-4);
    }

    static Stream<Arguments> golden() {
        return Problems.golden().stream().flatMap(c -> methods().stream().map(m -> Arguments.of(c, m)));
    }

    /** The last query of every golden case sees all keys, causal or not. */
    @ParameterizedTest(name = "{0} {1}")
    @MethodSource("golden")
    void lastQueryOfGoldenCases(GoldenCase golden, DecodeMethod method) {
        LlaInputs inputs = golden.inputs();
        int last = inputs.shape().queryLength() - 1;
        KvCacheShape shape = new KvCacheShape(inputs.shape().batch(), inputs.shape().kvHeads(),
                inputs.shape().keyLength(), inputs.shape().headDim(), inputs.shape().valueDim(), DataType.FLOAT32);
        try (JvmDevice device = JvmDevices.open(JvmLoops.vector());
                KvCache cache = device.kvCache(shape);
                DecodePlan plan = cache.decodePlan(inputs.shape().heads(), golden.options().withMaxIterations(300), method)) {
            cache.append(inputs.k(), inputs.v());
            LlaResult result = plan.newResult();
            plan.decode(row(inputs.q(), last), row(inputs.ridge().reshape(append1(inputs.ridge())), last)
                    .reshape(plan.shape().rowDims()), result);
            double bar = golden.name().equals("peaked") ? 1e-3 : 1e-4;
            assertClose("o", result.output(), row(golden.tensor("o"), last), bar);
        }
    }

    private static long[] append1(Tensor tensor) {
        long[] dims = Arrays.copyOf(tensor.dims(), tensor.rank() + 1);
        dims[tensor.rank()] = 1;
        return dims;
    }

    /** (B,H,S,D) to (B,H,1,D), row i. */
    static Tensor row(Tensor tensor, int i) {
        int dim = (int) tensor.dim(3);
        Tensor row = Tensor.allocate(tensor.type(), tensor.dim(0), tensor.dim(1), 1, dim);
        for (long head = 0; head < tensor.dim(0) * tensor.dim(1); head++) {
            for (int d = 0; d < dim; d++) {
                row.set(head * dim + d, tensor.get((head * tensor.dim(2) + i) * dim + d));
            }
        }
        return row;
    }

    @ParameterizedTest
    @MethodSource("methods")
    void extremeScoresReturnTheHeaviestValue(DecodeMethod method) {
        // scores of +-1e4 with all weight on one key, far from the origin: A = ridge I, and o is that key's value
        KvCacheShape shape = new KvCacheShape(1, 1, 200, 64, 8, DataType.FLOAT32);
        Random random = new Random(5);
        Tensor k = Problems.normal(random, DataType.FLOAT32, 35, 1, 1, 200, 64);
        Tensor v = Problems.normal(random, DataType.FLOAT32, 1, 1, 1, 200, 8);
        for (int d = 0; d < 64; d++) {
            k.set(77 * 64 + d, d % 2 == 0 ? 35 : -35);
        }
        Tensor q = Tensor.allocate(DataType.FLOAT32, 1, 1, 1, 64);
        for (int d = 0; d < 64; d++) {
            q.set(d, k.get(77 * 64 + d));
        }
        try (JvmDevice device = JvmDevices.open(JvmLoops.vector());
                KvCache cache = device.kvCache(shape);
                DecodePlan plan = cache.decodePlan(1, LlaOptions.defaults().withRidge(1e-3), method)) {
            cache.append(k, v);
            LlaResult result = plan.newResult();
            plan.decode(q, result);
            Tensor expected = Tensor.allocate(DataType.FLOAT32, 1, 1, 1, 8);
            IntStream.range(0, 8).forEach(e -> expected.set(e, v.get(77 * 8 + e)));
            assertClose("o", result.output(), expected, 1e-5);
        }
    }

    /** What a dropped token held is never multiplied again, not even by a weight of 0. */
    @ParameterizedTest
    @MethodSource("methods")
    void droppedTokensLeaveNoTrace(DecodeMethod method) {
        KvCacheShape shape = new KvCacheShape(1, 1, 300, 16, 16, DataType.FLOAT32);
        Random random = new Random(3);
        Tensor q = Problems.normal(random, DataType.FLOAT32, 1, 1, 1, 1, 16);
        Tensor poison = Tensor.allocate(DataType.FLOAT32, 1, 200, 16);
        poison.fill(Double.NaN);
        try (JvmDevice device = JvmDevices.open(JvmLoops.vector());
                KvCache cache = device.kvCache(shape);
                DecodePlan plan = cache.decodePlan(1, LlaOptions.defaults(), method)) {
            LlaResult before = plan.newResult();
            LlaResult after = plan.newResult();
            fill(random, 1, new int[] {70}, cache);
            plan.decode(q, before);
            cache.append(0, poison, poison);
            cache.truncate(0, 70);
            plan.decode(q, after);
            assertEquals(0, Accuracy.relativeError(after.output(), before.output()));
            Tensor k = cache.keys(0);
            cache.truncate(0, 10);
            fill(random, 1, new int[] {130}, cache); // over where the poison was
            plan.decode(q, after);
            assertTrue(Double.isFinite(after.output().get(0)));
            assertEquals(k.get(9 * 16 + 15), cache.keys(0).get(9 * 16 + 15));
        }
    }

    @Test
    void truncateAndResetForget() {
        KvCacheShape shape = new KvCacheShape(1, 1, 64, 16, 16, DataType.FLOAT32);
        Random random = new Random(1);
        Tensor q = Problems.normal(random, DataType.FLOAT32, 1, 1, 1, 1, 16);
        try (JvmDevice device = JvmDevices.open(JvmLoops.vector());
                KvCache cache = device.kvCache(shape);
                DecodePlan plan = cache.decodePlan(1, LlaOptions.defaults())) {
            LlaResult before = plan.newResult();
            LlaResult after = plan.newResult();
            fill(random, 1, new int[] {40}, cache);
            plan.decode(q, before);
            fill(random, 1, new int[] {20}, cache);
            assertEquals(60, cache.length(0));
            plan.decode(q, after);
            assertTrue(Accuracy.relativeError(after.output(), before.output()) > 1e-3, "20 more tokens must show");
            cache.truncate(0, 40);
            plan.decode(q, after);
            assertEquals(0, Accuracy.relativeError(after.output(), before.output()));
            assertEquals(40 * 32 * 4, cache.bytesInUse());
            cache.reset();
            plan.decode(q, after);
            assertEquals(0, cache.length(0));
            assertEquals(Double.NEGATIVE_INFINITY, after.logSumExp().get(0));
            assertEquals(0, after.output().get(3));
        }
    }

    @Test
    void whatDoesNotFitIsRefusedAndChangesNothing() {
        KvCacheShape shape = new KvCacheShape(2, 1, 8, 4, 4, DataType.FLOAT16);
        try (JvmDevice device = JvmDevices.open(JvmLoops.vector()); KvCache cache = device.kvCache(shape)) {
            Random random = new Random(2);
            cache.append(1, Problems.normal(random, DataType.FLOAT32, 1, 1, 6, 4), Problems.normal(random, DataType.FLOAT32, 1, 1, 6, 4));
            Tensor three = Problems.normal(random, DataType.FLOAT32, 1, 2, 1, 3, 4);
            String message = assertThrows(InvalidInputException.class, () -> cache.append(three, three)).getMessage();
            assertTrue(message.contains("sequence 1") && message.contains("holds 6 of at most 8 tokens"), message);
            assertEquals(0, cache.length(0));
            assertEquals(6, cache.length(1));
            Tensor wrong = Problems.normal(random, DataType.FLOAT32, 1, 1, 3, 5);
            assertThrows(InvalidInputException.class, () -> cache.append(0, wrong, wrong));
            Tensor large = Tensor.of(new float[] {1, 2, 3, 70000}, 1, 1, 4);
            message = assertThrows(InvalidInputException.class, () -> cache.append(0, large, large)).getMessage();
            assertTrue(message.contains("float16"), message);
            Tensor nan = Tensor.of(new float[] {1, 2, 3, Float.NaN}, 1, 1, 4);
            assertThrows(InvalidInputException.class, () -> cache.append(0, nan, nan));
            assertThrows(InvalidInputException.class, () -> cache.truncate(1, 7));
            assertThrows(InvalidInputException.class, () -> cache.length(2));
            assertThrows(InvalidInputException.class, () -> cache.decodePlan(0, LlaOptions.defaults()));
            assertThrows(InvalidInputException.class,
                    () -> new KvCacheShape(1, 1, 8, 4, 4, DataType.BFLOAT16));
        }
    }

    /** In q, in a key and in a value, as forward does; dropped with its token, it is forgotten. */
    @ParameterizedTest
    @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY})
    void anOutputThatIsNoNumberIsRefused(double bad) {
        Random random = new Random(2);
        try (JvmDevice device = JvmDevices.open(JvmLoops.vector());
                KvCache cache = device.kvCache(new KvCacheShape(1, 1, 16, 8, 8, DataType.FLOAT32));
                DecodePlan plan = cache.decodePlan(2, LlaOptions.defaults())) {
            cache.append(Problems.normal(random, 1, 1, 9, 8), Problems.normal(random, 1, 1, 9, 8));
            Tensor q = Problems.normal(random, 1, 2, 1, 8);
            LlaResult result = plan.newResult();
            plan.decode(q, result);
            float[] before = result.output().toFloatArray();
            Tensor token = Problems.normal(random, 1, 1, 1, 8);
            Tensor wrong = token.copy();
            wrong.set(3, bad);
            refused(() -> plan.decode(withElement(q, bad), result));
            cache.append(wrong, token);
            refused(() -> plan.decode(q, result));
            cache.truncate(0, 9);
            cache.append(token, wrong);
            refused(() -> plan.decode(q, result));
            cache.truncate(0, 9);
            plan.decode(q, result);
            assertArrayEquals(before, result.output().toFloatArray());
        }
    }

    private static Tensor withElement(Tensor tensor, double element) {
        Tensor copy = tensor.copy();
        copy.set(5, element);
        return copy;
    }

    private static void refused(Executable decoding) {
        String message = assertThrows(DeviceException.class, decoding).getMessage();
        assertTrue(message.startsWith("the output of jvm holds ") && message.contains("may not be finite"), message);
    }

    /** The last row of forward, at lengths about a tile's and a slice's ends and at the longest. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 63, 64, 65, 2047, 16385, 131072})
    void equalsTheLastRowOfForward(int length) {
        Random random = new Random(length);
        LlaInputs inputs = new LlaInputs(Problems.normal(random, DataType.FLOAT32, 1, 1, 2, 1, 64),
                Problems.normal(random, DataType.FLOAT32, 1, 1, 1, length, 64), Problems.normal(random, DataType.FLOAT32, 1, 1, 1, length, 64), null);
        try (JvmDevice device = JvmDevices.open(JvmLoops.vector())) {
            assertClose("o", device.decode(inputs, LlaOptions.defaults()).output(),
                    device.forward(inputs, LlaOptions.defaults()).output(), 1e-4);
        }
    }

    /** Without a cache, and against forward on the same inputs. */
    @ParameterizedTest
    @EnumSource(DataType.class)
    void oneStepEqualsForward(DataType type) {
        Random random = new Random(9);
        LlaInputs inputs = new LlaInputs(Problems.normal(random, type, 1, 2, 4, 1, 32), Problems.normal(random, type, 1, 2, 2, 777, 32),
                Problems.normal(random, type, 1, 2, 2, 777, 24), null);
        try (JvmDevice device = JvmDevices.open(JvmLoops.vector())) {
            LlaOptions options = LlaOptions.defaults().withTolerance(1e-6);
            LlaResult step = device.decode(inputs, options);
            assertEquals(inputs.shape(), step.shape());
            assertClose("o", step.output(), device.forward(inputs, options).output(), 1e-4);
            Tensor queries = Problems.normal(random, type, 1, 2, 4, 3, 32);
            assertThrows(InvalidInputException.class,
                    () -> device.decode(new LlaInputs(queries, inputs.k(), inputs.v(), null), options));
        }
    }
}
