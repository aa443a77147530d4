package io.github.flashlla.tornado.plan;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.LlaBackwardTasks;
import io.github.flashlla.tornado.LlaTasks;
import io.github.flashlla.tornado.buffers.BackwardBuffers;
import io.github.flashlla.tornado.buffers.FloatArrays;
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

    void load(Tensor gradOutput) {
        FloatArrays.load(gradOutput, buffers.g());
        tasks.forgetStatistics();
    }

    /** Checks what a run left, and copies it out. */
    void store(LlaGradients gradients) {
        tasks.checkStatistics();
        store("dq", buffers.dq(), gradients.dq());
        store("dk", buffers.dk(), gradients.dk());
        store("dv", buffers.dv(), gradients.dv());
        store("dridge", buffers.dridge(), gradients.dridge());
        System.arraycopy(tasks.iterations(), 0, gradients.iterations(), 0, gradients.iterations().length);
        System.arraycopy(tasks.residual(), 0, gradients.residual(), 0, gradients.residual().length);
        gradients.setPairIterations(tasks.pairIterations());
    }

    private void store(String name, FloatArray from, Tensor to) {
        int at = FloatArrays.firstNonFinite(from);
        if (at >= 0) {
            throw new DeviceException(device + " computed " + from.get(at) + " at element " + at + " of " + name + " for "
                    + shape + "; check that the inputs are finite, and their scores within float32's range.");
        }
        FloatArrays.store(from, to);
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
