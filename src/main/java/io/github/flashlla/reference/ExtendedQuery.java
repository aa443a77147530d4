package io.github.flashlla.reference;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.reference.Extended.Sum;

/**
 * One query in {@link Extended} digits, for {@link ExactQuery} where float64 does not carry it: x is of size ||b|| / ridge along
 * directions that no key spans, and rounding x itself would already show in the output.
 */
final class ExtendedQuery {
    private final int d;
    private final int dv;
    private final int visible;
    private final double scale;
    private final double[] q;
    private final double[] v;
    private final Extended p;
    private final double logSumExp;
    private final Extended kbar;
    /** k - kbar, row-major */
    private final Extended z;
    private final ExtendedCholesky factor;
    private final Extended x;
    /** 1 - a */
    private final Extended kept;

    // backward
    private double[] g;
    private Extended u;
    /** G - Gbar + b */
    private Extended pull;
    private Extended ds;

    ExtendedQuery(double[] q, double[] k, double[] v, int valueDim, double scale, double ridge) {
        this.d = q.length;
        this.dv = valueDim;
        this.visible = k.length / d;
        this.scale = scale;
        this.q = q;
        this.v = v;
        this.p = new Extended(visible);
        this.logSumExp = weights(k);
        this.kbar = weightedSum(k, d);
        this.z = new Extended(visible * d);
        for (int i = 0; i < z.hi.length; i++) {
            z.set(i, new Sum(k[i], 0).add(-kbar.hi[i % d], -kbar.lo[i % d]));
        }
        this.factor = new ExtendedCholesky(secondMoment(ridge), d, ridge);
        Extended b = new Extended(d);
        for (int c = 0; c < d; c++) {
            b.set(c, new Sum(kbar.hi[c], kbar.lo[c]).add(-q[c], 0));
        }
        this.x = factor.solve(b);
        if (!x.isFinite()) {
            throw new InvalidInputException("the solve of a query leaves float64's range: raise the ridge above " + ridge
                    + ", or bring q and k to smaller numbers");
        }
        this.kept = new Extended(visible);
        for (int j = 0; j < visible; j++) {
            Sum a = Extended.dot(z, j * d, x, d);
            kept.set(j, new Sum(1, 0).add(-a.hi, -a.lo));
        }
    }

    private double weights(double[] k) {
        double max = Double.NEGATIVE_INFINITY;
        for (int j = 0; j < visible; j++) {
            Sum score = new Sum();
            for (int c = 0; c < d; c++) {
                score.addProduct(q[c], 0, k[j * d + c], 0);
            }
            p.set(j, score.times(scale, 0));
            max = Math.max(max, score.hi);
        }
        Sum total = new Sum();
        for (int j = 0; j < visible; j++) {
            Sum score = new Sum(p.hi[j], p.lo[j]).add(-max, 0);
            Sum weight = new Sum(Math.exp(score.hi), 0).times(1, score.lo);
            total.add(weight.hi, weight.lo);
            p.set(j, weight);
        }
        for (int j = 0; j < visible; j++) {
            p.set(j, new Sum(p.hi[j], p.lo[j]).over(total.hi, total.lo));
        }
        return max + Math.log(total.hi);
    }

    /** sum p_j of rows of {@code width} */
    private Extended weightedSum(double[] rows, int width) {
        Extended sums = new Extended(width);
        for (int c = 0; c < width; c++) {
            Sum sum = new Sum();
            for (int j = 0; j < visible; j++) {
                sum.addProduct(p.hi[j], p.lo[j], rows[j * width + c], 0);
            }
            sums.set(c, sum);
        }
        return sums;
    }

    private Extended secondMoment(double ridge) {
        Extended moment = new Extended(d * d);
        for (int r = 0; r < d; r++) {
            Extended weighted = new Extended(visible);
            for (int j = 0; j < visible; j++) {
                weighted.set(j, new Sum(z.hi[j * d + r], z.lo[j * d + r]).times(p.hi[j], p.lo[j]));
            }
            for (int c = 0; c <= r; c++) {
                Sum sum = new Sum(r == c ? ridge : 0, 0);
                for (int j = 0; j < visible; j++) {
                    sum.addProduct(weighted.hi[j], weighted.lo[j], z.hi[j * d + c], z.lo[j * d + c]);
                }
                moment.set(r * d + c, sum);
            }
        }
        return moment;
    }

