package io.github.flashlla.tornado.ondevice;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Problems;
import io.github.flashlla.Tensor;
import io.github.flashlla.reference.ReferenceKvCache;
import io.github.flashlla.tornado.kernels.tile.TileOperations;
import io.github.flashlla.tornado.support.TestDevice;
import io.github.flashlla.verify.Accuracy;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Decoding steps against float64, from caches that grow, shrink and hold sequences of different lengths. */
public class DecodeOnDevice {
    private static final double BAR = 1e-4;

    /** With a large ridge, few iterations do on the shortest of contexts too; each that is launched is compiled. */
    private static final LlaOptions FEW_ITERATIONS = LlaOptions.defaults().withRidge(10).withMaxIterations(3);

    private static Device device;

    @BeforeAll
    static void open() {
        device = TestDevice.open();
    }

    @AfterAll
    static void close() {
        device.close();
    }

    /** The same random tokens at the end of one sequence of both. */
    private static void append(Random random, int sequence, int tokens, KvCache... caches) {
        KvCacheShape shape = caches[0].shape();
        Tensor k = Problems.normal(random, shape.kvHeads(), tokens, shape.headDim());
        Tensor v = Problems.normal(random, shape.kvHeads(), tokens, shape.valueDim());
        for (KvCache cache : caches) {
            cache.append(sequence, k, v);
        }
    }

    private static LlaResult compare(Random random, DecodePlan plan, DecodePlan exact, Tensor ridges, String when) {
        LlaResult result = plan.newResult();
        result.output().fill(Double.NaN);
        LlaResult expected = exact.newResult();
        Tensor q = Problems.normal(random, plan.shape().queryDims());
        plan.decode(q, ridges, result);
        exact.decode(q, ridges, expected);
        double error = Accuracy.relativeError(result.output(), expected.output());
        assertTrue(result.computedBy().endsWith(plan.lastMethod().label()), result.computedBy());
        assertTrue(error <= BAR, when + ": o off by " + error + ", " + plan.lastMethod() + ", residual " + result.worstResidual());
        double kbar = Accuracy.relativeError(result.kbar(), expected.kbar());
        assertTrue(kbar <= BAR, when + ": kbar off by " + kbar);
        for (int row = 0; row < result.logSumExp().size(); row++) {
            double lse = expected.logSumExp().get(row);
            assertEquals(lse, result.logSumExp().get(row), Double.isInfinite(lse) ? 0 : 1e-4 * (1 + Math.abs(lse)), when);
        }
        return result;
    }

    /** A long context, what a rejected draft leaves, and one token to a thousand, another sequence always behind. */
    @ParameterizedTest(name = "{0} {1} D={2} Dv={3} H={4}")
    @CsvSource({
        "MATRIX_FREE, FLOAT32, 16, 16, 2",
        "COVARIANCE,  FLOAT16, 12, 20, 2"})
    void takesContextsOfAllLengths(DecodeMethod method, DataType type, int headDim, int valueDim, int heads) {
        KvCacheShape shape = new KvCacheShape(2, 1, 131072, headDim, valueDim, type);
        LlaOptions options = FEW_ITERATIONS.withKeepState(true);
        Random random = new Random(7);
        try (KvCache cache = device.kvCache(shape);
                KvCache reference = new ReferenceKvCache(shape);
                DecodePlan plan = cache.decodePlan(heads, options, method);
                DecodePlan exact = reference.decodePlan(heads, options)) {
            append(random, 0, 131072, cache, reference);
            compare(random, plan, exact, null, "length 131072");
            cache.truncate(0, 37);
            reference.truncate(0, 37);
            append(random, 0, 3, cache, reference);
            compare(random, plan, exact, null, "after a truncation");
            cache.truncate(0, 0);
            reference.truncate(0, 0);
            for (int length : new int[] {1, 2, 63, 64, 65, 1000}) {
                append(random, 0, length - cache.length(0), cache, reference);
                compare(random, plan, exact, null, "length " + length);
                assertEquals(method, plan.lastMethod());
                if (length > 2) { // until then the other sequence is empty
                    append(random, 1, 1 + length / 3, cache, reference);
                }
            }
        }
    }

