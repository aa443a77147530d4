package io.github.flashlla.tornado.kernels.softmax;

import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** How {@link GpuSoftmax} writes what a thread holds of a row. */
final class SoftmaxOutput {
    private SoftmaxOutput() {}

    /**
     * Writes eight of a row's values, {@code TX} apart from {@code tx} on, those below Dv.
     *
     * @param inverse 1 / the row's total weight
     * @param live whether there is such a row
     */
    static void store(FloatArray o, int row, boolean live, int tx, int TX, int Dv, float inverse, float a0, float a1, float a2,
            float a3, float a4, float a5, float a6, float a7) {
        if (live) {
            int at = row * Dv + tx;
            set(o, at, tx < Dv, a0 * inverse);
            set(o, at + TX, tx + TX < Dv, a1 * inverse);
            set(o, at + 2 * TX, tx + 2 * TX < Dv, a2 * inverse);
            set(o, at + 3 * TX, tx + 3 * TX < Dv, a3 * inverse);
            set(o, at + 4 * TX, tx + 4 * TX < Dv, a4 * inverse);
            set(o, at + 5 * TX, tx + 5 * TX < Dv, a5 * inverse);
            set(o, at + 6 * TX, tx + 6 * TX < Dv, a6 * inverse);
            set(o, at + 7 * TX, tx + 7 * TX < Dv, a7 * inverse);
        }
    }

    private static void set(FloatArray o, int at, boolean live, float value) {
        if (live) {
            o.set(at, value);
        }
    }
}
