package io.github.flashlla.jvm.decode;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;

/** {@link DecodeLoops} in plain loops, for JVMs started without the Vector API's module. */
public final class ScalarDecodeLoops implements DecodeLoops {

    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    @Override
    public void dots(int dim, MemorySegment k, long at, float[] c, float[] x, float[] dots, int from) {
        Arrays.fill(dots, from, from + TILE, 0);
        for (int d = 0; d < dim; d++) {
            for (int j = 0; j < TILE; j++) {
                dots[from + j] += (element(k, at, d, j) - c[d]) * x[d];
            }
        }
    }

    @Override
    public void accumulate(int dim, MemorySegment k, long at, float[] c, float[] coefficient, float[] lanes) {
        for (int d = 0; d < dim; d++) {
            float sum = 0;
            for (int j = 0; j < TILE; j++) {
                sum += coefficient[j] * (element(k, at, d, j) - c[d]);
            }
            lanes[d * PAD] += sum;
        }
    }

    @Override
    public void accumulate(int dim, MemorySegment k, long at, float[] c, float[] a, float[] b, float[] aLanes, float[] bLanes) {
        accumulate(dim, k, at, c, a, aLanes);
        accumulate(dim, k, at, c, b, bLanes);
    }

    private static float element(MemorySegment k, long at, int d, int j) {
        return k.get(FLOAT, at + ((long) d * TILE + j) * Float.BYTES);
    }

    @Override
    public void widen(int dim, MemorySegment half, long at, MemorySegment single) {
        for (int d = 0; d < dim; d++) {
            for (int j = 0; j < TILE; j++) {
                short bits = half.get(SHORT, at + ((long) d * TILE + DecodeLoops.halfPosition(j)) * Short.BYTES);
                single.set(FLOAT, ((long) d * TILE + j) * Float.BYTES, Float.float16ToFloat(bits));
            }
        }
    }

    @Override
    public float max(float[] values, int from) {
        float max = values[from];
        for (int j = from + 1; j < from + TILE; j++) {
            max = Math.max(max, values[j]);
        }
        return max;
    }

    @Override
    public float weigh(float[] w, int from, float factor, float[] x, float shift, float[] out) {
        float sum = 0;
        for (int j = 0; j < TILE; j++) {
            out[j] = factor * w[from + j] * (x[from + j] - shift);
            sum += out[j];
        }
        return sum;
    }

    @Override
    public void scale(float[] x, int from, float step, float shift, float[] out) {
        for (int j = from; j < from + TILE; j++) {
            out[j] = step * (x[j] - shift);
        }
    }

    @Override
    public void addScaled(float[] x, int from, float step, float[] out) {
        for (int j = from; j < from + TILE; j++) {
            out[j] += step * x[j];
        }
    }

    @Override
    public float exponentials(int n, float[] scores, int from, float max, float factor, float[] out, int to) {
        float sum = 0;
        for (int j = 0; j < n; j++) {
            out[to + j] = (float) Math.exp(factor * (scores[from + j] - max));
            sum += out[to + j];
        }
        return sum;
    }

    @Override
    public void centre(int n, int dim, float[] k, float[] c, float[] root, float[] z, float[] sum) {
        for (int j = 0; j < n; j++) {
            for (int d = 0; d < dim; d++) {
                float centred = root[j] * (k[j * dim + d] - c[d]);
                z[j * dim + d] = centred;
                sum[d] += root[j] * centred;
            }
        }
    }

    @Override
    public void scaleRows(int n, int dim, float[] v, float[] root, float[] out, float[] sum) {
        for (int j = 0; j < n; j++) {
            for (int d = 0; d < dim; d++) {
                float scaled = root[j] * v[j * dim + d];
                out[j * dim + d] = scaled;
                sum[d] += root[j] * scaled;
            }
        }
    }

    @Override
    public void gram(int n, int dim, float[] z, float[] g) {
        product(n, dim, z, dim, z, g);
    }

    @Override
    public void product(int n, int dim, float[] z, int valueDim, float[] v, float[] g) {
        for (int j = 0; j < n; j++) {
            for (int a = 0; a < dim; a++) {
                float factor = z[j * dim + a];
                for (int e = 0; e < valueDim; e++) {
                    g[a * valueDim + e] += factor * v[j * valueDim + e];
                }
            }
        }
    }
}
