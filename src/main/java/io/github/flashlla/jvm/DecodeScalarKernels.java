package io.github.flashlla.jvm;

/** {@link DecodeKernels} in plain loops, for JVMs started without the Vector API's module. */
final class DecodeScalarKernels implements DecodeKernels {

    @Override
    public void scores(int n, int dim, float[] k, float[] q, float[] scores) {
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int d = 0; d < dim; d++) {
                sum += k[j * dim + d] * q[d];
            }
            scores[j] = sum;
        }
    }

    @Override
    public void centredDots(int n, int dim, float[] k, float[] c, float[] x, float[] dots) {
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int d = 0; d < dim; d++) {
                sum += (k[j * dim + d] - c[d]) * x[d];
            }
            dots[j] = sum;
        }
    }

    @Override
    public void exponentials(int n, float[] scores, float max, float factor, float[] out) {
        for (int j = 0; j < n; j++) {
            out[j] = (float) Math.exp(factor * (scores[j] - max));
        }
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

    @Override
    public void accumulate(int n, int dim, float[] v, float[] coefficient, float[] sum) {
        for (int j = 0; j < n; j++) {
            for (int d = 0; d < dim; d++) {
                sum[d] += coefficient[j] * v[j * dim + d];
            }
        }
    }

    @Override
    public void accumulateCentred(int n, int dim, float[] k, float[] c, float[] coefficient, float[] sum) {
        for (int j = 0; j < n; j++) {
            for (int d = 0; d < dim; d++) {
                sum[d] += coefficient[j] * (k[j * dim + d] - c[d]);
            }
        }
    }
}
