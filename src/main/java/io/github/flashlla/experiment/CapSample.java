package io.github.flashlla.experiment;

import java.util.Arrays;
import java.util.random.RandomGenerator;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.ejml.dense.row.factory.LinearSolverFactory_DDRM;
import org.ejml.interfaces.linsol.LinearSolverDense;

/** Keys on a cap of a sphere, values of a smooth function of them: what regression theory speaks of, with keys of one norm. */
final class CapSample {
    static final int VALUE_DIM = 8;
    static final String DESCRIPTION = "Keys are uniform on a cap of geodesic radius 1 of a sphere of radius 10 in d + 1 dimensions, so nearly a flat ball of "
            + "dimension d. Each of 8 values is sin(w.t + phase) of a key's geodesic coordinates t, |w| = 3, plus 0.5 N(0, 1).";
    private static final double RADIUS = 10;
    private static final double FREQUENCY = 3;
    private static final double NOISE = 0.5;
    private static final int RIM_QUERIES = 8;

    private CapSample() {}

    static Dataset draw(RandomGenerator random, int dim, int keys) {
        double[][] frequencies = new double[VALUE_DIM][];
        double[] phases = new double[VALUE_DIM];
        for (int c = 0; c < VALUE_DIM; c++) {
            frequencies[c] = direction(random, dim, FREQUENCY);
            phases[c] = 2 * Math.PI * random.nextDouble();
        }
        double[] k = new double[keys * (dim + 1)];
        double[] v = new double[keys * VALUE_DIM];
        for (int i = 0; i < keys; i++) {
            double[] t = direction(random, dim, Math.pow(random.nextDouble(), 1.0 / dim));
            embed(t, k, i);
            double[] value = values(t, frequencies, phases);
            for (int c = 0; c < VALUE_DIM; c++) {
                v[i * VALUE_DIM + c] = value[c] + NOISE * random.nextGaussian();
            }
        }
        int queries = 1 + RIM_QUERIES;
        double[] q = new double[queries * (dim + 1)];
        double[] truth = new double[queries * VALUE_DIM];
        for (int i = 0; i < queries; i++) {
            double[] t = i == 0 ? new double[dim] : direction(random, dim, 1);
            embed(t, q, i);
            System.arraycopy(values(t, frequencies, phases), 0, truth, i * VALUE_DIM, VALUE_DIM);
        }
        return new Dataset(dim + 1, q, k, v, truth);
    }

    private static double[] direction(RandomGenerator random, int dim, double norm) {
        double[] t = new double[dim];
        double square = 0;
        for (int a = 0; a < dim; a++) {
            t[a] = random.nextGaussian();
            square += t[a] * t[a];
        }
        double factor = norm / Math.sqrt(square);
        return Arrays.stream(t).map(value -> value * factor).toArray();
    }

    /** The point at geodesic distance |t| from the pole. */
    private static void embed(double[] t, double[] rows, int row) {
        double norm = Math.sqrt(Arrays.stream(t).map(value -> value * value).sum());
        int from = row * (t.length + 1);
        rows[from] = RADIUS * Math.cos(norm / RADIUS);
        for (int a = 0; a < t.length; a++) {
            rows[from + 1 + a] = norm == 0 ? 0 : RADIUS * Math.sin(norm / RADIUS) * t[a] / norm;
        }
    }

    private static double[] values(double[] t, double[][] frequencies, double[] phases) {
        double[] value = new double[VALUE_DIM];
        for (int c = 0; c < VALUE_DIM; c++) {
            double angle = phases[c];
            for (int a = 0; a < t.length; a++) {
                angle += frequencies[c][a] * t[a];
            }
            value[c] = Math.sin(angle);
        }
        return value;
    }

    /**
     * The first query is the cap's centre, the others lie on its rim.
     *
     * @param truth the function at the queries, without noise
     */
    record Dataset(int headDim, double[] q, double[] k, double[] v, double[] truth) {

        /** Mean square error at the centre, and at the rim. */
        double[] errors(double[] answer) {
            double[] errors = new double[2];
            for (int i = 0; i < truth.length; i++) {
                double square = (answer[i] - truth[i]) * (answer[i] - truth[i]) / VALUE_DIM;
                errors[i < VALUE_DIM ? 0 : 1] += i < VALUE_DIM ? square : square / RIM_QUERIES;
            }
            return errors;
        }

        /** Softmax attention: the mean of the values by weights exp(scale q.k). */
        double[] localConstant(double scale) {
            double[] out = new double[truth.length];
            int keys = k.length / headDim;
            double[] weights = new double[keys];
            for (int i = 0; i < q.length / headDim; i++) {
                double largest = Double.NEGATIVE_INFINITY;
                for (int j = 0; j < keys; j++) {
                    double dot = 0;
                    for (int a = 0; a < headDim; a++) {
                        dot += q[i * headDim + a] * k[j * headDim + a];
                    }
                    weights[j] = scale * dot;
                    largest = Math.max(largest, weights[j]);
                }
                double total = 0;
                for (int j = 0; j < keys; j++) {
                    double weight = weights[j] - largest < -40 ? 0 : Math.exp(weights[j] - largest);
                    total += weight;
                    for (int c = 0; weight > 0 && c < VALUE_DIM; c++) {
                        out[i * VALUE_DIM + c] += weight * v[j * VALUE_DIM + c];
                    }
                }
                for (int c = 0; c < VALUE_DIM; c++) {
                    out[i * VALUE_DIM + c] /= total;
                }
            }
            return out;
        }

        /** Least squares over all keys: the values as an affine function of the key's coordinates in the tangent plane. */
        double[] globalLinear() {
            DMatrixRMaj keys = affine(k);
            LinearSolverDense<DMatrixRMaj> solver = LinearSolverFactory_DDRM.leastSquares(keys.numRows, keys.numCols);
            DMatrixRMaj slopes = new DMatrixRMaj(headDim, VALUE_DIM);
            if (!solver.setA(keys)) {
                throw new ArithmeticException("the keys lie in a plane");
            }
            solver.solve(DMatrixRMaj.wrap(keys.numRows, VALUE_DIM, v.clone()), slopes);
            DMatrixRMaj out = new DMatrixRMaj(truth.length / VALUE_DIM, VALUE_DIM);
            CommonOps_DDRM.mult(affine(q), slopes, out);
            return out.data;
        }

        /** Coordinates along the sphere's axis replaced by 1: on a cap they are nearly constant. */
        private DMatrixRMaj affine(double[] rows) {
            DMatrixRMaj matrix = DMatrixRMaj.wrap(rows.length / headDim, headDim, rows.clone());
            for (int i = 0; i < matrix.numRows; i++) {
                matrix.set(i, 0, 1);
            }
            return matrix;
        }
    }
}
