package io.github.flashlla.tornado.kernels;

import io.github.flashlla.DecodeMethod;
import io.github.flashlla.tornado.buffers.DecodeArrays;
import io.github.flashlla.tornado.graph.TaskAppender;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** One way of decoding, as tasks from {@link DecodeArrays}' inputs to its output. */
public interface DecodeTasks {

    DecodeMethod method();

    /** Graphs that the tasks are spread over. The second and on are run only while {@link #unfinished}. */
    default int graphs() {
        return 1;
    }

    /** Arrays that stay on the device. */
    Object[] scratch();

    /** Arrays that tasks write in part only, or not at all for an empty sequence: the device gets the host's first. */
    FloatArray[] results();

    /** Adds the tasks of one of this method's graphs. */
    void append(int graph, TaskAppender tasks);

    /** Arrays that the host reads whatever the options. */
    FloatArray facts();

    /** Arrays that the host reads where the state is kept. */
    FloatArray[] state();

    /** Of a head, as of the last step. */
    float logSumExp(int row);

    float residual(int row);

    /** Whether the graph that has just run leaves a head something to do for the next one. */
    default boolean unfinished(int row, int graph) {
        return false;
    }

    int iterations(int row);

    /** A head's kbar (D), where the state was read. */
    void kbar(int row, float[] to);

    /** Likewise x (D). */
    void x(int row, float[] to);

    /** Bytes of this method's own arrays, and of the largest of them. */
    long bytes();

    long largestBytes();
}
