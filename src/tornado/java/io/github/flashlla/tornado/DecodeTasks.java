package io.github.flashlla.tornado;

import io.github.flashlla.DecodeMethod;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** One way of decoding, as tasks from {@link DecodeArrays}' inputs to its output. */
interface DecodeTasks {

    DecodeMethod method();

    /** Names of the tasks. */
    String[] names();

    /** Arrays that stay on the device. */
    Object[] scratch();

    /** Arrays that tasks write in part only, or not at all for an empty sequence: the device gets the host's first. */
    FloatArray[] results();

    /** Adds this method's tasks and their grids. */
    TaskGraph append(TaskGraph graph, String graphName, GridScheduler grids, KernelContext context);

    /** Arrays that the host reads whatever the options. */
    FloatArray facts();

    /** Arrays that the host reads where the state is kept. */
    FloatArray[] state();

    /** Of a head, as of the last step. */
    float logSumExp(int row);

    float residual(int row);

    int iterations(int row);

    /** Element d of a head's kbar and x, where the state was read. */
    float kbar(int row, int d);

    float x(int row, int d);

    /** Bytes of this method's own arrays, and of the largest of them. */
    long bytes();

    long largestBytes();

    static void workers(GridScheduler scheduler, String task, int groups, int threads) {
        scheduler.addWorkerGrid(task, TaskAppender.groups(groups, threads));
    }
}