    /** Heads that share keys, some of them solved long before others; on CUDA, what runs on matrix units. */
    @ParameterizedTest(name = "H={0} Hkv={1} D={2} {3}")
    @CsvSource({"3, 1, 64, MATRIX_FREE", "4, 2, 64, MATRIX_FREE", "16, 2, 64, MATRIX_FREE", "7, 1, 64, MATRIX_FREE", "4, 1, 128, MATRIX_FREE",
        "12, 2, 128, MATRIX_FREE", "3, 1, 64, COVARIANCE", "16, 2, 64, COVARIANCE", "4, 2, 128, COVARIANCE"})
    void sharesKeysAmongHeads(int heads, int kvHeads, int dim, DecodeMethod method) {
        TestDevice.assumeQuickCompiler();
        int longest = device.info().type() == DeviceInfo.Type.CPU ? 700 : 3000; // a CPU has few splits, and the reference takes 10 s of its time for 3000
        KvCacheShape shape = new KvCacheShape(2, kvHeads, longest, dim, dim, DataType.FLOAT16);
        LlaOptions options = LlaOptions.defaults().withTolerance(1e-5).withMaxIterations(6).withKeepState(true);
        Random random = new Random(10);
        try (KvCache cache = device.kvCache(shape);
                KvCache reference = new ReferenceKvCache(shape);
                DecodePlan plan = cache.decodePlan(heads, options, method);
                DecodePlan exact = reference.decodePlan(heads, options)) {
            Tensor ridges = Tensor.allocate(DataType.FLOAT32, plan.shape().rowDims());
            for (int row = 0; row < ridges.size(); row++) {
                ridges.set(row, (method == DecodeMethod.COVARIANCE ? new double[] {1, 0.1, 30, 3} : new double[] {10, 1000, 30, 100})[row % 4]);
            }
            append(random, 1, 1, cache, reference);
            for (int length : new int[] {31, 32, 33, longest / 4, longest}) {
                append(random, 0, length - cache.length(0), cache, reference);
                compare(random, plan, exact, ridges, "length " + length);
            }
        }
    }

    /** So many units that matrix units take fewer splits for the last pass than for others; of neighbours, one is done with its first. */
    @Test
    void unitsEndInPassesOfTheirOwn() {
        assumeTrue(device.info().precisions().contains(DataType.FLOAT16), "there are no matrix units");
        KvCacheShape shape = new KvCacheShape(16, 8, 2000, 64, 64, DataType.FLOAT16);
        LlaOptions options = LlaOptions.defaults().withTolerance(1e-5).withMaxIterations(6).withKeepState(true);
        Random random = new Random(12);
        try (KvCache cache = device.kvCache(shape);
                KvCache reference = new ReferenceKvCache(shape);
                DecodePlan plan = cache.decodePlan(32, options, DecodeMethod.MATRIX_FREE);
                DecodePlan exact = reference.decodePlan(32, options)) {
            Tensor ridges = Tensor.allocate(DataType.FLOAT32, plan.shape().rowDims());
            for (int row = 0; row < ridges.size(); row++) {
                ridges.set(row, row / 4 % 2 == 0 ? 1e5 : 30);
            }
            for (int sequence = 0; sequence < 16; sequence++) {
                append(random, sequence, 1900 + sequence, cache, reference);
            }
            compare(random, plan, exact, ridges, "units of two kinds");
        }
    }

