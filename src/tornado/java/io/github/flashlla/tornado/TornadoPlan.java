package io.github.flashlla.tornado;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoProfilerResult;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.enums.ProfilerMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * One shape on one TornadoVM device: arrays allocated and the kernel compiled once, then run many times.
 *
 * <p>No result leaves here that the kernel did not write: the per-query statistics are NaN before each run and must all
 * have been written after it, the kernel must have taken time by the device's clock, and the output must be finite.
 */
final class TornadoPlan implements LlaPlan {
    private static final AtomicInteger GRAPHS = new AtomicInteger();

    private final TornadoRuntimeDevices.Entry entry;
    private final String device;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final DriverLog driverLog = new DriverLog();
    private final DeviceMemory memory;
    private final LlaTasks tasks;
    private final LlaBuffers buffers;
    private final TornadoExecutionPlan plan;
    private final AtomicBoolean running = new AtomicBoolean();
    private TornadoBackward backward;
    private long compileNanos;
    private boolean closed;

    TornadoPlan(TornadoRuntimeDevices.Entry entry, AttentionShape shape, LlaOptions options) {
        this.entry = entry;
        this.device = entry.info().name();
        this.shape = shape;
        this.options = options;
        this.memory = entry.memory();
        this.tasks = LlaTasks.of(entry, shape, options);
        memory.hold(shape, tasks.memoryBytes());
        this.buffers = tasks.buffers();

        long start = System.nanoTime();
        GridScheduler grids = new GridScheduler();
        TaskGraph graph = new TaskGraph("lla" + GRAPHS.incrementAndGet())
                .transferToDevice(DataTransferMode.EVERY_EXECUTION, buffers.q(), buffers.k(), buffers.v(), buffers.ridge());
        plan = compile(graph, grids);
        compileNanos = System.nanoTime() - start;
    }

    private TornadoExecutionPlan compile(TaskGraph graph, GridScheduler grids) {
        try {
            tasks.append(graph, grids);
            graph.transferToHost(DataTransferMode.EVERY_EXECUTION, buffers.o(), buffers.logSumExp(), buffers.stats());
            if (options.keepState()) {
                graph.transferToHost(DataTransferMode.EVERY_EXECUTION, buffers.kbar(), buffers.x());
            }
            TornadoExecutionPlan compiled = tasks.configure(new TornadoExecutionPlan(graph.snapshot()));
            compiled.withGridScheduler(grids).withProfiler(ProfilerMode.SILENT);
            entry.inTurn(compiled::withPreCompilation);
            driverLog.check(device);
            return compiled;
        } catch (Throwable e) { // TornadoVM throws errors as well as exceptions
            throw failure("could not compile its kernel", e);
        }
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
        requireShape("the inputs", inputs.shape());
        requireShape("the result", result.shape());
        if (result.keepsState() && !options.keepState()) {
            throw new InvalidInputException("this result keeps state for backward, but the plan's options do not");
        }
        exclusively(() -> run(inputs, result));
    }

    /** {@inheritDoc} The first call compiles the backward kernels and allocates their arrays, which the plan then keeps. */
    @Override
    public void backward(LlaInputs inputs, LlaResult saved, Tensor gradOutput, LlaGradients gradients) {
        requireShape("the inputs", inputs.shape());
        requireShape("the saved result", saved.shape());
        requireShape("the gradients", gradients.shape());
        if (!saved.keepsState()) {
            throw new InvalidInputException(device + ": the saved result keeps no state; run forward with "
                    + "LlaOptions.withKeepState(true)");
        }
        if (!Arrays.equals(gradOutput.dims(), shape.outputDims())) {
            throw new InvalidInputException(device + ": the output's gradient has shape " + Tensor.shapeString(gradOutput.dims())
                    + ", but the output has " + Tensor.shapeString(shape.outputDims()));
        }
        exclusively(() -> {
            if (backward == null || backward.isClosed()) {
                backward = new TornadoBackward(entry, shape, options, buffers, "lla_backward" + GRAPHS.incrementAndGet());
            }
            backward.run(inputs, saved, gradOutput, gradients);
        });
    }

