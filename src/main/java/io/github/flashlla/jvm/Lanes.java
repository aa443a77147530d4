package io.github.flashlla.jvm;

import static io.github.flashlla.jvm.TileKernels.ROWS;

import java.util.Arrays;

/**
 * Arithmetic on a block's vectors {@code [dim][lane]} with one scalar per lane. It is little work beside the tile products,
 * and the just-in-time compiler turns these loops into vector code by itself.
 */
final class Lanes {

    private Lanes() {}

    /** out[lane] = sum_d a[d][lane] b[d][lane] */
    static void dot(int dim, float[] a, float[] b, float[] out) {
        Arrays.fill(out, 0);
        for (int d = 0; d < dim; d++) {
            int at = d * ROWS;
            for (int lane = 0; lane < ROWS; lane++) {
                out[lane] += a[at + lane] * b[at + lane];
            }
        }
    }

    /** a[i][lane] *= factor[lane] for {@code count} values of i from position {@code start}. */
    static void scale(int count, float[] a, int start, float[] factor) {
        for (int i = 0; i < count; i++) {
            int at = start + i * ROWS;
            for (int lane = 0; lane < ROWS; lane++) {
                a[at + lane] *= factor[lane];
            }
        }
    }

    /** a[d][lane] += factor[lane] b[d][lane] */
    static void addScaled(int dim, float[] a, float[] factor, float[] b) {
        for (int d = 0; d < dim; d++) {
            int at = d * ROWS;
            for (int lane = 0; lane < ROWS; lane++) {
                a[at + lane] += factor[lane] * b[at + lane];
            }
        }
    }

    /** Sets one lane of every vector element. */
    static void setLane(int dim, float[] a, int lane, float value) {
        for (int d = 0; d < dim; d++) {
            a[d * ROWS + lane] = value;
        }
    }
}
