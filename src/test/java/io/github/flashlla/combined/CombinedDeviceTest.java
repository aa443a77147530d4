package io.github.flashlla.combined;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceException;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
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
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Two processes of the device jvm against the one in this process. */
class CombinedDeviceTest {
    private static final LlaOptions OPTIONS = LlaOptions.defaults().withKeepState(true);
    private static Device one;
    private static CombinedDevice two;

    @BeforeAll
    static void open() {
        one = Devices.open("jvm");
        two = (CombinedDevice) Devices.openAll(List.of("jvm", "jvm"));
    }

    @AfterAll
    static void close() {
        two.close();
        one.close();
    }

    private static void assertSameBits(String what, Tensor want, Tensor got) {
        assertEquals(-1, want.segment().mismatch(got.segment()), () -> what + ": " + Accuracy.relativeError(want, got) + " apart, from " + want.get(0)
                + " and " + got.get(0));
    }

    @Test
    void viewsGiveTheBitsOfTheirCopies() {
        Tensor qkv = Problems.normal(new Random(2), DataType.FLOAT32, 1, 1, 80, 8, 16);
        LlaInputs views = LlaInputs.packed(qkv, 4, 2);
        LlaInputs copies = LlaInputs.of(views.q().copy(), views.k().copy(), views.v().copy());
        try (LlaPlan plan = two.plan(views.shape(), LlaOptions.defaults().withWindow(20))) {
            LlaResult expected = plan.newResult();
            plan.forward(copies, expected);
            Tensor memory = Tensor.allocate(DataType.FLOAT32, 1, 80, 4, 16);
            LlaResult found = new LlaResult(views.shape(), memory.permute(0, 2, 1, 3), false);
            plan.forward(views, found);
            assertSameBits("o", expected.output(), found.output().copy());
            assertSameBits("o of one device", one.forward(copies, LlaOptions.defaults().withWindow(20)).output(), found.output().copy());
        }
    }

    /** Heads in groups, a ridge for each query, several element types: the bits of one device, forward and backward. */
    @Test
    void wholeHeadsAreTheBitsOfOneDevice() {
        for (DataType type : new DataType[] {DataType.FLOAT32, DataType.FLOAT16, DataType.FLOAT64}) {
            assertBitsOfOneDevice(new AttentionShape(2, 4, 2, 150, 170, 24, 20), type);
        }
    }

    @Test
    void headsInTurnAreTheBitsOfOneDevice() {
        long usual = two.leastPieceBytes();
        two.setLeastPieceBytes(1);
        try {
            assertBitsOfOneDevice(new AttentionShape(2, 8, 4, 90, 110, 24, 20), DataType.FLOAT16);
        } finally {
            two.setLeastPieceBytes(usual);
        }
    }

    private static void assertBitsOfOneDevice(AttentionShape shape, DataType type) {
        LlaInputs inputs = Problems.normal(shape, 5).withRidge(Problems.ridges(shape, 0.1, 10, 6)).as(type);
        Tensor g = Problems.normal(new Random(7), shape.outputDims());
        try (LlaPlan plan = one.plan(shape, OPTIONS); LlaPlan divided = two.plan(shape, OPTIONS)) {
            LlaResult want = plan.newResult();
            LlaResult got = divided.newResult();
            plan.forward(inputs, want);
            divided.forward(inputs, got);
            assertSameBits("o", want.output(), got.output());
            assertSameBits("lse", want.logSumExp(), got.logSumExp());
            assertSameBits("kbar", want.kbar(), got.kbar());
            assertSameBits("x", want.x(), got.x());
            assertArrayEquals(want.iterations(), got.iterations());
            assertArrayEquals(want.residual(), got.residual());
            assertEquals(want.pairIterations(), got.pairIterations());
            LlaGradients wanted = plan.newGradients();
            LlaGradients gradients = divided.newGradients();
            plan.backward(inputs, want, g, wanted);
            divided.backward(inputs, got, g, gradients);
            assertSameBits("dq", wanted.dq(), gradients.dq());
            assertSameBits("dk", wanted.dk(), gradients.dk());
            assertSameBits("dv", wanted.dv(), gradients.dv());
            assertSameBits("dridge", wanted.dridge(), gradients.dridge());
            assertArrayEquals(wanted.iterations(), gradients.iterations());
        }
    }

