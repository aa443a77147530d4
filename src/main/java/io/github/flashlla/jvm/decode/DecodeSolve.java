package io.github.flashlla.jvm.decode;

/**
 * The D x D solve of one query, in float64: A = sum w z z^T / omega - zbar zbar^T + ridge I, x = A^-1 (kbar - q) by
 * Cholesky. In exact arithmetic no pivot of A is below the ridge, so a pivot that rounding pushed below is raised to it;
 * the residual, computed with A itself, then shows the error.
 */
final class DecodeSolve {

    private final int dim;
    private final double[] u;
    private final double[] b;
    private final double[] y;
    /** ||A x - b|| / ||b||, 0 where b is 0; written by {@link #solve}. */
    double residual;

    DecodeSolve(int dim) {
        this.dim = dim;
        this.u = new double[dim * dim];
        this.b = new double[dim];
        this.y = new double[dim];
    }

    static long bytes(int dim) {
        return Double.BYTES * (2L * dim + (long) dim * dim);
    }

    /**
     * @param n D, at most the sums' padded width
     * @param q the query (D)
     * @param x receives the solution (D)
     */
    void solve(MomentSums sums, int n, float[] q, double ridge, float[] x) {
        double bb = 0;
        for (int a = 0; a < n; a++) {
            b[a] = ((double) sums.c[a] - q[a]) + sums.z[a] / sums.omega;
            y[a] = b[a];
            bb += b[a] * b[a];
            fillRow(sums, n, a, ridge, u, a * n);
        }
        factor(n, ridge);
        for (int a = 0; a < n; a++) { // U^T w = b
            double solved = y[a] / u[a * n + a];
            y[a] = solved;
            for (int e = a + 1; e < n; e++) {
                y[e] -= u[a * n + e] * solved;
            }
        }
        for (int a = n - 1; a >= 0; a--) { // U x = w
            double sum = y[a];
            for (int e = a + 1; e < n; e++) {
                sum -= u[a * n + e] * y[e];
            }
            y[a] = sum / u[a * n + a];
        }
        for (int a = 0; a < n; a++) {
            x[a] = (float) y[a];
        }
        residual = bb == 0 ? 0 : Math.sqrt(squaredResidual(sums, n, ridge) / bb);
    }

    /** Row a of A, from the diagonal on. */
    static void fillRow(MomentSums sums, int n, int a, double ridge, double[] row, int at) {
        double perWeight = 1 / sums.omega;
        double zbar = sums.z[a] * perWeight * perWeight;
        for (int e = a; e < n; e++) {
            row[at + e] = sums.zz[a * sums.dim + e] * perWeight - zbar * sums.z[e];
        }
        row[at + a] += ridge;
    }

    /** A = U^T U in place, row by row, every inner loop over consecutive memory. */
    private void factor(int n, double ridge) {
        for (int k = 0; k < n; k++) {
            double pivot = Math.sqrt(Math.max(u[k * n + k], ridge));
            u[k * n + k] = pivot;
            double inverse = 1 / pivot;
            for (int e = k + 1; e < n; e++) {
                u[k * n + e] *= inverse;
            }
            for (int a = k + 1; a < n; a++) {
                subtract(u, k * n + a, a * n + a, n - a);
            }
        }
    }

    /** row[to + i] -= row[from] * row[from + i] for i &lt; count. */
    private static void subtract(double[] row, int from, int to, int count) {
        double factor = row[from];
        for (int i = 0; i < count; i++) {
            row[to + i] -= factor * row[from + i];
        }
    }

    private double squaredResidual(MomentSums sums, int n, double ridge) {
        for (int a = 0; a < n; a++) {
            fillRow(sums, n, a, ridge, u, 0); // the factor is no longer needed: its first row takes A's, one by one
            for (int e = a; e < n; e++) {
                b[a] -= u[e] * y[e];
                if (e > a) {
                    b[e] -= u[e] * y[a];
                }
            }
        }
        double sum = 0;
        for (int a = 0; a < n; a++) {
            sum += b[a] * b[a];
        }
        return sum;
    }
}
