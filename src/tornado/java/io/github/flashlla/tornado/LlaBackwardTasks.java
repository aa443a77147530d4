package io.github.flashlla.tornado;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Sequences;
import io.github.flashlla.process.DriverLog;
import io.github.flashlla.tornado.buffers.BackwardBuffers;
import io.github.flashlla.tornado.buffers.FloatArrays;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.choice.KernelTable;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.Arrangement;
import io.github.flashlla.tornado.kernels.ArrayCopy;
import io.github.flashlla.tornado.kernels.BackwardVariant;
import io.github.flashlla.tornado.kernels.KeyCentre;
import io.github.flashlla.tornado.kernels.Poison;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.kernels.tile.BackwardRow;
import io.github.flashlla.tornado.kernels.tile.Masking;
import java.util.ArrayList;
import java.util.List;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * The backward pass as tasks of the caller's own {@link TaskGraph}, behind {@link LlaTasks} and the caller's tasks that
 * compute the gradient of o: what forward saved stays on the device.
 *
 * {@snippet :
 * lla.appendTo(graph, grids);
 * graph.task("loss", MyKernels::loss, new KernelContext(), o, target, g);
 * LlaBackwardTasks backward = LlaBackwardTasks.of(lla, g, dq, dk, dv, null);
 * backward.appendTo(graph, grids);
 * }
 *
 * <p>As with forward, the caller names g and the gradients in transfers of the graph; the work arrays are named by
 * {@link #appendTo}. Not for several threads at once. One object serves one graph.
 */
public final class LlaBackwardTasks {
    private final BackendDevice device;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final LlaTasks forward;
    private final BackwardVariant variant;
    private final VariantDevice traits;
    private final BackwardBuffers buffers;
    private final List<ArrayCopy> copies;
    private final boolean ownsRidge;
    private final FloatArray poison = FloatArray.fromElements(Float.NaN);
    private final DriverLog driverLog = new DriverLog();
    private final int[] iterations;
    private final float[] residual;
    private String graphName;

    private LlaBackwardTasks(LlaTasks forward, BackwardVariant variant, BackwardBuffers buffers, List<ArrayCopy> copies,
            boolean ownsRidge) {
        this.device = forward.entry();
        this.shape = forward.shape();
        this.options = forward.options();
        this.variant = variant;
        this.traits = VariantDevice.of(device);
        this.forward = forward;
        this.buffers = buffers;
        this.copies = copies;
        this.ownsRidge = ownsRidge;
        this.iterations = new int[Math.toIntExact(shape.rows())];
        this.residual = new float[iterations.length];
    }

    /**
     * Prepares the backward pass of a forward pass in the same graph, over arrays of the caller's, float32, row-major.
     *
     * @param g gradient of o (B,H,Sq,Dv)
     * @param dq (B,H,Sq,D), which the tasks write, as they do the next three
     * @param dk (B,Hkv,Sk,D)
     * @param dv (B,Hkv,Sk,Dv)
     * @param dridge (B,H,Sq), or null where it is not wanted; no two of the arrays, forward's included, may be the same
     * @throws InvalidInputException if an array's size is not the shape's, or the device cannot take the shape
     * @throws DeviceException if the device lacks the memory
     */
    public static LlaBackwardTasks of(LlaTasks forward, FloatArray g, FloatArray dq, FloatArray dk, FloatArray dv,
            FloatArray dridge) {
        return of(forward, LlaArrays.of(dq, dk, dv, g).withRidge(dridge));
    }

    /**
     * The same over arrays in which tensors lie with strides of their own, or in float16 or bfloat16; each gradient fills its array. What no
     * kernel takes as it lies is copied on the device, as {@link #describe} says. Sequences are forward's.
     *
     * @param gradients dq, dk, dv, g in place of o, and dridge, or null, in place of the ridge
     */
    public static LlaBackwardTasks of(LlaTasks forward, LlaArrays gradients) {
        LlaBuffers f = forward.buffers();
        gradients.requireType(forward.entry().info());
        LlaTasks.requireDistinct("q, k, v, ridge, o, dq, dk, dv, g and dridge", f.q(), f.k(), f.v(), f.ridge(), f.o(), gradients.q().stored(),
                gradients.k().stored(), gradients.v().stored(), gradients.o().stored(),
                gradients.ridge() == null ? new FloatArray(1) : gradients.ridge());
        List<ArrayCopy> copies = new ArrayList<>();
        boolean inPlace = KernelTable.takes(VariantDevice.of(forward.entry()), forward.shape(), forward.options(),
                new Arrangement(forward.arrangement().sequences(), forward.arrangement().strides() || gradients.isStrided()));
        LlaArrays own = gradients.copied(forward.shape(), inPlace, true, copies);
        BackwardVariant variant = variant(forward, own.isStrided());
        BackwardBuffers buffers = BackwardBuffers.over(forward.shape(), f, Masking.isJacobi(forward.options()),
                packedHalves(forward, variant), scratchFloats(forward, variant), own.o(), own.q(), own.k(), own.v(), own.ridge());
        forward.entry().memory().requireFree(forward.shape(),
                forward.memoryBytes() + buffers.bytes(forward.shape()) + ArrayCopy.bytes(copies));
        return new LlaBackwardTasks(forward, variant, buffers, copies, gradients.ridge() == null);
    }

    /** The same over arrays that are all its own, but for forward's. */
    public static LlaBackwardTasks of(LlaTasks forward) {
        BackwardVariant variant = variant(forward, false);
        BackwardBuffers buffers = BackwardBuffers.allocate(forward.shape(), forward.buffers(),
                Masking.isJacobi(forward.options()), packedHalves(forward, variant), scratchFloats(forward, variant));
        return new LlaBackwardTasks(forward, variant, buffers, List.of(), false);
    }

    private static BackwardVariant variant(LlaTasks forward, boolean strides) {
        Arrangement arranged = forward.arrangement();
        return KernelTable.backward(VariantDevice.of(forward.entry()), forward.shape(), forward.options(),
                new Arrangement(arranged.sequences(), arranged.strides() || strides));
    }

    private static long packedHalves(LlaTasks forward, BackwardVariant variant) {
        return variant.packedHalves(VariantDevice.of(forward.entry()), forward.shape(), forward.sized());
    }

    private static long scratchFloats(LlaTasks forward, BackwardVariant variant) {
        return variant.scratchFloats(VariantDevice.of(forward.entry()), forward.shape(), forward.sized());
    }

    /**
     * Other packed sequences from the next run on: those that forward's tasks are given.
     *
     * @throws InvalidInputException if they do not add up to the shape, or forward's tasks were not made with sequences
     */
    public void setSequences(Sequences sequences) {
        forward.setSequences(sequences);
        buffers.problem().setSpans(shape, options, sequences);
    }

    /** The arrays given and the work arrays. */
    public BackwardBuffers buffers() {
        return buffers;
    }

    /**
     * Adds the backward pass behind the tasks that the graph has, and its launch sizes to the scheduler. Its tasks are
     * called {@code lla_backward_poison_...} and {@code lla_backward_...}.
     *
     * @param grids the scheduler that the graph's plan will run with
     */
    public void appendTo(TaskGraph graph, GridScheduler grids) {
        append(graph, grids);
        graph.transferToHost(DataTransferMode.UNDER_DEMAND, buffers.rows(), buffers.visited());
    }

    /** The same, with the transfer of what is checked left to the caller. */
    public void append(TaskGraph graph, GridScheduler grids) {
        graphName = TaskAppender.onlyGraph(graphName, graph);
        // named so that they are freed with the plan; none but the first is read before it is written
        graph.transferToDevice(DataTransferMode.FIRST_EXECUTION, poison, buffers.rows(), buffers.visited(), buffers.u(),
                buffers.packed(), buffers.scratch());
        graph.transferToDevice(forward.arrangement().sequences() ? DataTransferMode.EVERY_EXECUTION : DataTransferMode.FIRST_EXECUTION,
                buffers.problem().sizes());
        graph.transferToDevice(DataTransferMode.FIRST_EXECUTION, buffers.problem().settings());
        if (ownsRidge) {
            graph.transferToDevice(DataTransferMode.FIRST_EXECUTION, buffers.dridge());
        }
        TaskAppender tasks = new TaskAppender(device, graph, grids);
        ArrayCopy.append(copies, false, tasks, "lla_backward_copy_");
        Poison.append(tasks, "lla_backward_poison_state", poison, buffers.rows(), buffers.visited());
        Poison.append(tasks, "lla_backward_poison_queries", poison, buffers.dq(), buffers.dridge());
        Poison.append(tasks, "lla_backward_poison_keys", poison, buffers.dk(), buffers.dv());
        if (!forward.computesCentre()) {
            KeyCentre.append(tasks, "lla_backward_centre", forward.buffers(), shape, buffers.problem().sizes());
        }
        variant.append(tasks, traits, buffers, shape, forward.sized());
        ArrayCopy.append(copies, true, tasks, "lla_backward_copy_");
    }

    /** What is copied, in a sentence. */
    public String describe() {
        return ArrayCopy.describe(copies);
    }

    /**
     * Makes sure that the last run computed every gradient, and copies its statistics to the host. The profiler's numbers
     * of the same result are gone afterwards: read them first.
     *
     * @param result what {@code execute} of the graph's plan returned
     * @throws DeviceException if a gradient was not computed, or the driver reported an error
     */
    public void check(TornadoExecutionResult result) {
        forgetStatistics();
        result.transferToHost(buffers.rows(), buffers.visited());
        driverLog.check(device.info().name());
        checkStatistics();
    }

    /** So that statistics that are not copied back are seen. */
    public void forgetStatistics() {
        FloatArrays.fillWithNaN(buffers.rows());
        FloatArrays.fillWithNaN(buffers.visited());
    }

    /** The same once the statistics are on the host. */
    public void checkStatistics() {
        int row = FloatArrays.first(buffers.rows(), BackwardRow.ROW_SCALARS, (at, values, count) -> {
            for (int i = 0; i < count; i += BackwardRow.ROW_SCALARS) {
                float iterated = values[i + BackwardRow.ITERATIONS];
                if (!(iterated >= 0) || Float.isNaN(values[i + BackwardRow.MU])) {
                    return i;
                }
                int query = (at + i) / BackwardRow.ROW_SCALARS;
                iterations[query] = (int) iterated;
                residual[query] = values[i + BackwardRow.RESIDUAL];
            }
            return count;
        });
        if (row < buffers.rows().getSize()) {
            throw notComputed("query", row / BackwardRow.ROW_SCALARS, shape.queryLength());
        }
        int key = FloatArrays.first(buffers.visited(), 1, (at, values, count) -> {
            int i = 0;
            while (i < count && values[i] >= 0) {
                i++;
            }
            return i;
        });
        if (key < buffers.visited().getSize()) {
            throw notComputed("key", key, shape.keyLength());
        }
    }

    private DeviceException notComputed(String what, int row, int length) {
        return new DeviceException(device.info().name() + " did not compute the gradient of " + what + " " + row % length
                + " of head " + row / length + ": its kernel did not run, or not with the launch size that the grid scheduler "
                + "was given, or met numbers that are not finite; run the plan with that scheduler, and see flashlla doctor.");
    }

    /** Iterations of each query's second solve (B,H,Sq), as the last {@link #check} found them. */
    public int[] iterations() {
        return iterations;
    }

    /**
     * ||r|| / ||c|| of each query (B,H,Sq), as the last {@link #check} found it; one above the tolerance is not solved. As in
     * {@link LlaTasks#residual()}, it is the recurrence's.
     */
    public float[] residual() {
        return residual;
    }

    /** Bytes on the device beyond forward's, g and the gradients included. */
    public long memoryBytes() {
        return buffers.bytes(shape) + ArrayCopy.bytes(copies);
    }

    /** Bytes on the device beyond forward's, g and the gradients. */
    public long workspaceBytes() {
        return buffers.workspaceBytes() + ArrayCopy.bytes(copies);
    }

    /** The kernel variant that computes it, as {@code devices --kernels} names it. */
    public String kernel() {
        return variant.id();
    }

    /** Iterations that the kernel ran in the run last checked, summed over the (query, key) pairs they ran on. */
    public long pairIterations() {
        return LlaTasks.pairIterations(shape, options, buffers.problem(), variant.blockRows(shape), iterations);
    }
}
