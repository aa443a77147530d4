package io.github.flashlla.tornado.plan;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
import io.github.flashlla.precise.FloatPlan;
import io.github.flashlla.precise.KeptState;
import io.github.flashlla.spi.Checks;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.spi.ExclusiveUse;
import io.github.flashlla.tornado.LlaTasks;
import io.github.flashlla.tornado.buffers.FloatArrays;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.device.BackendDevice;
import java.util.concurrent.atomic.AtomicInteger;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;

/**
 * One shape on one TornadoVM device: arrays allocated and the kernel compiled once, then run many times.
 *
 * <p>No result leaves here that the kernel did not write: the per-query statistics are NaN before each run and must all
 * have been written after it, and the kernel must have taken time by the device's clock.
 */
public final class TornadoPlan implements FloatPlan {
    private static final AtomicInteger GRAPHS = new AtomicInteger();

    private static final int FORWARD = 0;
    private static final int BACKWARD = 1;

    private final ExclusiveUse use;
    private final String device;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final LlaTasks tasks;
    private final LlaBuffers buffers;
    /** Null where no state is kept. */
    private final TornadoBackward backward;
    private final CompiledGraphs graphs;
    private boolean backwardCompiled;
    /** What the device's arrays hold forward's answer to. */
    private LlaInputs lastInputs;
    private LlaResult lastResult;

    TornadoPlan(DeviceState state, BackendDevice entry, AttentionShape shape, LlaOptions options) {
        this.use = ExclusiveUse.ofPlan(state);
        this.device = entry.info().name();
        this.shape = shape;
        this.options = options;
        this.tasks = LlaTasks.of(entry, shape, options);
        this.buffers = tasks.buffers();
        this.graphs = new CompiledGraphs(use, entry, shape, tasks.memoryBytes());

        String name = "lla" + GRAPHS.incrementAndGet();
        GridScheduler grids = new GridScheduler();
        TaskGraph graph = new TaskGraph(name)
                .transferToDevice(DataTransferMode.EVERY_EXECUTION, buffers.q(), buffers.k(), buffers.v(), buffers.ridge());
        this.backward = graphs.build(() -> {
            tasks.append(graph, grids);
            graph.transferToHost(DataTransferMode.EVERY_EXECUTION, buffers.o(), buffers.logSumExp(), buffers.stats());
            if (options.keepState()) {
                graph.transferToHost(DataTransferMode.EVERY_EXECUTION, buffers.kbar(), buffers.x());
                graph.persistOnDevice(buffers.keptForBackward());
            } else {
                graph.transferToHost(DataTransferMode.UNDER_DEMAND, buffers.kbar(), buffers.x());
            }
            return options.keepState() ? new TornadoBackward(tasks, name, grids) : null;
        });
        graphs.start(backward == null ? new TornadoExecutionPlan(graph.snapshot())
                : new TornadoExecutionPlan(graph.snapshot(), backward.graph()), grids);
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
    public void forward(LlaInputs inputs, LlaResult result, KeptState kept) {
        use.run(() -> {
            long start = System.nanoTime();
            Timing timing = forward(inputs);
            store(result, kept);
            lastInputs = inputs;
            lastResult = result;
            result.setTiming(CompiledGraphs.since(start, timing));
        });
    }

    /**
     * {@inheritDoc} The first call compiles the backward kernels and allocates their arrays, which the plan then keeps. Where
     * {@code saved} is not what the plan's last forward run wrote, for the same inputs, that run is done again: what backward
     * needs is taken from the device's memory.
     */
    @Override
    public void backward(LlaInputs inputs, LlaResult saved, Tensor gradOutput, LlaGradients gradients) {
        use.run(() -> {
            long start = System.nanoTime();
            if (!backwardCompiled) {
                graphs.hold(backward.memoryBytes());
                graphs.compile(BACKWARD);
                backwardCompiled = true;
            }
            if (saved != lastResult || !Checks.sameTensors(inputs, lastInputs)) {
                forward(inputs);
                lastInputs = inputs;
                lastResult = saved;
            }
            backward.load(gradOutput);
            Timing timing = graphs.execute(BACKWARD);
            backward.store(gradients);
            gradients.setTiming(CompiledGraphs.since(start, timing));
        });
    }

    private Timing forward(LlaInputs inputs) {
        lastInputs = null;
        lastResult = null;
        buffers.load(inputs, options);
        buffers.stats().init(Float.NaN); // to be seen if nothing is copied back
        Timing timing = graphs.execute(FORWARD);
        tasks.checkStatistics();
        return timing;
    }

    private void store(LlaResult result, KeptState kept) {
        FloatArrays.store(buffers.o(), result.output());
        FloatArrays.store(buffers.logSumExp(), result.logSumExp());
        if (kept != null) {
            if (!options.keepState()) {
                graphs.fetch(buffers.kbar(), buffers.x());
            }
            FloatArrays.store(buffers.kbar(), kept.kbar());
            FloatArrays.store(buffers.x(), kept.x());
        }
        System.arraycopy(tasks.iterations(), 0, result.iterations(), 0, result.iterations().length);
        System.arraycopy(tasks.residual(), 0, result.residual(), 0, result.residual().length);
        result.setPairIterations(tasks.pairIterations());
    }

    @Override
    public ExclusiveUse use() {
        return use;
    }

    @Override
    public String describe() {
        return "q, k and v are copied to float32 buffers (B,H,S,D) for the device, whatever their layout and type, and o and gradients from such "
                + "buffers; views with strides take no further copy.";
    }

    @Override
    public long workspaceBytes() {
        return buffers.workspaceBytes() + (backwardCompiled ? backward.workspaceBytes() : 0);
    }

    @Override
    public void close() {
        use.close(graphs::free);
    }
}
