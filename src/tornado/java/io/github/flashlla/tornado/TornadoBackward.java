package io.github.flashlla.tornado;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoProfilerResult;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.enums.ProfilerMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * The backward pass of a plan: a graph of its own, so that what forward saved may come from any run and any device.
 *
 * <p>No gradient leaves here that the kernels did not write: all are NaN before a run and must be finite after it, and the
 * kernels must have taken time by the device's clock.
 */
final class TornadoBackward implements AutoCloseable {
    private final TornadoRuntimeDevices.Entry entry;
    private final String device;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final LlaBackwardTasks tasks;
    private final BackwardBuffers buffers;
    private final DriverLog driverLog = new DriverLog();
    private final long memoryBytes;
    private final TornadoExecutionPlan plan;
    private long compileNanos;
    private boolean closed;

    /** Compiles the kernels. */
    TornadoBackward(TornadoRuntimeDevices.Entry entry, AttentionShape shape, LlaOptions options, LlaBuffers forward,
            String name) {
        this.entry = entry;
        this.device = entry.info().name();
        this.shape = shape;
        this.options = options;
        this.memoryBytes = DeviceLimits.backwardMemoryBytes(shape, options.preconditioner() == Preconditioner.JACOBI);
        entry.memory().requireFree(shape, memoryBytes);
        this.tasks = LlaBackwardTasks.of(entry, shape, options, forward);
        this.buffers = tasks.buffers();
        entry.memory().hold(shape, memoryBytes);
        long start = System.nanoTime();
        this.plan = compile(new TaskGraph(name), new GridScheduler());
        compileNanos = System.nanoTime() - start;
    }

    private TornadoExecutionPlan compile(TaskGraph graph, GridScheduler grids) {
        LlaBuffers forward = buffers.forward();
        try {
            graph.transferToDevice(DataTransferMode.EVERY_EXECUTION, forward.q(), forward.k(), forward.v(), forward.ridge(),
                    forward.logSumExp(), forward.kbar(), forward.x(), buffers.g());
            // never read before they are written; named so that they are freed with the plan
            graph.transferToDevice(DataTransferMode.FIRST_EXECUTION, forward.centre(), buffers.dq(), buffers.dk(), buffers.dv(),
                    buffers.dridge());
            LlaTasks.appendCentre(new TaskAppender(entry, graph, grids), shape, forward);
            tasks.append(graph, grids);
            graph.transferToHost(DataTransferMode.EVERY_EXECUTION, buffers.dq(), buffers.dk(), buffers.dv(), buffers.dridge(),
                    buffers.rows(), buffers.visited());
            TornadoExecutionPlan compiled = LlaTasks.configure(new TornadoExecutionPlan(graph.snapshot()), entry);
            compiled.withGridScheduler(grids).withProfiler(ProfilerMode.SILENT);
            entry.inTurn(compiled::withPreCompilation);
            driverLog.check(device);
            return compiled;
        } catch (Throwable e) { // TornadoVM throws errors as well as exceptions
            throw failure("could not compile its backward kernels", e);
        }
    }

    /** Computes the gradients; shapes have been checked, and {@code saved} keeps state. */
    void run(LlaInputs inputs, LlaResult saved, Tensor gradOutput, LlaGradients gradients) {
        long start = System.nanoTime();
        buffers.forward().load(inputs, options);
        load(saved, gradOutput);
        TornadoProfilerResult profile;
        try {
            profile = entry.inTurn(() -> plan.execute().getProfilerResult());
        } catch (Throwable e) {
            throw failure("failed in the backward pass", e);
        }
        driverLog.check(device);
        // profiler results are live views of the last run: copied at once
        long kernelNanos = profile.getDeviceKernelTime();
        long copyInNanos = profile.getDeviceWriteTime();
        long copyOutNanos = profile.getDeviceReadTime();
        long jitNanos = compileNanos + profile.getCompileTime();
        compileNanos = 0;
        if (kernelNanos <= 0) {
            throw new DeviceException(device + " returned without running its backward kernels (kernel time 0); run flashlla "
                    + "doctor.");
        }
        tasks.checkStatistics();
        requireFinite("dq", buffers.dq());
        requireFinite("dk", buffers.dk());
        requireFinite("dv", buffers.dv());
        requireFinite("dridge", buffers.dridge());
        FloatArrays.store(buffers.dq(), gradients.dq());
        FloatArrays.store(buffers.dk(), gradients.dk());
        FloatArrays.store(buffers.dv(), gradients.dv());
        FloatArrays.store(buffers.dridge(), gradients.dridge());
        System.arraycopy(tasks.iterations(), 0, gradients.iterations(), 0, gradients.iterations().length);
        System.arraycopy(tasks.residual(), 0, gradients.residual(), 0, gradients.residual().length);
        gradients.setPairIterations(tasks.pairIterations());
        gradients.setTiming(new Timing(System.nanoTime() - start, kernelNanos, copyInNanos, copyOutNanos, jitNanos));
    }

    private void load(LlaResult saved, Tensor gradOutput) {
        LlaBuffers forward = buffers.forward();
        FloatArrays.load(saved.kbar(), forward.kbar());
        FloatArrays.load(saved.x(), forward.x());
        FloatArrays.load(saved.logSumExp(), forward.logSumExp());
        FloatArrays.load(gradOutput, buffers.g());
        tasks.forgetStatistics();
    }

    private void requireFinite(String name, FloatArray array) {
        for (int i = 0; i < array.getSize(); i++) {
            if (!Float.isFinite(array.get(i))) {
                throw new DeviceException(device + " computed " + array.get(i) + " at element " + i + " of " + name
                        + "; check that the inputs are finite, and their scores within float32's range.");
            }
        }
    }

    private DeviceException failure(String what, Throwable e) {
        DeviceException shortage = entry.memory().refusal(shape, memoryBytes, e);
        try {
            close();
        } catch (Throwable unfreed) { // TornadoVM gives up at the first array that was not allocated
            e.addSuppressed(unfreed);
        }
        if (shortage != null) {
            return shortage;
        }
        driverLog.check(device);
        return new DeviceException(device + " " + what + " for " + shape + ": " + TornadoDeviceProvider.rootMessage(e), e);
    }

    /** Bytes on the device beyond forward's own arrays, g and the gradients: q, k, v and the saved state are there twice. */
    long workspaceBytes() {
        return memoryBytes - shape.tensorBytes(Float.BYTES) - shape.rows() * Float.BYTES; // g and dq, dk, dv; dridge
    }

    /** Whether a failure, or its plan, has ended it. */
    boolean isClosed() {
        return closed;
    }

    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        entry.memory().release(memoryBytes);
        try {
            if (plan != null) {
                entry.inTurn(() -> {
                    plan.close();
                    return null;
                });
            }
        } catch (Exception e) {
            throw new DeviceException(device + " could not free its memory: " + e.getMessage(), e);
        }
    }
}
