package io.github.flashlla.tornado.kernels;

import io.github.flashlla.LlaInputs.Strides;
import io.github.flashlla.tornado.buffers.ArrayView;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.tile.CopyTensor;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.BFloat16Array;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * A tensor of the caller's and its float32, row-major copy on the device, for kernels that take no other.
 *
 * @param name of the tensor, for people
 * @param view the caller's
 * @param own the copy (B,H,S,D)
 * @param dims B, H, S and D
 * @param output whether the kernels write it: it is then copied behind them, to the caller's array
 */
public record ArrayCopy(String name, ArrayView view, FloatArray own, long[] dims, boolean output) {
    private static final int THREADS = 256;

    /**
     * A copy with an array of its own.
     *
     * @throws io.github.flashlla.InvalidInputException if the caller's array does not hold such a tensor
     */
    public static ArrayCopy of(String name, ArrayView view, long[] dims, boolean output) {
        if (output) {
            view.requireOutput(name, dims);
        } else {
            view.requireInput(name, dims);
        }
        return new ArrayCopy(name, view, LlaBuffers.array(dims), dims, output);
    }

    /** What is copied, in one sentence. */
    public static String describe(List<ArrayCopy> copies) {
        return copies.isEmpty() ? "Kernels read and write the arrays as they are: nothing is copied."
                : "Copied on the device, to or from float32 arrays (B,H,S,D), are " + copies.stream().map(copy -> copy.name() + " (" + copy.view()
                        .type().name().toLowerCase(Locale.ROOT) + (copy.view().isStrided() ? ", strides" : "") + ")")
                        .collect(Collectors.joining(", ")) + ".";
    }

    /** Bytes of the copies' own arrays. */
    public static long bytes(List<ArrayCopy> copies) {
        return copies.stream().mapToLong(copy -> (long) Float.BYTES * copy.own.getSize()).sum();
    }

    /** Adds a task for each copy of one direction, called {@code prefix} and the tensor's name. */
    public static void append(List<ArrayCopy> copies, boolean output, TaskAppender tasks, String prefix) {
        copies.stream().filter(copy -> copy.output == output).forEach(copy -> copy.append(tasks, prefix));
    }

    private void append(TaskAppender tasks, String prefix) {
        String task = prefix + name;
        Strides strides = view.strides(dims);
        IntArray places = IntArray.fromElements(Math.toIntExact(strides.offset()), (int) strides.batch(), (int) strides.head(), (int) strides.row());
        tasks.transferOnce(places, own);
        KernelContext context = new KernelContext();
        int heads = (int) dims[1];
        int rows = (int) dims[2];
        int dim = (int) dims[3];
        tasks.task(task, TaskAppender.strides(own.getSize(), THREADS), graph -> {
            switch (view.stored()) {
                case HalfFloatArray half when output -> graph.task(task, CopyTensor::putHalf, context, own, half, places, heads, rows, dim);
                case HalfFloatArray half -> graph.task(task, CopyTensor::takeHalf, context, half, own, places, heads, rows, dim);
                case BFloat16Array brain when output -> graph.task(task, CopyTensor::putBrain, context, own, brain, places, heads, rows, dim);
                case BFloat16Array brain -> graph.task(task, CopyTensor::takeBrain, context, brain, own, places, heads, rows, dim);
                case FloatArray single when output -> graph.task(task, CopyTensor::put, context, own, single, places, heads, rows, dim);
                default -> graph.task(task, CopyTensor::take, context, view.array(), own, places, heads, rows, dim);
            }
        });
    }
}
