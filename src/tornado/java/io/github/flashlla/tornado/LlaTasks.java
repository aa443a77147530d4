package io.github.flashlla.tornado;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Sequences;
import io.github.flashlla.precise.RoundingBound;
import io.github.flashlla.process.DriverLog;
import io.github.flashlla.tornado.buffers.FloatArrays;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.buffers.ProblemArrays;
import io.github.flashlla.tornado.choice.KernelTable;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.Arrangement;
import io.github.flashlla.tornado.kernels.ArrayCopy;
import io.github.flashlla.tornado.kernels.BufferWishes;
import io.github.flashlla.tornado.kernels.ForwardVariant;
import io.github.flashlla.tornado.kernels.KeyCentre;
import io.github.flashlla.tornado.kernels.Poison;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.kernels.tile.Masking;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

/**
 * Local Linear Attention as tasks of the caller's own {@link TaskGraph}, between the caller's own tasks: q, k and v come
 * from tasks before, o goes to tasks behind, and nothing of them visits the host.
 *
 * {@snippet :
 * LlaTasks lla = LlaTasks.of("opencl:0", shape, LlaOptions.defaults(), q, k, v, null, o);
 * GridScheduler grids = new GridScheduler("block.project", projectGrid);
 * TaskGraph graph = new TaskGraph("block")
 *         .transferToDevice(DataTransferMode.FIRST_EXECUTION, weights, q, k, v, o)
 *         .transferToDevice(DataTransferMode.EVERY_EXECUTION, tokens)
 *         .task("project", MyKernels::project, new KernelContext(), tokens, weights, q, k, v);
 * lla.appendTo(graph, grids);
 * graph.task("output", MyKernels::output, o, y).transferToHost(DataTransferMode.EVERY_EXECUTION, y);
 * try (TornadoExecutionPlan plan = new TornadoExecutionPlan(graph.snapshot())) {
 *     lla.configure(plan).withGridScheduler(grids);
 *     TornadoExecutionResult result = plan.execute();
 *     lla.check(result);
 * }
 * }
 *
 * <p>The caller names q, k, v, the ridge and o in transfers of the graph, as every array that tasks share: an array that no
 * transfer names is not freed with the plan. The work arrays are named by {@link #appendTo} and freed when the plan is
 * closed. The JVM must have been started with the flags that {@code flashlla flags} writes.
 *
 * <p>Not for several threads at once. One object serves one graph.
 */
public final class LlaTasks {
    private final BackendDevice device;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final ForwardVariant variant;
    private final VariantDevice traits;
    private final LlaBuffers buffers;
    private final Arrangement arranged;
    private final List<ArrayCopy> copies;
    private final boolean ownsRidge;
    private final IntArray sizes;
    private final FloatArray poison = FloatArray.fromElements(Float.NaN);
    private final DriverLog driverLog = new DriverLog();
    private final int[] iterations;
    private final float[] residual;
    private boolean inFloat32; // though float16 was asked for
    private String graphName;

    private LlaTasks(BackendDevice device, AttentionShape shape, LlaOptions options, Arrangement arranged, List<ArrayCopy> copies,
            ForwardVariant variant, LlaBuffers buffers, boolean ownsRidge) {
        this.device = device;
        this.shape = shape;
        this.options = options;
        this.arranged = arranged;
        this.copies = copies;
        this.variant = variant;
        this.traits = VariantDevice.of(device);
        this.buffers = buffers;
        this.ownsRidge = ownsRidge;
        this.sizes = buffers.problem().sizes();
        this.iterations = new int[Math.toIntExact(shape.rows())];
        this.residual = new float[iterations.length];
        buffers.forgetStats();
    }

    /**
     * Prepares the forward pass over arrays of the caller's, float32, row-major. Limits of the device are checked here,
     * before anything is compiled.
     *
     * @param deviceName as {@code flashlla devices} lists it, such as {@code opencl:0}
     * @param q (B,H,Sq,D)
     * @param k (B,Hkv,Sk,D)
     * @param v (B,Hkv,Sk,Dv)
     * @param ridge (B,H,Sq), each &gt; 0; null for the one of {@code options}
     * @param o (B,H,Sq,Dv), which the tasks write; no two of the arrays may be the same
     * @throws InvalidInputException if an array's size is not the shape's, or the device cannot take the shape
     * @throws DeviceException if the device is not here or lacks the memory
     */
    public static LlaTasks of(String deviceName, AttentionShape shape, LlaOptions options, FloatArray q, FloatArray k,
            FloatArray v, FloatArray ridge, FloatArray o) {
        requireDistinct("q, k, v, ridge and o", q, k, v, ridge == null ? new FloatArray(1) : ridge, o);
        return of(deviceName, shape, options, LlaArrays.of(q, k, v, o).withRidge(ridge));
    }

