package io.github.flashlla.jvm;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;

/** {@link DecodeKernels} in plain loops, for JVMs started without the Vector API's module. */
final class DecodeScalarKernels implements DecodeKernels {

    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    @Override
    public void dots(int dim, MemorySegment k, long at, float[] c, float[] x, float[] dots) {
        Arrays.fill(dots, 0, TILE, 0);
        for (int d = 0; d < dim; d++) {
            for (int j = 0; j < TILE; j++) {
                dots[j] += (k.get(FLOAT, at + ((long) d * TILE + j) * Float.BYTES) - c[d]) * x[d];
            }
        }
    }

    @Override
    public void accumulate(int dim, MemorySegment k, long at, float[] c, float[] coefficient, float[] lanes) {
        for (int d = 0; d < dim; d++) {
            float sum = 0;
            for (int j = 0; j < TILE; j++) {
                sum += coefficient[j] * (k.get(FLOAT, at + ((long) d * TILE + j) * Float.BYTES) - c[d]);
            }
            lanes[d * PAD] += sum;
        }
    }

    @Override
    public void widen(int count, MemorySegment half, long at, MemorySegment single) {
        for (int i = 0; i < count; i++) {
            float value = Float.float16ToFloat(half.get(SHORT, at + (long) i * Short.BYTES));
            single.set(FLOAT, (long) i * Float.BYTES, value);
        }
    }

    @Override
    public float max(int n, float[] values) {
        float max = values[0];
        for (int j = 1; j < n; j++) {
            max = Math.max(max, values[j]);
        }
        return max;
    }

    @Override
    public float exponentials(int n, float[] scores, int from, float max, float factor, float[] out) {
        float sum = 0;
        for (int j = from; j < from + n; j++) {
            out[j] = (float) Math.exp(factor * (scores[j] - max));
            sum += out[j];
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
