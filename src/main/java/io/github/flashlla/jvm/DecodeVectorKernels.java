package io.github.flashlla.jvm;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** {@link DecodeKernels} on the Vector API. Load this class only where the module {@code jdk.incubator.vector} is present. */
final class DecodeVectorKernels implements DecodeKernels {

    private static final VectorSpecies<Float> SPECIES =
            FloatVector.SPECIES_PREFERRED.vectorBitSize() > 512 ? FloatVector.SPECIES_512 : FloatVector.SPECIES_PREFERRED;
    private static final int LANES = SPECIES.length();

    @Override
    public void scores(int n, int dim, float[] k, float[] q, float[] scores) {
        int j = 0;
        for (; j + 4 <= n; j += 4) {
            FloatVector s0 = FloatVector.zero(SPECIES);
            FloatVector s1 = s0;
            FloatVector s2 = s0;
            FloatVector s3 = s0;
            int at0 = j * dim;
            int at1 = at0 + dim;
            int at2 = at1 + dim;
            int at3 = at2 + dim;
            for (int d = 0; d < dim; d += LANES) {
                FloatVector x = FloatVector.fromArray(SPECIES, q, d);
                s0 = FloatVector.fromArray(SPECIES, k, at0 + d).fma(x, s0);
                s1 = FloatVector.fromArray(SPECIES, k, at1 + d).fma(x, s1);
                s2 = FloatVector.fromArray(SPECIES, k, at2 + d).fma(x, s2);
                s3 = FloatVector.fromArray(SPECIES, k, at3 + d).fma(x, s3);
            }
            scores[j] = s0.reduceLanes(VectorOperators.ADD);
            scores[j + 1] = s1.reduceLanes(VectorOperators.ADD);
            scores[j + 2] = s2.reduceLanes(VectorOperators.ADD);
            scores[j + 3] = s3.reduceLanes(VectorOperators.ADD);
        }
        for (; j < n; j++) {
            FloatVector s = FloatVector.zero(SPECIES);
            for (int d = 0; d < dim; d += LANES) {
                s = FloatVector.fromArray(SPECIES, k, j * dim + d).fma(FloatVector.fromArray(SPECIES, q, d), s);
            }
            scores[j] = s.reduceLanes(VectorOperators.ADD);
        }
    }

    @Override
    public void centredDots(int n, int dim, float[] k, float[] c, float[] x, float[] dots) {
        int j = 0;
        for (; j + 4 <= n; j += 4) {
            FloatVector s0 = FloatVector.zero(SPECIES);
            FloatVector s1 = s0;
            FloatVector s2 = s0;
            FloatVector s3 = s0;
            int at0 = j * dim;
            int at1 = at0 + dim;
            int at2 = at1 + dim;
            int at3 = at2 + dim;
            for (int d = 0; d < dim; d += LANES) {
                FloatVector y = FloatVector.fromArray(SPECIES, x, d);
                FloatVector centre = FloatVector.fromArray(SPECIES, c, d);
                s0 = FloatVector.fromArray(SPECIES, k, at0 + d).sub(centre).fma(y, s0);
                s1 = FloatVector.fromArray(SPECIES, k, at1 + d).sub(centre).fma(y, s1);
                s2 = FloatVector.fromArray(SPECIES, k, at2 + d).sub(centre).fma(y, s2);
                s3 = FloatVector.fromArray(SPECIES, k, at3 + d).sub(centre).fma(y, s3);
            }
            dots[j] = s0.reduceLanes(VectorOperators.ADD);
            dots[j + 1] = s1.reduceLanes(VectorOperators.ADD);
            dots[j + 2] = s2.reduceLanes(VectorOperators.ADD);
            dots[j + 3] = s3.reduceLanes(VectorOperators.ADD);
        }
        for (; j < n; j++) {
            FloatVector s = FloatVector.zero(SPECIES);
            for (int d = 0; d < dim; d += LANES) {
                FloatVector centre = FloatVector.fromArray(SPECIES, c, d);
                s = FloatVector.fromArray(SPECIES, k, j * dim + d).sub(centre)
                        .fma(FloatVector.fromArray(SPECIES, x, d), s);
            }
            dots[j] = s.reduceLanes(VectorOperators.ADD);
        }
    }

