package io.github.flashlla.tornado.kernels.decode;

import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** What comes before a decoding step in a graph of the caller's: the new tokens go into the cache, and lengths and scaled queries are made. */
public final class DecodeStep {
    private DecodeStep() {}

    /**
     * Puts one new token of each sequence where it belongs. One thread an element of the wider of k and v: (B,Hkv,max(D,Dv)).
     *
     * @param positions tokens that each sequence has before this step (B); less than 0 for a sequence that gets none
     * @param pages (B, most pages of a sequence), see {@link CacheLayout#at}
     * @param k (B,Hkv,D)
     * @param v (B,Hkv,Dv)
     * @param k32 the cache's keys, or k16
     * @param v32 the cache's values, or v16
     */
    public static void append(KernelContext context, IntArray positions, IntArray pages, FloatArray k, FloatArray v, FloatArray k32,
            HalfFloatArray k16, FloatArray v32, HalfFloatArray v16, int format, int dim, int valueDim, int pageSize, int kvHeads) {
        int width = Math.max(dim, valueDim);
        int from = context.globalIdx / width;
        int d = context.globalIdx % width;
        int sequence = from / kvHeads;
        if (sequence < positions.getSize()) {
            put(pages, pages.getSize() / positions.getSize(), k, v, k32, k16, v32, v16, format, dim, valueDim, pageSize, kvHeads, from,
                    sequence, from % kvHeads, positions.get(sequence), d);
        }
    }

    /**
     * Puts element d of one token of a head where it belongs: nowhere, where the table has no page for it.
     *
     * @param from row of k and v
     */
    public static void put(IntArray pages, int perSequence, FloatArray k, FloatArray v, FloatArray k32, HalfFloatArray k16, FloatArray v32,
            HalfFloatArray v16, int format, int dim, int valueDim, int pageSize, int kvHeads, int from, int sequence, int kvHead, int position,
            int d) {
        // the two bounds as one comparison: of ">= 0 && <" TornadoVM's SPIR-V makes one that is true for -1
        int token = Math.min(Math.max(position, 0), perSequence * pageSize - 1);
        if (token == position) {
            if (pages.get(sequence * perSequence + token / pageSize) >= 0) {
                int kvUnit = sequence * kvHeads + kvHead;
                if (d < dim) {
                    int at = CacheLayout.at(pages, perSequence, pageSize, kvHeads, format, kvUnit, token, d, dim);
                    CacheLayout.put(k32, k16, format & 1, at, k.get(from * dim + d));
                }
                if (d < valueDim) {
                    int at = CacheLayout.at(pages, perSequence, pageSize, kvHeads, format, kvUnit, token, d, valueDim);
                    CacheLayout.put(v32, v16, format & 1, at, v.get(from * valueDim + d));
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
            lengths.set(i, Math.max(positions.get(i) + 1, 0));
        }
        if (i < q.getSize()) {
            scaledQ.set(i, q.get(i) * scale);
        }
    }
}
