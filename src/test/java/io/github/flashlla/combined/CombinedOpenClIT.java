package io.github.flashlla.combined;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Problems;
import io.github.flashlla.Tensor;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.GoldenCase;
import io.github.flashlla.verify.Verification;
import io.github.flashlla.verify.Verification.Outcome;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Two devices of different kinds and speeds as one. */
@Timeout(900)
class CombinedOpenClIT {
    /** Test vectors that differ in what is divided: keys, shared heads, ridges. {@code verify --device jvm+jvm} and the tests of opencl:0 alone hold all. */
    private static final Set<String> DIVIDED = Set.of("decode", "grouped", "per-query-ridge");

    @Test
    void holdsOnTheTestVectors() {
        assumeTrue(Devices.list().stream().anyMatch(info -> info.name().equals("opencl:0")), "the device opencl:0 is not here");
        try (Device device = Devices.openAll(List.of("jvm", "opencl:0"))) {
            List<GoldenCase> cases = Problems.golden().stream().filter(golden -> DIVIDED.contains(golden.folder().getFileName().toString())).toList();
            assertEquals(DIVIDED.size(), cases.size());
            List<Outcome> outcomes = Verification.run(device, cases, 3, outcome -> { });
            assertEquals(List.of(), outcomes.stream().filter(outcome -> !outcome.ok()).toList());
            assertEquals(0, outcomes.stream().filter(outcome -> outcome.failure() != null).count());
        }
    }

    /** Pieces that overlap on a device whose arrays are copied to it and back. */
    @Test
    void headsInTurnAreTheBitsOfOneDevice() {
        assumeTrue(Devices.list().stream().anyMatch(info -> info.name().equals("opencl:0")), "the device opencl:0 is not here");
        AttentionShape shape = new AttentionShape(1, 10, 10, 200, 200, 64, 64);
        LlaOptions options = LlaOptions.defaults();
        try (CombinedDevice device = (CombinedDevice) Devices.openAll(List.of("opencl:0", "opencl:0"))) {
            try (LlaPlan whole = device.plan(shape, options)) {
                device.setLeastPieceBytes(1);
                try (LlaPlan inTurn = device.plan(shape, options)) {
                    LlaResult want = whole.newResult();
                    LlaResult got = inTurn.newResult();
                    for (int seed = 1; seed <= 10; seed++) {
                        LlaInputs inputs = Problems.normal(shape, seed);
                        whole.forward(inputs, want);
                        inTurn.forward(inputs, got);
                        assertEquals(-1, want.output().segment().mismatch(got.output().segment()), "inputs " + seed);
                        assertArrayEquals(want.iterations(), got.iterations());
                    }
                }
            }
        }
    }

    /** A head's keys, half of them on each. */
    @Test
    void decodesOneHeadTogether() {
        assumeTrue(Devices.list().stream().anyMatch(info -> info.name().equals("opencl:0")), "the device opencl:0 is not here");
        KvCacheShape shape = new KvCacheShape(1, 1, 9000, 64, 64, DataType.FLOAT32);
        LlaOptions options = LlaOptions.defaults();
        Random random = new Random(6);
        Tensor k = Problems.normal(random, 1, 1, 9000, 64);
        Tensor v = Problems.normal(random, 1, 1, 9000, 64);
        Tensor q = Problems.normal(random, 1, 4, 1, 64);
        try (CombinedDevice device = (CombinedDevice) Devices.openAll(List.of("jvm", "opencl:0")); Device jvm = Devices.open("jvm");
                KvCache got = new SplitCache(device, shape, new double[] {1, 1}); KvCache want = jvm.kvCache(shape);
                DecodePlan plan = got.decodePlan(4, options); DecodePlan alone = want.decodePlan(4, options)) {
            got.append(k, v);
            want.append(k, v);
            LlaResult result = plan.newResult();
            LlaResult wanted = alone.newResult();
            plan.decode(q, result);
            alone.decode(q, wanted);
            double error = Accuracy.relativeError(result.output(), wanted.output());
            assertTrue(error < 1e-4, () -> "off by " + error);
        }
    }
}