    /** The parts' own, and the tensors in shared memory once they were used. */
    @Test
    void theWorkspaceGrowsWithWhatAPassMakes() {
        AttentionShape shape = AttentionShape.square(1, 2, 300, 16);
        LlaInputs inputs = Problems.normal(shape, 5);
        long tensor = shape.tensorBytes(Float.BYTES) / 4; // q, k, v and o are equally large
        try (LlaPlan plan = one.plan(shape, OPTIONS); LlaPlan divided = two.plan(shape, OPTIONS)) {
            LlaResult saved = divided.newResult();
            LlaResult other = plan.newResult();
            long made = divided.workspaceBytes() - plan.workspaceBytes();
            divided.forward(inputs, saved);
            plan.forward(inputs, other);
            long ran = divided.workspaceBytes();
            long rows = shape.rows() * Float.BYTES;
            assertEquals(made + plan.workspaceBytes() + 6 * tensor + 5 * rows, ran); // q, k, v, o, kbar and x; five numbers of a query
            long alone = plan.workspaceBytes();
            divided.backward(inputs, saved, inputs.q(), divided.newGradients());
            plan.backward(inputs, other, inputs.q(), plan.newGradients());
            alone = plan.workspaceBytes() - alone;
            assertTrue(alone > 0);
            // g, dq, dk, dv, dridge and three numbers of a query are shared; the gradients are the parts' own too
            assertTrue(divided.workspaceBytes() - ran >= alone / 2 + 7 * tensor + 5 * rows, divided.workspaceBytes() + " after " + ran);
            long after = divided.workspaceBytes();
            divided.backward(inputs, saved, inputs.q(), divided.newGradients());
            assertEquals(after, divided.workspaceBytes());
        }
    }

    /** All keys are seen by all blocks, so that a cut within a head changes nothing either. */
    @Test
    void blocksOfQueriesWithoutAMaskAreTheBitsOfOneDevice() {
        AttentionShape shape = new AttentionShape(1, 3, 1, 200, 90, 16, 16);
        LlaInputs inputs = Problems.normal(shape, 8);
        LlaOptions options = OPTIONS.withCausal(false);
        assertSameBits("o", one.forward(inputs, options).output(), two.forward(inputs, options).output());
    }

    @Test
    void blocksOfQueriesOfACausalHeadAgree() {
        for (AttentionShape shape : List.of(new AttentionShape(1, 3, 1, 200, 230, 16, 16), new AttentionShape(1, 2, 1, 230, 120, 16, 16))) {
            LlaInputs inputs = Problems.normal(shape, 9);
            Tensor g = Problems.normal(new Random(10), shape.outputDims());
            try (LlaPlan plan = one.plan(shape, OPTIONS); LlaPlan divided = two.plan(shape, OPTIONS)) {
                LlaResult want = plan.newResult();
                LlaResult got = divided.newResult();
                plan.forward(inputs, want);
                divided.forward(inputs, got);
                assertTrue(Accuracy.relativeError(want.output(), got.output()) < 2e-5, shape.toString());
                LlaGradients wanted = plan.newGradients();
                LlaGradients gradients = divided.newGradients();
                plan.backward(inputs, want, g, wanted);
                divided.backward(inputs, got, g, gradients);
                assertTrue(Accuracy.relativeError(wanted.dk(), gradients.dk()) < 3e-4, shape.toString());
                assertTrue(Accuracy.relativeError(wanted.dv(), gradients.dv()) < 3e-4, shape.toString());
                assertTrue(Accuracy.relativeError(wanted.dq(), gradients.dq()) < 3e-4, shape.toString());
                LlaGradients again = divided.newGradients();
                divided.backward(inputs, got, g, again);
                assertSameBits("dk again", gradients.dk(), again.dk());
                LlaResult others = plan.newResult(); // not the divided plan's own: it runs forward again
                plan.forward(inputs, others);
                divided.backward(inputs, others, g, again);
                assertSameBits("dk of another's result", gradients.dk(), again.dk());
            }
        }
    }

