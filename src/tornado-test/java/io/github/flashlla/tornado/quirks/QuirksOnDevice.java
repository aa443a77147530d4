package io.github.flashlla.tornado.quirks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.support.TestDevice;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.IntToDoubleFunction;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * Limits of TornadoVM 5.2.0 that shape our kernels are still there, and what a minimal kernel does not show is still right. A test that fails says that one is gone, or has come: then
 * docs/tornadovm/README.md and the code behind its workaround can change. What a backend does that nobody has recorded is skipped,
 * with the outcome as the reason.
 */
class QuirksOnDevice {
    private static final int SIZE = 64;

    /** What became of a kernel; one that does not end is not run, and recorded as HANGS. */
    enum Outcome {
        RIGHT, WRONG, REFUSED
    }

    interface Kernel {
        TaskGraph addTo(TaskGraph graph, String name, KernelContext context, FloatArray in, FloatArray out);
    }

    private static Arguments quirk(String name, Kernel kernel, String known) {
        return quirk(name, kernel, i -> i + 1, known);
    }

    /** @param known what became of it on the backends where it was run, such as {@code opencl WRONG, spirv RIGHT} */
    private static Arguments quirk(String name, Kernel kernel, IntToDoubleFunction expected, String known) {
        return Arguments.of(name, kernel, expected, known);
    }

    static Stream<Arguments> quirks() {
        return Stream.of(
                quirk("plainKernel", (g, n, c, in, out) -> g.task(n, QuirkKernels::exponential, c, in, out), "opencl RIGHT, spirv RIGHT"),
                quirk("argumentCalledHalf", (g, n, c, in, out) -> g.task(n, QuirkKernels::argumentCalledHalf, c, in, out), "opencl RIGHT, spirv RIGHT"),
                quirk("localArrayInMethod", (g, n, c, in, out) -> g.task(n, QuirkKernels::localArrayInMethod, c, in, out), "opencl WRONG, spirv REFUSED"),
                quirk("privateArrayInMethod", (g, n, c, in, out) -> g.task(n, QuirkKernels::privateArrayInMethod, c, in, out), "opencl RIGHT, spirv RIGHT"),
                quirk("arrayMadeInMethod", (g, n, c, in, out) -> g.task(n, QuirkKernels::arrayMadeInMethod, c, in, out), "opencl RIGHT, spirv RIGHT"),
                quirk("loopsInBothBranches", (g, n, c, in, out) -> g.task(n, QuirkKernels::loopsInBothBranches, c, in, out), "opencl HANGS, spirv WRONG"),
                quirk("conditionsJoinedByOr", (g, n, c, in, out) -> g.task(n, QuirkKernels::conditionsJoinedByOr, c, in, out), "opencl RIGHT, spirv RIGHT"),
                quirk("chainOfEquals", (g, n, c, in, out) -> g.task(n, QuirkKernels::chainOfEquals, c, in, out), "opencl RIGHT, spirv RIGHT"),
                quirk("nanConstant", (g, n, c, in, out) -> g.task(n, QuirkKernels::nanConstant, c, in, out), "opencl REFUSED, spirv RIGHT"),
                quirk("booleanArgument", (g, n, c, in, out) -> g.task(n, QuirkKernels::booleanArgument, c, in, out, true), "opencl REFUSED, spirv RIGHT"),
                quirk("bitsOfFloat", (g, n, c, in, out) -> g.task(n, QuirkKernels::bitsOfFloat, c, in, out), "opencl RIGHT, spirv RIGHT"),
                quirk("fusedMultiplyAdd", (g, n, c, in, out) -> g.task(n, QuirkKernels::fusedMultiplyAdd, c, in, out), "opencl REFUSED, spirv REFUSED"),
                quirk("vectorAdd", (g, n, c, in, out) -> g.task(n, QuirkKernels::vectorAdd, c, in, out), "opencl RIGHT, spirv WRONG"),
                quirk("privateVectorAtAnyIndex", (g, n, c, in, out) -> g.task(n, QuirkKernels::privateVectorAtAnyIndex, c, in, out), "opencl WRONG, spirv REFUSED"),
                quirk("writeBehindBranch", (g, n, c, in, out) -> g.task(n, QuirkKernels::writeBehindBranch, c, in, out),
                        i -> i % 2 == 0 ? i + 1 : 7, "opencl RIGHT, spirv RIGHT"),
                quirk("zeroOverMax", (g, n, c, in, out) -> g.task(n, QuirkKernels::zeroOverMax, c, in, out), "opencl RIGHT, spirv RIGHT"),
                quirk("whileSearch", (g, n, c, in, out) -> g.task(n, QuirkKernels::whileSearch, c, in, out), QuirksOnDevice::tile, "opencl RIGHT, spirv RIGHT"),
                quirk("oneArgumentBesidesArrays",
                        (g, n, c, in, out) -> g.task(n, QuirkKernels::oneArgumentBesidesArrays, c, in, out, 1), "opencl RIGHT, spirv RIGHT"),
                quirk("loopBoundUsedTwice", (g, n, c, in, out) -> g.task(n, QuirkKernels::loopBoundUsedTwice, in, out, 60),
                        i -> i < 60 ? i + 1 : 7, "opencl WRONG, spirv WRONG"),
                quirk("loopBoundOfItsOwn", (g, n, c, in, out) -> g.task(n, QuirkKernels::loopBoundOfItsOwn, in, out, SIZE, 60),
                        i -> i < 60 ? i + 1 : 7, "opencl RIGHT, spirv RIGHT"));
    }

