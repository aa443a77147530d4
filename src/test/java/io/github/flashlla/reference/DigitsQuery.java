package io.github.flashlla.reference;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;

/** One query by operator.md's formulas to the letter, forward and backward, in 90 digits. Slow; shares nothing with the program. */
final class DigitsQuery {
    private static final MathContext DIGITS = new MathContext(90, RoundingMode.HALF_EVEN);
    private static final BigDecimal ZERO = BigDecimal.ZERO;
    private static final BigDecimal ONE = BigDecimal.ONE;

    final double[] o;
    final double[] dq;
    final double[][] dk;
    final double[][] dv;
    final double dridge;

    DigitsQuery(double[] query, double[][] keys, double[][] values, double[] grad, double scaleValue, double ridgeValue) {
        BigDecimal[] q = exact(query);
        BigDecimal[] g = exact(grad);
        BigDecimal[][] k = exact(keys);
        BigDecimal[][] v = exact(values);
        BigDecimal scale = new BigDecimal(scaleValue);
        int n = k.length;
        BigDecimal[] p = new BigDecimal[n];
        BigDecimal total = ZERO;
        for (int j = 0; j < n; j++) {
            p[j] = exp(times(scale, sub(dot(q, k[j]), dot(q, k[0]))));
            total = add(total, p[j]);
        }
        for (int j = 0; j < n; j++) {
            p[j] = p[j].divide(total, DIGITS);
        }
        BigDecimal[] kbar = zeros(q.length);
        for (int j = 0; j < n; j++) {
            axpy(kbar, p[j], k[j]);
        }
        BigDecimal[][] a = new BigDecimal[q.length][];
        for (int r = 0; r < q.length; r++) {
            a[r] = zeros(q.length);
            a[r][r] = new BigDecimal(ridgeValue);
            for (int j = 0; j < n; j++) {
                for (int c = 0; c < q.length; c++) {
                    a[r][c] = add(a[r][c], times(p[j], times(sub(k[j][r], kbar[r]), sub(k[j][c], kbar[c]))));
                }
            }
        }
        BigDecimal[] b = kbar.clone();
        axpy(b, ONE.negate(), q);
        BigDecimal[] x = gauss(a, b);
        BigDecimal[] slope = new BigDecimal[n];
        BigDecimal[] out = zeros(g.length);
        BigDecimal[] gv = new BigDecimal[n];
        BigDecimal mean = ZERO;
        for (int j = 0; j < n; j++) {
            slope[j] = sub(dot(k[j], x), dot(kbar, x));
            axpy(out, times(p[j], sub(ONE, slope[j])), v[j]);
            gv[j] = dot(g, v[j]);
            mean = add(mean, times(p[j], gv[j]));
        }
        BigDecimal[] right = zeros(q.length);
        for (int j = 0; j < n; j++) {
            axpy(right, times(p[j], gv[j]).negate(), k[j]);
        }
        axpy(right, mean, kbar);
        BigDecimal[] u = gauss(a, right);
        BigDecimal[] kappa = u.clone();
        axpy(kappa, mean, x);
        BigDecimal[] push = new BigDecimal[n];
        BigDecimal[] back = new BigDecimal[n];
        BigDecimal weighted = ZERO;
        for (int j = 0; j < n; j++) {
            back[j] = sub(dot(k[j], u), dot(kbar, u));
            push[j] = add(sub(times(gv[j], sub(ONE, slope[j])), times(slope[j], back[j])), dot(kappa, k[j]));
            weighted = add(weighted, times(p[j], push[j]));
        }
        BigDecimal[] gradQ = zeros(q.length);
        this.dk = new double[n][];
        this.dv = new double[n][];
        for (int j = 0; j < n; j++) {
            BigDecimal ds = times(p[j], sub(push[j], weighted));
            axpy(gradQ, times(scale, ds), k[j]);
            BigDecimal[] gradK = zeros(q.length);
            axpy(gradK, times(scale, ds), q);
            axpy(gradK, p[j], kappa);
            axpy(gradK, times(p[j], add(gv[j], back[j])).negate(), x);
            axpy(gradK, times(p[j], slope[j]).negate(), u);
            dk[j] = rounded(gradK);
            BigDecimal[] gradV = zeros(g.length);
            axpy(gradV, times(p[j], sub(ONE, slope[j])), g);
            dv[j] = rounded(gradV);
        }
        axpy(gradQ, ONE.negate(), u);
        this.o = rounded(out);
        this.dq = rounded(gradQ);
        this.dridge = dot(u, x).negate().doubleValue();
    }

