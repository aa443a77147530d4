package io.github.flashlla.bench;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.report.Measurement.AccuracyCheck;
import java.util.stream.IntStream;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.ejml.dense.row.factory.LinearSolverFactory_DDRM;

/** Float64 answers of a sample of queries, against which every run's answer is held. */
final class AnswerCheck {
    private static final int QUERIES = 48;

    private final Task task;
    private final long[] rows;
    private final double[][] expected;

    private AnswerCheck(Task task, long[] rows, double[][] expected) {
        this.task = task;
        this.rows = rows;
        this.expected = expected;
    }

    static AnswerCheck of(Task task, LlaInputs inputs, Tensor gradOutput) {
        if (gradOutput != null) {
            throw new UnsupportedOperationException("the backward pass cannot be checked yet");
        }
        long count = Math.min(QUERIES, task.shape().rows());
        long[] rows = IntStream.range(0, (int) count)
                .mapToLong(i -> count == 1 ? 0 : i * (task.shape().rows() - 1) / (count - 1)).toArray();
        double[][] expected = IntStream.range(0, rows.length).parallel()
                .mapToObj(i -> exact(task, inputs, rows[i])).toArray(double[][]::new);
        return new AnswerCheck(task, rows, expected);
    }

    AccuracyCheck of(LlaResult result, LlaGradients gradients) {
        int dv = task.shape().valueDim();
        double error = 0;
        double size = 0;
        for (int i = 0; i < rows.length; i++) {
            for (int c = 0; c < dv; c++) {
                double want = expected[i][c];
                double miss = result.output().get(rows[i] * dv + c) - want;
                error += miss * miss;
                size += want * want;
            }
        }
        double relative = Math.sqrt(error / size);
        return new AccuracyCheck(Double.isFinite(relative) ? relative : null, bar(), rows.length);
    }

    private double bar() {
        // a cache rounds what it stores, which the inputs are already, and computes in float32
        double floor = task.dataType() == DataType.FLOAT32 || task.mode() == Mode.DECODE ? 1e-4 : 5e-3;
        return Math.max(floor, 3 * task.options().tolerance());
    }

    /** The centred form by a direct solve, in float64. */
    private static double[] exact(Task task, LlaInputs inputs, long row) {
        AttentionShape s = task.shape();
        int d = s.headDim();
        int dv = s.valueDim();
        int i = (int) (row % s.queryLength());
        long head = row / s.queryLength();
        long kvHead = head / s.heads() * s.kvHeads() + head % s.heads() / s.group();
        int visible = s.visibleKeys(i, task.options().causal());
        double[] q = values(inputs.q(), row * d, d);
        double[] k = values(inputs.k(), kvHead * s.keyLength() * d, visible * d);
        double[] v = values(inputs.v(), kvHead * s.keyLength() * dv, visible * dv);

        double[] p = new double[visible];
        double max = Double.NEGATIVE_INFINITY;
        for (int j = 0; j < visible; j++) {
            p[j] = task.options().scaleFor(d) * dot(q, 0, k, j * d, d);
            max = Math.max(max, p[j]);
        }
        double total = 0;
        for (int j = 0; j < visible; j++) {
            p[j] = Math.exp(p[j] - max);
            total += p[j];
        }
        double[] kbar = new double[d];
        for (int j = 0; j < visible; j++) {
            p[j] /= total;
            for (int c = 0; c < d; c++) {
                kbar[c] += p[j] * k[j * d + c];
            }
        }
        DMatrixRMaj a = new DMatrixRMaj(d, d);
        double[] z = new double[d];
        for (int j = 0; j < visible; j++) {
            for (int c = 0; c < d; c++) {
                z[c] = k[j * d + c] - kbar[c];
            }
            for (int r = 0; r < d; r++) {
                for (int c = 0; c < d; c++) {
                    a.data[r * d + c] += p[j] * z[r] * z[c];
                }
            }
        }
        DMatrixRMaj b = new DMatrixRMaj(d, 1);
        for (int c = 0; c < d; c++) {
            a.data[c * d + c] += task.options().ridge();
            b.data[c] = kbar[c] - q[c];
        }
        var solver = LinearSolverFactory_DDRM.chol(d);
        DMatrixRMaj x = new DMatrixRMaj(d, 1);
        solver.setA(a);
        solver.solve(b, x);
        double[] o = new double[dv];
        double kbarX = CommonOps_DDRM.dot(new DMatrixRMaj(d, 1, true, kbar), x);
        for (int j = 0; j < visible; j++) {
            double weight = p[j] * (1 - (dot(x.data, 0, k, j * d, d) - kbarX));
            for (int c = 0; c < dv; c++) {
                o[c] += weight * v[j * dv + c];
            }
        }
        return o;
    }

    private static double[] values(Tensor tensor, long from, int count) {
        double[] values = new double[count];
        for (int i = 0; i < count; i++) {
            values[i] = tensor.get(from + i);
        }
        return values;
    }

    private static double dot(double[] a, int atA, double[] b, int atB, int count) {
        double sum = 0;
        for (int i = 0; i < count; i++) {
            sum += a[atA + i] * b[atB + i];
        }
        return sum;
    }
}
