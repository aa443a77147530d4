package io.github.flashlla.jvm;

import java.util.Arrays;

/**
 * Weighted moments of a slice of the cache for one query: omega = sum w, sum w z, and, where they are wanted, sum w z z^T,
 * sum w v and sum w z v^T, with w = e^(score - max) and z = k - c.
 *
 * <p>The reference (max, c) is a heavy key and its score, and moves when one is met whose weight is e^{@value #LEAP} times
 * larger. So weights neither overflow nor vanish, and where the weight sits on few keys the mean of z is small: A = sum w z
 * z^T / omega - zbar zbar^T cancels no large numbers, as it would about the origin (scores of 1e4 at ridge 1e-3).
 */
final class DecodeSums {

    /** Log of the weight that a key may have before it becomes the reference. */
    static final float LEAP = 2;

    final int dim;
    final int valueDim;
    float max;
    double omega;
    final float[] c;
    final float[] z;
    /** sum w z z^T, valid on and above the diagonal; null where it is not wanted. */
    final float[] zz;
    /** sum w v and sum w z v^T; null where they are not wanted. */
    final float[] v;
    final float[] zv;
    private final float[] step;

    DecodeSums(int dim, int valueDim, boolean covariance, boolean values) {
        this.dim = dim;
        this.valueDim = valueDim;
        this.c = new float[dim];
        this.z = new float[dim];
        this.step = new float[dim];
        this.zz = covariance ? new float[dim * dim] : null;
        this.v = values ? new float[valueDim] : null;
        this.zv = values ? new float[dim * valueDim] : null;
    }

    static long bytes(int dim, int valueDim, boolean covariance, boolean values) {
        return Float.BYTES * (3L * dim + (covariance ? dim * dim : 0) + (values ? valueDim + dim * valueDim : 0));
    }

    void clear() {
        max = Float.NEGATIVE_INFINITY;
        omega = 0;
        for (float[] sum : new float[][] {c, z, zz, v, zv}) {
            if (sum != null) {
                Arrays.fill(sum, 0);
            }
        }
    }

    /** Moves the reference to the key at {@code keys[at]} with this score. */
    void moveTo(float score, float[] keys, int at) {
        if (omega > 0) {
            double factor = Math.exp((double) max - score);
            double change = 0;
            for (int d = 0; d < dim; d++) {
                step[d] = keys[at + d] - c[d];
                change = Math.max(change, Math.abs(step[d]));
            }
            if (change > 0) {
                shift();
            }
            scale((float) factor);
            omega *= factor;
        }
        max = score;
        System.arraycopy(keys, at, c, 0, dim);
    }

    /** z becomes z - step in every sum. */
    private void shift() {
        float total = (float) omega;
        for (int a = 0; a < dim; a++) {
            if (zz != null) {
                for (int b = a; b < dim; b++) {
                    zz[a * dim + b] += total * step[a] * step[b] - step[a] * z[b] - z[a] * step[b];
                }
            }
            if (zv != null) {
                for (int e = 0; e < valueDim; e++) {
                    zv[a * valueDim + e] -= step[a] * v[e];
                }
            }
        }
        for (int a = 0; a < dim; a++) {
            z[a] -= total * step[a];
        }
    }

    private void scale(float factor) {
        for (float[] sum : new float[][] {z, zz, v, zv}) {
            if (sum != null) {
                for (int i = 0; i < sum.length; i++) {
                    sum[i] *= factor;
                }
            }
        }
    }

    /** Adds the moments of another slice, whose reference may move. */
    void merge(DecodeSums other) {
        if (other.omega == 0) {
            return;
        }
        if (other.max > max) {
            moveTo(other.max, other.c, 0);
        } else {
            other.moveTo(max, c, 0);
        }
        omega += other.omega;
        add(z, other.z);
        add(zz, other.zz);
        add(v, other.v);
        add(zv, other.zv);
    }

    private static void add(float[] sum, float[] other) {
        if (sum != null) {
            for (int i = 0; i < sum.length; i++) {
                sum[i] += other[i];
            }
        }
    }
}