    @Test
    void aStepIsTheBitsOfOneDevice() {
        KvCacheShape shape = new KvCacheShape(2, 3, 300, 16, 12, DataType.FLOAT16);
        try (KvCache want = one.kvCache(shape); KvCache got = two.kvCache(shape)) {
            for (KvCache cache : new KvCache[] {want, got}) {
                Random random = new Random(11);
                cache.append(Problems.normal(random, 2, 3, 130, 16), Problems.normal(random, 2, 3, 130, 12));
                cache.append(1, Problems.normal(random, 3, 70, 16), Problems.normal(random, 3, 70, 12));
                cache.truncate(0, 101);
                cache.append(Problems.normal(random, 2, 3, 1, 16), Problems.normal(random, 2, 3, 1, 12));
            }
            assertEquals(102, got.length(0));
            for (int sequence = 0; sequence < 2; sequence++) {
                assertSameBits("keys", want.keys(sequence), got.keys(sequence));
                assertSameBits("values", want.values(sequence), got.values(sequence));
            }
            Tensor q = Problems.normal(new Random(12), 2, 6, 1, 16);
            try (DecodePlan plan = want.decodePlan(6, OPTIONS); DecodePlan divided = got.decodePlan(6, OPTIONS)) {
                LlaResult wanted = plan.newResult();
                LlaResult result = divided.newResult();
                long made = divided.workspaceBytes();
                plan.decode(q, wanted);
                divided.decode(q, result);
                long shared = q.byteSize() + result.output().byteSize() + result.x().byteSize() + result.kbar().byteSize();
                assertTrue(divided.workspaceBytes() >= made + shared, divided.workspaceBytes() + " after " + made);
                long ran = divided.workspaceBytes();
                divided.decode(q, result);
                assertEquals(ran, divided.workspaceBytes());
                assertSameBits("o", wanted.output(), result.output());
                assertSameBits("x", wanted.x(), result.x());
                assertArrayEquals(wanted.residual(), result.residual());
                assertEquals(plan.lastMethod(), divided.lastMethod());
            }
        }
    }

    /** What a part says comes through. */
    @Test
    void mistakesKeepTheirWords() {
        LlaOptions half = LlaOptions.defaults().withPrecision(DataType.FLOAT16);
        String said = assertThrows(InvalidInputException.class, () -> two.plan(AttentionShape.square(1, 1, 8, 8), half)).getMessage();
        assertTrue(said.startsWith("jvm+jvm does not compute"), said);
        said = assertThrows(InvalidInputException.class, () -> Devices.select(List.of("jvm+nothing:0"))).getMessage();
        assertTrue(said.startsWith("no device matches 'nothing:0'"), said);
        for (String name : List.of("jvm+", "+jvm", "jvm++jvm", "+")) {
            said = assertThrows(InvalidInputException.class, () -> Devices.select(List.of(name))).getMessage();
            assertEquals("'" + name + "' wants a device on each side of every +, as in jvm+opencl:0", said);
        }
        said = assertThrows(InvalidInputException.class, () -> {
            LlaInputs inputs = Problems.normal(AttentionShape.square(1, 2, 40, 8), 1);
            inputs.k().fill(1e30);
            two.forward(inputs, LlaOptions.defaults().withRidge(-1));
        }).getMessage();
        assertTrue(said.contains("ridge"), said);
    }

