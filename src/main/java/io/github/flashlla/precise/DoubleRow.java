package io.github.flashlla.precise;

import java.util.Arrays;

/**
 * One query in float64: the centred form of docs/operator.md, either with A formed and factored by Cholesky, work
 * n D^2 + D^3 / 3, or with the x that float32 found, work 4 n D.
 *
 * <p>Every product is with k_j - kbar: where x is large, x.k - x.kbar loses what x.(k - kbar) keeps.
 */
final class DoubleRow {
    private static final int REFINEMENTS = 2;
    /** A ridge this many times ||k||^2 makes A the ridge times I to float64. */
    private static final double RIDGE_ALONE = 0x1p60;
    /** What is this much smaller than the ridge adds nothing to A. */
    private static final double NOTHING = 0x1p-60;
    /** Keys of less weight do not matter to an estimate. */
    private static final double ESTIMATED = 1e-9;
    /** Keys that one loop takes side by side, so that no sum waits for the one before. */
    private static final int SIDE_BY_SIDE = 8;

    private final int d;
    private final int dv;
    private final double scale;
    private final double[] a;
    private final double[] r;
    private final double[] step;
    final double[] kbar;
    final double[] x;
    private final double[] u;
    private final double[] better;
    private final double[] right;
    private final double[] o;
    private double[] z = new double[0];
    private double[] p = new double[0];
    private double[] slope = new double[0];
    private double[] gv = new double[0];
    private double[] b = new double[0];
    private double[] k;
    private double[] v;
    private double[] q;
    private int n;
    private double ridge;
    private boolean factored;
    double logSumExp;
    /** Rounding error of o in float64, in units of ||o||: eps ||x|| ||k||, as in {@link RowTrust}. */
    private double rounding;
    /** How far A x can be off in float32: ||x|| sqrt(sum p^2 ||k - kbar||^4) / ||kbar - q||, in units of float32's eps. */
    double spread;
    /** What the residual leaves of o: ||r|| s sd(v) / (s^2 + ridge), s the standard deviation of keys along r. */
    double solveError;
    /** ||o|| */
    double outputSize;
    /** ||A x - (kbar - q)|| / ||kbar - q|| */
    double residual;
    /** The same of the second solve. */
    double secondResidual;

    DoubleRow(int headDim, int valueDim, double scale) {
        this.d = headDim;
        this.dv = valueDim;
        this.scale = scale;
        this.a = new double[d * d];
        this.r = new double[d];
        this.step = new double[d];
        this.kbar = new double[d];
        this.x = new double[d];
        this.u = new double[d];
        this.better = new double[d];
        this.right = new double[d];
        this.o = new double[dv];
    }

    /** Floating-point operations of {@link #check}. */
    static long checkWork(int visible, int headDim, int valueDim) {
        return (long) visible * (8L * headDim + 2L * valueDim);
    }

    /** Floating-point operations of {@link #solve}. */
    static long work(int visible, int headDim) {
        return (long) visible * headDim * (headDim + 10L) + (long) headDim * headDim * headDim / 3;
    }

    /**
     * Weights, kbar and x.
     *
     * @param keys k row-major from position 0, {@code visible} rows of them seen
     */
    void solve(double[] query, double[] keys, double[] values, int visible, double rowRidge) {
        begin(query, keys, values, visible, rowRidge);
        if (z.length < n * d) {
            z = new double[p.length * d];
        }
        double largest = 0;
        for (int j = 0; j < n; j++) {
            double square = 0;
            for (int c = 0; c < d; c++) {
                double difference = k[j * d + c] - kbar[c];
                z[j * d + c] = difference;
                square += difference * difference;
            }
            largest = Math.max(largest, square);
        }
        factored = ridge < RIDGE_ALONE * largest;
        if (factored) {
            factor(largest);
        }
        for (int c = 0; c < d; c++) {
            right[c] = kbar[c] - q[c];
        }
        residual = refined(right, x);
        rounding = 0x1p-52 * norm(x) * Math.sqrt(largest);
        dots(x, z, slope);
        solveError = 0;
    }

