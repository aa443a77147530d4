package io.github.flashlla.reference;

import io.github.flashlla.InvalidInputException;
import java.io.Serializable;
import java.util.Arrays;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.factory.LinearSolverFactory_DDRM;
import org.ejml.interfaces.linsol.LinearSolverDense;

/**
 * One query against a cache in a single read of it, in float64: the weighted moments that the output needs, about an origin
 * c of the keys.
 *
 * <p>With w_j = exp(score_j - max) and z_j = k_j - c: omega = sum w, sum w z, sum w v, sum w z z^T (D x D), sum w z v^T
 * (D x Dv). Moments of disjoint slices of the cache merge exactly. Any origin gives the same answer; one near the heavy keys
 * loses fewest digits.
 */
public final class DecodeMoments implements Serializable {
    /** Sum of the second moments over the ridge up to which float64 has ten digits left. */
    private static final double CARRIED = 1e5;

    private final double[] origin;
    private final int valueDim;
    private double max = Double.NEGATIVE_INFINITY;
    private double omega;
    private final double[] z;
    private final double[] v;
    private final double[] zz;
    private final double[] zv;

    /** @param origin c (D), kept */
    public DecodeMoments(double[] origin, int valueDim) {
        this.origin = origin;
        this.valueDim = valueDim;
        this.z = new double[origin.length];
        this.v = new double[valueDim];
        this.zz = new double[origin.length * origin.length];
        this.zv = new double[origin.length * valueDim];
    }

    /** Adds one key. @param score scale q.k */
    public void add(double score, double[] key, double[] value) {
        raiseMax(score);
        double w = Math.exp(score - max);
        omega += w;
        for (int a = 0; a < z.length; a++) {
            double wz = w * (key[a] - origin[a]);
            z[a] += wz;
            for (int b = 0; b < z.length; b++) {
                zz[a * z.length + b] += wz * (key[b] - origin[b]);
            }
            for (int e = 0; e < valueDim; e++) {
                zv[a * valueDim + e] += wz * value[e];
            }
        }
        for (int e = 0; e < valueDim; e++) {
            v[e] += w * value[e];
        }
    }

    /** Adds another slice's moments, which must be about the same origin. */
    public void merge(DecodeMoments other) {
        if (!Arrays.equals(origin, other.origin)) {
            throw new InvalidInputException("moments about different origins do not merge");
        }
        raiseMax(other.max);
        double factor = other.max == Double.NEGATIVE_INFINITY ? 0 : Math.exp(other.max - max);
        omega += factor * other.omega;
        addScaled(z, factor, other.z);
        addScaled(v, factor, other.v);
        addScaled(zz, factor, other.zz);
        addScaled(zv, factor, other.zv);
    }

    private void raiseMax(double score) {
        if (score > max) {
            double factor = Math.exp(max - score);
            max = score;
            omega *= factor;
            for (double[] sum : new double[][] {z, v, zz, zv}) {
                for (int i = 0; i < sum.length; i++) {
                    sum[i] *= factor;
                }
            }
        }
    }

    private static void addScaled(double[] sum, double factor, double[] other) {
        for (int i = 0; i < sum.length; i++) {
            sum[i] += factor * other[i];
        }
    }

    /**
     * What the moments say of query {@code q} (D): A = M2 / omega - dbar dbar^T + ridge I with dbar = kbar - c,
     * C = M(kv) / omega - dbar vbar^T, x = A^-1 (kbar - q), o = vbar - C^T x.
     */
    public Step solve(double[] q, double ridge) {
        int dim = z.length;
        double[] kbar = new double[dim];
        double[] o = new double[valueDim];
        double[] x = new double[dim];
        if (omega == 0) {
            return new Step(o, kbar, x, Double.NEGATIVE_INFINITY, true);
        }
        double trace = 0;
        DMatrixRMaj a = new DMatrixRMaj(dim, dim);
        DMatrixRMaj b = new DMatrixRMaj(dim, 1);
        for (int i = 0; i < dim; i++) {
            kbar[i] = origin[i] + z[i] / omega;
            b.set(i, 0, kbar[i] - q[i]);
            for (int j = 0; j < dim; j++) {
                trace += i == j ? zz[i * dim + i] / omega : 0;
                a.set(i, j, zz[i * dim + j] / omega - z[i] / omega * (z[j] / omega) + (i == j ? ridge : 0));
            }
        }
        LinearSolverDense<DMatrixRMaj> cholesky = LinearSolverFactory_DDRM.symmPosDef(dim);
        DMatrixRMaj factor = a.copy();
        boolean solved = cholesky.setA(factor);
        if (solved) {
            DMatrixRMaj solution = new DMatrixRMaj(dim, 1);
            cholesky.solve(b.copy(), solution);
            System.arraycopy(solution.data, 0, x, 0, dim);
            solved = Arrays.stream(x).allMatch(Double::isFinite);
        }
        if (!solved) { // A is singular to rounding: no pivot is below the ridge
            Extended lower = new Extended(dim * dim);
            Extended right = new Extended(dim);
            System.arraycopy(a.data, 0, lower.hi, 0, dim * dim);
            System.arraycopy(b.data, 0, right.hi, 0, dim);
            System.arraycopy(new ExtendedCholesky(lower, dim, ridge).solve(right).hi, 0, x, 0, dim);
            if (!Arrays.stream(x).allMatch(Double::isFinite)) {
                throw new InvalidInputException("the solve of a query leaves float64's range: raise the ridge above " + ridge
                        + ", or bring q and k to smaller numbers");
            }
        }
        for (int e = 0; e < valueDim; e++) {
            double vbar = v[e] / omega;
            o[e] = vbar;
            for (int i = 0; i < dim; i++) {
                o[e] -= (zv[i * valueDim + e] / omega - z[i] / omega * vbar) * x[i];
            }
        }
        return new Step(o, kbar, x, max + Math.log(omega), solved && trace <= CARRIED * ridge);
    }

    /**
     * One query's answer.
     *
     * @param o output (Dv)
     * @param kbar weighted mean key (D)
     * @param x solution of A x = kbar - q (D)
     * @param logSumExp log of the total weight; -infinity where no key was seen
     * @param carried whether float64 moments carry it: not where the keys' sizes are far above the ridge
     */
    public record Step(double[] o, double[] kbar, double[] x, double logSumExp, boolean carried) {}
}
