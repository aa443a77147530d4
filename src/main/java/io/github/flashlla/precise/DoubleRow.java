package io.github.flashlla.precise;

import static io.github.flashlla.precise.DoubleLoops.add;
import static io.github.flashlla.precise.DoubleLoops.addRows;
import static io.github.flashlla.precise.DoubleLoops.dot;
import static io.github.flashlla.precise.DoubleLoops.dots;
import static io.github.flashlla.precise.DoubleLoops.norm;

import java.util.Arrays;

/**
 * One query in float64: the centred form of docs/operator.md, either with A formed and factored ({@link CovarianceFactor}), or with
 * the x that float32 found, work 4 n D.
 *
 * <p>Every product is with k_j - kbar: where x is large, x.k - x.kbar loses what x.(k - kbar) keeps.
 */
final class DoubleRow {
    private static final int REFINEMENTS = 2;
    /** Keys of less weight do not matter to an estimate. */
    private static final double ESTIMATED = 1e-9;
    private static final double EPS = 0x1p-53;
    /** Estimates of rounding errors may be wrong by as much. */
    private static final double SURELY = 1e3;
    /** A dridge below this part of ||u|| ||x|| is small by chance: its error is held against that part. */
    private static final double CHANCE = 0.01;

    private final int d;
    private final int dv;
    private final double scale;
    private final CovarianceFactor a;
    private final double[] r;
    private final double[] step;
    final double[] kbar;
    final double[] x;
    private final double[] u;
    private final double[] better;
    private final double[] right;
    private final double[] o;
    private double[] z = new double[0];
    /** ||z_j|| */
    private double[] reach = new double[0];
    private double[] p = new double[0];
    private double[] slope = new double[0];
    private double[] gv = new double[0];
    private double[] b = new double[0];
    /** Scratch (n): weights of a sum over keys. */
    private double[] w = new double[0];
    private double[] k;
    private double[] v;
    private double[] q;
    private int n;
    private double ridge;
    double logSumExp;
    /** Rounding error of o in float64, in units of ||o||: eps ||x|| ||k||, as in {@link RowTrust}. */
    private double rounding;
    /** How far A x can be off in float32: ||x|| sqrt(sum p^2 ||k - kbar||^4) / ||kbar - q||, in units of float32's eps. */
    double spread;
    /** How far the slopes x.(k - kbar) can be off in float32, where they are x.k - x.kbar: ||x|| sqrt(sum p ||k||^2), in units of float32's eps. */
    double slopeRounding;
    /** What the residual leaves of o: ||r|| s sd(v) / (s^2 + ridge), s the standard deviation of keys along r. */
    double solveError;
    /** ||o|| */
    double outputSize;
    /** ||A x - (kbar - q)|| / ||kbar - q|| */
    double residual;
    /** The same of the second solve. */
    double secondResidual;
    /** Estimate of how far float64's rounding puts dridge off, relative to it. */
    double dridgeError;