    /**
     * Weights, kbar, and what {@code found} is worth as x: its true residual. The output is then its own, with the rounding of
     * float64.
     */
    void check(double[] query, double[] keys, double[] values, int visible, double rowRidge, double[] found) {
        begin(query, keys, values, visible, rowRidge);
        System.arraycopy(found, 0, x, 0, d);
        dots(x, k, slope);
        double shared = dot(x, 0, kbar, 0, d);
        for (int c = 0; c < d; c++) {
            right[c] = kbar[c] - q[c];
            r[c] = right[c] - ridge * x[c];
        }
        double squares = 0;
        double sum = 0;
        for (int j = 0; j < n; j++) {
            slope[j] -= shared;
            double weighed = p[j] * slope[j];
            sum += weighed;
            add(r, -weighed, k, j * d);
            if (p[j] > ESTIMATED) {
                double square = 0;
                for (int c = 0; c < d; c++) {
                    double difference = k[j * d + c] - kbar[c];
                    square += difference * difference;
                }
                squares += p[j] * p[j] * square * square;
            }
        }
        add(r, sum, kbar, 0);
        double size = norm(right);
        residual = size == 0 ? norm(x) : norm(r) / size;
        solveError = norm(r) == 0 ? 0 : leftOver();
        spread = size == 0 ? 0 : norm(x) * Math.sqrt(squares) / size;
        rounding = 0;
    }

    private double leftOver() {
        double size = norm(r);
        dots(r, k, gv);
        double mean = dot(r, 0, kbar, 0, d);
        double variance = 0;
        for (int j = 0; j < n; j++) {
            double along = (gv[j] - mean) / size;
            variance += p[j] * along * along;
        }
        output(o);
        outputSize = norm(o);
        double values = 0;
        for (int j = 0; j < n; j++) {
            if (p[j] > ESTIMATED) {
                double square = 0;
                for (int e = 0; e < dv; e++) {
                    double difference = v[j * dv + e] - o[e];
                    square += difference * difference;
                }
                values += p[j] * square;
            }
        }
        return size * Math.sqrt(variance * values) / (variance + ridge);
    }

    private void begin(double[] query, double[] keys, double[] values, int visible, double rowRidge) {
        q = query;
        k = keys;
        v = values;
        n = visible;
        ridge = rowRidge;
        if (p.length < n) {
            int room = 2 * n;
            p = new double[room];
            slope = new double[room];
            gv = new double[room];
            b = new double[room];
        }
        weights();
    }

    private void weights() {
        dots(q, k, p);
        double max = Double.NEGATIVE_INFINITY;
        for (int j = 0; j < n; j++) {
            p[j] *= scale;
            max = Math.max(max, p[j]);
        }
        double total = 0;
        for (int j = 0; j < n; j++) {
            p[j] = Math.exp(p[j] - max);
            total += p[j];
        }
        Arrays.fill(kbar, 0);
        for (int j = 0; j < n; j++) {
            p[j] /= total;
            add(kbar, p[j], k, j * d);
        }
        logSumExp = max + Math.log(total);
    }

    /** products_j = left . row j, for the n rows. */
    private void dots(double[] left, double[] rows, double[] products) {
        int j = 0;
        for (; j + SIDE_BY_SIDE <= n; j += SIDE_BY_SIDE) {
            double s0 = 0;
            double s1 = 0;
            double s2 = 0;
            double s3 = 0;
            double s4 = 0;
            double s5 = 0;
            double s6 = 0;
            double s7 = 0;
            int at = j * d;
            for (int c = 0; c < d; c++, at++) {
                double factor = left[c];
                s0 += factor * rows[at];
                s1 += factor * rows[at + d];
                s2 += factor * rows[at + 2 * d];
                s3 += factor * rows[at + 3 * d];
                s4 += factor * rows[at + 4 * d];
                s5 += factor * rows[at + 5 * d];
                s6 += factor * rows[at + 6 * d];
                s7 += factor * rows[at + 7 * d];
            }
            products[j] = s0;
            products[j + 1] = s1;
            products[j + 2] = s2;
            products[j + 3] = s3;
            products[j + 4] = s4;
            products[j + 5] = s5;
            products[j + 6] = s6;
            products[j + 7] = s7;
        }
        for (; j < n; j++) {
            products[j] = dot(left, 0, rows, j * d, d);
        }
    }

    private static double norm(double[] vector) {
        return Math.sqrt(dot(vector, 0, vector, 0, vector.length));
    }

    /** Estimate of the rounding error of {@code output} as it is stored in float32. */
    double roundingError(double[] output) {
        return (0x1p-24 + rounding) * norm(output);
    }

    /** A = sum p z z^T + ridge I, and its Cholesky factor in place; no pivot is below the ridge but for rounding. */
    private void factor(double largest) {
        Arrays.fill(a, 0);
        for (int j = 0; j < n; j++) {
            if (p[j] * largest < NOTHING * ridge) {
                continue;
            }
            for (int row = 0; row < d; row++) {
                double weight = p[j] * z[j * d + row];
                for (int c = 0; c <= row; c++) {
                    a[row * d + c] += weight * z[j * d + c];
                }
            }
        }
        for (int row = 0; row < d; row++) {
            a[row * d + row] += ridge;
        }
        for (int row = 0; row < d; row++) {
            for (int c = 0; c <= row; c++) {
                double sum = a[row * d + c] - dot(a, row * d, a, c * d, c);
                a[row * d + c] = row == c ? Math.sqrt(Math.max(sum, ridge)) : sum / a[c * d + c];
            }
        }
    }