    double logSumExp() {
        return logSumExp;
    }

    double[] kbar() {
        return kbar.rounded();
    }

    double[] x() {
        return x.rounded();
    }

    double[] output() {
        double[] o = new double[dv];
        for (int c = 0; c < dv; c++) {
            Sum sum = new Sum();
            for (int j = 0; j < visible; j++) {
                Sum weight = new Sum(p.hi[j], p.lo[j]).times(kept.hi[j], kept.lo[j]);
                sum.addProduct(weight.hi, weight.lo, v[j * dv + c], 0);
            }
            o[c] = sum.hi;
        }
        return o;
    }

    void backward(double[] gradOutput) {
        g = gradOutput;
        Sum mean = new Sum();
        pull = new Extended(visible);
        for (int j = 0; j < visible; j++) {
            Sum gv = new Sum();
            for (int c = 0; c < dv; c++) {
                gv.addProduct(g[c], 0, v[j * dv + c], 0);
            }
            pull.set(j, gv);
            mean.addProduct(gv.hi, gv.lo, p.hi[j], p.lo[j]);
        }
        for (int j = 0; j < visible; j++) {
            pull.set(j, new Sum(pull.hi[j], pull.lo[j]).add(-mean.hi, -mean.lo));
        }
        Extended c = new Extended(d);
        for (int i = 0; i < d; i++) {
            Sum sum = new Sum();
            for (int j = 0; j < visible; j++) {
                Sum weight = new Sum(p.hi[j], p.lo[j]).times(pull.hi[j], pull.lo[j]);
                sum.addProduct(-weight.hi, -weight.lo, z.hi[j * d + i], z.lo[j * d + i]);
            }
            c.set(i, sum);
        }
        u = factor.solve(c);
        ds = new Extended(visible);
        Sum weighted = new Sum();
        for (int j = 0; j < visible; j++) {
            Sum b = Extended.dot(z, j * d, u, d);
            pull.set(j, b.add(pull.hi[j], pull.lo[j]));
            Sum slope = new Sum(pull.hi[j], pull.lo[j]).times(kept.hi[j], kept.lo[j]);
            ds.set(j, slope);
            weighted.addProduct(slope.hi, slope.lo, p.hi[j], p.lo[j]);
        }
        for (int j = 0; j < visible; j++) {
            ds.set(j, new Sum(ds.hi[j], ds.lo[j]).add(-weighted.hi, -weighted.lo).times(p.hi[j], p.lo[j]));
        }
    }

    double[] dq() {
        double[] dq = new double[d];
        for (int c = 0; c < d; c++) {
            Sum sum = new Sum();
            for (int j = 0; j < visible; j++) {
                sum.addProduct(ds.hi[j], ds.lo[j], z.hi[j * d + c], z.lo[j * d + c]);
            }
            dq[c] = sum.times(scale, 0).add(-u.hi[c], -u.lo[c]).hi;
        }
        return dq;
    }

    double dridge() {
        return -Extended.dot(u, 0, x, d).hi;
    }

    void addDk(int key, double[] dk) {
        for (int c = 0; c < d; c++) {
            Sum sum = new Sum(u.hi[c], u.lo[c]).times(kept.hi[key], kept.lo[key]);
            sum.addProduct(-pull.hi[key], -pull.lo[key], x.hi[c], x.lo[c]).times(p.hi[key], p.lo[key]);
            Sum score = new Sum(ds.hi[key], ds.lo[key]).times(scale, 0);
            dk[c] += sum.addProduct(score.hi, score.lo, q[c], 0).hi;
        }
    }

    void addDv(int key, double[] dvOut) {
        double weight = new Sum(p.hi[key], p.lo[key]).times(kept.hi[key], kept.lo[key]).hi;
        for (int c = 0; c < dv; c++) {
            dvOut[c] += weight * g[c];
        }
    }
}
