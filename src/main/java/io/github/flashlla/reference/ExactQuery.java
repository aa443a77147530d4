package io.github.flashlla.reference;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.factory.LinearSolverFactory_DDRM;
import org.ejml.interfaces.linsol.LinearSolverDense;

/**
 * One query's answer and gradients: the centred form with A formed and solved directly. Memory O(Sk D + D^2), work O(Sk D^2).
 *
 * <p>In float64 with one step of refinement where that is enough, and in twice its digits ({@link ExtendedQuery}) where the
 * size of x, or of the step, shows that it is not: few keys, repeated keys, a small ridge. Against 90 digits, with keys of
 * norm up to 500, output, dq, dk and dv are right to 1e-11 for ridges from 1e-8; dridge, whose terms cancel, is right to
 * 1e-9 for ridges from 1e-6 and to 1e-5 for ridges from 1e-8 ({@code ExactDigitsTest}).
 */
public final class ExactQuery {
    /** Rounding error of a_ij and b_ij beyond which float64 is left, relative to their sizes. */
    private static final double FLOAT64_CARRIES = 1e-12;
    /** Largest first correction, relative to the solution, that one step of refinement makes good. */
    private static final double REFINABLE = 1e-7;
    /** Size of a score beyond which its rounding in float64 shows in the weights. */
    private static final double LARGE_SCORE = 1e4;

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
    private double largestScore;
    private final double[] kbar;
    /** k - kbar, row-major: x.k - x.kbar loses what x.(k - kbar) keeps. */
    private final double[] z;
    private final double reach;
    private final double[] x;
    private final double[] a;
    private final LinearSolverDense<DMatrixRMaj> solver;
    /** Says that float64 does not carry the last solution. */
    private boolean doubtful;
    /** Takes over where float64 does not carry the query; else null. */
    private ExtendedQuery extended;

    // backward
    private double[] g;
    private double[] u;
    /** G - Gbar + b */
    private double[] pull;
    private double[] ds;

    /** @param row position of the query in (B,H,Sq), row-major; it must see a key */
    public ExactQuery(AttentionShape shape, LlaOptions options, LlaInputs inputs, long row) {
        this(values(inputs.q(), row * shape.headDim(), shape.headDim()),
                seen(shape, options, inputs.k(), row, shape.headDim()), seen(shape, options, inputs.v(), row, shape.valueDim()),
                shape.valueDim(), options.scaleFor(shape.headDim()), inputs.ridge() == null ? options.ridge() : inputs.ridge().get(row));
    }

    /** @param k keys that the query sees, row-major, at least one; {@code v} their values */
    public ExactQuery(double[] q, double[] k, double[] v, int valueDim, double scale, double ridge) {
        this.d = q.length;
        this.dv = valueDim;
        this.scale = scale;
        this.visible = k.length / d;
        this.q = q;
        this.k = k;
        this.v = v;
        this.ridge = ridge;
        this.p = weights();
        this.kbar = new double[d];
        for (int j = 0; j < visible; j++) {
            add(kbar, p[j], k, j * d);
        }
        this.z = new double[visible * d];
        double farthest = 0;
        for (int j = 0; j < visible; j++) {
            for (int c = 0; c < d; c++) {
                z[j * d + c] = k[j * d + c] - kbar[c];
            }
            farthest = Math.max(farthest, dot(z, j * d, z, j * d, d));
        }
        this.reach = Math.sqrt(farthest) + Math.sqrt(dot(kbar, 0, kbar, 0, d)); // z is as far off as kbar is rounded
        this.solver = LinearSolverFactory_DDRM.chol(d);
        this.doubtful = largestScore > LARGE_SCORE || !solver.setA(secondMoment());
        double[] right = kbar.clone();
        add(right, -1, q, 0);
        this.x = new double[d];
        this.a = doubtful ? new double[visible] : solve(right, x, 1);
        extendIfDoubtful();
    }

    /** Bytes of heap that a query takes which sees so many keys: three rows of each, and a few numbers. */
    public static double bytes(int visible, int headDim, int valueDim) {
        return Double.BYTES * (double) visible * (2 * headDim + valueDim + 6);
    }

    /** The rows of keys or values that a query sees. */
    private static double[] seen(AttentionShape shape, LlaOptions options, Tensor rows, long row, int width) {
        int i = (int) (row % shape.queryLength());
        long head = row / shape.queryLength();
        long kvHead = head / shape.heads() * shape.kvHeads() + head % shape.heads() / shape.group();
        return values(rows, (kvHead * shape.keyLength() + shape.firstKey(i, options)) * width, shape.seenKeys(i, options) * width);
    }

    private void extendIfDoubtful() {
        if (doubtful && extended == null) {
            extended = new ExtendedQuery(q, k, v, dv, scale, ridge);
        }
    }

    /** log sum_j exp(scale q.k_j) */
    public double logSumExp() {
        return extended == null ? logSumExp : extended.logSumExp();
    }

    /** Weighted mean key (D). */
    public double[] kbar() {
        return extended == null ? kbar : extended.kbar();
    }

