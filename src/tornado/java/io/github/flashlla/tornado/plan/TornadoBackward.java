package io.github.flashlla.tornado.plan;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
import io.github.flashlla.tornado.LlaBackwardTasks;
import io.github.flashlla.tornado.LlaTasks;
import io.github.flashlla.tornado.buffers.BackwardBuffers;
import io.github.flashlla.tornado.buffers.Failures;
import io.github.flashlla.tornado.buffers.InputArrays;
import io.github.flashlla.tornado.buffers.Storing;
import io.github.flashlla.tornado.device.Transfers;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.ImmutableTaskGraph;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * The second graph of a plan that keeps state: the backward pass, over the device arrays that the forward graph left there.
 *
 * <p>No gradient leaves here that the kernels did not write: all are NaN before a run and must be finite after it.
 */
public final class TornadoBackward {
    private final String device;
    private final AttentionShape shape;
    private final LlaBackwardTasks tasks;
    private final BackwardBuffers buffers;
    private final ImmutableTaskGraph graph;

    /**
     * @param forwardGraph name of the graph that computes, and persists on the device, what this one consumes
     * @param grids gets the launch sizes
     */
    TornadoBackward(LlaTasks forward, String forwardGraph, GridScheduler grids) {
        this.device = forward.entry().info().name();
        this.shape = forward.shape();
        this.tasks = LlaBackwardTasks.of(forward);
        this.buffers = tasks.buffers();
        TaskGraph backward = new TaskGraph(forwardGraph + "_backward")
                .consumeFromDevice(forwardGraph, forward.buffers().keptForBackward())
                .transferToDevice(DataTransferMode.EVERY_EXECUTION, buffers.g())
                // never read before they are written; named so that they are freed with the plan
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, buffers.dq(), buffers.dk(), buffers.dv(), buffers.dridge());
        tasks.append(backward, grids);
        backward.transferToHost(DataTransferMode.EVERY_EXECUTION, buffers.dq(), buffers.dk(), buffers.dv(), buffers.dridge(),
                buffers.rows(), buffers.visited());
        this.graph = backward.snapshot();
    }

    ImmutableTaskGraph graph() {
        return graph;
    }

    /**
     * Runs it, and checks what it left: gradients are looked at and copied out as they come.
     *
     * @param without queries whose dL/do is taken to be 0
     * @param look done meanwhile
     * @param run runs {@link #graph}
     */
    Timing run(Tensor gradOutput, BitSet without, LlaGradients gradients, Runnable look, Function<Transfers, Timing> run) {
        tasks.forgetStatistics();
        Transfers transfers = new Transfers();
        InputArrays.load(gradOutput, buffers.g(), shape.valueDim(), without, transfers);
        Meanwhile<Void> looked = new Meanwhile<>(transfers.filled(), () -> {
            look.run();
            return null;
        });
        List<Checked> all = List.of(new Checked("dq", buffers.dq(), gradients.dq()), new Checked("dk", buffers.dk(), gradients.dk()),
                new Checked("dv", buffers.dv(), gradients.dv()), new Checked("dridge", buffers.dridge(), gradients.dridge()));
        all.forEach(gradient -> gradient.storing.receiveBy(transfers));
        Failures onDevice = new Failures();
        Timing timing = onDevice.of(() -> run.apply(transfers));
        Failures failures = new Failures();
        looked.await(transfers, failures);
        failures.in(onDevice::throwFirst);
        all.forEach(gradient -> failures.in(gradient.storing::await));
        failures.throwFirst();
        tasks.checkStatistics();
        all.forEach(Checked::finish);
        System.arraycopy(tasks.iterations(), 0, gradients.iterations(), 0, gradients.iterations().length);
        System.arraycopy(tasks.residual(), 0, gradients.residual(), 0, gradients.residual().length);
        gradients.setPairIterations(tasks.pairIterations());
        return timing;
    }

    /** A gradient on its way out. */
    private final class Checked {
        private final String name;
        private final FloatArray from;
        private final Storing storing;
        /** Where it is NaN or infinite first. */
        private final AtomicInteger wrong = new AtomicInteger(Integer.MAX_VALUE);

        Checked(String name, FloatArray from, Tensor to) {
            this.name = name;
            this.from = from;
            this.storing = new Storing(from, to, 1, this::look);
        }

        private void look(int at, float[] values, int count) {
            float sum = 0;
            for (int i = 0; i < count; i++) {
                sum += values[i] * 0; // 0, or NaN where any is not finite: a loop without a branch
            }
            for (int i = 0; sum != 0 && i < count; i++) {
                if (!Float.isFinite(values[i])) {
                    wrong.accumulateAndGet(at + i, Math::min);
                    return;
                }
            }
        }

        void finish() {
            storing.finish();
            int at = wrong.get();
            if (at < Integer.MAX_VALUE) {
                throw new DeviceException(device + " computed " + from.get(at) + " at element " + at + " of " + name + " for " + shape
                        + "; check that the inputs are finite, and their scores within float32's range.");
            }
        }
    }

    /** {@link LlaBackwardTasks#kernel()} */
    String kernel() {
        return tasks.kernel();
    }

    /** Bytes on the device beyond those of the forward graph. */
    long memoryBytes() {
        return tasks.memoryBytes();
    }

    /** The same beyond g and the gradients. */
    long workspaceBytes() {
        return tasks.workspaceBytes();
    }
}