    @Override
    public void exponentials(int n, float[] scores, float max, float factor, float[] out) {
        for (int j = 0; j < n; j += LANES) {
            VectorExp.exp(FloatVector.fromArray(SPECIES, scores, j).sub(max).mul(factor)).intoArray(out, j);
        }
    }

    @Override
    public void centre(int n, int dim, float[] k, float[] c, float[] root, float[] z, float[] sum) {
        for (int d = 0; d < dim; d += LANES) {
            FloatVector centre = FloatVector.fromArray(SPECIES, c, d);
            FloatVector total = FloatVector.zero(SPECIES);
            int at = d;
            for (int j = 0; j < n; j++) {
                FloatVector r = FloatVector.broadcast(SPECIES, root[j]);
                FloatVector centred = FloatVector.fromArray(SPECIES, k, at).sub(centre).mul(r);
                centred.intoArray(z, at);
                total = centred.fma(r, total);
                at += dim;
            }
            add(total, sum, d);
        }
    }

    @Override
    public void scaleRows(int n, int dim, float[] v, float[] root, float[] out, float[] sum) {
        for (int d = 0; d < dim; d += LANES) {
            FloatVector total = FloatVector.zero(SPECIES);
            int at = d;
            for (int j = 0; j < n; j++) {
                FloatVector r = FloatVector.broadcast(SPECIES, root[j]);
                FloatVector scaled = FloatVector.fromArray(SPECIES, v, at).mul(r);
                scaled.intoArray(out, at);
                total = scaled.fma(r, total);
                at += dim;
            }
            add(total, sum, d);
        }
    }

    @Override
    public void gram(int n, int dim, float[] z, float[] g) {
        for (int a = 0; a < dim; a += LANES) { // columns from a on: a block of rows skips what lies below the diagonal
            rowBlock(n, a, dim, z, a, dim, z, g);
        }
    }

    @Override
    public void product(int n, int dim, float[] z, int valueDim, float[] v, float[] g) {
        for (int a = 0; a < dim; a += LANES) {
            rowBlock(n, a, dim, z, 0, valueDim, v, g);
        }
    }

    /** LANES rows of g from row {@code a}, columns {@code from} on. */
    private static void rowBlock(int n, int a, int dim, float[] z, int from, int width, float[] v, float[] g) {
        int e = from;
        for (; e + 2 * LANES <= width; e += 2 * LANES) {
            for (int row = a; row < a + LANES; row += 4) {
                tile4x2(n, row, dim, z, e, width, v, g);
            }
        }
        if (e < width) {
            for (int row = a; row < a + LANES; row += 4) {
                tile4x1(n, row, dim, z, e, width, v, g);
            }
        }
    }

    private static void tile4x2(int n, int a, int dim, float[] z, int e, int width, float[] v, float[] g) {
        int g0 = a * width + e;
        int g1 = g0 + width;
        int g2 = g1 + width;
        int g3 = g2 + width;
        FloatVector c00 = FloatVector.zero(SPECIES);
        FloatVector c01 = FloatVector.zero(SPECIES);
        FloatVector c10 = FloatVector.zero(SPECIES);
        FloatVector c11 = FloatVector.zero(SPECIES);
        FloatVector c20 = FloatVector.zero(SPECIES);
        FloatVector c21 = FloatVector.zero(SPECIES);
        FloatVector c30 = FloatVector.zero(SPECIES);
        FloatVector c31 = FloatVector.zero(SPECIES);
        int at = a;
        int vat = e;
        for (int j = 0; j < n; j++) {
            FloatVector v0 = FloatVector.fromArray(SPECIES, v, vat);
            FloatVector v1 = FloatVector.fromArray(SPECIES, v, vat + LANES);
            FloatVector s = FloatVector.broadcast(SPECIES, z[at]);
            c00 = s.fma(v0, c00);
            c01 = s.fma(v1, c01);
            s = FloatVector.broadcast(SPECIES, z[at + 1]);
            c10 = s.fma(v0, c10);
            c11 = s.fma(v1, c11);
            s = FloatVector.broadcast(SPECIES, z[at + 2]);
            c20 = s.fma(v0, c20);
            c21 = s.fma(v1, c21);
            s = FloatVector.broadcast(SPECIES, z[at + 3]);
            c30 = s.fma(v0, c30);
            c31 = s.fma(v1, c31);
            at += dim;
            vat += width;
        }
        add(c00, g, g0);
        add(c01, g, g0 + LANES);
        add(c10, g, g1);
        add(c11, g, g1 + LANES);
        add(c20, g, g2);
        add(c21, g, g2 + LANES);
        add(c30, g, g3);
        add(c31, g, g3 + LANES);
    }

