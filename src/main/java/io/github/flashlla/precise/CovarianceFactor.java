package io.github.flashlla.precise;

import static io.github.flashlla.precise.DoubleLoops.dot;

import java.util.Arrays;

/**
 * A = Z^T P Z + ridge I of one query in float64, with a Cholesky factor of whichever is smaller: A itself (D,D), or, where fewer keys than
 * dims are seen, M = ridge I + sqrt(P) Z Z^T sqrt(P) (n,n), with
 *
 * <pre>
 *     A^-1 r = (r - Z^T sqrt(P) M^-1 sqrt(P) Z r) / ridge
 * </pre>
 *
 * <p>Work n D min(n, D) + min(n, D)^3 / 3.
 */
final class CovarianceFactor {
    /** A ridge this many times ||k||^2 makes A the ridge times I to float64. */
    private static final double RIDGE_ALONE = 0x1p60;
    /** What is this much smaller than the ridge adds nothing to A. */
    private static final double NOTHING = 0x1p-60;

    private final int d;
    /** The factor, row-major (size,size), of which the lower triangle counts. */
    private final double[] a;
    private final double[] column;
    /** sqrt(P) Z^T (D,n), where M is the smaller. */
    private final double[] scaled;
    private double[] z;
    private int n;
    private int size;
    private double ridge;
    private boolean byKeys;
    private boolean ridgeAlone;

    CovarianceFactor(int headDim) {
        d = headDim;
        a = new double[d * d];
        scaled = new double[d * d];
        column = new double[d];
    }

    /** Floating-point operations of {@link #factor}. */
    static long work(int visible, int headDim) {
        long least = Math.min(visible, headDim);
        return (long) visible * headDim * least + least * least * least / 3;
    }

    /**
     * Forms and factors A.
     *
     * @param weights p (n)
     * @param centred z_j = k_j - kbar (n,D), which must stay as it is until the next call
     * @param largest largest ||z_j||^2
     */
    void factor(double[] weights, double[] centred, int visible, double newRidge, double largest) {
        z = centred;
        n = visible;
        ridge = newRidge;
        ridgeAlone = !(ridge < RIDGE_ALONE * largest);
        if (ridgeAlone) {
            return;
        }
        byKeys = n < d;
        size = byKeys ? n : d;
        Arrays.fill(a, 0, size * size, 0);
        if (byKeys) {
            for (int j = 0; j < n; j++) {
                double root = Math.sqrt(weights[j]);
                for (int c = 0; c < d; c++) {
                    scaled[c * n + j] = root * z[j * d + c];
                }
            }
            for (int c = 0; c < d; c++) {
                addSquare(1, scaled, c * n);
            }
        } else {
            for (int j = 0; j < n; j++) {
                if (weights[j] * largest >= NOTHING * ridge) {
                    addSquare(weights[j], z, j * d);
                }
            }
        }
        for (int row = 0; row < size; row++) {
            a[row * size + row] += ridge;
        }
        cholesky();
    }

    /** Lower triangle of a += weight y y^T. */
    private void addSquare(double weight, double[] y, int at) {
        for (int row = 0; row < size; row++) {
            double factor = weight * y[at + row];
            int start = row * size;
            for (int c = 0; c <= row; c++) {
                a[start + c] += factor * y[at + c];
            }
        }
    }

    /** No pivot is below the ridge but for rounding. */
    private void cholesky() {
        for (int row = 0; row < size; row++) {
            for (int c = 0; c <= row; c++) {
                double sum = a[row * size + c] - dot(a, row * size, a, c * size, c);
                a[row * size + c] = row == c ? Math.sqrt(Math.max(sum, ridge)) : sum / a[c * size + c];
            }
        }
    }

    /** solution = A^-1 right, but for rounding. */
    void solve(double[] right, double[] solution) {
        if (ridgeAlone) {
            for (int c = 0; c < d; c++) {
                solution[c] = right[c] / ridge;
            }
            return;
        }
        if (!byKeys) {
            System.arraycopy(right, 0, solution, 0, d);
            substitute(solution);
            return;
        }
        Arrays.fill(column, 0, n, 0);
        for (int c = 0; c < d; c++) {
            for (int j = 0; j < n; j++) {
                column[j] += right[c] * scaled[c * n + j];
            }
        }
        substitute(column);
        for (int c = 0; c < d; c++) {
            solution[c] = (right[c] - dot(column, 0, scaled, c * n, n)) / ridge;
        }
    }

    /** In place, forward and back. */
    private void substitute(double[] vector) {
        for (int row = 0; row < size; row++) {
            vector[row] = (vector[row] - dot(a, row * size, vector, 0, row)) / a[row * size + row];
        }
        for (int row = size - 1; row >= 0; row--) {
            vector[row] /= a[row * size + row];
            for (int c = 0; c < row; c++) {
                vector[c] -= a[row * size + c] * vector[row];
            }
        }
    }
}