    /** Many key/value heads, as the shared covariance wants them: empty sequences, single tokens, splits without keys, heads that end apart. */
    @ParameterizedTest(name = "H={0} Hkv={1}")
    @CsvSource({"8, 2", "6, 2", "4, 2", "2, 2"})
    void sequencesOfAllLengths(int heads, int kvHeads) {
        assumeTrue(device.info().precisions().contains(DataType.FLOAT16), "there are no matrix units");
        int batch = 25;
        KvCacheShape shape = new KvCacheShape(batch, kvHeads, 32768, 64, 64, DataType.FLOAT16);
        LlaOptions options = LlaOptions.defaults().withTolerance(1e-5).withMaxIterations(6).withKeepState(true);
        Random random = new Random(14);
        try (KvCache cache = device.kvCache(shape);
                KvCache reference = new ReferenceKvCache(new KvCacheShape(batch, kvHeads, 800, 64, 64, DataType.FLOAT16));
                DecodePlan plan = cache.decodePlan(heads, options, DecodeMethod.MATRIX_FREE);
                DecodePlan exact = reference.decodePlan(heads, options)) {
            Tensor ridges = Tensor.allocate(DataType.FLOAT32, plan.shape().rowDims());
            for (int row = 0; row < ridges.size(); row++) {
                ridges.set(row, new double[] {10, 1000, 30, 100}[row % 4]);
            }
            for (int sequence = 1; sequence < batch; sequence++) {
                append(random, sequence, sequence < 4 ? sequence : 32 * sequence - 3, cache, reference);
            }
            compare(random, plan, exact, ridges, "lengths of 0 to 765");
        }
    }

    /** Splits without keys have moments too: were these whatever registers held, a solve might lose its factors, and take passes or another kernel. */
    @ParameterizedTest(name = "H={0} D={1}")
    @CsvSource({"1, 64", "3, 64", "4, 64", "4, 128"})
    void covarianceWithSplitsWithoutKeys(int heads, int dim) {
        assumeTrue(device.info().precisions().contains(DataType.FLOAT16), "there are no matrix units");
        TileOperations.unavailable(device.info().name()).ifPresent(why -> assumeTrue(false, why));
        int[] lengths = {2000, 130, 5, 1};
        KvCacheShape shape = new KvCacheShape(lengths.length, 1, 8192, dim, dim, DataType.FLOAT16);
        LlaOptions options = LlaOptions.defaults().withTolerance(1e-4).withKeepState(true);
        Random random = new Random(15);
        try (KvCache cache = device.kvCache(shape);
                KvCache reference = new ReferenceKvCache(new KvCacheShape(lengths.length, 1, 2000, dim, dim, DataType.FLOAT16));
                DecodePlan plan = cache.decodePlan(heads, options, DecodeMethod.COVARIANCE);
                DecodePlan exact = reference.decodePlan(heads, options.withTolerance(1e-6))) {
            for (int sequence = 0; sequence < lengths.length; sequence++) {
                append(random, sequence, lengths[sequence], cache, reference);
            }
            int[] passes = compare(random, plan, exact, null, "lengths of 1 to 2000").iterations();
            assertTrue(Arrays.stream(passes).allMatch(n -> n >= 1 && n <= 3), () -> "passes: " + Arrays.toString(passes));
        }
    }

    /** Where the choice is the device's: a step that the launched iterations do not solve is done directly, as are small ridges. */
    @Test
    void choosesWhatSolves() {
        TestDevice.assumeQuickCompiler();
        KvCacheShape shape = new KvCacheShape(1, 2, 3000, 64, 64, DataType.FLOAT16); // compiled for other tests, too
        LlaOptions options = FEW_ITERATIONS.withMaxIterations(2).withTolerance(1e-4).withKeepState(true);
        Random random = new Random(8);
        try (KvCache cache = device.kvCache(shape);
                KvCache reference = new ReferenceKvCache(shape);
                DecodePlan plan = cache.decodePlan(2, options);
                DecodePlan exact = reference.decodePlan(2, options)) {
            append(random, 0, 2900, cache, reference);
            compare(random, plan, exact, null, "ridge 10");
            assertEquals(DecodeMethod.MATRIX_FREE, plan.lastMethod());
            for (double ridge : new double[] {1, 1e-3}) {
                Tensor ridges = Tensor.allocate(DataType.FLOAT32, plan.shape().rowDims());
                ridges.fill(ridge);
                compare(random, plan, exact, ridges, "ridge " + ridge);
                assertEquals(DecodeMethod.COVARIANCE, plan.lastMethod());
            }
        }
    }

