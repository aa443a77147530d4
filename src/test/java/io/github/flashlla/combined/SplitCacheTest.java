package io.github.flashlla.combined;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceException;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Problems;
import io.github.flashlla.Tensor;
import io.github.flashlla.verify.Accuracy;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** One head's keys on three parts: two of the device jvm, which has a partial step of its own, and one in float64 on the host. */
class SplitCacheTest {
    private static final double[] EQUAL = {1, 1, 1};
    private static final LlaOptions OPTIONS = LlaOptions.defaults().withKeepState(true);
    private static CombinedDevice three;
    private static Device reference;

    @BeforeAll
    static void open() {
        three = (CombinedDevice) Devices.open("jvm+jvm+reference");
        reference = Devices.open("reference");
    }

    @AfterAll
    static void close() {
        three.close();
        reference.close();
    }

    /** Prefill in chunks of any size, a rejected draft, single tokens; queries in groups, a ridge each. */
    private static void fill(KvCache cache, double keySize) {
        KvCacheShape shape = cache.shape();
        Random random = new Random(3);
        for (int tokens : new int[] {700, 1, 130, 1200}) {
            cache.append(keys(shape, random, tokens, keySize), Problems.normal(random, shape.batch(), shape.kvHeads(), tokens, shape.valueDim()));
        }
        cache.truncate(0, 1777);
        for (int n = 0; n < 3; n++) {
            cache.append(0, keys(shape, random, 1, keySize).reshape(shape.kvHeads(), 1, shape.headDim()),
                    Problems.normal(random, shape.kvHeads(), 1, shape.valueDim()));
        }
    }

    private static Tensor keys(KvCacheShape shape, Random random, int tokens, double size) {
        Tensor keys = Problems.normal(random, 1, shape.kvHeads(), tokens, shape.headDim());
        for (long i = 0; i < keys.size(); i++) {
            keys.set(i, size * keys.get(i));
        }
        return keys;
    }

    /** @param recomputed whether float64 must have had a part in it; null for either */
    private static void assertHolds(KvCacheShape shape, double[] speeds, LlaOptions options, double keySize, Boolean recomputed) {
        try (KvCache want = reference.kvCache(shape); KvCache got = new SplitCache(three, shape, speeds)) {
            fill(want, keySize);
            fill(got, keySize);
            assertEquals(-1, want.keys(0).segment().mismatch(got.keys(0).segment()));
            assertEquals(-1, want.values(0).segment().mismatch(got.values(0).segment()));
            int heads = 4 * shape.kvHeads();
            Tensor q = Problems.normal(new Random(4), 1, heads, 1, shape.headDim());
            Tensor ridge = Problems.ridges(shape.step(heads), 0.1, 10, 5);
            try (DecodePlan exact = want.decodePlan(heads, options); DecodePlan plan = got.decodePlan(heads, options)) {
                for (Tensor ridges : new Tensor[] {null, ridge}) {
                    LlaResult wanted = exact.newResult();
                    LlaResult result = plan.newResult();
                    exact.decode(q, ridges, wanted);
                    plan.decode(q, ridges, result);
                    assertTrue(Accuracy.relativeError(result.output(), wanted.output()) < 2e-5, () -> "o: " + result.output());
                    assertTrue(Accuracy.relativeError(result.logSumExp(), wanted.logSumExp()) < 1e-6);
                    assertTrue(Accuracy.relativeError(result.kbar(), wanted.kbar()) < 2e-5);
                    assertTrue(Accuracy.relativeError(result.x(), wanted.x()) < 2e-5);
                    assertTrue(result.worstResidual() < 1e-5, () -> "residual " + result.worstResidual());
                    if (recomputed != null) {
                        assertEquals(recomputed, result.recomputedRows() + result.checkedRows() > 0);
                    }
                    assertEquals(DecodeMethod.COVARIANCE, plan.lastMethod());
                    LlaResult again = plan.newResult();
                    plan.decode(q, ridges, again);
                    assertEquals(-1, result.output().segment().mismatch(again.output().segment()));
                }
            }
        }
    }

    @Test
    void aStepIsThatOfOneDevice() {
        assertHolds(new KvCacheShape(1, 1, 8192, 16, 12, DataType.FLOAT32), EQUAL, OPTIONS, 1, false);
        assertHolds(new KvCacheShape(1, 1, 9000, 20, 8, DataType.FLOAT16), new double[] {3, 0.001, 1}, OPTIONS, 1, false);
    }

    /** The window begins within blocks, and hides some parts' tokens altogether. */
    @Test
    void aWindowCountsTheLastTokensOnly() {
        for (int window : new int[] {1000, 70, 1}) {
            assertHolds(new KvCacheShape(1, 1, 8192, 16, 12, DataType.FLOAT32), EQUAL, OPTIONS.withWindow(window), 1, null);
        }
    }

