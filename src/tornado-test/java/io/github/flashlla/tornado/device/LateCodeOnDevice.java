package io.github.flashlla.tornado.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.support.TestDevice;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Kernels of one graph, compiled side by side. */
class LateCodeOnDevice {
    private static final int SIZE = 1024;
    private static final int THREADS = 64;

    private final BackendDevice device = BackendDevices.open(TestDevice.NAME);
    private final FloatArray a = new FloatArray(SIZE);
    private final FloatArray b = new FloatArray(SIZE);
    private final IntArray bits = new IntArray(SIZE);
    private final GridScheduler grids = new GridScheduler();

    static void raise(KernelContext context, FloatArray from, FloatArray to) {
        int i = context.globalIdx;
        to.set(i, from.get(i) + 1);
    }

    static void twice(KernelContext context, FloatArray from, FloatArray to) {
        int i = context.globalIdx;
        to.set(i, 2 * from.get(i));
    }

    static void lower(KernelContext context, FloatArray from, FloatArray to) {
        int i = context.globalIdx;
        to.set(i, from.get(i) - 1);
    }

    /** No backend of TornadoVM 5.2.0 has this in a computation, which shows when the kernel is compiled and not before. */
    static void addBits(KernelContext context, FloatArray from, IntArray to) {
        int i = context.globalIdx;
        to.set(i, Float.floatToRawIntBits(from.get(i)) + 1);
    }

    /** Two tasks have one kernel, which is compiled once and used with the arguments of each. */
    @Test
    void allTasksOfAGraphGetTheirCode() throws Exception {
        a.init(3);
        TaskGraph graph = new TaskGraph("late" + System.nanoTime()).transferToDevice(DataTransferMode.EVERY_EXECUTION, a, b);
        task(graph, "raise", tasks -> tasks.task("raise", LateCodeOnDevice::raise, new KernelContext(), a, b));
        task(graph, "twice", tasks -> tasks.task("twice", LateCodeOnDevice::twice, new KernelContext(), b, a));
        task(graph, "again", tasks -> tasks.task("again", LateCodeOnDevice::raise, new KernelContext(), a, b));
        graph.transferToHost(DataTransferMode.EVERY_EXECUTION, b);
        long before = SharedKernels.of(device).compilations();
        TornadoExecutionPlan plan = device.configureShared(new TornadoExecutionPlan(graph.snapshot())).withGridScheduler(grids);
        device.compiling(plan::withPreCompilation);
        assertEquals(2, SharedKernels.of(device).compilations() - before);
        device.inTurn(new Transfers(), plan::execute);
        for (int i = 0; i < SIZE; i++) {
            assertEquals(9, b.get(i), "element " + i);
        }
        close(plan);
    }

    @Test
    void oneThatFailsIsTold() throws Exception {
        TaskGraph graph = new TaskGraph("late" + System.nanoTime()).transferToDevice(DataTransferMode.EVERY_EXECUTION, a, b, bits);
        task(graph, "lower", tasks -> tasks.task("lower", LateCodeOnDevice::lower, new KernelContext(), a, b));
        task(graph, "bits", tasks -> tasks.task("bits", LateCodeOnDevice::addBits, new KernelContext(), b, bits));
        graph.transferToHost(DataTransferMode.EVERY_EXECUTION, bits);
        TornadoExecutionPlan plan = device.configureShared(new TornadoExecutionPlan(graph.snapshot())).withGridScheduler(grids);
        assertThrows(Throwable.class, () -> device.compiling(plan::withPreCompilation));
    }

    private void task(TaskGraph graph, String name, Consumer<TaskGraph> append) {
        new TaskAppender(device, graph, grids).task(name, TaskAppender.groups(SIZE / THREADS, THREADS), append);
    }

    private void close(TornadoExecutionPlan plan) throws Exception {
        device.inTurn(() -> {
            plan.close();
            return null;
        });
    }
}
