package io.github.flashlla.tornado.quirks;

import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.graph.TaskAppender;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.IntToDoubleFunction;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** The minimal kernels, how each is added to a graph, and what became of it on the backends where it was run. */
final class Quirks {
    static final int SIZE = 64;

    private Quirks() {}

    interface Kernel {
        TaskGraph addTo(TaskGraph graph, String name, KernelContext context, FloatArray in, FloatArray out);
    }

    /**
     * A kernel.
     *
     * @param expected of element i of its output
     * @param ran outcomes by backend, such as {@code all RIGHT, spirv WRONG}: {@code pocl} and {@code spirv} on a CPU (PoCL 3.1),
     *     {@code opencl}, {@code cuda} and {@code ptx} on an NVIDIA H200
     */
    record Quirk(String name, Kernel kernel, IntToDoubleFunction expected, String ran) {

        /** What became of it on a backend; empty where nobody has recorded it. */
        Optional<String> outcome(String backend) {
            return outcome(ran, backend);
        }

        static Optional<String> outcome(String ran, String backend) {
            Map<String, String> outcomes = ran.isEmpty() ? Map.of() : Stream.of(ran.split(", ")).map(word -> word.split(" "))
                    .collect(Collectors.toMap(pair -> pair[0], pair -> pair[1]));
            return Optional.ofNullable(outcomes.getOrDefault(backend, outcomes.get("all")));
        }

        @Override
        public String toString() {
            return name;
        }
    }

    private static Quirk quirk(String name, Kernel kernel, String ran) {
        return quirk(name, kernel, i -> i + 1, ran);
    }

    private static Quirk quirk(String name, Kernel kernel, IntToDoubleFunction expected, String ran) {
        return new Quirk(name, kernel, expected, ran);
    }