    private static BigDecimal[] gauss(BigDecimal[][] matrix, BigDecimal[] right) {
        int n = right.length;
        BigDecimal[][] a = new BigDecimal[n][];
        for (int r = 0; r < n; r++) {
            a[r] = matrix[r].clone();
        }
        BigDecimal[] x = right.clone();
        for (int c = 0; c < n; c++) { // positive definite: no pivoting is needed
            for (int r = c + 1; r < n; r++) {
                BigDecimal factor = a[r][c].divide(a[c][c], DIGITS);
                for (int e = c; e < n; e++) {
                    a[r][e] = sub(a[r][e], times(factor, a[c][e]));
                }
                x[r] = sub(x[r], times(factor, x[c]));
            }
        }
        for (int r = n - 1; r >= 0; r--) {
            for (int e = r + 1; e < n; e++) {
                x[r] = sub(x[r], times(a[r][e], x[e]));
            }
            x[r] = x[r].divide(a[r][r], DIGITS);
        }
        return x;
    }

    /** By halving the argument until its series is short. */
    private static BigDecimal exp(BigDecimal value) {
        int halvings = 0;
        BigDecimal small = value;
        while (small.abs().doubleValue() > 0.01) {
            small = small.divide(BigDecimal.TWO, DIGITS);
            halvings++;
        }
        BigDecimal term = ONE;
        BigDecimal sum = ONE;
        for (int i = 1; i < 50; i++) {
            term = times(term, small).divide(new BigDecimal(i), DIGITS);
            sum = add(sum, term);
        }
        for (int i = 0; i < halvings; i++) {
            sum = times(sum, sum);
        }
        return sum;
    }

    private static BigDecimal add(BigDecimal a, BigDecimal b) {
        return a.add(b, DIGITS);
    }

    private static BigDecimal sub(BigDecimal a, BigDecimal b) {
        return a.subtract(b, DIGITS);
    }

    private static BigDecimal times(BigDecimal a, BigDecimal b) {
        return a.multiply(b, DIGITS);
    }

    private static BigDecimal dot(BigDecimal[] a, BigDecimal[] b) {
        BigDecimal sum = ZERO;
        for (int i = 0; i < a.length; i++) {
            sum = add(sum, times(a[i], b[i]));
        }
        return sum;
    }

    private static void axpy(BigDecimal[] to, BigDecimal factor, BigDecimal[] from) {
        for (int i = 0; i < to.length; i++) {
            to[i] = add(to[i], times(factor, from[i]));
        }
    }

    private static BigDecimal[] zeros(int length) {
        BigDecimal[] zeros = new BigDecimal[length];
        java.util.Arrays.fill(zeros, ZERO);
        return zeros;
    }

    private static BigDecimal[] exact(double[] values) {
        return java.util.Arrays.stream(values).mapToObj(BigDecimal::new).toArray(BigDecimal[]::new);
    }

    private static BigDecimal[][] exact(double[][] rows) {
        return java.util.Arrays.stream(rows).map(DigitsQuery::exact).toArray(BigDecimal[][]::new);
    }

    private static double[] rounded(BigDecimal[] values) {
        return java.util.Arrays.stream(values).mapToDouble(BigDecimal::doubleValue).toArray();
    }
}