    /** Solution of A x = kbar - q (D). */
    public double[] x() {
        return extended == null ? x : extended.x();
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
        if (!paper.setA(sigma)) {
            throw new InvalidInputException("the ridge " + ridge + " is too small for the paper's form in float64");
        }
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
        if (extended != null) {
            return extended.output();
        }
        double[] o = new double[dv];
        for (int j = 0; j < visible; j++) {
            add(o, p[j] * (1 - a[j]), v, j * dv);
        }
        return o;
    }

    /** Prepares the gradients for dL/do = {@code gradOutput} of this query (Dv). */
    public void backward(double[] gradOutput) {
        g = gradOutput;
        if (extended == null) {
            backward();
            extendIfDoubtful();
        }
        if (extended != null) {
            extended.backward(g);
        }
    }

    /**
     * With G' = G - Gbar: P_ij = Gbar_i + (1 - a_ij) (G'_ij + b_ij) up to a term that is the same for all keys, and dk_j gets
     * p_ij ((1 - a_ij) u_i - (G'_ij + b_ij) x_i). These are the operator's formulas with what cancels in them taken out.
     */
    private void backward() {
        pull = new double[visible];
        double mean = 0;
        for (int j = 0; j < visible; j++) {
            pull[j] = dot(g, 0, v, j * dv, dv);
            mean += p[j] * pull[j];
        }
        double[] c = new double[d];
        double size = 0;
        for (int j = 0; j < visible; j++) {
            pull[j] -= mean;
            size = Math.max(size, Math.abs(pull[j]));
            add(c, -p[j] * pull[j], z, j * d);
        }
        u = new double[d];
        double[] b = solve(c, u, size);
        ds = new double[visible];
        double weighted = 0;
        for (int j = 0; j < visible; j++) {
            pull[j] += b[j];
            ds[j] = (1 - a[j]) * pull[j];
            weighted += p[j] * ds[j];
        }
        for (int j = 0; j < visible; j++) {
            ds[j] = p[j] * (ds[j] - weighted);
        }
    }

    /** dL/dq (D) */
    public double[] dq() {
        if (extended != null) {
            return extended.dq();
        }
        double[] dq = new double[d];
        for (int j = 0; j < visible; j++) {
            add(dq, scale * ds[j], z, j * d); // the ds sum to zero, so that kbar cancels
        }
        add(dq, -1, u, 0);
        return dq;
    }

    public double dridge() {
        return extended != null ? extended.dridge() : -dot(u, 0, x, 0, d);
    }

    public boolean sees(int key) {
        return key < visible;
    }

    /** Adds this query's part of dL/dk of a key that it sees (D). */
    public void addDk(int key, double[] dk) {
        if (extended != null) {
            extended.addDk(key, dk);
            return;
        }
        add(dk, scale * ds[key], q, 0);
        add(dk, -p[key] * pull[key], x, 0);
        add(dk, p[key] * (1 - a[key]), u, 0);
    }

    /** Adds this query's part of dL/dv of a key that it sees (Dv). */
    public void addDv(int key, double[] dvOut) {
        if (extended != null) {
            extended.addDv(key, dvOut);
        } else {
            add(dvOut, p[key] * (1 - a[key]), g, 0);
        }
    }

    private double[] weights() {
        double[] w = new double[visible];
        double max = Double.NEGATIVE_INFINITY;
        for (int j = 0; j < visible; j++) {
            w[j] = scale * dot(q, 0, k, j * d, d);
            max = Math.max(max, w[j]);
            largestScore = Math.max(largestScore, Math.abs(w[j]));
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
        for (int j = 0; j < visible; j++) {
            for (int r = 0; r < d; r++) {
                double weight = p[j] * z[j * d + r];
                for (int c = 0; c < d; c++) {
                    m.data[r * d + c] += weight * z[j * d + c];
                }
            }
        }
        for (int c = 0; c < d; c++) {
            m.data[c * d + c] += ridge;
        }
        return m;
    }

    /**
     * A^-1 right with one step of refinement, whose residual is taken of the sums over the keys and not of A as formed.
     *
     * @param solution gets A^-1 right (D)
     * @param size what errors of the return value are held against, beside its own size
     * @return solution . (k_j - kbar) for every key
     */
    private double[] solve(double[] right, double[] solution, double size) {
        applyInverse(right, solution);
        double[] rest = right.clone();
        for (int j = 0; j < visible; j++) {
            add(rest, -p[j] * dot(solution, 0, z, j * d, d), z, j * d);
        }
        add(rest, -ridge, solution, 0);
        double[] step = new double[d];
        applyInverse(rest, step);
        add(solution, 1, step, 0);
        double norm = Math.sqrt(dot(solution, 0, solution, 0, d));
        double[] products = new double[visible];
        double largest = size;
        for (int j = 0; j < visible; j++) {
            products[j] = dot(solution, 0, z, j * d, d);
            largest = Math.max(largest, Math.abs(products[j]));
        }
        doubtful |= !(Math.ulp(1.0) * norm * reach <= FLOAT64_CARRIES * largest)
                || !(Math.sqrt(dot(step, 0, step, 0, d)) <= REFINABLE * norm); // NaN is doubtful
        return products;
    }

    private void applyInverse(double[] right, double[] solution) {
        DMatrixRMaj found = new DMatrixRMaj(d, 1);
        solver.solve(new DMatrixRMaj(d, 1, true, right.clone()), found);
        System.arraycopy(found.data, 0, solution, 0, d);
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
