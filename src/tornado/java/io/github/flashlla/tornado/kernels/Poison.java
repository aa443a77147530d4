package io.github.flashlla.tornado.kernels;

import io.github.flashlla.tornado.graph.TaskAppender;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Overwrites what a pass is about to write, so that an element which it then leaves out cannot pass for a result. */
public final class Poison {
    public static final int THREADS = 64;

    private Poison() {}

    /**
     * Adds a task that makes every element of two arrays {@code poison}'s, so that one which the next tasks do not write is seen.
     *
     * @param poison one element, NaN
     */
    public static void append(TaskAppender tasks, String name, FloatArray poison, FloatArray one, FloatArray other) {
        int longest = Math.max(one.getSize(), other.getSize());
        IntArray sizes = IntArray.fromElements(one.getSize(), other.getSize());
        tasks.transferOnce(sizes);
        tasks.task(name, TaskAppender.strides(longest, THREADS),
                graph -> graph.task(name, Poison::poison, new KernelContext(), poison, one, other, sizes));
    }

    /**
     * Launched with any number of groups of {@value #THREADS} threads.
     *
     * @param with its first element is what to write; read from memory, since OpenCL C as TornadoVM writes it has no NaN
     * @param o out, every element
     * @param stats out, every element
     * @param sizes of o and stats
     */
    public static void poison(KernelContext ctx, FloatArray with, FloatArray o, FloatArray stats, IntArray sizes) {
        float value = with.get(0);
        for (int n = ctx.globalIdx; n < sizes.get(0); n += ctx.globalGroupSizeX) {
            o.set(n, value);
        }
        for (int n = ctx.globalIdx; n < sizes.get(1); n += ctx.globalGroupSizeX) {
            stats.set(n, value);
        }
    }
}
