package io.github.flashlla.tornado.ondevice;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Tensor;
import io.github.flashlla.spi.KernelGuide;
import io.github.flashlla.tornado.choice.TornadoKernelGuide;
import io.github.flashlla.tornado.support.TestDevice;
import io.github.flashlla.tornadovm.DeviceProfile;
import io.github.flashlla.tornadovm.Pass;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.RandomInputs;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Open a device, plan for a shape, run many times. */
public class PlanOnDevice {
    private static final AttentionShape SHAPE = new AttentionShape(1, 2, 1, 70, 90, 32, 32);
    private static final LlaOptions OPTIONS = LlaOptions.defaults();

    private static Device device;

    @BeforeAll
    static void open() {
        device = TestDevice.open();
    }

    @AfterAll
    static void close() {
        device.close();
    }

    /** What {@code devices --kernels} says of forward and softmax attention is what plans take. */
    @Test
    void kernelsThatAreSaidToRunAreThoseOfPlans() {
        for (AttentionShape shape : List.of(SHAPE, AttentionShape.square(1, 1, 32, 256), new AttentionShape(1, 1, 1, 20, 20, 3, 5))) {
            for (DataType precision : List.of(DataType.FLOAT32, DataType.FLOAT16)) {
                for (Preconditioner preconditioner : Preconditioner.values()) {
                    LlaOptions options = OPTIONS.withPrecision(precision).withPreconditioner(preconditioner);
                    List<KernelGuide.Choice> choices = new TornadoKernelGuide().choices(device.info(), shape, options);
                    String what = shape + " " + options;
                    assertEquals(isTold(choices, Pass.FORWARD), isTaken(() -> device.plan(shape, options)), what);
                    assertEquals(isTold(choices, Pass.SOFTMAX), isTaken(() -> device.softmaxPlan(shape, options)), what);
                }
            }
        }
    }

    private static boolean isTold(List<KernelGuide.Choice> choices, Pass pass) {
        return choices.stream().anyMatch(choice -> choice.pass().equals(DeviceProfile.key(pass)) && choice.refusal().isEmpty());
    }

    private static boolean isTaken(Supplier<LlaPlan> maker) {
        try (LlaPlan plan = maker.get()) {
            return true;
        } catch (InvalidInputException e) {
            return false;
        }
    }

    /** Views of packed q, k and v give the bits that their copies give, and o goes where its view lies. */
    @Test
    void viewsEqualTheirCopies() {
        Tensor qkv = RandomInputs.normal(AttentionShape.square(2, 1, 70, 4 * 32), DataType.FLOAT32, 7).q().reshape(2, 70, 4, 32);
        LlaInputs views = LlaInputs.packed(qkv, 2, 1);
        try (LlaPlan plan = device.plan(views.shape(), OPTIONS)) {
            LlaResult expected = plan.newResult();
            plan.forward(LlaInputs.of(views.q().copy(), views.k().copy(), views.v().copy()), expected);
            long bytes = plan.workspaceBytes();
            Tensor memory = Tensor.allocate(DataType.FLOAT32, 2, 70, 2, 32);
            plan.forward(views, new LlaResult(views.shape(), memory.permute(0, 2, 1, 3), false));
            assertArrayEquals(expected.output().permute(0, 2, 1, 3).toFloatArray(), memory.toFloatArray());
            assertEquals(bytes, plan.workspaceBytes());
            assertTrue(plan.describe().contains("no further copy"), plan.describe());
        }
    }

