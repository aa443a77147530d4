package io.github.flashlla.tornado.plan;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
import io.github.flashlla.precise.DoubleLoops;
import io.github.flashlla.precise.FloatPlan;
import io.github.flashlla.precise.KeptState;
import io.github.flashlla.spi.Checks;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.spi.ExclusiveUse;
import io.github.flashlla.tornado.LlaTasks;
import io.github.flashlla.tornado.buffers.CacheRows;
import io.github.flashlla.tornado.buffers.Failures;
import io.github.flashlla.tornado.buffers.FloatArrays;
import io.github.flashlla.tornado.buffers.InputArrays;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.buffers.Storing;
import io.github.flashlla.tornado.choice.KernelTable;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.Transfers;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.Widen;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
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
    private final InputArrays arrays;
    private final double[] outputNorms;
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
        this.outputNorms = new double[Math.toIntExact(shape.rows())];
        boolean half = options.precision() == DataType.FLOAT16 && CacheRows.hasHalf(entry.info());
        this.arrays = new InputArrays(buffers, shape, half, entry.sendsInPlace());
        this.graphs = new CompiledGraphs(use, entry, shape, tasks.memoryBytes() + InputArrays.bytes(shape, half));

        String name = "lla" + GRAPHS.incrementAndGet();
        GridScheduler grids = new GridScheduler();
        TaskGraph graph = new TaskGraph(name)
                .transferToDevice(DataTransferMode.EVERY_EXECUTION, arrays.all()); // but for what a run leaves out
        this.backward = graphs.build(() -> {
            Widen.append(new TaskAppender(entry, graph, grids), "lla_widen", arrays, buffers);
            tasks.append(graph, grids);
            graph.transferToHost(DataTransferMode.EVERY_EXECUTION, buffers.stats(), buffers.logSumExp());
            if (options.keepState()) {
                graph.transferToHost(DataTransferMode.EVERY_EXECUTION, buffers.kbar(), buffers.x());
                graph.persistOnDevice(buffers.keptForBackward());
            } else {
                graph.transferToHost(DataTransferMode.UNDER_DEMAND, buffers.kbar(), buffers.x());
            }
            graph.transferToHost(DataTransferMode.EVERY_EXECUTION, buffers.o()); // last: the others are copied on while it comes
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
    public double[] forward(LlaInputs inputs, LlaResult result, Supplier<KeptState> kept) {
        run(inputs, result, kept, false);
        return outputNorms;
    }

    @Override
    public double[] forwardQueries(LlaInputs inputs, LlaResult result, Supplier<KeptState> kept) {
        run(inputs, result, kept, lastInputs != null && inputs.k() == lastInputs.k() && inputs.v() == lastInputs.v());
        return outputNorms;
    }

    private void run(LlaInputs inputs, LlaResult result, Supplier<KeptState> kept, boolean sameKeys) {
        use.run(() -> {
            long start = System.nanoTime();
            Transfers transfers = load(inputs, sameKeys);
            Meanwhile<KeptState> wanted = new Meanwhile<>(transfers.filled(), kept); // not before: the copies need all processors
            CompletableFuture<Void> came = new CompletableFuture<>();
            transfers.receive(buffers.stats(), (from, to) -> {
                if (to == buffers.stats().getSize()) {
                    came.complete(null);
                }
            });
            Meanwhile<Long> statistics = new Meanwhile<>(came, () -> {
                tasks.readStatistics(result.iterations(), result.residual());
                return tasks.pairIterations(result.iterations());
            });
            boolean state = options.keepState() && result.keepsState();
            List<Storing> storing = storing(result, state);
            storing.forEach(each -> each.receiveBy(transfers));
            Failures onDevice = new Failures();
            Timing timing = onDevice.of(() -> graphs.execute(FORWARD, transfers));
            Failures failures = new Failures();
            KeptState solutions = wanted.await(transfers, failures);
            failures.in(onDevice::throwFirst);
            if (timing != null) {
                came.complete(null); // where no part was told of
            }
            storing.forEach(each -> failures.in(timing == null ? each::await : each::finish)); // nothing writes to the result behind this run
            Long pairIterations = came.isDone() ? failures.of(statistics::await) : null;
            failures.throwFirst();
            if (solutions != null && !state) {
                store(solutions);
            }
            result.setPairIterations(pairIterations);
            lastInputs = inputs;
            lastResult = result;
            result.setComputedBy(tasks.kernel());
            result.setTiming(CompiledGraphs.since(start, timing));
        });
    }

    /** What is copied to a result while more of it comes. */
    private List<Storing> storing(LlaResult result, boolean state) {
        int dim = shape.valueDim();
        Storing output = new Storing(buffers.o(), result.output(), dim,
                (at, values, count) -> DoubleLoops.rowNorms(values, count, dim, outputNorms, at / dim));
        Storing weights = new Storing(buffers.logSumExp(), result.logSumExp());
        return state ? List.of(weights, new Storing(buffers.kbar(), result.kbar()), new Storing(buffers.x(), result.x()), output)
                : List.of(weights, output);
    }

    /**
     * {@inheritDoc} The first call compiles the backward kernels and allocates their arrays, which the plan then keeps. Where
     * {@code saved} is not what the plan's last forward run wrote, for the same inputs, that run is done again: what backward
     * needs is taken from the device's memory.
     */
    @Override
    public void backward(LlaInputs inputs, LlaResult saved, Tensor gradOutput, BitSet without, LlaGradients gradients) {
        backward(inputs, saved, gradOutput, without, gradients, () -> { });
    }

    @Override
    public void backward(LlaInputs inputs, LlaResult saved, Tensor gradOutput, BitSet without, LlaGradients gradients, Runnable look) {
        use.run(() -> {
            long start = System.nanoTime();
            if (!backwardCompiled) {
                graphs.hold(backward.memoryBytes());
                graphs.compile(BACKWARD);
                backwardCompiled = true;
            }
            if (saved != lastResult || !Checks.sameTensors(inputs, lastInputs)) {
                Transfers transfers = load(inputs, false);
                Failures failures = new Failures();
                failures.of(() -> graphs.execute(FORWARD, transfers));
                failures.in(() -> {
                    transfers.filled().join(); // nothing reads inputs behind this run
                });
                failures.throwFirst();
                tasks.checkStatistics();
                lastInputs = inputs;
                lastResult = saved;
            }
            Timing timing = backward.run(gradOutput, without, gradients, look, transfers -> graphs.execute(BACKWARD, transfers));
            gradients.setComputedBy(backward.kernel());
            gradients.setTiming(CompiledGraphs.since(start, timing));
        });
    }

    /** Always: a run whose gradients are not finite has thrown. */
    @Override
    public boolean finite(LlaGradients gradients) {
        return true;
    }

    /**
     * Has inputs copied to the host's arrays, and tells which of these the device need not get.
     *
     * @param sameKeys whether the device has k and v of these inputs from its last run
     */
    private Transfers load(LlaInputs inputs, boolean sameKeys) {
        lastInputs = null;
        lastResult = null;
        buffers.forgetStats();
        return arrays.load(inputs, options, sameKeys);
    }

    private void store(KeptState kept) {
        if (!options.keepState()) {
            graphs.fetch(buffers.kbar(), buffers.x());
        }
        FloatArrays.store(buffers.kbar(), kept.kbar());
        FloatArrays.store(buffers.x(), kept.x());
    }

    @Override
    public ExclusiveUse use() {
        return use;
    }

    @Override
    public String describe() {
        return "q, k and v are copied to buffers (B,H,S,D) for the device, whatever their layout and type: float32, but for row-major float16 in "
                + "plans that compute in float16, which stays float16; o and gradients come from float32 buffers. Views with strides take no "
                + "further copy." + (arrays.inPlace() ? " Row-major inputs in the buffers' type are sent from the caller's memory." : "")
                + (tasks.options().precision() == options.precision() ? "" : KernelTable.IN_FLOAT32);
    }

    @Override
    public long workspaceBytes() {
        return buffers.workspaceBytes() + InputArrays.bytes(shape, !arrays.halves().isEmpty()) + (backwardCompiled ? backward.workspaceBytes() : 0);
    }

    @Override
    public void close() {
        use.close(graphs::free);
    }
}
