package io.github.flashlla.tornado.kernels;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import io.github.flashlla.tornado.kernels.tile.Views;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** A point near the middle of each head's keys, that the other kernels measure keys from. */
public final class KeyCentre {
    public static final int THREADS = 64;
    /** Any point serves; the mean of this many keys, evenly spread, is near enough and costs nothing at any length. */
    private static final int SAMPLES = 256;

    private KeyCentre() {}

    /**
     * Adds the task.
     *
     * @param sizes of {@link ProblemData}, which the caller transfers
     */
    public static void append(TaskAppender tasks, String name, LlaBuffers buffers, AttentionShape shape, IntArray sizes) {
        tasks.task(name, TaskAppender.groups((long) shape.batch() * shape.kvHeads(), THREADS),
                graph -> graph.task(name, KeyCentre::centre, new KernelContext(), buffers.k(), buffers.centre(), sizes, SAMPLES,
                        buffers.problem().flags()));
    }

    /**
     * Launched as one group of {@value #THREADS} threads for each of B Hkv heads.
     *
     * @param k (B,Hkv,Sk,D)
     * @param centre out (B,Hkv,D)
     * @param sizes of {@link ProblemData}
     * @param most keys that are read
     * @param flags see {@link Masking}
     */
    public static void centre(KernelContext ctx, FloatArray k, FloatArray centre, IntArray sizes, int most, int flags) {
        int Sk = sizes.get(ProblemData.SK);
        int D = sizes.get(ProblemData.D);
        int head = ctx.groupIdx;
        int key0 = Views.keyHead(sizes, Views.K, head, Sk, D, flags);
        int stride = Views.rowStride(sizes, Views.K, D, flags);
        int samples = Math.min(Sk, most);
        for (int d = ctx.localIdx; d < D; d += THREADS) {
            float sum = 0f;
            for (int n = 0; n < samples; n++) {
                // in int: llvm-spirv refuses the shift of a long that a division of one becomes
                int key = n * (Sk / samples) + n * (Sk % samples) / samples;
                sum += k.get(key0 + key * stride + d);
            }
            centre.set(head * D + d, sum / samples);
        }
    }
}