    /**
     * The same over arrays in which tensors lie with strides of their own, as packed sequences, with q, k and v in one array, or in float16
     * or bfloat16. Kernels read strides and sequences from memory. What none takes as it lies is copied on the device, as
     * {@link #describe} says.
     */
    public static LlaTasks of(String deviceName, AttentionShape shape, LlaOptions options, LlaArrays arrays) {
        BackendDevice device = BackendDevices.open(deviceName);
        options.requirePrecisionOf(device.info());
        arrays.requireApart();
        arrays.requireType(device.info());
        boolean sequences = arrays.sequences() != null;
        if (sequences) {
            arrays.sequences().requireTotals(shape);
        }
        VariantDevice traits = VariantDevice.of(device);
        LlaOptions computed = KernelTable.computed(traits, shape, options, new Arrangement(sequences, false));
        boolean inPlace = KernelTable.takes(traits, shape, computed, new Arrangement(sequences, arrays.isStrided()));
        List<ArrayCopy> copies = new ArrayList<>();
        LlaArrays own = arrays.copied(shape, inPlace, false, copies);
        Arrangement arranged = new Arrangement(sequences, own.isStrided());
        return marked(computed != options, checked(device, shape, computed, arranged, ArrayCopy.bytes(copies), (variant, packed, scratch) -> {
            FloatArray ridges = arrays.ridge();
            if (ridges == null) {
                ridges = new FloatArray(Math.toIntExact(shape.rows()));
                ridges.init((float) options.ridge());
            }
            LlaBuffers buffers = LlaBuffers.over(shape, computed, packed, scratch, own.q(), own.k(), own.v(), ridges, own.o(), arrays.sequences());
            return new LlaTasks(device, shape, computed, arranged, copies, variant, buffers, arrays.ridge() == null);
        }));
    }

    /** The same over arrays that are all its own. */
    public static LlaTasks of(BackendDevice device, AttentionShape shape, LlaOptions options) {
        options.requirePrecisionOf(device.info());
        LlaOptions computed = KernelTable.computed(VariantDevice.of(device), shape, options, Arrangement.USUAL);
        return marked(computed != options, checked(device, shape, computed, Arrangement.USUAL, 0, (variant, packed, scratch) -> new LlaTasks(device,
                shape, computed, Arrangement.USUAL, List.of(), variant, LlaBuffers.allocate(shape, computed, packed, scratch), false)));
    }

    /** For {@link #describe}. */
    private static LlaTasks marked(boolean inFloat32, LlaTasks tasks) {
        tasks.inFloat32 = inFloat32;
        return tasks;
    }

    private interface Allocation {
        LlaTasks allocate(ForwardVariant variant, long packedHalves, long scratchFloats);
    }

    private static LlaTasks checked(BackendDevice device, AttentionShape shape, LlaOptions options, Arrangement arranged,
            long copied, Allocation allocation) {
        VariantDevice traits = VariantDevice.of(device);
        ForwardVariant variant = KernelTable.forward(traits, shape, options, arranged);
        boolean jacobi = Masking.isJacobi(options);
        BufferWishes wishes = variant.wishes(traits, shape, sized(options, arranged));
        device.memory().requireFree(shape, LlaBuffers.bytes(shape, jacobi, wishes.floats()) + copied);
        device.requireAllocatable(LlaBuffers.largestBytes(shape, jacobi, Math.max(wishes.scratchFloats(), wishes.packedHalves() / 2)),
                shape, "use fewer heads or a shorter sequence");
        return allocation.allocate(variant, wishes.packedHalves(), wishes.scratchFloats());
    }

    /** What work arrays are sized by: a window bounds the keys of a block of queries, but not where the block is of several sequences. */
    private static LlaOptions sized(LlaOptions options, Arrangement arranged) {
        return arranged.sequences() ? options.withWindow(0) : options;
    }

    LlaOptions sized() {
        return sized(options, arranged);
    }

