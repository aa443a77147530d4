package io.github.flashlla.tornado.kernels.tile;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/** What the operations of {@link WarpGroup} are said to do, against what a run of them left. */
interface WarpGroupChecks {
    WarpGroupKernels kernels();

    @Test
    default void scores() {
        for (int i = 0; i < WarpGroupKernels.SCORES.length; i++) {
            assertScores(kernels().scores[i], WarpGroupKernels.SCORES[i]);
        }
    }

    @Test
    default void localRows() {
        for (int i = 0; i < WarpGroupKernels.SCORES.length; i++) {
            assertScores(kernels().localRows[i], WarpGroupKernels.SCORES[i]);
        }
    }

    @Test
    default void sums() {
        for (int i = 0; i < WarpGroupKernels.SUMS.length; i++) {
            int columns = WarpGroupKernels.SUMS[i];
            for (int thread = 0; thread < WarpGroupKernels.THREADS; thread++) {
                for (int f = 0; f < columns / 2; f++) {
                    double sum = f;
                    for (int k = 0; k < WarpGroupKernels.ROWS; k++) {
                        sum += at(kernels().queries, row(thread, f), k) * at(kernels().keys, k, column(thread, f));
                    }
                    assertEquals(sum, kernels().sums[i].get(thread * (columns / 2) + f), 1e-2, columns + " columns, thread " + thread + ", " + f);
                }
            }
        }
    }

    private void assertScores(FloatArray scores, int columns) {
        for (int thread = 0; thread < WarpGroupKernels.THREADS; thread++) {
            for (int f = 0; f < columns / 2; f++) {
                double product = 0;
                for (int k = 0; k < WarpGroupKernels.COLUMNS; k++) {
                    product += at(kernels().queries, row(thread, f), k) * at(kernels().keys, column(thread, f), k);
                }
                assertEquals(product, scores.get(thread * (columns / 2) + f), 1e-2, columns + " columns, thread " + thread + ", " + f);
            }
        }
    }

    private static int row(int thread, int f) {
        return thread % 128 / 32 * 16 + thread % 32 / 4 + f / 2 % 2 * 8;
    }

    private static int column(int thread, int f) {
        return f / 4 * 8 + thread % 4 * 2 + f % 2;
    }

    private static double at(HalfFloatArray matrix, int row, int column) {
        return matrix.get(WarpGroupKernels.COLUMNS * row + column).getFloat32();
    }
}
