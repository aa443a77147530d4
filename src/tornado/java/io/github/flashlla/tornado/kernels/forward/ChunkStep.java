package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.decode.DecodeStep;
import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import io.github.flashlla.tornado.kernels.tile.ProblemData;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.WorkerGrid;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * What comes before and behind the forward pass over a chunk of a prompt in a graph of the caller's: its keys and values go into the
 * cache, all that the sequence then has is copied to where the forward kernels read it, and rows of queries and outputs change places.
 *
 * <pre>
 *   append   k, v (chunk,Hkv,D)    -> cache
 *   copy     cache                 -> keys, values (Hkv,Sk,D)       Sk = position - first + chunk; 0 beyond the last token
 *   queries  q (chunk,H,D)         -> (H,chunk,D), Sk, and spans    0 beyond the last token
 *   rows     o (H,chunk,Dv)        -> (chunk,H,Dv)                  0 beyond the last token
 * </pre>
 *
 * <p>Causal masking is aligned bottom-right, so query i of the chunk sees what the cache had and the chunk's first i + 1 tokens. A copy
 * is one read and one write of each key; the forward pass reads it once an iteration for every block of queries.
 *
 * <p>{@code span}: sequence, position of its first token in the sequence, tokens, at most {@code chunk}, and the first token of the
 * sequence that the chunk sees: 0 but for a window.
 */
public final class ChunkStep {
    private static final int THREADS = 64;

    private ChunkStep() {}

    /** The launch size of each task: {@code elements} is the most that there will be. */
    public static WorkerGrid grid(long elements) {
        return TaskAppender.strides(elements, THREADS);
    }

    /**
     * @param k (chunk,Hkv,D)
     * @param v (chunk,Hkv,Dv)
     * @param k32 the cache's keys, or k16
     * @param v32 the cache's values, or v16
     * @param pages (B,perSequence), see {@link CacheLayout#at}
     */
    public static void append(KernelContext context, IntArray span, IntArray pages, FloatArray k, FloatArray v, FloatArray k32,
            HalfFloatArray k16, FloatArray v32, HalfFloatArray v16, int format, int dim, int valueDim, int pageSize, int kvHeads,
            int perSequence) {
        int width = Math.max(dim, valueDim);
        int elements = span.get(2) * kvHeads * width;
        for (int n = context.globalIdx; n < elements; n += context.globalGroupSizeX) {
            int from = n / width;
            DecodeStep.put(pages, perSequence, k, v, k32, k16, v32, v16, format, dim, valueDim, pageSize, kvHeads, from, span.get(0),
                    from % kvHeads, span.get(1) + from / kvHeads, n % width);
        }
    }

    /**
     * @param c32 the cache's keys or values, or c16
     * @param out (Hkv,Sk,dim)
     */
    public static void copy(KernelContext context, IntArray span, IntArray pages, FloatArray c32, HalfFloatArray c16, FloatArray out,
            int format, int dim, int pageSize, int kvHeads, int perSequence, int chunk) {
        int first = span.get(3);
        int Sk = span.get(1) - first + chunk;
        int end = span.get(1) - first + span.get(2);
        int width = kvHeads * dim; // tokens first: with a division by Sk, TornadoVM's SPIR-V is not valid
        for (int n = context.globalIdx; n < Sk * width; n += context.globalGroupSizeX) {
            int token = n / width;
            int kvHead = n % width / dim;
            int d = n % dim;
            float value = 0f;
            if (token < end) {
                value = CacheLayout.element(c32, c16, format & 1, CacheLayout.at(pages, perSequence, pageSize, kvHeads, format,
                        span.get(0) * kvHeads + kvHead, first + token, d, dim));
            }
            out.set((kvHead * Sk + token) * dim + d, value);
        }
    }

    /**
     * @param q (chunk,H,D)
     * @param sizes receives Sk and, with a window, which keys each query sees; the rest stays
     * @param out (H,chunk,D)
     * @param window 0 for none
     */
    public static void queries(KernelContext context, IntArray span, FloatArray q, IntArray sizes, FloatArray out, int dim, int heads,
            int chunk, int window) {
        int before = span.get(1) - span.get(3);
        if (context.globalIdx == 0) {
            int Sk = before + chunk;
            if (sizes.get(ProblemData.SK) != Sk) { // read, so that TornadoVM copies the rest to the device
                sizes.set(ProblemData.SK, Sk);
            }
        }
        if (window > 0) {
            for (int n = context.globalIdx; n < chunk; n += context.globalGroupSizeX) {
                ProblemData.setSpan(sizes, n, Math.max(before + n + 1 - window, 0), before + n + 1);
            }
        }
        for (int n = context.globalIdx; n < heads * chunk * dim; n += context.globalGroupSizeX) {
            int token = n / dim % chunk;
            float value = 0f;
            if (token < span.get(2)) {
                value = q.get((token * heads + n / dim / chunk) * dim + n % dim);
            }
            out.set(n, value);
        }
    }

    /**
     * @param o (H,chunk,Dv)
     * @param out (chunk,H,Dv)
     */
    public static void rows(KernelContext context, IntArray span, FloatArray o, FloatArray out, int dim, int heads, int chunk) {
        for (int n = context.globalIdx; n < heads * chunk * dim; n += context.globalGroupSizeX) {
            int token = n / dim / heads;
            float value = 0f;
            if (token < span.get(2)) {
                value = o.get((n / dim % heads * chunk + token) * dim + n % dim);
            }
            out.set(n, value);
        }
    }
}
