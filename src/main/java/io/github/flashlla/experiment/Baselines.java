package io.github.flashlla.experiment;

import java.util.Arrays;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.ejml.dense.row.factory.LinearSolverFactory_DDRM;
import org.ejml.interfaces.linsol.LinearSolverDense;

/**
 * What LLA is held against, in float64 and as directly as its definition: causal, one head, q and k (S,D), v (S,Dv), row-major;
 * query i sees keys 0 to i.
 */
final class Baselines {
    private Baselines() {}

    /** sum_j p_ij v_j with p_ij proportional to exp(scale q_i.k_j). */
    static double[] softmax(double[] q, double[] k, double[] v, int headDim, int valueDim, double scale) {
        return weighted(q, k, v, headDim, valueDim, score -> scale * score, true);
    }

    /** sum_j f(q_i).f(k_j) v_j over sum_j f(q_i).f(k_j), with f(z) = elu(z) + 1 by element: without this normalisation it is off by orders of magnitude. */
    static double[] linear(double[] q, double[] k, double[] v, int headDim, int valueDim) {
        return weighted(positive(q), positive(k), v, headDim, valueDim, score -> score, false);
    }

    /** MesaNet: q_i^T (sum_j g^(i-j) k_j k_j^T + ridge I)^-1 sum_j g^(i-j) k_j v_j^T, ridge regression over the prefix with decay g. */
    static double[] mesa(double[] q, double[] k, double[] v, int headDim, int valueDim, double ridge, double decay) {
        int length = q.length / headDim;
        double[] out = new double[length * valueDim];
        DMatrixRMaj keys = new DMatrixRMaj(headDim, headDim);
        DMatrixRMaj both = new DMatrixRMaj(headDim, valueDim);
        DMatrixRMaj matrix = new DMatrixRMaj(headDim, headDim);
        DMatrixRMaj slope = new DMatrixRMaj(headDim, valueDim);
        LinearSolverDense<DMatrixRMaj> solver = LinearSolverFactory_DDRM.chol(headDim);
        for (int i = 0; i < length; i++) {
            for (int a = 0; a < headDim; a++) {
                double ka = k[i * headDim + a];
                for (int b = 0; b < headDim; b++) {
                    keys.set(a, b, decay * keys.get(a, b) + ka * k[i * headDim + b]);
                }
                for (int c = 0; c < valueDim; c++) {
                    both.set(a, c, decay * both.get(a, c) + ka * v[i * valueDim + c]);
                }
            }
            matrix.setTo(keys);
            for (int a = 0; a < headDim; a++) {
                matrix.add(a, a, ridge);
            }
            if (!solver.setA(matrix)) {
                throw new ArithmeticException("the prefix of " + (i + 1) + " keys has no Cholesky factor at ridge " + ridge);
            }
            solver.solve(both, slope);
            DMatrixRMaj row = DMatrixRMaj.wrap(1, headDim, Arrays.copyOfRange(q, i * headDim, (i + 1) * headDim));
            DMatrixRMaj result = new DMatrixRMaj(1, valueDim);
            CommonOps_DDRM.mult(row, slope, result);
            System.arraycopy(result.data, 0, out, i * valueDim, valueDim);
        }
        return out;
    }

    private interface Score {
        double of(double dot);
    }

    private static double[] weighted(double[] q, double[] k, double[] v, int headDim, int valueDim, Score score, boolean exponential) {
        int length = q.length / headDim;
        double[] out = new double[length * valueDim];
        double[] weights = new double[length];
        for (int i = 0; i < length; i++) {
            double largest = Double.NEGATIVE_INFINITY;
            for (int j = 0; j <= i; j++) {
                double dot = 0;
                for (int a = 0; a < headDim; a++) {
                    dot += q[i * headDim + a] * k[j * headDim + a];
                }
                weights[j] = score.of(dot);
                largest = Math.max(largest, weights[j]);
            }
            double total = 0;
            for (int j = 0; j <= i; j++) {
                weights[j] = exponential ? Math.exp(weights[j] - largest) : weights[j];
                total += weights[j];
            }
            for (int j = 0; j <= i; j++) {
                for (int c = 0; c < valueDim; c++) {
                    out[i * valueDim + c] += weights[j] / total * v[j * valueDim + c];
                }
            }
        }
        return out;
    }

    private static double[] positive(double[] z) {
        double[] out = new double[z.length];
        for (int i = 0; i < z.length; i++) {
            out[i] = z[i] > 0 ? z[i] + 1 : Math.exp(z[i]);
        }
        return out;
    }
}