    /** Those that every backend could run; last the one that reads beyond its array, after which a driver may do nothing more. */
    static Stream<Quirk> all() {
        return Stream.of(
                quirk("plainKernel", (g, n, c, in, out) -> g.task(n, QuirkKernels::exponential, c, in, out), "all RIGHT"),
                quirk("argumentCalledHalf", (g, n, c, in, out) -> g.task(n, QuirkKernels::argumentCalledHalf, c, in, out), "all RIGHT"),
                quirk("privateArrayInMethod", (g, n, c, in, out) ->
                        g.task(n, QuirkKernels::privateArrayInMethod, c, in, out), "all RIGHT"),
                quirk("arrayMadeInMethod", (g, n, c, in, out) -> g.task(n, QuirkKernels::arrayMadeInMethod, c, in, out), "all RIGHT"),
                quirk("loopsInBothBranches", (g, n, c, in, out) ->
                        g.task(n, QuirkKernels::loopsInBothBranches, c, in, out), "pocl HANGS, spirv WRONG"),
                quirk("loopInSecondOfTwoBranches", (g, n, c, in, out) ->
                        g.task(n, QuirkKernels::loopInSecondOfTwoBranches, c, in, out), Quirks::secondOfTwo, "pocl WRONG, spirv RIGHT"),
                quirk("loopBehindEither", (g, n, c, in, out) -> g.task(n, QuirkKernels::loopBehindEither, c, in, out), Quirks::either,
                        "pocl WRONG, spirv RIGHT"),
                quirk("conditionsJoinedByOr", (g, n, c, in, out) ->
                        g.task(n, QuirkKernels::conditionsJoinedByOr, c, in, out), "all RIGHT"),
                quirk("chainOfEquals", (g, n, c, in, out) -> g.task(n, QuirkKernels::chainOfEquals, c, in, out), "all RIGHT"),
                quirk("nanConstant", (g, n, c, in, out) -> g.task(n, QuirkKernels::nanConstant, c, in, out), "all RIGHT, pocl REFUSED, opencl REFUSED"),
                quirk("booleanArgument", (g, n, c, in, out) ->
                        g.task(n, QuirkKernels::booleanArgument, c, in, out, true), "all REFUSED, spirv RIGHT, cuda RIGHT"),
                quirk("bitsOfFloat", (g, n, c, in, out) -> g.task(n, QuirkKernels::bitsOfFloat, c, in, out), "all RIGHT"),
                quirk("fusedMultiplyAdd", (g, n, c, in, out) -> g.task(n, QuirkKernels::fusedMultiplyAdd, c, in, out), "all REFUSED"),
                quirk("vectorAdd", (g, n, c, in, out) -> g.task(n, QuirkKernels::vectorAdd, c, in, out), "all RIGHT, spirv WRONG"),
                quirk("privateVectorAtAnyIndex", (g, n, c, in, out) ->
                        g.task(n, QuirkKernels::privateVectorAtAnyIndex, c, in, out), "all WRONG, spirv REFUSED, cuda REFUSED, ptx RIGHT"),
                quirk("writeBehindBranch", (g, n, c, in, out) ->
                        g.task(n, QuirkKernels::writeBehindBranch, c, in, out), i -> i % 2 == 0 ? i + 1 : 7, "all RIGHT"),
                quirk("zeroOverMax", (g, n, c, in, out) -> g.task(n, QuirkKernels::zeroOverMax, c, in, out), "all RIGHT"),
                quirk("whileSearch", (g, n, c, in, out) -> g.task(n, QuirkKernels::whileSearch, c, in, out), Quirks::tile, "all RIGHT"),
                quirk("oneArgumentBesidesArrays", (g, n, c, in, out) ->
                        g.task(n, QuirkKernels::oneArgumentBesidesArrays, c, in, out, 1), "all RIGHT"),
                quirk("loopBoundUsedTwice", (g, n, c, in, out) ->
                        g.task(n, QuirkKernels::loopBoundUsedTwice, in, out, 60), i -> i < 60 ? i + 1 : 7, "all WRONG"),
                quirk("loopBoundOfItsOwn", (g, n, c, in, out) ->
                        g.task(n, QuirkKernels::loopBoundOfItsOwn, in, out, SIZE, 60), i -> i < 60 ? i + 1 : 7, "all RIGHT"),
                quirk("arrayInLoopWithBarrier", (g, n, c, in, out) ->
                        g.task(n, CompilerQuirkKernels::arrayInLoopWithBarrier, c, in, out), "all RIGHT"),
                quirk("arrayInLoop", (g, n, c, in, out) -> g.task(n, CompilerQuirkKernels::arrayInLoop, c, in, out), "all RIGHT"),
                quirk("callsAnotherKernel", (g, n, c, in, out) ->
                        g.task(n, CompilerQuirkKernels::callsAnotherKernel, c, in, out), "all REFUSED"),
                quirk("choicesInConstructor", (g, n, c, in, out) ->
                        g.task(n, CompilerQuirkKernels::choicesInConstructor, c, in, out), "all REFUSED"),
                quirk("readsBehindTwoConditions", (g, n, c, in, out) ->
                        g.task(n, CompilerQuirkKernels::readsBehindTwoConditions, c, in, out), "all REFUSED"),
                quirk("loopWithFixedSecondPart", (g, n, c, in, out) ->
                        g.task(n, CompilerQuirkKernels::loopWithFixedSecondPart, c, in, out), "all RIGHT"),
                quirk("vectorThroughLoop", (g, n, c, in, out) ->
                        g.task(n, CompilerQuirkKernels::vectorThroughLoop, c, in, out), "all RIGHT"),
                quirk("branchInWideConstructor", (g, n, c, in, out) ->
                        g.task(n, CompilerQuirkKernels::branchInWideConstructor, c, in, out), "all REFUSED"),
                quirk("loopOverConstant", (g, n, c, in, out) ->
                        g.task(n, CompilerQuirkKernels::loopOverConstant, c, in, out), "all RIGHT"),
                quirk("loopOverKeptConstant", (g, n, c, in, out) ->
                        g.task(n, CompilerQuirkKernels::loopOverKeptConstant, c, in, out), "all RIGHT"),
                quirk("vectorMax", (g, n, c, in, out) -> g.task(n, CompilerQuirkKernels::vectorMax, c, in, out), "all RIGHT"),
                quirk("vectorDifferenceThroughLoop", (g, n, c, in, out) ->
                        g.task(n, CompilerQuirkKernels::vectorDifferenceThroughLoop, c, in, out), "all RIGHT, cuda REFUSED"),
                quirk("nestedLoops", (g, n, c, in, out) -> g.task(n, CompilerQuirkKernels::nestedLoops, c, in, out), "all RIGHT"),
                quirk("vectorMult", (g, n, c, in, out) -> g.task(n, CompilerQuirkKernels::vectorMult, c, in, out), "all RIGHT"),
                quirk("halfMadeAsBitsAndFloat", (g, n, c, in, out) ->
                        g.task(n, CompilerQuirkKernels::halfMadeAsBitsAndFloat, c, in, out), "all REFUSED"),
                quirk("sizesFromMemory", (g, n, c, in, out) ->
                        g.task(n, CompilerQuirkKernels::sizesFromMemory, c, in, out), "all RIGHT, spirv REFUSED"),
                quirk("unsignedShift", (g, n, c, in, out) -> g.task(n, CompilerQuirkKernels::unsignedShift, c, in, out), "all WRONG, ptx RIGHT"),
                quirk("localArrayInMethod", (g, n, c, in, out) ->
                        g.task(n, QuirkKernels::localArrayInMethod, c, in, out), "all WRONG, spirv REFUSED"));
    }