    /** Solves A solution = of, with steps of refinement; returns the relative residual. */
    private double refined(double[] of, double[] solution) {
        Arrays.fill(solution, 0);
        double norm = Math.sqrt(dot(of, 0, of, 0, d));
        if (norm == 0) {
            return 0;
        }
        double best = 1;
        System.arraycopy(of, 0, r, 0, d);
        for (int pass = 0; pass <= REFINEMENTS; pass++) {
            backSubstitute(r, step);
            for (int c = 0; c < d; c++) {
                better[c] = solution[c] + step[c];
            }
            residual(of, better);
            double relative = Math.sqrt(dot(r, 0, r, 0, d)) / norm;
            if (!(relative < best)) {
                break; // the last good solution stays
            }
            best = relative;
            System.arraycopy(better, 0, solution, 0, d);
        }
        return best;
    }

    /** r = right - A y */
    private void residual(double[] right, double[] y) {
        for (int c = 0; c < d; c++) {
            r[c] = right[c] - ridge * y[c];
        }
        for (int j = 0; j < n; j++) {
            add(r, -p[j] * dot(y, 0, z, j * d, d), z, j * d);
        }
    }

    private void backSubstitute(double[] right, double[] solution) {
        if (!factored) {
            for (int c = 0; c < d; c++) {
                solution[c] = right[c] / ridge;
            }
            return;
        }
        for (int row = 0; row < d; row++) {
            solution[row] = (right[row] - dot(a, row * d, solution, 0, row)) / a[row * d + row];
        }
        for (int row = d - 1; row >= 0; row--) {
            solution[row] /= a[row * d + row];
            for (int c = 0; c < row; c++) {
                solution[c] -= a[row * d + c] * solution[row];
            }
        }
    }

    /** o (Dv) */
    void output(double[] into) {
        Arrays.fill(into, 0);
        for (int j = 0; j < n; j++) {
            add(into, p[j] * (1 - slope[j]), v, j * dv);
        }
    }

    /**
     * Gradients of this query's part of the loss; adds to those of keys and values.
     *
     * @param g dL/do (Dv)
     * @param dq receives dL/dq (D)
     * @param dk (n,D) grows by this query's part
     * @param dvalues (n,Dv) likewise
     * @return dL/dridge
     */
    double backward(double[] g, double[] dq, double[] dk, double[] dvalues) {
        double mean = 0;
        for (int j = 0; j < n; j++) {
            gv[j] = dot(g, 0, v, j * dv, dv);
            mean += p[j] * gv[j];
        }
        double[] c = right;
        Arrays.fill(c, 0);
        for (int j = 0; j < n; j++) {
            gv[j] -= mean; // from here on G - Gbar
            add(c, -p[j] * gv[j], z, j * d);
        }
        secondResidual = refined(c, u);
        double mu = 0;
        for (int j = 0; j < n; j++) {
            b[j] = gv[j] + dot(u, 0, z, j * d, d);
            mu += p[j] * (1 - slope[j]) * b[j];
        }
        Arrays.fill(dq, 0);
        for (int j = 0; j < n; j++) {
            double weighed = p[j] * (1 - slope[j]);
            double ds = scale * (weighed * b[j] - p[j] * mu);
            add(dq, ds, z, j * d); // dS adds up to 0, so z does as well as k
            for (int i = 0; i < d; i++) {
                dk[j * d + i] += ds * q[i] + weighed * u[i] - p[j] * b[j] * x[i];
            }
            for (int i = 0; i < dv; i++) {
                dvalues[j * dv + i] += weighed * g[i];
            }
        }
        add(dq, -1, u, 0);
        double dridge = 0; // -u.x with u = -sum p b z / ridge: x is large where u is rounding
        for (int j = 0; j < n; j++) {
            dridge += p[j] * b[j] * slope[j] / ridge;
        }
        return dridge;
    }

    private static void add(double[] to, double factor, double[] from, int at) {
        for (int i = 0; i < to.length; i++) {
            to[i] += factor * from[at + i];
        }
    }

    private static double dot(double[] left, int atLeft, double[] right, int atRight, int count) {
        double sum = 0;
        for (int i = 0; i < count; i++) {
            sum += left[atLeft + i] * right[atRight + i];
        }
        return sum;
    }
}
