package io.github.flashlla.jvm.decode;

import static io.github.flashlla.jvm.decode.DecodeLoops.PAD;

import io.github.flashlla.DecodeMethod;
import java.util.Arrays;

/**
 * Weighted sums over a slice of the cache for one query: omega = sum w, sum w z and what the method needs beyond them, with
 * w = e^(score - max) and z = k - c.
 *
 * <p>The reference (max, c) is a heavy key and its score. It moves to any key whose weight is e^{@value #LEAP} times
 * larger. Weights therefore neither overflow nor vanish, and where few keys carry the weight the mean of z is small: A =
 * sum w z z^T / omega - zbar zbar^T cancels no large numbers, as it would about the origin (scores of 1e4 at ridge 1e-3).
 */
final class MomentSums {

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
    /** sum w t and sum w t z with t = score - max, the log of w and scale times q.z; tz is null where it is not wanted. */
    double t;
    final float[] tz;
    /** Parts of z and tz by lane, added by {@link #settle}. */
    final float[] zLanes;
    final float[] tzLanes;
    private final float[] step;

    /** @param dim padded D */
    MomentSums(DecodeMethod method, int dim, int valueDim) {
        boolean values = method == DecodeMethod.MOMENTS;
        boolean iterates = method == DecodeMethod.MATRIX_FREE;
        this.dim = dim;
        this.valueDim = valueDim;
        this.c = new float[dim];
        this.z = new float[dim];
        this.step = new float[dim];
        this.zz = iterates ? null : new float[dim * dim];
        this.v = values ? new float[valueDim] : null;
        this.zv = values ? new float[dim * valueDim] : null;
        this.tz = iterates ? new float[dim] : null;
        this.zLanes = iterates ? new float[dim * PAD] : null;
        this.tzLanes = iterates ? new float[dim * PAD] : null;
    }

    long bytes() {
        long floats = 0;
        for (float[] sum : new float[][] {c, z, step, zz, v, zv, tz, zLanes, tzLanes}) {
            floats += sum == null ? 0 : sum.length;
        }
        return Float.BYTES * floats;
    }

    void clear() {
        max = Float.NEGATIVE_INFINITY;
        omega = 0;
        t = 0;
        for (float[] sum : new float[][] {c, z, zz, v, zv, tz, zLanes, tzLanes}) {
            if (sum != null) {
                Arrays.fill(sum, 0);
            }
        }
    }

    /** Makes z and tz complete. */
    void settle() {
        if (tz != null) {
            DecodeLoops.addLanes(dim, zLanes, z);
            DecodeLoops.addLanes(dim, tzLanes, tz);
            Arrays.fill(zLanes, 0);
            Arrays.fill(tzLanes, 0);
        }
    }

    /** Moves the reference to a key with this score. */
    void moveTo(float score, float[] key) {
        if (omega > 0) {
            settle();
            double rise = (double) score - max;
            double factor = Math.exp(-rise);
            for (int d = 0; d < dim; d++) {
                step[d] = key[d] - c[d];
            }
            shift(rise);
            scale((float) factor);
            omega *= factor;
            t *= factor;
        }
        max = score;
        System.arraycopy(key, 0, c, 0, dim);
    }

    /** z becomes z - step and t becomes t - rise in every sum. */
    private void shift(double rise) {
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
        double newT = t - rise * omega;
        for (int a = 0; a < dim; a++) {
            if (tz != null) {
                tz[a] = (float) (tz[a] - rise * z[a] - newT * step[a]);
            }
            z[a] -= total * step[a];
        }
        t = newT;
    }

    private void scale(float factor) {
        for (float[] sum : new float[][] {z, zz, v, zv, tz}) {
            if (sum != null) {
                for (int i = 0; i < sum.length; i++) {
                    sum[i] *= factor;
                }
            }
        }
    }

    /** Adds the sums of another slice, whose reference may move. */
    void merge(MomentSums other) {
        if (other.omega == 0) {
            return;
        }
        if (other.max > max) {
            moveTo(other.max, other.c);
        } else {
            other.moveTo(max, c);
        }
        settle();
        other.settle();
        omega += other.omega;
        t += other.t;
        add(z, other.z);
        add(zz, other.zz);
        add(v, other.v);
        add(zv, other.zv);
        add(tz, other.tz);
    }

    private static void add(float[] sum, float[] other) {
        if (sum != null) {
            for (int i = 0; i < sum.length; i++) {
                sum[i] += other[i];
            }
        }
    }
}