    /** Other queries over the same keys: the bits of a whole run, and of the keys as they were, since none is sent again. */
    @Test
    void sendsQueriesAlone() {
        LlaInputs first = RandomInputs.normal(SHAPE, DataType.FLOAT32, 1);
        Tensor ridges = TestDevice.ridges(SHAPE, 0.5, 2, 4);
        LlaInputs second = new LlaInputs(RandomInputs.normal(SHAPE, DataType.FLOAT32, 2).q(), first.k(), first.v(), ridges);
        try (LlaPlan plan = device.plan(SHAPE, OPTIONS.withTolerance(1e-2).withKeepState(true))) { // no query goes to float64
            LlaResult expected = plan.newResult();
            plan.forward(second, expected);
            LlaResult result = plan.newResult();
            plan.forward(first, result);
            first.v().set(0, first.v().get(0) + 1); // which the caller says he does not
            plan.forwardQueries(second, result);
            assertArrayEquals(expected.output().toFloatArray(), result.output().toFloatArray());
            assertArrayEquals(expected.x().toFloatArray(), result.x().toFloatArray());
            assertArrayEquals(expected.residual(), result.residual());
            assertArrayEquals(expected.roundingError(), result.roundingError());

            plan.forward(second, result);
            assertNotEquals(expected.output().get(0), result.output().get(0));
            plan.forward(LlaInputs.of(first.q(), first.k(), first.v()), expected); // back to the options' ridge
            plan.forward(first, result);
            assertArrayEquals(expected.output().toFloatArray(), result.output().toFloatArray());
        }
    }

    /** Inputs in float16, which stay so where the device computes in it, give the bits that the same numbers in float32 give. */
    @Test
    void float16InputsEqualTheirWidenedOnes() {
        LlaOptions options = device.info().precisions().contains(DataType.FLOAT16) ? OPTIONS.withPrecision(DataType.FLOAT16).withTolerance(1e-3)
                : OPTIONS;
        AttentionShape shape = AttentionShape.square(1, 2, 200, 64);
        LlaInputs halves = RandomInputs.normal(shape, DataType.FLOAT16, 5);
        LlaInputs wide = halves.as(DataType.FLOAT32);
        LlaInputs mixed = LlaInputs.of(halves.q(), wide.k(), halves.v());
        Tensor others = RandomInputs.normal(shape, DataType.FLOAT16, 6).q();
        try (LlaPlan plan = device.plan(shape, options)) {
            LlaResult expected = plan.newResult();
            plan.forward(wide, expected);
            float[] bits = expected.output().toFloatArray();
            LlaResult result = plan.newResult();
            for (LlaInputs inputs : List.of(halves, wide, mixed, halves)) {
                result.output().fill(Double.NaN);
                plan.forward(inputs, result);
                assertArrayEquals(bits, result.output().toFloatArray());
            }
            plan.forwardQueries(LlaInputs.of(others, halves.k(), halves.v()), result);
            plan.forward(LlaInputs.of(others.as(DataType.FLOAT32), wide.k(), wide.v()), expected);
            assertArrayEquals(expected.output().toFloatArray(), result.output().toFloatArray());
        }
    }

    /** Compiled once; the same inputs give the same bits, others their own answer, and nothing is left of the run before. */
    @Test
    void runsManyTimesAndCompilesOnce() {
        LlaInputs first = RandomInputs.normal(SHAPE, DataType.FLOAT32, 1);
        LlaInputs second = RandomInputs.normal(SHAPE, DataType.FLOAT32, 2);
        try (LlaPlan plan = device.plan(SHAPE, OPTIONS)) {
            LlaResult result = plan.newResult();
            plan.forward(first, result);
            float[] bits = result.output().toFloatArray();
            assertTrue(result.timing().compileNanos() > 0);
            assertTrue(result.timing().kernelNanos() > 0);
            for (int run = 0; run < 3; run++) {
                plan.forward(second, result);
                assertEquals(0, result.timing().compileNanos());
                double error = Accuracy.relativeError(result.output(), TestDevice.expected(second, OPTIONS));
                assertTrue(error <= 1e-4, "off by " + error);
                plan.forward(first, result);
                assertArrayEquals(bits, result.output().toFloatArray());
            }
        }
    }

