package io.github.flashlla.tornado.kernels;

import io.github.flashlla.tornado.buffers.InputArrays;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.graph.TaskAppender;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Makes float32 of inputs that came as float16: half the bytes to send, and the host widens nothing. */
public final class Widen {
    private static final int THREADS = 256;

    private Widen() {}

    /** Adds the task, where {@code inputs} may hold halves. */
    public static void append(TaskAppender tasks, String name, InputArrays inputs, LlaBuffers buffers) {
        if (inputs.halves().isEmpty()) {
            return;
        }
        int longest = Math.max(buffers.q().getSize(), Math.max(buffers.k().getSize(), buffers.v().getSize()));
        tasks.task(name, TaskAppender.strides(longest, THREADS),
                graph -> graph.task(name, Widen::widen, new KernelContext(), inputs.halves().get(0), inputs.halves().get(1),
                        inputs.halves().get(2), buffers.q(), buffers.k(), buffers.v(), inputs.widened()));
    }

    /**
     * Launched with any number of groups of {@value #THREADS} threads.
     *
     * @param q out, its first {@code counts[0]} elements; those behind stay as they are
     * @param k out, likewise by {@code counts[1]}
     * @param v out, likewise by {@code counts[2]}
     */
    public static void widen(KernelContext ctx, HalfFloatArray halfQ, HalfFloatArray halfK, HalfFloatArray halfV, FloatArray q, FloatArray k,
            FloatArray v, IntArray counts) {
        for (int n = ctx.globalIdx; n < counts.get(0); n += ctx.globalGroupSizeX) {
            write(q, n, halfQ.get(n).getFloat32());
        }
        for (int n = ctx.globalIdx; n < counts.get(1); n += ctx.globalGroupSizeX) {
            write(k, n, halfK.get(n).getFloat32());
        }
        for (int n = ctx.globalIdx; n < counts.get(2); n += ctx.globalGroupSizeX) {
            write(v, n, halfV.get(n).getFloat32());
        }
    }

    /** Compares first because TornadoVM copies to the device only what a kernel reads: an array that came as float32 must get there. */
    private static void write(FloatArray to, int n, float value) {
        if (to.get(n) != value) {
            to.set(n, value);
        }
    }
}