    DoubleRow(int headDim, int valueDim, double scale) {
        this.d = headDim;
        this.dv = valueDim;
        this.scale = scale;
        this.a = new CovarianceFactor(d);
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
        return CovarianceFactor.work(visible, headDim) + 10L * visible * headDim;
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
            reach = new double[p.length];
        }
        double largest = 0;
        for (int j = 0; j < n; j++) {
            double square = 0;
            for (int c = 0; c < d; c++) {
                double difference = k[j * d + c] - kbar[c];
                z[j * d + c] = difference;
                square += difference * difference;
            }
            reach[j] = Math.sqrt(square);
            largest = Math.max(largest, square);
        }
        a.factor(p, z, n, ridge, largest);
        for (int c = 0; c < d; c++) {
            right[c] = kbar[c] - q[c];
        }
        residual = refined(right, x);
        rounding = 0x1p-52 * norm(x) * Math.sqrt(largest);
        dots(x, z, n, d, slope);
        solveError = 0;
    }

    /**
     * Weights, kbar, and what {@code found} is worth as x: its true residual. The output is then its own, with the rounding of
     * float64.
     */
    void check(double[] query, double[] keys, double[] values, int visible, double rowRidge, double[] found) {
        begin(query, keys, values, visible, rowRidge);
        System.arraycopy(found, 0, x, 0, d);
        dots(x, k, n, d, slope);
        double shared = dot(x, 0, kbar, 0, d);
        for (int c = 0; c < d; c++) {
            right[c] = kbar[c] - q[c];
            r[c] = right[c] - ridge * x[c];
        }
        double squares = 0;
        double keySquares = 0;
        double sum = 0;
        for (int j = 0; j < n; j++) {
            slope[j] -= shared;
            w[j] = -p[j] * slope[j];
            sum -= w[j];
            if (p[j] > ESTIMATED) {
                double square = 0;
                double keySquare = 0;
                for (int c = 0; c < d; c++) {
                    double key = k[j * d + c];
                    square += (key - kbar[c]) * (key - kbar[c]);
                    keySquare += key * key;
                }
                squares += p[j] * p[j] * square * square;
                keySquares += p[j] * keySquare;
            }
        }
        addRows(r, w, k, n);
        add(r, sum, kbar, 0);
        double size = norm(right);
        residual = size == 0 ? norm(x) : norm(r) / size;
        solveError = norm(r) == 0 ? 0 : leftOver();
        spread = size == 0 ? 0 : norm(x) * Math.sqrt(squares) / size;
        slopeRounding = norm(x) * Math.sqrt(keySquares);
        rounding = 0;
    }

    private double leftOver() {
        double size = norm(r);
        dots(r, k, n, d, gv);
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
            w = new double[room];
        }
        weights();
    }

    private void weights() {
        dots(q, k, n, d, p);
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
        for (int j = 0; j < n; j++) {
            p[j] /= total;
        }
        Arrays.fill(kbar, 0);
        addRows(kbar, p, k, n);
        logSumExp = max + Math.log(total);
    }

    /** Estimate of the rounding error of {@code output} as it is stored in float32. */
    double roundingError(double[] output) {
        return (0x1p-24 + rounding) * norm(output);
    }

    /** Solves A solution = of, with steps of refinement; returns the relative residual. */
    private double refined(double[] of, double[] solution) {
        Arrays.fill(solution, 0);
        double norm = norm(of);
        if (norm == 0) {
            return 0;
        }
        double best = 1;
        System.arraycopy(of, 0, r, 0, d);
        for (int pass = 0; pass <= REFINEMENTS; pass++) {
            a.solve(r, step);
            for (int c = 0; c < d; c++) {
                better[c] = solution[c] + step[c];
            }
            residual(of, better);
            double relative = norm(r) / norm;
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
        dots(y, z, n, d, w);
        for (int j = 0; j < n; j++) {
            w[j] *= -p[j];
        }
        addRows(r, w, z, n);
    }

    /** o (Dv) */
    void output(double[] into) {
        for (int j = 0; j < n; j++) {
            w[j] = p[j] * (1 - slope[j]);
        }
        Arrays.fill(into, 0);
        addRows(into, w, v, n);
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
        dots(g, v, n, dv, gv);
        double mean = dot(p, 0, gv, 0, n);
        for (int j = 0; j < n; j++) {
            gv[j] -= mean; // from here on G - Gbar
            w[j] = -p[j] * gv[j];
        }
        double[] c = right;
        Arrays.fill(c, 0);
        addRows(c, w, z, n);
        secondResidual = refined(c, u);
        dots(u, z, n, d, b);
        double mu = 0;
        for (int j = 0; j < n; j++) {
            b[j] += gv[j];
            mu += p[j] * (1 - slope[j]) * b[j];
        }
        for (int j = 0; j < n; j++) {
            double weighed = p[j] * (1 - slope[j]);
            double ds = scale * (weighed * b[j] - p[j] * mu);
            w[j] = ds;
            double ofX = p[j] * b[j];
            for (int i = 0; i < d; i++) {
                dk[j * d + i] += ds * q[i] + weighed * u[i] - ofX * x[i];
            }
            for (int i = 0; i < dv; i++) {
                dvalues[j * dv + i] += weighed * g[i];
            }
        }
        Arrays.fill(dq, 0);
        addRows(dq, w, z, n); // dS adds up to 0, so z does as well as k
        add(dq, -1, u, 0);
        return dridge(norm(c));
    }

    /**
     * -u.x, or sum p (G - Gbar + b) a / ridge, which is the same as A u = -c: whichever float64 carries better. x and the error of u are long outside the span of keys,
     * which the second way does not see; it is itself the ridge's part of what cancels within, which may be less than float64 holds of it.
     *
     * @param size ||c||
     */
    private double dridge(double size) {
        double byKeys = 0;
        double lost = 0;
        double normX = norm(x);
        double normU = norm(u);
        for (int j = 0; j < n; j++) {
            byKeys += p[j] * b[j] * slope[j] / ridge;
            lost += p[j] * ((Math.abs(gv[j]) + Math.abs(b[j])) * Math.abs(slope[j]) + Math.abs(b[j]) * reach[j] * normX);
        }
        // what is left of u's equation, a part of c, changes u.x by as much times A^-1 x; z sees of that what lies within the span
        a.solve(x, step);
        double left = Math.max(EPS, secondResidual) * size;
        double direct = EPS * normX * normU + left * norm(step);
        for (int i = 0; i < d; i++) {
            step[i] = x[i] - ridge * step[i];
        }
        double keysError = (EPS * lost + left * norm(step)) / ridge;
        boolean chosen = direct * SURELY < keysError;
        double found = chosen ? -dot(u, 0, x, 0, d) : byKeys;
        double held = Math.max(Math.abs(found), CHANCE * normU * normX);
        dridgeError = held == 0 ? 0 : (chosen ? direct : keysError) / held;
        return found;
    }
}