    /**
     * Other packed sequences from the next run on, which compiles nothing.
     *
     * @throws InvalidInputException if they do not add up to the shape, or these tasks were not made with sequences
     */
    public void setSequences(Sequences sequences) {
        if (!arranged.sequences()) {
            throw new InvalidInputException("these tasks were made without packed sequences; give them some with LlaArrays.withSequences");
        }
        sequences.requireTotals(shape);
        buffers.problem().setSpans(shape, options, sequences);
    }

    /** What the tasks were made for. */
    Arrangement arrangement() {
        return arranged;
    }

    /** The device, as the checks know it. */
    public BackendDevice entry() {
        return device;
    }

    /** The device that the graph must run on. */
    public TornadoDevice device() {
        return device.device();
    }

    public AttentionShape shape() {
        return shape;
    }

    /** As given; but in float32 where {@link #describe} says so. */
    public LlaOptions options() {
        return options;
    }

    /** The arrays given and the work arrays: after a run, on the device, what the backward pass needs. */
    public LlaBuffers buffers() {
        return buffers;
    }

    /**
     * Adds the forward pass behind the tasks that the graph has, and its launch sizes to the scheduler. Its tasks are
     * called {@code lla_poison}, {@code lla_centre} where it is needed, and as the kernel has it, the last {@code lla_forward}; around
     * these are {@code lla_copy_q} and the like where {@link #describe} says that tensors are copied.
     *
     * @param grids the scheduler that the graph's plan will run with
     */
    public void appendTo(TaskGraph graph, GridScheduler grids) {
        append(graph, grids);
        graph.transferToHost(DataTransferMode.UNDER_DEMAND, buffers.stats());
    }

    /** The same, with the transfer of the statistics left to the caller. */
    public void append(TaskGraph graph, GridScheduler grids) {
        graphName = TaskAppender.onlyGraph(graphName, graph);
        // named so that they are freed with the plan; none but the first and the ridge is read before it is written
        graph.transferToDevice(DataTransferMode.FIRST_EXECUTION, poison, buffers.stats(), buffers.centre(),
                buffers.logSumExp(), buffers.kbar(), buffers.x(), buffers.packed(), buffers.scratch());
        graph.transferToDevice(arranged.sequences() ? DataTransferMode.EVERY_EXECUTION : DataTransferMode.FIRST_EXECUTION, sizes);
        graph.transferToDevice(DataTransferMode.FIRST_EXECUTION, buffers.problem().settings());
        if ((buffers.problem().flags() & Masking.PACKED) != 0) {
            graph.transferToDevice(DataTransferMode.FIRST_EXECUTION, buffers.q(), buffers.v()); // nobody reads them
        }
        if (ownsRidge) {
            graph.transferToDevice(DataTransferMode.FIRST_EXECUTION, buffers.ridge());
        }
        TaskAppender tasks = new TaskAppender(device, graph, grids);
        ArrayCopy.append(copies, false, tasks, "lla_copy_");
        Poison.append(tasks, "lla_poison", poison, buffers.o(), buffers.stats());
        if (computesCentre()) {
            KeyCentre.append(tasks, "lla_centre", buffers, shape, sizes);
        }
        variant.append(tasks, traits, buffers, shape, sized(), sizes);
        ArrayCopy.append(copies, true, tasks, "lla_copy_");
    }

    /** What is copied, in a sentence or two, and in which type products are, where that is not the one asked for. */
    public String describe() {
        return ArrayCopy.describe(copies) + (!inFloat32 ? "" : KernelTable.IN_FLOAT32);
    }

    /** Lengths on the device, which a task in front may change; null where the kernel has them compiled in. */
    IntArray sizes() {
        return variant.readsSizes() ? sizes : null;
    }

    /** Where the variant or a backward pass over the same options reads it. */
    boolean computesCentre() {
        return options.keepState() || variant.wishes(traits, shape, options).centre();
    }

    /** Has a plan run on this device, and compile its kernels as the device's profile in tornado-config says. */
    public TornadoExecutionPlan configure(TornadoExecutionPlan plan) {
        return device.configure(plan);
    }

    /**
     * Makes sure that the last run computed every query, and copies its statistics to the host. The profiler's numbers of
     * the same result are gone afterwards: read them first. A query that came out as NaN was computed: its residual is NaN where
     * q or k is not finite, and a value that is not finite shows in o alone.
     *
     * @param result what {@code execute} of the graph's plan returned
     * @throws DeviceException if a query was not computed, or the driver reported an error
     */
    public void check(TornadoExecutionResult result) {
        buffers.forgetStats();
        result.transferToHost(buffers.stats());
        driverLog.check(device.info().name());
        checkStatistics();
    }

