package io.github.flashlla.tornado.graph;

import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.kernels.Poison;
import java.util.function.Consumer;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.WorkerGrid;
import uk.ac.manchester.tornado.api.WorkerGrid1D;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Adds tasks behind those that a graph has, each checked against its device and with a launch size of its own. */
public final class TaskAppender {
    private static final int POISON_GROUPS = 1 << 12;

    private final BackendDevice device;
    private final TaskGraph graph;
    private final GridScheduler grids;

    /** @param grids gets the launch sizes; the plan of the graph must run with it */
    public TaskAppender(BackendDevice device, TaskGraph graph, GridScheduler grids) {
        this.device = device;
        this.graph = graph;
        this.grids = grids;
    }

    /**
     * Adds one task.
     *
     * <p>TornadoVM compiles a task's first form while it is added, for the device that a system property names or else for
     * the first of all: the property is there meanwhile.
     *
     * @param append calls one of {@code TaskGraph}'s methods {@code task}, with {@code name}
     */
    public void task(String name, WorkerGrid grid, Consumer<TaskGraph> append) {
        String id = graph.getTaskGraphName() + "." + name;
        String property = id + ".device";
        System.setProperty(property, device.backendIndex() + ":" + device.deviceIndex());
        try {
            append.accept(graph);
        } finally {
            System.clearProperty(property);
        }
        grids.addWorkerGrid(id, grid);
    }

    /** Names arrays that the tasks read, copied to the device before its first run. */
    public void transferOnce(Object... arrays) {
        graph.transferToDevice(DataTransferMode.FIRST_EXECUTION, arrays);
    }

    /**
     * Adds a task that makes every element of two arrays {@code poison}'s, so that one which the next tasks do not write is seen.
     *
     * @param poison one element, NaN
     */
    public void poison(String name, FloatArray poison, FloatArray one, FloatArray other) {
        int longest = Math.max(one.getSize(), other.getSize());
        task(name, groups(Math.min(POISON_GROUPS, Math.ceilDiv(longest, Poison.THREADS)), Poison.THREADS),
                g -> g.task(name, Poison::poison, new KernelContext(), poison, one, other));
    }

    /** Groups in one dimension. */
    public static WorkerGrid groups(long groups, int threads) {
        WorkerGrid1D grid = new WorkerGrid1D(Math.toIntExact(groups * threads));
        grid.setLocalWork(threads, 1, 1);
        return grid;
    }
}
