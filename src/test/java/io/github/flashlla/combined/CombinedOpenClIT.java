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
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Problems;
import io.github.flashlla.Tensor;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.GoldenCase;
import io.github.flashlla.verify.RandomInputs;
import io.github.flashlla.verify.Verification;
import io.github.flashlla.verify.Verification.Outcome;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Two devices of different kinds and speeds as one. */
@Timeout(900)
class CombinedOpenClIT {
    /** Test vectors that differ in what is divided: keys, shared heads, ridges. {@code verify --device jvm+jvm} and the tests of opencl:0 alone hold all. */
    private static final Set<String> DIVIDED = Set.of("decode", "grouped", "per-query-ridge");

    private static CombinedDevice both;

    /** One for all tests: its processes take seconds to start, and what one test compiles the next takes. */
    private static CombinedDevice both() {
        requireOpenCl();
        if (both == null) {
            both = (CombinedDevice) Devices.openAll(List.of("jvm", "opencl:0"));
        }
        return both;
    }

    private static void requireOpenCl() {
        assumeTrue(Devices.list().stream().anyMatch(info -> info.name().equals("opencl:0")), "the device opencl:0 is not here");
    }

    @AfterAll
    static void close() {
        if (both != null) {
            both.close();
        }
    }

    @Test
    void holdsOnTheTestVectors() {
        Device device = both();
        List<GoldenCase> cases = Problems.golden().stream().filter(golden -> DIVIDED.contains(golden.folder().getFileName().toString())).toList();
        assertEquals(DIVIDED.size(), cases.size());
        List<Outcome> outcomes = new ArrayList<>();
        for (int n = 0; n < cases.size(); n++) { // of so many parts, the first hold the vectors, and what has their head dims
            outcomes.addAll(Verification.run(device, cases, 3, n, 1000, outcome -> { }));
        }
        assertEquals(List.of(), outcomes.stream().filter(outcome -> !outcome.ok()).toList());
        Set<String> names = outcomes.stream().map(Outcome::name).collect(Collectors.toSet());
        assertTrue(names.containsAll(DIVIDED), names.toString());
    }

    /** Heads that the devices share evenly or not, fewer than devices too; of the one head dim that other tests compile for opencl:0. */
    @Test
    void dividesRaggedShapes() {
        Device device = both();
        List<AttentionShape> shapes = List.of(new AttentionShape(2, 6, 2, 150, 290, 64, 64), new AttentionShape(1, 3, 1, 200, 7, 64, 64),
                new AttentionShape(1, 1, 1, 90, 90, 64, 64), new AttentionShape(2, 2, 2, 1, 131, 64, 64), new AttentionShape(1, 5, 5, 33, 65, 64, 64));
        try (Device reference = Devices.open("reference")) {
            for (AttentionShape shape : shapes) {
                for (boolean causal : shape.queryLength() <= shape.keyLength() ? new boolean[] {true, false} : new boolean[] {false}) {
                    LlaOptions options = LlaOptions.defaults().withCausal(causal).withTolerance(1e-6).withMaxIterations(256).withKeepState(true);
                    LlaInputs inputs = Problems.normal(shape, 4);
                    Tensor g = RandomInputs.gradient(shape).as(DataType.FLOAT32);
                    try (LlaPlan plan = device.plan(shape, options); LlaPlan exact = reference.plan(shape, options)) {
                        LlaResult result = plan.newResult();
                        LlaResult want = exact.newResult();
                        plan.forward(inputs, result);
                        exact.forward(inputs, want);
                        String name = shape + (causal ? ", causal" : "");
                        requireNear(name + ": o", result.output(), want.output(), 1e-4);
                        LlaGradients found = plan.newGradients();
                        LlaGradients wanted = exact.newGradients();
                        plan.backward(inputs, result, g, found);
                        exact.backward(inputs, want, g, wanted);
                        requireNear(name + ": dq", found.dq(), wanted.dq(), 3e-4);
                        requireNear(name + ": dk", found.dk(), wanted.dk(), 3e-4);
                        requireNear(name + ": dv", found.dv(), wanted.dv(), 3e-4);
                        requireNear(name + ": dridge", found.dridge(), wanted.dridge(), 3e-4);
                    }
                }
            }
        }
    }

    /** A step of several sequences, of heads that share keys. */
    @Test
    void decodesHeadsTogether() {
        Device device = both();
        LlaInputs inputs = Problems.normal(new AttentionShape(2, 6, 2, 1, 300, 64, 64), 5);
        LlaOptions options = LlaOptions.defaults().withMaxIterations(256).withTolerance(1e-5);
        try (Device reference = Devices.open("reference")) {
            requireNear("o", device.decode(inputs, options).output(), reference.forward(inputs, options).output(), 1e-4);
        }
    }

    private static void requireNear(String name, Tensor found, Tensor want, double bar) {
        double error = Accuracy.relativeError(found, want);
        assertTrue(error <= bar, () -> name + " is off by " + error); // false for NaN
    }

    /** Pieces that overlap on a device whose arrays are copied to it and back. */
    @Test
    void headsInTurnAreTheBitsOfOneDevice() {
        requireOpenCl();
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
        CombinedDevice device = both();
        KvCacheShape shape = new KvCacheShape(1, 1, 9000, 64, 64, DataType.FLOAT32);
        LlaOptions options = LlaOptions.defaults();
        Random random = new Random(6);
        Tensor k = Problems.normal(random, 1, 1, 9000, 64);
        Tensor v = Problems.normal(random, 1, 1, 9000, 64);
        Tensor q = Problems.normal(random, 1, 4, 1, 64);
        try (Device jvm = Devices.open("jvm");
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