    /** Keys far from the origin: what rounding may have spoilt is held against float64. */
    @Test
    void whatFloat32DoesNotCarryIsDoneInFloat64() {
        assertHolds(new KvCacheShape(1, 1, 8192, 16, 12, DataType.FLOAT32), EQUAL, OPTIONS.withRidge(1e-3), 300, true);
    }

    @Test
    void anEmptyCacheGivesZeros() {
        try (KvCache cache = new SplitCache(three, new KvCacheShape(1, 1, 8192, 8, 8, DataType.FLOAT32), EQUAL); DecodePlan plan = cache.decodePlan(2, OPTIONS)) {
            LlaResult result = plan.newResult();
            for (int i = 0; i < 16; i++) {
                result.output().set(i, Double.NaN);
            }
            plan.decode(Problems.normal(new Random(1), 1, 2, 1, 8), result);
            for (int i = 0; i < 16; i++) {
                assertEquals(0, result.output().get(i));
            }
            assertEquals(Double.NEGATIVE_INFINITY, result.logSumExp().get(0));
        }
    }

    @Test
    void anOutputThatIsNoNumberIsRefused() {
        try (KvCache cache = new SplitCache(three, new KvCacheShape(1, 1, 64, 8, 8, DataType.FLOAT32), EQUAL); DecodePlan plan = cache.decodePlan(2, OPTIONS)) {
            Random random = new Random(1);
            cache.append(Problems.normal(random, 1, 1, 9, 8), Problems.normal(random, 1, 1, 9, 8));
            Tensor q = Problems.normal(random, 1, 2, 1, 8);
            long made = plan.workspaceBytes();
            assertTrue(made > 3 * 2 * 8 * 8 * Double.BYTES, "each part leaves a matrix of each query: " + made);
            plan.decode(q, plan.newResult());
            long ran = plan.workspaceBytes();
            assertTrue(ran > made, "the part that computes in float64 keeps its keys: " + made + " then " + ran);
            plan.decode(q, plan.newResult());
            assertEquals(ran, plan.workspaceBytes());
            q.set(11, Double.NaN);
            String said = assertThrows(DeviceException.class, () -> plan.decode(q, plan.newResult())).getMessage();
            assertTrue(said.contains("the output of jvm+jvm+reference holds NaN at [0, 1, 0, 0]"), said);
        }
    }

    @Test
    void otherMethodsAreRefused() {
        try (KvCache cache = new SplitCache(three, new KvCacheShape(1, 1, 8192, 8, 8, DataType.FLOAT32), EQUAL)) {
            String said = assertThrows(InvalidInputException.class, () -> cache.decodePlan(1, OPTIONS, DecodeMethod.MATRIX_FREE)).getMessage();
            assertTrue(said.contains("decoded by COVARIANCE, not MATRIX_FREE"), said);
        }
    }

    @Test
    void keysGoWithAKilledPart() {
        try (CombinedDevice two = (CombinedDevice) Devices.open("jvm+jvm");
                KvCache cache = two.kvCache(new KvCacheShape(1, 1, 8192, 8, 8, DataType.FLOAT32)); DecodePlan plan = cache.decodePlan(1, OPTIONS)) {
            assertInstanceOf(SplitCache.class, cache);
            fill(cache, 1);
            LlaResult result = plan.newResult();
            Tensor q = Problems.normal(new Random(1), 1, 1, 1, 8);
            plan.decode(q, result);
            ProcessHandle.of(two.crew().parts().get(1).pid()).ifPresent(process -> {
                process.destroyForcibly();
                process.onExit().join();
            });
            String said = assertThrows(DeviceException.class, () -> plan.decode(q, result)).getMessage();
            assertTrue(said.contains("(part 2) was killed by signal 9") && said.contains("make the cache anew"), said);
        }
    }

    @Test
    void tokensAreDividedBySpeed() {
        KeySplit split = new KeySplit(10_000, new double[] {1, 3});
        for (int tokens : new int[] {0, 1, 127, 128, 129, 5000, 10_000}) {
            int[] held = new int[2];
            for (int token = 0; token < tokens; token++) {
                held[split.owner(token)]++;
            }
            assertArrayEquals(held, new int[] {split.held(0, tokens), split.held(1, tokens)});
        }
        assertEquals(0.25, split.held(0, 10_000) / 10_000.0, 0.02);
        assertEquals(0.25, split.held(0, 4096) / 4096.0, 0.02);
    }

    @Test
    void headsAreDividedWholeWhereTheyAreEnough() {
        double[] equal = {1, 1};
        assertTrue(pays(1, 8192, equal));
        assertTrue(pays(2, 8192, new double[] {1, 1, 1, 1}));
        assertFalse(pays(2, 8192, equal));
        assertFalse(pays(3, 8192, equal));
        assertFalse(pays(1, 8191, equal));
        assertFalse(pays(1, 8192, new double[] {1}));
    }

    private static boolean pays(int heads, int capacity, double[] speeds) {
        return KeySplit.pays(new KvCacheShape(1, heads, capacity, 4, 4, DataType.FLOAT32), speeds);
    }
}