    private void exclusively(Runnable pass) {
        if (!running.compareAndSet(false, true)) {
            throw new IllegalStateException(device + ": this plan runs on another thread; make a plan for each thread");
        }
        try {
            if (closed) {
                throw new IllegalStateException(device + ": this plan is closed; make a new one from its device");
            }
            pass.run();
        } finally {
            running.set(false);
        }
    }

    private void run(LlaInputs inputs, LlaResult result) {
        long start = System.nanoTime();
        buffers.load(inputs, options);
        buffers.stats().init(Float.NaN); // to be seen if nothing is copied back
        TornadoProfilerResult profile;
        try {
            profile = entry.inTurn(() -> plan.execute().getProfilerResult());
        } catch (Throwable e) {
            throw failure("failed", e);
        }
        driverLog.check(device);
        // profiler results are live views of the last run: copied at once
        long kernelNanos = profile.getDeviceKernelTime();
        long copyInNanos = profile.getDeviceWriteTime();
        long copyOutNanos = profile.getDeviceReadTime();
        long jitNanos = compileNanos + profile.getCompileTime();
        compileNanos = 0;
        if (kernelNanos <= 0) {
            throw new DeviceException(device + " returned without running its kernel (kernel time 0); run flashlla doctor.");
        }
        tasks.checkStatistics();
        requireFiniteOutput();
        store(result);
        result.setTiming(new Timing(System.nanoTime() - start, kernelNanos, copyInNanos, copyOutNanos, jitNanos));
    }

    private void store(LlaResult result) {
        FloatArrays.store(buffers.o(), result.output());
        FloatArrays.store(buffers.logSumExp(), result.logSumExp());
        if (result.keepsState()) {
            FloatArrays.store(buffers.kbar(), result.kbar());
            FloatArrays.store(buffers.x(), result.x());
        }
        System.arraycopy(tasks.iterations(), 0, result.iterations(), 0, result.iterations().length);
        System.arraycopy(tasks.residual(), 0, result.residual(), 0, result.residual().length);
        result.setPairIterations(tasks.pairIterations());
    }

    private void requireFiniteOutput() {
        FloatArray o = buffers.o();
        for (int i = 0; i < o.getSize(); i++) {
            if (!Float.isFinite(o.get(i))) {
                throw new DeviceException(device + " computed " + o.get(i) + " at output element " + i
                        + "; check that the inputs are finite, and their scores within float32's range.");
            }
        }
    }

    private void requireShape(String what, AttentionShape given) {
        if (!given.equals(shape)) {
            throw new InvalidInputException(device + ": this plan is for " + shape + ", but " + what + " have " + given);
        }
    }

    private DeviceException failure(String what, Throwable e) {
        release();
        DeviceException shortage = memory.refusal(shape, tasks.memoryBytes(), e);
        try {
            if (plan != null) {
                entry.inTurn(plan::freeDeviceMemory);
            }
        } catch (Throwable unfreed) { // TornadoVM gives up at the first array that was not allocated
            e.addSuppressed(unfreed);
        }
        if (shortage != null) {
            return shortage;
        }
        driverLog.check(device);
        return new DeviceException(device + " " + what + " for " + shape + ": " + TornadoDeviceProvider.rootMessage(e), e);
    }

    private void release() {
        closed = true;
        memory.release(tasks.memoryBytes());
    }

    @Override
    public long workspaceBytes() {
        return buffers.workspaceBytes() + (backward == null ? 0 : backward.workspaceBytes());
    }

    @Override
    public void close() {
        if (closed) {
            return;
        }
        release();
        try {
            if (backward != null) {
                backward.close();
            }
            entry.inTurn(() -> {
                plan.close();
                return null;
            });
        } catch (Exception e) {
            throw new DeviceException(device + " could not free its memory: " + e.getMessage(), e);
        }
    }
}
