package io.github.flashlla.jvm;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.factory.LinearSolverFactory_DDRM;
import org.ejml.interfaces.linsol.LinearSolverDense;

/** One query's output in float64 by the paper's own form, around q_i: independent of the form that the device computes. */
final class DenseLla {
    private final AttentionShape shape;
    private final LlaOptions options;
    private final double[] q;
    private final double[] k;
    private final double[] v;
    private final double[] ridge;

    DenseLla(LlaInputs inputs, LlaOptions options) {
        this.shape = inputs.shape();
        this.options = options;
        this.q = inputs.q().toDoubleArray();
        this.k = inputs.k().toDoubleArray();
        this.v = inputs.v().toDoubleArray();
        this.ridge = inputs.ridge() == null ? null : inputs.ridge().toDoubleArray();
    }

    double[] q() {
        return q;
    }

    double[] k() {
        return k;
    }

    double[] v() {
        return v;
    }

    double[] ridge() {
        return ridge;
    }

    /** o (B,H,Sq,Dv) */
    double[] output() {
        double[] output = new double[Math.toIntExact(shape.rows() * shape.valueDim())];
        for (int row = 0; row < shape.rows(); row++) {
            System.arraycopy(output(row), 0, output, row * shape.valueDim(), shape.valueDim());
        }
        return output;
    }

    /** sum_j s_ij v_j, s_ij = w_ij (1 - z_ij.rho) / (omega - mu.rho), rho = (sum w z z^T + ridge omega I)^-1 mu, z = k - q. */
    double[] output(int row) {
        int dim = shape.headDim();
        int head = row / shape.queryLength();
        int kvHead = head / shape.group();
        int keys = shape.visibleKeys(row % shape.queryLength(), options.causal());
        double[] output = new double[shape.valueDim()];
        if (keys == 0) {
            return output;
        }
        double[][] z = new double[keys][dim];
        double[] w = new double[keys];
        double max = Double.NEGATIVE_INFINITY;
        for (int j = 0; j < keys; j++) {
            for (int d = 0; d < dim; d++) {
                double key = k[(kvHead * shape.keyLength() + j) * dim + d];
                z[j][d] = key - q[row * dim + d];
                w[j] += options.scaleFor(dim) * key * q[row * dim + d];
            }
            max = Math.max(max, w[j]);
        }
        double omega = 0;
        DMatrixRMaj sigma = new DMatrixRMaj(dim, dim);
        DMatrixRMaj mu = new DMatrixRMaj(dim, 1);
        for (int j = 0; j < keys; j++) {
            w[j] = Math.exp(w[j] - max);
            omega += w[j];
            for (int a = 0; a < dim; a++) {
                mu.data[a] += w[j] * z[j][a];
                for (int b = 0; b < dim; b++) {
                    sigma.data[a * dim + b] += w[j] * z[j][a] * z[j][b];
                }
            }
        }
        for (int a = 0; a < dim; a++) {
            sigma.data[a * dim + a] += omega * (ridge == null ? options.ridge() : ridge[row]);
        }
        DMatrixRMaj rho = new DMatrixRMaj(dim, 1);
        LinearSolverDense<DMatrixRMaj> solver = LinearSolverFactory_DDRM.chol(dim);
        DMatrixRMaj muCopy = mu.copy();
        if (!solver.setA(sigma)) {
            throw new IllegalStateException("the oracle's matrix is not positive definite");
        }
        solver.solve(muCopy, rho);
        double denominator = omega;
        for (int a = 0; a < dim; a++) {
            denominator -= mu.data[a] * rho.data[a];
        }
        for (int j = 0; j < keys; j++) {
            double s = 1;
            for (int a = 0; a < dim; a++) {
                s -= z[j][a] * rho.data[a];
            }
            s *= w[j] / denominator;
            for (int e = 0; e < output.length; e++) {
                output[e] += s * v[(kvHead * shape.keyLength() + j) * shape.valueDim() + e];
            }
        }
        return output;
    }
}