    private static void tile4x1(int n, int a, int dim, float[] z, int e, int width, float[] v, float[] g) {
        int g0 = a * width + e;
        int g1 = g0 + width;
        int g2 = g1 + width;
        int g3 = g2 + width;
        FloatVector c0 = FloatVector.zero(SPECIES);
        FloatVector c1 = FloatVector.zero(SPECIES);
        FloatVector c2 = FloatVector.zero(SPECIES);
        FloatVector c3 = FloatVector.zero(SPECIES);
        int at = a;
        int vat = e;
        for (int j = 0; j < n; j++) {
            FloatVector v0 = FloatVector.fromArray(SPECIES, v, vat);
            c0 = FloatVector.broadcast(SPECIES, z[at]).fma(v0, c0);
            c1 = FloatVector.broadcast(SPECIES, z[at + 1]).fma(v0, c1);
            c2 = FloatVector.broadcast(SPECIES, z[at + 2]).fma(v0, c2);
            c3 = FloatVector.broadcast(SPECIES, z[at + 3]).fma(v0, c3);
            at += dim;
            vat += width;
        }
        add(c0, g, g0);
        add(c1, g, g1);
        add(c2, g, g2);
        add(c3, g, g3);
    }

    /** Sums over a tile start from 0 and are added once, so that rounding grows with the number of tiles, not of keys. */
    private static void add(FloatVector part, float[] sum, int at) {
        FloatVector.fromArray(SPECIES, sum, at).add(part).intoArray(sum, at);
    }

    @Override
    public void accumulate(int n, int dim, float[] v, float[] coefficient, float[] sum) {
        for (int d = 0; d < dim; d += LANES) {
            FloatVector even = FloatVector.zero(SPECIES);
            FloatVector odd = FloatVector.zero(SPECIES);
            int at = d;
            int j = 0;
            for (; j + 2 <= n; j += 2) {
                even = FloatVector.fromArray(SPECIES, v, at).fma(FloatVector.broadcast(SPECIES, coefficient[j]), even);
                odd = FloatVector.fromArray(SPECIES, v, at + dim)
                        .fma(FloatVector.broadcast(SPECIES, coefficient[j + 1]), odd);
                at += 2 * dim;
            }
            if (j < n) {
                even = FloatVector.fromArray(SPECIES, v, at).fma(FloatVector.broadcast(SPECIES, coefficient[j]), even);
            }
            add(even.add(odd), sum, d);
        }
    }

    @Override
    public void accumulateCentred(int n, int dim, float[] k, float[] c, float[] coefficient, float[] sum) {
        for (int d = 0; d < dim; d += LANES) {
            FloatVector centre = FloatVector.fromArray(SPECIES, c, d);
            FloatVector even = FloatVector.zero(SPECIES);
            FloatVector odd = FloatVector.zero(SPECIES);
            int at = d;
            int j = 0;
            for (; j + 2 <= n; j += 2) {
                even = FloatVector.fromArray(SPECIES, k, at).sub(centre)
                        .fma(FloatVector.broadcast(SPECIES, coefficient[j]), even);
                odd = FloatVector.fromArray(SPECIES, k, at + dim).sub(centre)
                        .fma(FloatVector.broadcast(SPECIES, coefficient[j + 1]), odd);
                at += 2 * dim;
            }
            if (j < n) {
                even = FloatVector.fromArray(SPECIES, k, at).sub(centre)
                        .fma(FloatVector.broadcast(SPECIES, coefficient[j]), even);
            }
            add(even.add(odd), sum, d);
        }
    }
}
