package io.github.flashlla.jvm.block;

import static io.github.flashlla.jvm.block.BlockLoops.ROWS;
import static io.github.flashlla.jvm.block.VectorBlockLoops.LANES;
import static io.github.flashlla.jvm.block.VectorBlockLoops.SPECIES;
import static jdk.incubator.vector.FloatVector.fromArray;

import jdk.incubator.vector.FloatVector;

/**
 * Register tiles of the products of {@link VectorBlockLoops}: 4 rows by 2 vectors in locals (arrays of vectors would be heap objects).
 * Eight accumulators cover the latency of fused multiply-add and fit sixteen registers; 8 x 2 was no faster (docs/kernels/jvm.md).
 */
final class VectorTiles {

    private VectorTiles() {}

    /** 4 rows of the product by one panel of lanes; without weights p the bare product is stored, or added. */
    static void multiply(int dim, float[] a, int a0, int stride, float[] b, int lane,
            float[] p, int pStart, float offset, float sign, float[] centre, boolean add, float[] c, int cStart) {
        int a1 = a0 + stride;
        int a2 = a1 + stride;
        int a3 = a2 + stride;
        FloatVector c00 = FloatVector.zero(SPECIES);
        FloatVector c01 = c00;
        FloatVector c10 = c00;
        FloatVector c11 = c00;
        FloatVector c20 = c00;
        FloatVector c21 = c00;
        FloatVector c30 = c00;
        FloatVector c31 = c00;
        for (int d = 0; d < dim; d++) {
            FloatVector b0 = fromArray(SPECIES, b, d * ROWS + lane);
            FloatVector b1 = fromArray(SPECIES, b, d * ROWS + lane + LANES);
            FloatVector s = FloatVector.broadcast(SPECIES, a[a0 + d]);
            c00 = s.fma(b0, c00);
            c01 = s.fma(b1, c01);
            s = FloatVector.broadcast(SPECIES, a[a1 + d]);
            c10 = s.fma(b0, c10);
            c11 = s.fma(b1, c11);
            s = FloatVector.broadcast(SPECIES, a[a2 + d]);
            c20 = s.fma(b0, c20);
            c21 = s.fma(b1, c21);
            s = FloatVector.broadcast(SPECIES, a[a3 + d]);
            c30 = s.fma(b0, c30);
            c31 = s.fma(b1, c31);
        }
        if (p != null) {
            FloatVector f = FloatVector.broadcast(SPECIES, sign);
            FloatVector o = FloatVector.broadcast(SPECIES, offset);
            FloatVector t0 = fromArray(SPECIES, centre, lane);
            FloatVector t1 = fromArray(SPECIES, centre, lane + LANES);
            c00 = c00.sub(t0).fma(f, o).mul(fromArray(SPECIES, p, pStart));
            c01 = c01.sub(t1).fma(f, o).mul(fromArray(SPECIES, p, pStart + LANES));
            c10 = c10.sub(t0).fma(f, o).mul(fromArray(SPECIES, p, pStart + ROWS));
            c11 = c11.sub(t1).fma(f, o).mul(fromArray(SPECIES, p, pStart + ROWS + LANES));
            c20 = c20.sub(t0).fma(f, o).mul(fromArray(SPECIES, p, pStart + 2 * ROWS));
            c21 = c21.sub(t1).fma(f, o).mul(fromArray(SPECIES, p, pStart + 2 * ROWS + LANES));
            c30 = c30.sub(t0).fma(f, o).mul(fromArray(SPECIES, p, pStart + 3 * ROWS));
            c31 = c31.sub(t1).fma(f, o).mul(fromArray(SPECIES, p, pStart + 3 * ROWS + LANES));
        } else if (add) {
            c00 = c00.add(fromArray(SPECIES, c, cStart));
            c01 = c01.add(fromArray(SPECIES, c, cStart + LANES));
            c10 = c10.add(fromArray(SPECIES, c, cStart + ROWS));
            c11 = c11.add(fromArray(SPECIES, c, cStart + ROWS + LANES));
            c20 = c20.add(fromArray(SPECIES, c, cStart + 2 * ROWS));
            c21 = c21.add(fromArray(SPECIES, c, cStart + 2 * ROWS + LANES));
            c30 = c30.add(fromArray(SPECIES, c, cStart + 3 * ROWS));
            c31 = c31.add(fromArray(SPECIES, c, cStart + 3 * ROWS + LANES));
        }
        c00.intoArray(c, cStart);
        c01.intoArray(c, cStart + LANES);
        c10.intoArray(c, cStart + ROWS);
        c11.intoArray(c, cStart + ROWS + LANES);
        c20.intoArray(c, cStart + 2 * ROWS);
        c21.intoArray(c, cStart + 2 * ROWS + LANES);
        c30.intoArray(c, cStart + 3 * ROWS);
        c31.intoArray(c, cStart + 3 * ROWS + LANES);
    }

    /** 4 dims of the weighted sum by one panel of lanes. */
    static void accumulate(int m, float[] a, int a0, int stride, float[] w, int wStart, float[] c, int cStart) {
        FloatVector c00 = FloatVector.zero(SPECIES);
        FloatVector c01 = c00;
        FloatVector c10 = c00;
        FloatVector c11 = c00;
        FloatVector c20 = c00;
        FloatVector c21 = c00;
        FloatVector c30 = c00;
        FloatVector c31 = c00;
        int at = a0; // a running index, not a0 + i * stride: C2 drops range checks of neighbours only for constant steps
        for (int i = 0; i < m; i++) {
            FloatVector w0 = fromArray(SPECIES, w, wStart + i * ROWS);
            FloatVector w1 = fromArray(SPECIES, w, wStart + i * ROWS + LANES);
            FloatVector s = FloatVector.broadcast(SPECIES, a[at]);
            c00 = s.fma(w0, c00);
            c01 = s.fma(w1, c01);
            s = FloatVector.broadcast(SPECIES, a[at + 1]);
            c10 = s.fma(w0, c10);
            c11 = s.fma(w1, c11);
            s = FloatVector.broadcast(SPECIES, a[at + 2]);
            c20 = s.fma(w0, c20);
            c21 = s.fma(w1, c21);
            s = FloatVector.broadcast(SPECIES, a[at + 3]);
            c30 = s.fma(w0, c30);
            c31 = s.fma(w1, c31);
            at += stride;
        }
        fromArray(SPECIES, c, cStart).add(c00).intoArray(c, cStart);
        fromArray(SPECIES, c, cStart + LANES).add(c01).intoArray(c, cStart + LANES);
        fromArray(SPECIES, c, cStart + ROWS).add(c10).intoArray(c, cStart + ROWS);
        fromArray(SPECIES, c, cStart + ROWS + LANES).add(c11).intoArray(c, cStart + ROWS + LANES);
        fromArray(SPECIES, c, cStart + 2 * ROWS).add(c20).intoArray(c, cStart + 2 * ROWS);
        fromArray(SPECIES, c, cStart + 2 * ROWS + LANES).add(c21).intoArray(c, cStart + 2 * ROWS + LANES);
        fromArray(SPECIES, c, cStart + 3 * ROWS).add(c30).intoArray(c, cStart + 3 * ROWS);
        fromArray(SPECIES, c, cStart + 3 * ROWS + LANES).add(c31).intoArray(c, cStart + 3 * ROWS + LANES);
    }
}