    private static double tile(int i) {
        int tile = i % QuirkKernels.THREADS;
        int row = 0;
        while (tile >= 6 - row) {
            tile -= 6 - row;
            row++;
        }
        return i + 1 + 100 * row + tile;
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("quirks")
    void isStillThere(String name, Kernel kernel, IntToDoubleFunction expected, String known) {
        String backend = TestDevice.NAME.substring(0, TestDevice.NAME.indexOf(':'));
        Map<String, String> outcomes = known.isEmpty() ? Map.of() : Stream.of(known.split(", ")).map(word -> word.split(" "))
                .collect(Collectors.toMap(pair -> pair[0], pair -> pair[1]));
        assumeTrue(!"HANGS".equals(outcomes.get(backend)), "on " + backend + " this kernel's loop does not end");
        Outcome outcome = outcome(name, kernel, expected);
        assumeTrue(outcomes.containsKey(backend), "on " + backend + " nobody has recorded " + name + "; it is " + outcome);
        assertEquals(outcomes.get(backend), outcome.name(), name + " on " + backend);
    }

    private static Outcome outcome(String name, Kernel kernel, IntToDoubleFunction expected) {
        BackendDevice device = BackendDevices.open(TestDevice.NAME);
        FloatArray in = new FloatArray(SIZE);
        FloatArray out = new FloatArray(SIZE);
        out.init(7f);
        for (int i = 0; i < SIZE; i++) {
            in.set(i, i);
        }
        try {
            TaskGraph graph = new TaskGraph("quirk" + System.nanoTime()).transferToDevice(DataTransferMode.EVERY_EXECUTION, in, out);
            GridScheduler grids = new GridScheduler();
            Consumer<TaskGraph> task = g -> kernel.addTo(g, name, new KernelContext(), in, out);
            new TaskAppender(device, graph, grids).task(name, TaskAppender.groups(SIZE / QuirkKernels.THREADS, QuirkKernels.THREADS), task);
            graph.transferToHost(DataTransferMode.EVERY_EXECUTION, out);
            TornadoExecutionPlan plan = device.configure(new TornadoExecutionPlan(graph.snapshot())).withGridScheduler(grids);
            device.inTurn(() -> plan.withPreCompilation().execute());
            device.inTurn(() -> {
                plan.close();
                return null;
            });
        } catch (Throwable e) { // TornadoVM throws errors as well as exceptions
            return Outcome.REFUSED;
        }
        for (int i = 0; i < SIZE; i++) {
            if (!(Math.abs(out.get(i) - expected.applyAsDouble(i)) < 1e-3)) {
                return Outcome.WRONG;
            }
        }
        return Outcome.RIGHT;
    }
}