    /** What a run allocates on the heap is TornadoVM's own bookkeeping, and numbers per query: much less than any of the tensors. */
    @Test
    void runsWithoutNewArrays() {
        AttentionShape shape = AttentionShape.square(1, 4, 1024, 64);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 1);
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        try (LlaPlan plan = device.plan(shape, OPTIONS)) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            plan.forward(inputs, result);
            long before = threads.getCurrentThreadAllocatedBytes();
            int runs = 5;
            for (int run = 0; run < runs; run++) {
                plan.forward(inputs, result);
            }
            long perRun = (threads.getCurrentThreadAllocatedBytes() - before) / runs;
            assertTrue(perRun < inputs.q().byteSize() * 5 / 8, "a run allocates " + perRun + " bytes, q has " + inputs.q().byteSize());
        }
    }

    /** TornadoVM by itself refuses to run a plan once another one was closed. */
    @Test
    void outlivesAnotherPlan() {
        LlaInputs inputs = RandomInputs.normal(SHAPE, DataType.FLOAT32, 1);
        try (LlaPlan plan = device.plan(SHAPE, OPTIONS)) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            float[] bits = result.output().toFloatArray();
            device.forward(inputs, OPTIONS);
            plan.forward(inputs, result);
            assertArrayEquals(bits, result.output().toFloatArray());
        }
    }

    /** Side by side on threads of their own, each with the bits it has alone. */
    @Test
    void plansOfSeveralThreads() throws Exception {
        LlaInputs[] inputs = {RandomInputs.normal(SHAPE, DataType.FLOAT32, 1), RandomInputs.normal(SHAPE, DataType.FLOAT32, 2)};
        float[][] alone = {device.forward(inputs[0], OPTIONS).output().toFloatArray(),
            device.forward(inputs[1], OPTIONS).output().toFloatArray()};
        try (ExecutorService executor = Executors.newFixedThreadPool(2)) {
            Callable<Void> task0 = () -> manyRuns(inputs[0], alone[0]);
            Callable<Void> task1 = () -> manyRuns(inputs[1], alone[1]);
            for (Future<Void> done : executor.invokeAll(List.of(task0, task1))) {
                done.get();
            }
        }
    }

    private static Void manyRuns(LlaInputs inputs, float[] expected) {
        try (LlaPlan plan = device.plan(SHAPE, OPTIONS)) {
            LlaResult result = plan.newResult();
            for (int run = 0; run < 20; run++) {
                plan.forward(inputs, result);
                assertArrayEquals(expected, result.output().toFloatArray());
            }
        }
        return null;
    }

    @Test
    void onePlanOnTwoThreadsIsRefused() throws Exception {
        LlaInputs inputs = RandomInputs.normal(SHAPE, DataType.FLOAT32, 1);
        try (LlaPlan plan = device.plan(SHAPE, OPTIONS); ExecutorService executor = Executors.newFixedThreadPool(2)) {
            plan.forward(inputs, plan.newResult());
            AtomicReference<IllegalStateException> refusal = new AtomicReference<>();
            long end = System.nanoTime() + 10_000_000_000L;
            Callable<Void> runs = () -> {
                LlaResult result = plan.newResult();
                while (refusal.get() == null && System.nanoTime() < end) {
                    try {
                        plan.forward(inputs, result);
                    } catch (IllegalStateException e) {
                        refusal.set(e);
                    }
                }
                return null;
            };
            for (Future<Void> done : executor.invokeAll(List.of(runs, runs))) {
                done.get();
            }
            assertTrue(refusal.get() != null && refusal.get().getMessage().contains("a plan for each thread"), "neither thread was refused");
            plan.forward(inputs, plan.newResult()); // and works on
        }
    }

    @Test
    void refusesOtherShapesAndUseAfterClose() {
        AttentionShape other = new AttentionShape(1, 2, 1, 71, 90, 32, 32);
        LlaPlan plan = device.plan(SHAPE, OPTIONS);
        assertThrows(InvalidInputException.class,
                () -> plan.forward(RandomInputs.normal(other, DataType.FLOAT32, 1), plan.newResult()));
        plan.close();
        plan.close();
        assertThrows(IllegalStateException.class,
                () -> plan.forward(RandomInputs.normal(SHAPE, DataType.FLOAT32, 1), plan.newResult()));
    }

    /** Beyond q, k, v and o a plan holds at most the size of q, k and o; on GPUs, whose first step is along q, an array more. */
    @Test
    void holdsLittleBesideTheTensors() {
        AttentionShape shape = AttentionShape.square(1, 8, 2048, 64);
        try (LlaPlan plan = device.plan(shape, OPTIONS)) {
            long arrays = device.info().type() == DeviceInfo.Type.GPU ? 4 : 3;
            long most = shape.tensorBytes(Float.BYTES) / 4 * arrays;
            assertTrue(plan.workspaceBytes() <= most, plan.workspaceBytes() + " bytes of workspace, more than " + most);
        }
    }
}
