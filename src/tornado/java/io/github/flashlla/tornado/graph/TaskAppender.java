package io.github.flashlla.tornado.graph;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.tornado.device.BackendDevice;
import java.util.function.Consumer;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.WorkerGrid;
import uk.ac.manchester.tornado.api.WorkerGrid1D;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;

/**
 * The only place that adds a task to a graph: behind those that the graph has, checked against its device, and with a launch size of
 * its own.
 */
public final class TaskAppender {
    /** Of a loop's iterations on a GPU: few enough that a group starts with all the registers that a thread can have. */
    private static final int LOOP_THREADS = 128;
    private static final int MOST_GROUPS = 1 << 12;

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
        add(name, append);
        grids.addWorkerGrid(graph.getTaskGraphName() + "." + name, grid);
    }

    /** One {@code @Parallel} loop, as a task. */
    @FunctionalInterface
    public interface Loop {
        /**
         * Calls one of {@code TaskGraph}'s methods {@code task}.
         *
         * @param threads what the kernel's loop runs to, in a parameter that the kernel uses for nothing else
         */
        void addTo(TaskGraph graph, int threads);
    }

    /**
     * Adds a task of one {@code @Parallel} loop.
     *
     * <p>TornadoVM chooses the launch size on CPUs. For GPUs it makes groups of up to 1024 threads, which do not start once a thread
     * needs more than 64 registers: they get smaller groups, and so up to a group's threads more than there are iterations.
     *
     * <p>Where a launch size is given, TornadoVM replaces the parameter that bounds the loop by that size, wherever the kernel uses it.
     * So a kernel takes that bound as a parameter of its own, knows the number of iterations from another one, and has its
     * threads beyond do nothing:
     *
     * <pre>{@code
     * for (@Parallel int row = 0; row < threads; row++) {
     *     if (row < rows) {
     *         out.set(row, in.get(row));
     *     }
     * }
     * }</pre>
     *
     * @param iterations that the loop has work for
     */
    public void loop(String name, int iterations, Loop append) {
        if (device.info().type() == DeviceInfo.Type.CPU) {
            add(name, graph -> append.addTo(graph, iterations));
        } else {
            int group = Math.min(LOOP_THREADS, device.maxGroupThreads());
            int groups = Math.ceilDiv(iterations, group);
            task(name, groups(groups, group), graph -> append.addTo(graph, Math.multiplyExact(groups, group)));
        }
    }

    private void add(String name, Consumer<TaskGraph> append) {
        String property = graph.getTaskGraphName() + "." + name + ".device";
        System.setProperty(property, device.backendIndex() + ":" + device.deviceIndex());
        try {
            append.accept(graph);
        } finally {
            System.clearProperty(property);
        }
    }

    /** Names arrays that the tasks read, copied to the device before its first run. */
    public void transferOnce(Object... arrays) {
        graph.transferToDevice(DataTransferMode.FIRST_EXECUTION, arrays);
    }

    /** Groups in one dimension. */
    public static WorkerGrid groups(long groups, int threads) {
        WorkerGrid1D grid = new WorkerGrid1D(Math.toIntExact(groups * threads));
        grid.setLocalWork(threads, 1, 1);
        return grid;
    }

    /** At most 4096 groups, for a kernel whose threads go on to the element a launch size further while there is one. */
    public static WorkerGrid strides(long elements, int threads) {
        return groups(Math.min(MOST_GROUPS, Math.ceilDiv(elements, (long) threads)), threads);
    }

    /**
     * The name of the graph that tasks are added to, which is their only one.
     *
     * @param taken the name of the graph that has them; null for none
     * @throws IllegalStateException if there is one
     */
    public static String onlyGraph(String taken, TaskGraph graph) {
        if (taken != null) {
            throw new IllegalStateException("these tasks are part of the graph " + taken + " already; make others for "
                    + graph.getTaskGraphName());
        }
        return graph.getTaskGraphName();
    }
}
