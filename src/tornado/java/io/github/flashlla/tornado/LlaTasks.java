package io.github.flashlla.tornado;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.kernels.KeyCentre;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.WorkerGrid1D;

/** The tasks of one forward pass, in the order they run: {@value #CENTRE}, {@value #FORWARD}. */
final class LlaTasks {
    private static final String CENTRE = "lla_centre";
    private static final String FORWARD = "lla_forward";

    private final ForwardKernel kernel;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final LlaBuffers buffers;

    LlaTasks(ForwardKernel kernel, AttentionShape shape, LlaOptions options, LlaBuffers buffers) {
        this.kernel = kernel;
        this.shape = shape;
        this.options = options;
        this.buffers = buffers;
    }

    /**
     * Names the device of the tasks of a graph that is yet to be built. TornadoVM reads it when a task is added, and checks
     * the kernel against that device's backend; without it, against the default one.
     */
    void bind(String graphName, int backendIndex, int deviceIndex) {
        for (String task : new String[] {CENTRE, FORWARD}) {
            System.setProperty(graphName + "." + task + ".device", backendIndex + ":" + deviceIndex);
        }
    }

    /** Adds the tasks behind those that the graph has, and their launch sizes to {@code grids}. */
    void appendTo(TaskGraph graph, GridScheduler grids) {
        graph.task(CENTRE, KeyCentre::centre, new KernelContext(), buffers.k(), buffers.centre(), shape.keyLength(),
                shape.headDim());
        WorkerGrid1D heads = new WorkerGrid1D(shape.batch() * shape.kvHeads() * KeyCentre.THREADS);
        heads.setLocalWork(KeyCentre.THREADS, 1, 1);
        grids.addWorkerGrid(graph.getTaskGraphName() + "." + CENTRE, heads);
        kernel.append(graph, FORWARD, buffers, shape, options);
        grids.addWorkerGrid(graph.getTaskGraphName() + "." + FORWARD, kernel.grid(shape));
    }
}
