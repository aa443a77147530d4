package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.HalfFloat;

/** What comes before a decoding step in a graph of the caller's: the new tokens go into the cache, and lengths and scaled queries are made. */
public final class DecodeStep {
    private DecodeStep() {}

    /**
     * Puts one new token of each sequence where it belongs. One thread an element of the wider of k and v: (B,Hkv,max(D,Dv)).
     *
     * @param positions tokens that each sequence has before this step (B)
     * @param k (B,Hkv,D)
     * @param v (B,Hkv,Dv)
     * @param k32 the cache's keys as {@link CacheLayout} has them, or k16
     * @param capacity rows of a sequence
     */
    public static void append(KernelContext context, IntArray positions, FloatArray k, FloatArray v, FloatArray k32, HalfFloatArray k16,
            FloatArray v32, HalfFloatArray v16, int binary16, int dim, int valueDim, int capacity, int kvHeads) {
        int width = Math.max(dim, valueDim);
        int from = context.globalIdx / width;
        int d = context.globalIdx % width;
        int sequence = from / kvHeads;
        if (sequence < positions.getSize()) {
            int to = from * capacity + positions.get(sequence);
            // compared first because TornadoVM copies to the device only what a kernel reads: the rest of the cache must get there
            if (d < dim) {
                int at = CacheLayout.index(to, d, dim);
                float value = k.get(from * dim + d);
                if (binary16 == 1) {
                    HalfFloat half = new HalfFloat(value);
                    if (k16.get(at).getFloat32() != half.getFloat32()) {
                        k16.set(at, half);
                    }
                } else {
                    if (k32.get(at) != value) {
                        k32.set(at, value);
                    }
                }
            }
            if (d < valueDim) {
                int at = CacheLayout.index(to, d, valueDim);
                float value = v.get(from * valueDim + d);
                if (binary16 == 1) {
                    HalfFloat half = new HalfFloat(value);
                    if (v16.get(at).getFloat32() != half.getFloat32()) {
                        v16.set(at, half);
                    }
                } else {
                    if (v32.get(at) != value) {
                        v32.set(at, value);
                    }
                }
            }
        }
    }

    /**
     * Lengths with the new token, and scaled queries. One thread an element of q.
     *
     * @param lengths (B) receives positions + 1
     * @param scaledQ receives scale q, as long as q
     */
    public static void prepare(KernelContext context, IntArray positions, IntArray lengths, FloatArray q, FloatArray scaledQ, float scale) {
        int i = context.globalIdx;
        if (i < positions.getSize()) {
            lengths.set(i, positions.get(i) + 1);
        }
        if (i < q.getSize()) {
            scaledQ.set(i, q.get(i) * scale);
        }
    }
}