    /** A loop over one dim is none, and a negative scale makes the least product the largest score. */
    @ParameterizedTest(name = "{0} D={1} Dv={2} scale {3}")
    @CsvSource({
        "COVARIANCE,  1,  1,  1",
        "COVARIANCE,  1,  8,  -0.5",
        "COVARIANCE,  1,  57, 1",
        "COVARIANCE,  2,  1,  -0.5",
        "COVARIANCE,  12, 20, -0.25",
        "MATRIX_FREE, 16, 16, -0.25"})
    void takesOneDimAndNegativeScales(DecodeMethod method, int headDim, int valueDim, double scale) {
        if (headDim > 2) {
            TestDevice.assumeQuickCompiler();
        }
        KvCacheShape shape = new KvCacheShape(1, 1, 400, headDim, valueDim, DataType.FLOAT32);
        LlaOptions options = FEW_ITERATIONS.withScale(scale).withKeepState(true);
        Random random = new Random(12);
        try (KvCache cache = device.kvCache(shape);
                KvCache reference = new ReferenceKvCache(shape);
                DecodePlan plan = cache.decodePlan(2, options, method);
                DecodePlan exact = reference.decodePlan(2, options)) {
            for (int length : new int[] {9, 70}) {
                append(random, 0, length - cache.length(0), cache, reference);
                compare(random, plan, exact, null, "length " + length);
            }
        }
    }

    /** Windows that begin within and between tiles, of a long and a short sequence, in one split and in two. */
    @ParameterizedTest
    @CsvSource({"33, FLOAT16", "700, FLOAT32"})
    void windowsEqualFloat64(int window, DataType type) {
        TestDevice.assumeQuickCompiler();
        KvCacheShape shape = new KvCacheShape(2, 2, 3000, 12, 20, type); // compiled for other tests, too
        LlaOptions options = LlaOptions.defaults().withWindow(window).withKeepState(true);
        Random random = new Random(window);
        try (KvCache cache = device.kvCache(shape);
                KvCache reference = new ReferenceKvCache(shape);
                DecodePlan plan = cache.decodePlan(4, options);
                DecodePlan exact = reference.decodePlan(4, options)) {
            append(random, 1, 9, cache, reference);
            for (int length : new int[] {1, 33, 34, 2990}) {
                append(random, 0, length - cache.length(0), cache, reference);
                compare(random, plan, exact, null, "a window of " + window + ", length " + length);
            }
        }
    }

    /** What {@code make.py} computes with a dense mask in float64: query i is the step behind token i + 10. */
    @Test
    void windowEqualsADenseMask() {
        Tensor q = ViewsOnDevice.golden("window", "q");
        Tensor k = ViewsOnDevice.golden("window", "k");
        Tensor v = ViewsOnDevice.golden("window", "v");
        Tensor ridge = ViewsOnDevice.golden("window", "lambda");
        Tensor o = ViewsOnDevice.golden("window", "o");
        int heads = (int) q.dim(1);
        KvCacheShape shape = new KvCacheShape(1, (int) k.dim(1), 50, (int) q.dim(3), (int) v.dim(3), DataType.FLOAT32);
        try (KvCache cache = device.kvCache(shape); DecodePlan plan = cache.decodePlan(heads, LlaOptions.defaults().withWindow(7))) {
            for (int i = 0; i < q.dim(2); i++) {
                int before = cache.length(0);
                int tokens = i + 11 - before;
                cache.append(k.part(2, before, tokens), v.part(2, before, tokens));
                LlaResult result = plan.newResult();
                plan.decode(q.part(2, i, 1), ridge.part(2, i, 1), result);
                double error = Accuracy.relativeError(result.output(), o.part(2, i, 1));
                assertTrue(error <= BAR, "query " + i + " is off by " + error);
            }
        }
    }