    /** Those of the matrix units, which only CUDA's compiler knows; what they compute says nothing. */
    static Stream<Quirk> ofMatrixUnits() {
        return Stream.of(
                quirk("fragmentOfOneLoop", (g, n, c, in, out) -> g.task(n, CompilerQuirkKernels::fragmentOfOneLoop, c, in, out), ""),
                quirk("fragmentOfNestedLoops", (g, n, c, in, out) -> g.task(n, CompilerQuirkKernels::fragmentOfNestedLoops, c, in, out), ""),
                quirk("elementOfFragment", (g, n, c, in, out) -> g.task(n, CompilerQuirkKernels::elementOfFragment, c, in, out), ""),
                quirk("fragmentInArrayOfKernel", (g, n, c, in, out) -> g.task(n, CompilerQuirkKernels::fragmentInArrayOfKernel, c, in, out), ""));
    }

    private static double secondOfTwo(int i) {
        double sum = i + 1;
        for (int m = 0; m < 6; m++) {
            boolean first = m + i % QuirkKernels.THREADS > 5;
            sum += m % 3 == 0 ? 0 : first ? 100 : m * (m + 1) / 2;
        }
        return sum;
    }

    private static double either(int i) {
        double sum = i + 1;
        for (int m = 0; m < 6; m++) {
            sum += m < i % QuirkKernels.THREADS || m > 4 ? m * (m - 1) / 2 : 0;
        }
        return sum;
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

    /** A plan of the kernel, not compiled yet. */
    static TornadoExecutionPlan plan(BackendDevice device, Quirk quirk, FloatArray in, FloatArray out) {
        TaskGraph graph = new TaskGraph("quirk" + System.nanoTime()).transferToDevice(DataTransferMode.EVERY_EXECUTION, in, out);
        GridScheduler grids = new GridScheduler();
        Consumer<TaskGraph> task = g -> quirk.kernel().addTo(g, quirk.name(), new KernelContext(), in, out);
        new TaskAppender(device, graph, grids).task(quirk.name(), TaskAppender.groups(SIZE / QuirkKernels.THREADS, QuirkKernels.THREADS), task);
        graph.transferToHost(DataTransferMode.EVERY_EXECUTION, out);
        return device.configure(new TornadoExecutionPlan(graph.snapshot())).withGridScheduler(grids);
    }

    /** What TornadoVM says against the kernel; empty where it compiles. */
    static Optional<Throwable> refusal(BackendDevice device, Quirk quirk) {
        try {
            plan(device, quirk, new FloatArray(SIZE), new FloatArray(SIZE)).withPreCompilation();
            return Optional.empty();
        } catch (Throwable e) { // TornadoVM throws errors as well as exceptions
            return Optional.of(e);
        }
    }
}
