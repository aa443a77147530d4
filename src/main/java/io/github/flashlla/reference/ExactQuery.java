package io.github.flashlla.reference;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.factory.LinearSolverFactory_DDRM;
import org.ejml.interfaces.linsol.LinearSolverDense;

/**
 * One query's answer and gradients in float64: the centred form with A formed and solved directly. Memory O(Sk D + D^2),
 * work O(Sk D^2).
 */
public final class ExactQuery {
    private final int d;
    private final int dv;
    private final double scale;
    private final int visible;
    private final double[] q;
    /** Keys and values that the query sees, row-major. */
    private final double[] k;
    private final double[] v;
    private final double[] p;
    private final double ridge;
    private double logSumExp;
    private final double[] kbar;
    private final double[] x;
    private final double[] a;
    private final LinearSolverDense<DMatrixRMaj> solver;

    // backward
    private double[] g;
    private double[] gv;
    private double[] u;
    private double[] b;
    private double[] kappa;
    private double[] ds;

    /** @param row position of the query in (B,H,Sq), row-major; it must see a key */
    public ExactQuery(AttentionShape shape, LlaOptions options, LlaInputs inputs, long row) {
        this.d = shape.headDim();
        this.dv = shape.valueDim();
        this.scale = options.scaleFor(d);
        this.visible = shape.visibleKeys((int) (row % shape.queryLength()), options.causal());
        long head = row / shape.queryLength();
        long kvHead = head / shape.heads() * shape.kvHeads() + head % shape.heads() / shape.group();
        this.q = values(inputs.q(), row * d, d);
        this.k = values(inputs.k(), kvHead * shape.keyLength() * d, visible * d);
        this.v = values(inputs.v(), kvHead * shape.keyLength() * dv, visible * dv);
        this.p = weights();
        this.kbar = new double[d];
        for (int j = 0; j < visible; j++) {
            add(kbar, p[j], k, j * d);
        }
        this.ridge = inputs.ridge() == null ? options.ridge() : inputs.ridge().get(row);
        this.solver = LinearSolverFactory_DDRM.chol(d);
        solver.setA(secondMoment());
        double[] right = kbar.clone();
        add(right, -1, q, 0);
        this.x = solve(right);
        this.a = new double[visible];
        for (int j = 0; j < visible; j++) {
            a[j] = dot(x, 0, k, j * d, d) - dot(x, 0, kbar, 0, d);
        }
    }

    /** log sum_j exp(scale q.k_j) */
    public double logSumExp() {
        return logSumExp;
    }

    /** Weighted mean key (D). */
    public double[] kbar() {
        return kbar;
    }

    /** Solution of A x = kbar - q (D). */
    public double[] x() {
        return x;
    }

    /**
     * o (Dv) as the paper writes it, around the query itself: Sigma = sum w z z^T + ridge omega I with z_j = k_j - q,
     * rho = Sigma^-1 mu, o = sum w (1 - z.rho) v / (omega - mu.rho). An independent check of {@link #output()}; it loses
     * digits where the query is far from its keys.
     */
    public double[] paperOutput() {
        double[] z = new double[d];
        double[] mu = new double[d];
        DMatrixRMaj sigma = new DMatrixRMaj(d, d);
        for (int j = 0; j < visible; j++) {
            for (int c = 0; c < d; c++) {
                z[c] = k[j * d + c] - q[c];
            }
            add(mu, p[j], z, 0);
            for (int r = 0; r < d; r++) {
                for (int c = 0; c < d; c++) {
                    sigma.data[r * d + c] += p[j] * z[r] * z[c];
                }
            }
        }
        for (int c = 0; c < d; c++) {
            sigma.data[c * d + c] += ridge; // weights p sum to 1, so omega is 1
        }
        LinearSolverDense<DMatrixRMaj> paper = LinearSolverFactory_DDRM.chol(d);
        paper.setA(sigma);
        DMatrixRMaj rho = new DMatrixRMaj(d, 1);
        paper.solve(new DMatrixRMaj(d, 1, true, mu), rho);
        double[] o = new double[dv];
        for (int j = 0; j < visible; j++) {
            for (int c = 0; c < d; c++) {
                z[c] = k[j * d + c] - q[c];
            }
            add(o, p[j] * (1 - dot(z, 0, rho.data, 0, d)), v, j * dv);
        }
        double total = 1 - dot(mu, 0, rho.data, 0, d);
        for (int c = 0; c < dv; c++) {
            o[c] /= total;
        }
        return o;
    }

