package io.github.flashlla.verify;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * How many iterations conjugate gradients take in exact arithmetic, as nearly as float64 has it: with A formed, and every
 * residual made orthogonal to all before it. (Without that, float64 too takes up to five more where ridges are small.)
 */
public final class ExactIterations {
    private final AttentionShape shape;
    private final LlaOptions options;
    private final double[] q;
    private final double[] k;
    private final double[] ridge;
    private final boolean alongQuery;

    /** @param alongQuery whether the solve starts with the step along q, which takes no iteration, and keeps directions conjugate to it */
    public ExactIterations(LlaInputs inputs, LlaOptions options, boolean alongQuery) {
        this.alongQuery = alongQuery;
        this.shape = inputs.shape();
        this.options = options;
        this.q = inputs.q().toDoubleArray();
        this.k = inputs.k().toDoubleArray();
        this.ridge = inputs.ridge() == null ? null : inputs.ridge().toDoubleArray();
    }

    /** @param row position of the query in (B,H,Sq), row-major */
    public int of(int row) {
        int keys = shape.visibleKeys(row % shape.queryLength(), options.causal());
        if (keys <= 1) {
            return 0;
        }
        int dim = shape.headDim();
        int firstKey = row / shape.queryLength() / shape.group() * shape.keyLength();
        double[] query = Arrays.copyOfRange(q, row * dim, (row + 1) * dim);
        double[][] z = new double[keys][];
        double[] p = new double[keys];
        double max = Double.NEGATIVE_INFINITY;
        for (int j = 0; j < keys; j++) {
            z[j] = Arrays.copyOfRange(k, (firstKey + j) * dim, (firstKey + j + 1) * dim);
            p[j] = options.scaleFor(dim) * dot(query, z[j]);
            max = Math.max(max, p[j]);
        }
        double total = 0;
        double[] kbar = new double[dim];
        for (int j = 0; j < keys; j++) {
            p[j] = Math.exp(p[j] - max);
            total += p[j];
            add(kbar, p[j], z[j]);
        }
        double[] r = new double[dim];
        add(r, -1, query);
        add(r, 1 / total, kbar);
        double[][] a = new double[dim][dim];
        for (int j = 0; j < keys; j++) {
            add(z[j], -1 / total, kbar);
            for (int d = 0; d < dim; d++) {
                add(a[d], p[j] / total * z[j][d], z[j]);
            }
        }
        for (int d = 0; d < dim; d++) {
            a[d][d] += ridge == null ? options.ridge() : ridge[row];
        }
        return solve(a, r, alongQuery && dot(query, query) > 0 ? query : null);
    }

    /** @param first direction to start with, or null */
    private int solve(double[][] a, double[] r, double[] first) {
        double end = options.tolerance() * options.tolerance() * dot(r, r);
        List<double[]> earlier = new ArrayList<>();
        double[] ofFirst = new double[r.length];
        if (first != null) {
            for (int d = 0; d < r.length; d++) {
                ofFirst[d] = dot(a[d], first);
            }
            add(r, -dot(first, r) / dot(first, ofFirst), ofFirst);
        }
        double[] y = r.clone();
        conjugate(y, first, ofFirst);
        double[] ay = new double[r.length];
        while (dot(r, r) > end) {
            double rr = dot(r, r);
            earlier.add(r.clone());
            for (int d = 0; d < r.length; d++) {
                ay[d] = dot(a[d], y);
            }
            add(r, -rr / dot(y, ay), ay);
            for (double[] before : earlier) {
                add(r, -dot(before, r) / dot(before, before), before);
            }
            double turn = dot(r, r) / rr;
            for (int d = 0; d < r.length; d++) {
                y[d] = r[d] + turn * y[d];
            }
            conjugate(y, first, ofFirst);
        }
        return earlier.size();
    }

    private static void conjugate(double[] y, double[] first, double[] ofFirst) {
        if (first != null) {
            add(y, -dot(y, ofFirst) / dot(first, ofFirst), first);
        }
    }

    private static double dot(double[] a, double[] b) {
        double sum = 0;
        for (int d = 0; d < a.length; d++) {
            sum += a[d] * b[d];
        }
        return sum;
    }

    private static void add(double[] a, double factor, double[] b) {
        for (int d = 0; d < a.length; d++) {
            a[d] += factor * b[d];
        }
    }
}
