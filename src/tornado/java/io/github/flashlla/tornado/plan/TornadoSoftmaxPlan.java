package io.github.flashlla.tornado.plan;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Timing;
import io.github.flashlla.spi.Checks;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.spi.ExclusiveUse;
import io.github.flashlla.tornado.buffers.FloatArrays;
import io.github.flashlla.tornado.buffers.SoftmaxBuffers;
import io.github.flashlla.tornado.choice.KernelTable;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.Transfers;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.BufferWishes;
import io.github.flashlla.tornado.kernels.Poison;
import io.github.flashlla.tornado.kernels.SoftmaxVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * Softmax attention on one TornadoVM device: what LLA's cost there is held against. It runs as {@link TornadoPlan} does, between the
 * same copies, and is timed in the same way.
 *
 * <p>No result leaves here that the kernel did not write: o and the log-sum-exps are NaN before each run, and no log-sum-exp may be
 * after it.
 */
final class TornadoSoftmaxPlan implements LlaPlan {
    private static final AtomicInteger GRAPHS = new AtomicInteger();

    private final ExclusiveUse use;
    private final String device;
    private final String kernel;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final SoftmaxBuffers buffers;
    private final long workspaceBytes;
    private final CompiledGraphs graphs;

    /**
     * @param options the mask, the scale and the precision; nothing else matters to softmax attention, and no state is kept
     * @throws InvalidInputException if no kernel takes the shape, with the reason of each
     * @throws DeviceException if the device lacks the memory, or does not compile the kernel
     */
    TornadoSoftmaxPlan(DeviceState state, BackendDevice entry, AttentionShape shape, LlaOptions options) {
        this(state, entry, shape, options, chosen(entry, shape, options));
    }

    private static SoftmaxVariant chosen(BackendDevice entry, AttentionShape shape, LlaOptions options) {
        options.requireNoWindow(entry.info().name());
        options.requirePrecisionOf(entry.info());
        return KernelTable.softmax(VariantDevice.of(entry), shape, options);
    }

    /** The same with a kernel that the device takes, whatever its profile prefers. */
    TornadoSoftmaxPlan(DeviceState state, BackendDevice entry, AttentionShape shape, LlaOptions options, SoftmaxVariant variant) {
        this.use = ExclusiveUse.ofPlan(state);
        this.device = entry.info().name();
        this.shape = shape;
        this.options = options.withKeepState(false);
        VariantDevice traits = VariantDevice.of(entry);
        this.kernel = variant.id();
        BufferWishes wishes = variant.wishes(traits, shape, options);
        this.workspaceBytes = SoftmaxBuffers.workspaceBytes(shape, wishes.packedHalves(), wishes.scratchFloats());
        long bytes = shape.tensorBytes(Float.BYTES) + workspaceBytes;
        entry.memory().requireFree(shape, bytes);
        entry.requireAllocatable(SoftmaxBuffers.largestBytes(shape, wishes.packedHalves(), wishes.scratchFloats()), shape,
                "use fewer heads or a shorter sequence");
        this.buffers = SoftmaxBuffers.allocate(shape, wishes.packedHalves(), wishes.scratchFloats());
        this.graphs = new CompiledGraphs(use, entry, shape, bytes);

        FloatArray poison = FloatArray.fromElements(Float.NaN);
        GridScheduler grids = new GridScheduler();
        TaskGraph graph = new TaskGraph("softmax" + GRAPHS.incrementAndGet())
                .transferToDevice(DataTransferMode.EVERY_EXECUTION, buffers.q(), buffers.k(), buffers.v())
                // named so that they are freed with the plan; none but the first is read before it is written
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, poison, buffers.packed(), buffers.scratch());
        graphs.start(graphs.build(() -> {
            TaskAppender tasks = new TaskAppender(entry, graph, grids);
            Poison.append(tasks, "softmax_poison", poison, buffers.o(), buffers.logSumExp());
            variant.append(tasks, traits, buffers, shape, options);
            graph.transferToHost(DataTransferMode.EVERY_EXECUTION, buffers.o(), buffers.logSumExp());
            return new TornadoExecutionPlan(graph.snapshot());
        }), grids);
    }

    @Override
    public AttentionShape shape() {
        return shape;
    }

    @Override
    public LlaOptions options() {
        return options;
    }

    @Override
    public void forward(LlaInputs inputs, LlaResult result) {
        Checks.requireForward(device, shape, inputs, result);
        use.run(() -> {
            long start = System.nanoTime();
            FloatArrays.load(inputs.q(), buffers.q());
            FloatArrays.load(inputs.k(), buffers.k());
            FloatArrays.load(inputs.v(), buffers.v());
            buffers.logSumExp().init(Float.NaN); // to be seen if nothing is copied back
            Timing timing = graphs.execute(0, new Transfers());
            requireWritten();
            FloatArrays.store(buffers.o(), result.output());
            FloatArrays.store(buffers.logSumExp(), result.logSumExp());
            Arrays.fill(result.iterations(), 0);
            Arrays.fill(result.residual(), 0f);
            result.setPairIterations(0);
            result.setComputedBy(kernel);
            result.setTiming(CompiledGraphs.since(start, timing));
        });
    }

    private void requireWritten() {
        for (int row = 0; row < shape.rows(); row++) {
            if (Float.isNaN(buffers.logSumExp().get(row))) {
                throw new DeviceException(device + " did not compute softmax attention of query " + row % shape.queryLength() + " of head "
                        + row / shape.queryLength() + ": its kernel did not run, or its inputs are not finite; see flashlla doctor.");
            }
        }
    }

    @Override
    public long workspaceBytes() {
        return workspaceBytes;
    }

    @Override
    public void close() {
        use.close(graphs::free);
    }
}