    /** o (Dv) */
    public double[] output() {
        double[] o = new double[dv];
        for (int j = 0; j < visible; j++) {
            add(o, p[j] * (1 - a[j]), v, j * dv);
        }
        return o;
    }

    /** Prepares the gradients for dL/do = {@code gradOutput} of this query (Dv). */
    public void backward(double[] gradOutput) {
        g = gradOutput;
        gv = new double[visible];
        double mean = 0;
        for (int j = 0; j < visible; j++) {
            gv[j] = dot(g, 0, v, j * dv, dv);
            mean += p[j] * gv[j];
        }
        double[] c = new double[d];
        for (int j = 0; j < visible; j++) {
            add(c, p[j] * gv[j], k, j * d);
        }
        add(c, -mean, kbar, 0);
        u = solve(c);
        for (int i = 0; i < d; i++) {
            u[i] = -u[i];
        }
        kappa = u.clone();
        add(kappa, mean, x, 0);
        b = new double[visible];
        ds = new double[visible];
        double weighted = 0;
        for (int j = 0; j < visible; j++) {
            b[j] = dot(u, 0, k, j * d, d) - dot(u, 0, kbar, 0, d);
            ds[j] = gv[j] * (1 - a[j]) - a[j] * b[j] + dot(kappa, 0, k, j * d, d);
            weighted += p[j] * ds[j];
        }
        for (int j = 0; j < visible; j++) {
            ds[j] = p[j] * (ds[j] - weighted);
        }
    }

    /** dL/dq (D) */
    public double[] dq() {
        double[] dq = new double[d];
        for (int j = 0; j < visible; j++) {
            add(dq, scale * ds[j], k, j * d);
        }
        add(dq, -1, u, 0);
        return dq;
    }

    public double dridge() {
        return -dot(u, 0, x, 0, d);
    }

    public boolean sees(int key) {
        return key < visible;
    }

    /** Adds this query's part of dL/dk of a key that it sees (D). */
    public void addDk(int key, double[] dk) {
        add(dk, scale * ds[key], q, 0);
        add(dk, p[key], kappa, 0);
        add(dk, -p[key] * (gv[key] + b[key]), x, 0);
        add(dk, -p[key] * a[key], u, 0);
    }

    /** Adds this query's part of dL/dv of a key that it sees (Dv). */
    public void addDv(int key, double[] dvOut) {
        add(dvOut, p[key] * (1 - a[key]), g, 0);
    }

    private double[] weights() {
        double[] w = new double[visible];
        double max = Double.NEGATIVE_INFINITY;
        for (int j = 0; j < visible; j++) {
            w[j] = scale * dot(q, 0, k, j * d, d);
            max = Math.max(max, w[j]);
        }
        double total = 0;
        for (int j = 0; j < visible; j++) {
            w[j] = Math.exp(w[j] - max);
            total += w[j];
        }
        for (int j = 0; j < visible; j++) {
            w[j] /= total;
        }
        logSumExp = max + Math.log(total);
        return w;
    }

    private DMatrixRMaj secondMoment() {
        DMatrixRMaj m = new DMatrixRMaj(d, d);
        double[] z = new double[d];
        for (int j = 0; j < visible; j++) {
            for (int c = 0; c < d; c++) {
                z[c] = k[j * d + c] - kbar[c];
            }
            for (int r = 0; r < d; r++) {
                double weight = p[j] * z[r];
                for (int c = 0; c < d; c++) {
                    m.data[r * d + c] += weight * z[c];
                }
            }
        }
        for (int c = 0; c < d; c++) {
            m.data[c * d + c] += ridge;
        }
        return m;
    }

    private double[] solve(double[] right) {
        DMatrixRMaj solution = new DMatrixRMaj(d, 1);
        solver.solve(new DMatrixRMaj(d, 1, true, right), solution);
        return solution.data;
    }

    public static double[] values(Tensor tensor, long from, int count) {
        double[] values = new double[count];
        for (int i = 0; i < count; i++) {
            values[i] = tensor.get(from + i);
        }
        return values;
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
