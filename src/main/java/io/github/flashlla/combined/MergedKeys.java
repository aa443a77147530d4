package io.github.flashlla.combined;

import io.github.flashlla.spi.PartialDecode.Found;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * What the parts' keys come to together, and the solve over all of them, in float64. With p_i the share of part i in the weight:
 *
 * <pre>
 *     kbar = sum p_i kbar_i
 *     A    = sum p_i (A_i + (kbar_i - kbar) (kbar_i - kbar)^T)      x = A^-1 (kbar - q)
 * </pre>
 *
 * <p>Exact but for rounding, and no difference of large numbers: each part's A is about its own mean.
 */
final class MergedKeys {
    private final int rows;
    private final int dim;
    /** Log of each query's weight; -infinity where it sees no key. */
    final double[] logSumExp;
    /** (rows,D) */
    final double[] kbar;
    final double[] x;
    /** ||A x - b|| / ||b|| of each query, 0 where b is 0. */
    final double[] residual;

    MergedKeys(int rows, int dim) {
        this.rows = rows;
        this.dim = dim;
        this.logSumExp = new double[rows];
        this.kbar = new double[rows * dim];
        this.x = new double[rows * dim];
        this.residual = new double[rows];
    }

    long bytes() {
        return Double.BYTES * (2L * rows + 2L * rows * dim);
    }

    /**
     * Merges and solves.
     *
     * @param parts in a fixed order, which decides the last bits
     * @param q (rows,D)
     * @param ridges (rows)
     */
    void solve(List<Found> parts, double[] q, double[] ridges) {
        IntStream.range(0, rows).parallel().forEach(row -> solve(row, parts, q, ridges[row]));
    }

    /** Part {@code found}'s share in a query's weight. */
    double share(Found found, int row) {
        return logSumExp[row] == Double.NEGATIVE_INFINITY ? 0 : Math.exp(found.logSumExp()[row] - logSumExp[row]);
    }

    private void solve(int row, List<Found> parts, double[] q, double ridge) {
        int at = row * dim;
        Arrays.fill(kbar, at, at + dim, 0);
        Arrays.fill(x, at, at + dim, 0);
        residual[row] = 0;
        double max = parts.stream().mapToDouble(found -> found.logSumExp()[row]).max().orElseThrow();
        logSumExp[row] = max;
        if (max == Double.NEGATIVE_INFINITY) {
            return;
        }
        double sum = 0;
        for (Found found : parts) {
            sum += Math.exp(found.logSumExp()[row] - max);
        }
        logSumExp[row] = max + Math.log(sum);
        for (Found found : parts) {
            double share = share(found, row);
            for (int d = 0; d < dim; d++) {
                kbar[at + d] += share * found.kbar()[at + d];
            }
        }
        double[] a = new double[dim * dim];
        double[] apart = new double[dim];
        for (Found found : parts) {
            double share = share(found, row);
            for (int d = 0; d < dim; d++) {
                apart[d] = found.kbar()[at + d] - kbar[at + d];
            }
            for (int i = 0; share > 0 && i < dim; i++) {
                for (int j = 0; j < dim; j++) {
                    a[i * dim + j] += share * (found.a()[(at + i) * dim + j] + apart[i] * apart[j]);
                }
            }
        }
        double[] b = new double[dim];
        Arrays.setAll(b, d -> kbar[at + d] - q[at + d]);
        double[] solution = solve(a, b, ridge);
        System.arraycopy(solution, 0, x, at, dim);
        residual[row] = residual(a, solution, b);
    }

    /** By Cholesky: no pivot of A is below the ridge but for rounding. */
    private double[] solve(double[] a, double[] b, double ridge) {
        double[] l = a.clone();
        double[] y = b.clone();
        for (int row = 0; row < dim; row++) {
            for (int c = 0; c <= row; c++) {
                double sum = l[row * dim + c];
                for (int i = 0; i < c; i++) {
                    sum -= l[row * dim + i] * l[c * dim + i];
                }
                l[row * dim + c] = row == c ? Math.sqrt(Math.max(sum, ridge)) : sum / l[c * dim + c];
            }
            for (int c = 0; c < row; c++) {
                y[row] -= l[row * dim + c] * y[c];
            }
            y[row] /= l[row * dim + row];
        }
        for (int row = dim - 1; row >= 0; row--) {
            y[row] /= l[row * dim + row];
            for (int c = 0; c < row; c++) {
                y[c] -= l[row * dim + c] * y[row];
            }
        }
        return y;
    }

    private double residual(double[] a, double[] solution, double[] b) {
        double rr = 0;
        double bb = 0;
        for (int i = 0; i < dim; i++) {
            double r = b[i];
            for (int j = 0; j < dim; j++) {
                r -= a[i * dim + j] * solution[j];
            }
            rr += r * r;
            bb += b[i] * b[i];
        }
        return bb == 0 ? 0 : Math.sqrt(rr / bb);
    }
}
