package io.github.flashlla.jvm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
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
import io.github.flashlla.PackedPlan;
import io.github.flashlla.Problems;
import io.github.flashlla.Sequences;
import io.github.flashlla.Tensor;
import io.github.flashlla.jvm.block.BlockLoops;
import io.github.flashlla.jvm.block.ScalarBlockLoops;
import io.github.flashlla.jvm.block.VectorBlockLoops;
import io.github.flashlla.spi.DeviceState;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Random;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JvmPlanTest {

    private static final AttentionShape SHAPE = AttentionShape.square(1, 2, 40, 8);

    @Test
    void isFoundAndOpened() {
        try (Device device = Devices.open("jvm")) {
            assertEquals("jvm", device.info().name());
            assertEquals(Runtime.getRuntime().availableProcessors(), device.info().computeUnits());
            assertTrue(device.info().driver().contains("Vector API"), device.info().driver());
            assertTrue(device.info().memoryBytes() > 0);
        }
    }

    /** As where dL/do is 0 there, to the bit: what float64 computes must not be added twice. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void queriesLeftOutAddNothing(boolean vectors) {
        LlaInputs inputs = Problems.normal(SHAPE, 1);
        Tensor gradOutput = Problems.normal(SHAPE, 2).v().copy();
        BitSet without = new BitSet();
        without.set(0);
        without.set(39, 43); // of both heads
        without.set(79);
        Tensor zeroed = gradOutput.copy();
        without.stream().forEach(row -> IntStream.range(0, 8).forEach(d -> zeroed.set(row * 8L + d, 0)));
        assertTrue(JvmLoops.hasVectorModule());
        BlockLoops loops = vectors ? new VectorBlockLoops() : new ScalarBlockLoops();
        try (WorkerPool pool = new WorkerPool(2);
                JvmPlan plan = new JvmPlan(new DeviceState("jvm"), pool, loops, SHAPE, LlaOptions.defaults().withKeepState(true), true)) {
            LlaResult saved = plan.newResult();
            plan.forward(inputs, saved);
            LlaGradients gradients = plan.newGradients();
            plan.backward(inputs, saved, gradOutput, without, gradients);
            LlaGradients expected = plan.newGradients();
            plan.backward(inputs, saved, zeroed, expected);
            assertArrayEquals(expected.dq().toFloatArray(), gradients.dq().toFloatArray());
            assertArrayEquals(expected.dk().toFloatArray(), gradients.dk().toFloatArray());
            assertArrayEquals(expected.dv().toFloatArray(), gradients.dv().toFloatArray());
            plan.backward(inputs, saved, gradOutput, expected);
            assertFalse(Arrays.equals(expected.dk().toFloatArray(), gradients.dk().toFloatArray()), "all queries add something");
        }
    }

    @Test
    void refusesWhatIsNotOfItsShape() {
        LlaInputs inputs = Problems.normal(SHAPE, 1);
        LlaInputs others = Problems.normal(AttentionShape.square(1, 2, 41, 8), 1);
        try (JvmDevice device = JvmDevices.open(JvmLoops.vector(), 2, true);
                LlaPlan plan = device.plan(SHAPE, LlaOptions.defaults())) {
            LlaResult result = plan.newResult();
            assertTrue(assertThrows(InvalidInputException.class, () -> plan.forward(others, result)).getMessage()
                    .contains("Sq=41"));
            LlaResult wrongResult = new LlaResult(others.shape(), DataType.FLOAT32, false);
            assertThrows(InvalidInputException.class, () -> plan.forward(inputs, wrongResult));
            plan.forward(inputs, result);
            LlaGradients gradients = plan.newGradients();
            assertTrue(assertThrows(InvalidInputException.class,
                    () -> plan.backward(inputs, result, result.output(), gradients)).getMessage().contains("keeps no state"));
            LlaResult saved = new LlaResult(SHAPE, DataType.FLOAT32, true);
            plan.forward(inputs, saved);
            Tensor wrong = Tensor.allocate(DataType.FLOAT32, 1, 2, 40, 9);
            assertTrue(assertThrows(InvalidInputException.class,
                    () -> plan.backward(inputs, saved, wrong, gradients)).getMessage().contains("(1,2,40,9)"));
        }
    }

    /** By the sentence that every device has. */
    @ParameterizedTest
    @ValueSource(strings = {"jvm", "reference", "jvm+jvm"})
    void refusesAnOutputThatIsAnInput(String name) {
        LlaInputs inputs = Problems.normal(SHAPE, 1);
        try (Device device = Devices.open(name)) {
            LlaResult result = new LlaResult(SHAPE, inputs.q(), false);
            String message = assertThrows(InvalidInputException.class, () -> device.forward(inputs, LlaOptions.defaults(), result)).getMessage();
            assertTrue(message.startsWith(name + ": the result's output lies in the memory of q"), message);
            assertArrayEquals(Problems.normal(SHAPE, 1).q().toFloatArray(), inputs.q().toFloatArray(), "a refusal writes nothing");
            try (KvCache cache = device.kvCache(new KvCacheShape(1, 2, 4, 8, 8, DataType.FLOAT32));
                    DecodePlan plan = cache.decodePlan(2, LlaOptions.defaults())) {
                Tensor q = Problems.normal(new Random(1), 1, 2, 1, 8);
                LlaResult step = new LlaResult(plan.shape(), q, false);
                assertTrue(assertThrows(InvalidInputException.class, () -> plan.decode(q, step)).getMessage().contains("lies in the memory of q"));
                assertArrayEquals(Problems.normal(new Random(1), 1, 2, 1, 8).toFloatArray(), q.toFloatArray());
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"jvm", "reference", "jvm+jvm"})
    void refusesGradientsInTheMemoryOfWhatItReads(String name) {
        LlaInputs inputs = Problems.normal(SHAPE, 1);
        Tensor g = Problems.normal(new Random(2), SHAPE.outputDims());
        try (Device device = Devices.open(name); LlaPlan plan = device.plan(SHAPE, LlaOptions.defaults().withKeepState(true))) {
            LlaResult saved = plan.newResult();
            plan.forward(inputs, saved);
            Tensor room = Tensor.allocate(DataType.FLOAT32, SHAPE.queryDims());
            Tensor other = Tensor.allocate(DataType.FLOAT32, SHAPE.queryDims());
            refuses(plan, inputs, saved, g, new LlaGradients(SHAPE, inputs.q(), room, other), name + ": dq lies in the memory of q,");
            refuses(plan, inputs, saved, g, new LlaGradients(SHAPE, room, other, inputs.v()), name + ": dv lies in the memory of v,");
            refuses(plan, inputs, saved, g, new LlaGradients(SHAPE, room, g, other), name + ": dk lies in the memory of the output's gradient,");
            refuses(plan, inputs, saved, g, new LlaGradients(SHAPE, room, other, room), name + ": dv lies in the memory of dq,");
            assertArrayEquals(Problems.normal(SHAPE, 1).q().toFloatArray(), inputs.q().toFloatArray());
            assertArrayEquals(Problems.normal(SHAPE, 1).v().toFloatArray(), inputs.v().toFloatArray());
            assertArrayEquals(Problems.normal(new Random(2), SHAPE.outputDims()).toFloatArray(), g.toFloatArray());
            assertArrayEquals(new float[room.toFloatArray().length], room.toFloatArray());
        }
    }

    private static void refuses(LlaPlan plan, LlaInputs inputs, LlaResult saved, Tensor g, LlaGradients gradients, String start) {
        String said = assertThrows(InvalidInputException.class, () -> plan.backward(inputs, saved, g, gradients)).getMessage();
        assertTrue(said.startsWith(start), said);
    }

    /** Not even the sequences before the one that is refused. */
    @Test
    void aRefusalOfPackedSequencesWritesNothing() {
        AttentionShape shape = AttentionShape.square(1, 2, 40, 8);
        LlaInputs inputs = Problems.normal(shape, 1);
        Sequences sequences = Sequences.ofLengths(10, 30);
        Tensor ridge = Problems.ridges(shape, 1, 2, 3);
        ridge.set(39, -1);
        LlaInputs negative = new LlaInputs(inputs.q(), inputs.k(), inputs.v(), ridge);
        try (Device device = Devices.open("jvm"); PackedPlan plan = device.packedPlan(shape, LlaOptions.defaults().withKeepState(true))) {
            LlaResult onto = new LlaResult(shape, inputs.k(), true);
            String said = assertThrows(InvalidInputException.class, () -> plan.forward(inputs, sequences, onto)).getMessage();
            assertTrue(said.startsWith("jvm: the result's output lies in the memory of k"), said);
            Tensor room = Tensor.allocate(DataType.FLOAT32, shape.outputDims());
            assertThrows(InvalidInputException.class, () -> plan.forward(negative, sequences, new LlaResult(shape, room, true)));
            LlaGradients gradients = new LlaGradients(shape, room, inputs.k(), Tensor.allocate(DataType.FLOAT32, shape.valueDims()));
            assertThrows(InvalidInputException.class, () -> plan.backward(inputs, sequences, inputs.q(), gradients));
            assertArrayEquals(new float[room.toFloatArray().length], room.toFloatArray());
            assertArrayEquals(Problems.normal(shape, 1).k().toFloatArray(), inputs.k().toFloatArray());
        }
    }

    /** NaN, which forward and backward compute from, is named as what an input may be. */
    @Test
    void saysThatAnInputMayNotBeFinite() {
        LlaInputs inputs = Problems.normal(SHAPE, 1);
        try (JvmDevice device = JvmDevices.open(JvmLoops.vector(), 2, true); LlaPlan plan = device.plan(SHAPE, LlaOptions.defaults().withKeepState(true))) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            Tensor gradient = result.output().copy();
            gradient.set(3, Double.NaN);
            String backward = assertThrows(DeviceException.class, () -> plan.backward(inputs, result, gradient, plan.newGradients())).getMessage();
            assertTrue(backward.contains("inputs.requireFinite()") && backward.contains("gradient may not be finite"), backward);
            inputs.v().set(3, Double.NaN);
            String forward = assertThrows(DeviceException.class, () -> plan.forward(inputs, result)).getMessage();
            assertTrue(forward.contains("inputs.requireFinite()") && forward.contains("may not be finite"), forward);
        }
    }

    @Test
    void isOfNoUseOnceClosed() {
        LlaInputs inputs = Problems.normal(SHAPE, 1);
        try (JvmDevice device = JvmDevices.open(JvmLoops.vector(), 2, true)) {
            LlaPlan plan = device.plan(SHAPE, LlaOptions.defaults());
            LlaResult result = plan.newResult();
            plan.close();
            plan.close();
            assertThrows(IllegalStateException.class, () -> plan.forward(inputs, result));
        }
    }

    /** The bar at 1x8x16384x64 is three times q, k, v and o beyond them; backward's is twice. */
    @Test
    void workspaceIsWhatItSaysAndSmall() {
        AttentionShape shape = AttentionShape.square(1, 8, 16384, 64);
        long tensors = shape.tensorBytes(Float.BYTES);
        try (JvmDevice device = JvmDevices.open(JvmLoops.vector(), 2, true)) {
            LlaPlan[] made = new LlaPlan[1];
            long allocated = allocatedBytes(() -> made[0] = device.plan(shape, LlaOptions.defaults()));
            long said = made[0].workspaceBytes();
            assertTrue(said < tensors, said + " bytes are " + (double) said / tensors + " times q, k, v and o");
            assertTrue(Math.abs(allocated - said) < 0.02 * said, "said " + said + " but allocated " + allocated);
            long backward = BackwardPass.bytes(shape, LlaOptions.defaults(), 2, true);
            assertTrue(said + backward < tensors, "backward takes " + backward + " more");
        }
    }

    @Test
    void backwardAllocatesWhatItSays() {
        AttentionShape shape = new AttentionShape(1, 2, 1, 2000, 2000, 64, 64);
        LlaOptions options = LlaOptions.defaults();
        WorkerPool pool = new WorkerPool(2);
        long allocated = allocatedBytes(() -> new BackwardPass(pool, JvmLoops.vector().block(), shape, options, true));
        long said = BackwardPass.bytes(shape, options, 2, true);
        assertTrue(Math.abs(allocated - said) < 0.02 * said, "said " + said + " but allocated " + allocated);
        pool.close();
    }

    /** Memory is the plan's: runs after the first leave next to nothing for the garbage collector. */
    @Test
    void runsAllocateNothingToSpeakOf() {
        AttentionShape shape = AttentionShape.square(1, 2, 256, 16);
        LlaInputs inputs = Problems.normal(shape, 1);
        try (JvmDevice device = JvmDevices.open(JvmLoops.scalar(), 1, true);
                LlaPlan plan = device.plan(shape, LlaOptions.defaults().withKeepState(true))) {
            LlaResult result = plan.newResult();
            LlaGradients gradients = plan.newGradients();
            plan.forward(inputs, result);
            plan.backward(inputs, result, inputs.v(), gradients);
            ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
            long before = threads.getTotalThreadAllocatedBytes();
            for (int run = 0; run < 10; run++) {
                plan.forward(inputs, result);
                plan.backward(inputs, result, inputs.v(), gradients);
            }
            long perRun = (threads.getTotalThreadAllocatedBytes() - before) / 10;
            assertTrue(perRun < 1 << 18, perRun + " bytes per run");
        }
    }

    private static long allocatedBytes(Supplier<?> work) {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long before = threads.getCurrentThreadAllocatedBytes();
        Object kept = work.get();
        long bytes = threads.getCurrentThreadAllocatedBytes() - before;
        assertTrue(kept != null);
        return bytes;
    }
}