    /** The same once the statistics are on the host. */
    public void checkStatistics() {
        readStatistics(iterations, residual);
    }

    /**
     * Makes sure that the run whose statistics are on the host computed every query.
     *
     * @param iterations receives those of each query (B,H,Sq)
     * @param residual likewise
     */
    public void readStatistics(int[] iterations, float[] residual) {
        int missing = FloatArrays.first(buffers.stats(), 2, (at, values, count) -> {
            for (int i = 0; i < count; i += 2) {
                if (!(values[i] >= 0)) {
                    return i;
                }
                iterations[(at + i) / 2] = (int) values[i];
                residual[(at + i) / 2] = values[i + 1];
            }
            return count;
        }) / 2;
        if (missing < iterations.length) {
            throw new DeviceException(device.info().name() + " did not compute query " + missing % shape.queryLength()
                    + " of head " + missing / shape.queryLength() + ": its kernel did not run, or not with the launch size that "
                    + "the grid scheduler was given; run the plan with that scheduler, and see flashlla doctor.");
        }
    }

    /** Iterations of each query (B,H,Sq), as the last {@link #check} found them. */
    public int[] iterations() {
        return iterations;
    }

    /**
     * ||r|| / ||kbar - q|| of each query (B,H,Sq), as the last {@link #check} found it; one above the tolerance is not solved. It is
     * the recurrence's: the true residual can be above it by {@link RoundingBound#ofResidual}, which matters for small ridges,
     * and no query is computed again in float64, as a plan does.
     */
    public float[] residual() {
        return residual;
    }

    /** The kernel variant that computes it, as {@code devices --kernels} names it. */
    public String kernel() {
        return variant.id();
    }

    /** Bytes on the device, all arrays together. */
    public long memoryBytes() {
        return LlaBuffers.bytes(shape, Masking.isJacobi(options), variant.wishes(traits, shape, options).floats()) + ArrayCopy.bytes(copies);
    }

    /** Bytes on the device beyond q, k, v and o. */
    public long workspaceBytes() {
        return buffers.workspaceBytes() + ArrayCopy.bytes(copies);
    }

    /** Iterations that the kernel ran in the run last checked, summed over the (query, key) pairs they ran on. */
    public long pairIterations() {
        return pairIterations(iterations);
    }

    /** The same of a run with these iterations of each query. */
    public long pairIterations(int[] iterations) {
        return pairIterations(shape, options, buffers.problem(), variant.blockRows(shape), iterations);
    }

    /** @param rows queries that iterate together, all of them as often as the slowest */
    public static long pairIterations(AttentionShape shape, LlaOptions options, int rows, int[] iterations) {
        return pairIterations(shape, i -> shape.seenKeys(i, options), rows, iterations);
    }

    static long pairIterations(AttentionShape shape, LlaOptions options, ProblemArrays problem, int rows, int[] iterations) {
        return pairIterations(shape, i -> problem.seen(shape, i, options.causal()), rows, iterations);
    }

    private static long pairIterations(AttentionShape shape, IntUnaryOperator seen, int rows, int[] iterations) {
        int sq = shape.queryLength();
        return IntStream.range(0, shape.batch() * shape.heads()).parallel().mapToLong(head -> {
            long sum = 0;
            for (int i0 = 0; i0 < sq; i0 += rows) {
                int blockIterations = 0;
                long visible = 0;
                for (int i = i0; i < Math.min(sq, i0 + rows); i++) {
                    blockIterations = Math.max(blockIterations, iterations[head * sq + i]);
                    visible += seen.applyAsInt(i);
                }
                sum += visible * blockIterations;
            }
            return sum;
        }).sum();
    }

    /** One array given twice to a task sends TornadoVM's graph compiler into an endless loop. */
    static void requireDistinct(String names, TornadoNativeArray... arrays) {
        Set<TornadoNativeArray> seen = Collections.newSetFromMap(new IdentityHashMap<>());
        for (int n = 0; n < arrays.length; n++) {
            if (!seen.add(arrays[n])) {
                throw new InvalidInputException(names + " must be arrays of their own, but " + names.split(", | and ")[n]
                        + " is another one of them");
            }
        }
    }
}