    @Test
    void namesInTheListStayApart() {
        assertEquals(List.of("jvm", "jvm+jvm", "jvm+jvm+reference"), Devices.select(List.of("jvm", "jvm+jvm", "jvm", "jvm+jvm+reference")).stream()
                .map(info -> info.name()).toList());
    }

    /** The rest does the share of a process that is killed in the middle; nothing is left when all are. */
    @Test
    void aKilledPartsShareIsDoneAgain() throws IOException, InterruptedException {
        AttentionShape shape = AttentionShape.square(1, 4, 3000, 64);
        AttentionShape small = AttentionShape.square(1, 2, 100, 16);
        LlaInputs inputs = Problems.normal(shape, 13);
        LlaInputs few = Problems.normal(small, 14);
        Tensor g = Problems.normal(new Random(15), small.outputDims());
        LlaOptions options = LlaOptions.defaults().withTolerance(1e-6);
        LlaResult want = one.forward(inputs, options);
        try (CombinedDevice device = (CombinedDevice) Devices.open("jvm+jvm"); LlaPlan plan = inTurn(device).plan(shape, options);
                LlaPlan divided = device.plan(small, OPTIONS); LlaPlan alone = one.plan(small, OPTIONS)) {
            LlaResult saved = divided.newResult();
            divided.forward(few, saved);
            LlaResult got = plan.newResult();
            Thread killer = Thread.ofPlatform().start(() -> {
                sleep(150);
                kill(device, 1);
            });
            plan.forward(inputs, got);
            killer.join();
            assertSameBits("o", want.output(), got.output());
            LlaGradients gradients = divided.newGradients();
            divided.backward(few, saved, g, gradients); // half of its state is gone with the process
            assertTrue(device.crew().parts().get(1).dead());
            LlaResult other = alone.newResult();
            alone.forward(few, other);
            LlaGradients wanted = alone.newGradients();
            alone.backward(few, other, g, wanted);
            assertSameBits("dk", wanted.dk(), gradients.dk());
            String said = assertThrows(DeviceException.class, () -> device.plan(small, OPTIONS)).getMessage();
            assertTrue(said.endsWith("; open the device anew."), said);
            kill(device, 0);
            said = assertThrows(DeviceException.class, () -> plan.forward(inputs, got)).getMessage();
            assertTrue(said.contains("was killed by signal 9") && said.contains("no other is left"), said);
        }
        for (Path folder : new Path[] {Path.of("/dev/shm"), Path.of(System.getProperty("java.io.tmpdir"))}) {
            if (Files.isDirectory(folder)) {
                try (Stream<Path> left = Files.list(folder)) {
                    assertEquals(List.of(), left.filter(file -> file.getFileName().toString().endsWith(".shared")).toList());
                }
            }
        }
    }

    @Test
    void aCacheOfAKilledPartIsLost() {
        try (CombinedDevice device = (CombinedDevice) Devices.open("jvm+jvm");
                KvCache cache = device.kvCache(new KvCacheShape(1, 2, 8, 8, 8, DataType.FLOAT32))) {
            Tensor token = Problems.normal(new Random(1), 1, 2, 1, 8);
            cache.append(token, token);
            kill(device, 1);
            String said = assertThrows(DeviceException.class, () -> cache.append(token, token)).getMessage();
            assertTrue(said.contains("(part 2) was killed by signal 9") && said.contains("make the cache anew"), said);
        }
    }

    /** It dies with a piece done, one begun or one still to come. */
    private static CombinedDevice inTurn(CombinedDevice device) {
        device.setLeastPieceBytes(1);
        return device;
    }

    private static void kill(CombinedDevice device, int part) {
        ProcessHandle.of(device.crew().parts().get(part).pid()).ifPresent(process -> {
            process.destroyForcibly();
            process.onExit().join();
        });
    }

    private static void sleep(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
