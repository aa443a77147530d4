package io.github.flashlla.tornado.buffers;

import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * A cache's keys and values in pages, as kernels take them: float32 or float16, the arrays of the other type being one element long.
 *
 * @param k32 (pages,Hkv,pageSize,D), likewise k16
 * @param v32 (pages,Hkv,pageSize,Dv), likewise v16
 * @param format of {@link CacheLayout}'s bits
 * @param pages (B, most pages of a sequence): the table, unread where the format is not paged
 * @param pageSize tokens of a page
 */
public record PagedArrays(FloatArray k32, HalfFloatArray k16, FloatArray v32, HalfFloatArray v16, int format, IntArray pages, int pageSize) {

    /** A cache whose sequences are one page each. */
    public static PagedArrays of(CacheArrays cache, int batch) {
        return new PagedArrays(cache.k().single, cache.k().half, cache.v().single, cache.v().half,
                cache.k().halves() ? CacheLayout.FLOAT16 : 0, new IntArray(batch), cache.rowsPerSequence());
    }

    public boolean isPaged() {
        return (format & CacheLayout.PAGED) != 0;
    }

    /** Whether elements are float16. */
    public boolean halves() {
        return (format & CacheLayout.FLOAT16) != 0;
    }
}