    /** Tokens in front of the window are not read, so a step takes what the window takes, not what the context does. */
    @Test
    void aWindowTakesLessThanATenthOfTheTime() {
        assumeTrue(Boolean.getBoolean("flashlla.test.times"), "a time is asked for by -Dflashlla.test.times=true, on a machine that does nothing else");
        int heads = TestDevice.isCpu() ? 1 : 64;
        KvCacheShape shape = new KvCacheShape(1, heads, 65536, 64, 64, DataType.FLOAT32);
        Random random = new Random(3);
        try (KvCache cache = device.kvCache(shape)) {
            append(random, 0, 65536, cache);
            Tensor q = Problems.normal(random, 1, heads, 1, 64);
            double[] fastest = {Double.POSITIVE_INFINITY, Double.POSITIVE_INFINITY};
            for (int n = 0; n < 2; n++) {
                LlaOptions options = LlaOptions.defaults().withWindow(n * 128);
                try (DecodePlan plan = cache.decodePlan(heads, options, DecodeMethod.COVARIANCE)) {
                    LlaResult result = plan.newResult();
                    for (int run = 0; run < 5; run++) {
                        plan.decode(q, result);
                        fastest[n] = Math.min(fastest[n], result.timing().kernelNanos() / 1e6);
                    }
                }
            }
            System.out.printf("%s, a step over 65536 keys: %.2f ms, with a window of 128: %.2f ms%n", TestDevice.NAME, fastest[0], fastest[1]);
            assertTrue(fastest[1] < fastest[0] / 10, fastest[1] + " ms of " + fastest[0]);
        }
    }

    /** A step of the last query, and that query among all. */
    @Test
    void equalsTheLastRowOfForward() {
        Random random = new Random(9);
        int length = 75;
        LlaInputs all = LlaInputs.of(Problems.normal(random, 2, 4, length, 16), Problems.normal(random, 2, 2, length, 16),
                Problems.normal(random, 2, 2, length, 16));
        Tensor last = Tensor.allocate(DataType.FLOAT32, 2, 4, 1, 16);
        for (int row = 0; row < 8; row++) {
            for (int d = 0; d < 16; d++) {
                last.set(row * 16 + d, all.q().get(((long) row * length + length - 1) * 16 + d));
            }
        }
        Tensor forward = device.forward(all, FEW_ITERATIONS.withMaxIterations(64)).output();
        Tensor expected = Tensor.allocate(DataType.FLOAT32, 2, 4, 1, 16);
        for (int row = 0; row < 8; row++) {
            for (int e = 0; e < 16; e++) {
                expected.set(row * 16 + e, forward.get(((long) row * length + length - 1) * 16 + e));
            }
        }
        Tensor step = device.decode(LlaInputs.of(last, all.k(), all.v()), FEW_ITERATIONS).output();
        double error = Accuracy.relativeError(step, expected);
        assertTrue(error <= BAR, "off by " + error);
    }

    @Test
    void saysWhatItDoesNotTake() {
        try (KvCache cache = device.kvCache(new KvCacheShape(1, 1, 4, 24, 24, DataType.FLOAT32))) {
            String message = assertThrows(InvalidInputException.class,
                    () -> cache.decodePlan(1, LlaOptions.defaults(), DecodeMethod.MATRIX_FREE)).getMessage();
            assertTrue(message.contains("cg: it takes D = Dv of 8") && message.contains("use another method"), message);
            message = assertThrows(InvalidInputException.class, () -> device.kvCache(new KvCacheShape(1, 1, 4, 16, 16, DataType.FLOAT32))
                    .decodePlan(1, LlaOptions.defaults().withWindow(2), DecodeMethod.MATRIX_FREE)).getMessage();
            assertTrue(message.contains("cg: it has no window"), message);
            Random random = new Random(1);
            append(random, 0, 3, cache);
            message = assertThrows(InvalidInputException.class, () -> append(random, 0, 2, cache)).getMessage();
            assertTrue(message.contains("holds 3 of at most 4 tokens"), message);
            assertEquals(3, cache.length(0));
        }
    }

    /** Of a float16 cache it cannot be that a kernel is for float16 caches. */
    @Test
    void whatNoKernelTakesIsRefusedForWhatItIs() {
        try (KvCache cache = device.kvCache(new KvCacheShape(1, 1, 16, 1, 1, DataType.FLOAT16))) {
            String message = assertThrows(InvalidInputException.class,
                    () -> cache.decodePlan(1, LlaOptions.defaults(), DecodeMethod.MATRIX_FREE)).getMessage();
            assertFalse(message.contains("it is for a float16 cache"), message);
        }
    }
}
