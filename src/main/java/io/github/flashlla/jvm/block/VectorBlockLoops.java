package io.github.flashlla.jvm.block;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * {@link BlockLoops} on the Vector API. Load this class only where the module {@code jdk.incubator.vector} is present.
 *
 * <p>Both products keep a register tile of 4 rows by 2 vectors in locals (arrays of vectors would be heap objects). Eight
 * accumulators cover the latency of fused multiply-add and fit sixteen registers; 8 x 2 was no faster
 * (docs/kernels/jvm.md).
 */
public final class VectorBlockLoops implements BlockLoops {

    private static final VectorSpecies<Float> SPECIES =
            FloatVector.SPECIES_PREFERRED.vectorBitSize() > 512 ? FloatVector.SPECIES_512 : FloatVector.SPECIES_PREFERRED;
    private static final int LANES = SPECIES.length();
    private static final int PANEL = 2 * LANES;
    /** exp of it is 0, and 0 times it is a number. */
    private static final float LOWEST = -1e3f;

    @Override
    public String description() {
        return "Vector API, " + SPECIES.vectorBitSize() + " bit";
    }

    @Override
    public void multiply(int m, int dim, float[] a, int aStart, int stride, float[] b, float[] c, int cStart) {
        for (int lane = 0; lane < ROWS; lane += PANEL) {
            for (int i = 0; i < m; i += UNROLL) {
                multiplyTile(dim, a, aStart + i * stride, stride, b, lane, null, 0, 0, 0, null, false,
                        c, cStart + i * ROWS + lane);
            }
        }
    }

    @Override
    public void multiplyAdd(int m, int dim, float[] a, int aStart, int stride, float[] b, float[] c, int cStart) {
        for (int lane = 0; lane < ROWS; lane += PANEL) {
            for (int i = 0; i < m; i += UNROLL) {
                multiplyTile(dim, a, aStart + i * stride, stride, b, lane, null, 0, 0, 0, null, true,
                        c, cStart + i * ROWS + lane);
            }
        }
    }

    @Override
    public void multiplyWeighted(int m, int dim, float[] a, int aStart, int stride, float[] b,
            float[] p, int pStart, float offset, float sign, float[] centre, float[] c, int cStart) {
        for (int lane = 0; lane < ROWS; lane += PANEL) {
            for (int i = 0; i < m; i += UNROLL) {
                multiplyTile(dim, a, aStart + i * stride, stride, b, lane, p, pStart + i * ROWS + lane, offset, sign, centre, false,
                        c, cStart + i * ROWS + lane);
            }
        }
    }

    @Override
    public void accumulate(int m, int dim, float[] a, int aStart, int stride, float[] w, int wStart, float[] c) {
        for (int lane = 0; lane < ROWS; lane += PANEL) {
            for (int d = 0; d < dim; d += UNROLL) {
                accumulateTile(m, a, aStart + d, stride, w, wStart + lane, c, d * ROWS + lane);
            }
        }
    }

    /** 4 rows of the product by one panel of lanes; without weights p the bare product is stored, or added. */
    private static void multiplyTile(int dim, float[] a, int a0, int stride, float[] b, int lane,
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
            FloatVector b0 = load(b, d * ROWS + lane);
            FloatVector b1 = load(b, d * ROWS + lane + LANES);
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
            FloatVector t0 = load(centre, lane);
            FloatVector t1 = load(centre, lane + LANES);
            c00 = c00.sub(t0).fma(f, o).mul(load(p, pStart));
            c01 = c01.sub(t1).fma(f, o).mul(load(p, pStart + LANES));
            c10 = c10.sub(t0).fma(f, o).mul(load(p, pStart + ROWS));
            c11 = c11.sub(t1).fma(f, o).mul(load(p, pStart + ROWS + LANES));
            c20 = c20.sub(t0).fma(f, o).mul(load(p, pStart + 2 * ROWS));
            c21 = c21.sub(t1).fma(f, o).mul(load(p, pStart + 2 * ROWS + LANES));
            c30 = c30.sub(t0).fma(f, o).mul(load(p, pStart + 3 * ROWS));
            c31 = c31.sub(t1).fma(f, o).mul(load(p, pStart + 3 * ROWS + LANES));
        } else if (add) {
            c00 = c00.add(load(c, cStart));
            c01 = c01.add(load(c, cStart + LANES));
            c10 = c10.add(load(c, cStart + ROWS));
            c11 = c11.add(load(c, cStart + ROWS + LANES));
            c20 = c20.add(load(c, cStart + 2 * ROWS));
            c21 = c21.add(load(c, cStart + 2 * ROWS + LANES));
            c30 = c30.add(load(c, cStart + 3 * ROWS));
            c31 = c31.add(load(c, cStart + 3 * ROWS + LANES));
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
    private static void accumulateTile(int m, float[] a, int a0, int stride, float[] w, int wStart, float[] c, int cStart) {
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
            FloatVector w0 = load(w, wStart + i * ROWS);
            FloatVector w1 = load(w, wStart + i * ROWS + LANES);
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
        load(c, cStart).add(c00).intoArray(c, cStart);
        load(c, cStart + LANES).add(c01).intoArray(c, cStart + LANES);
        load(c, cStart + ROWS).add(c10).intoArray(c, cStart + ROWS);
        load(c, cStart + ROWS + LANES).add(c11).intoArray(c, cStart + ROWS + LANES);
        load(c, cStart + 2 * ROWS).add(c20).intoArray(c, cStart + 2 * ROWS);
        load(c, cStart + 2 * ROWS + LANES).add(c21).intoArray(c, cStart + 2 * ROWS + LANES);
        load(c, cStart + 3 * ROWS).add(c30).intoArray(c, cStart + 3 * ROWS);
        load(c, cStart + 3 * ROWS + LANES).add(c31).intoArray(c, cStart + 3 * ROWS + LANES);
    }

    @Override
    public boolean softmaxStep(int m, float[] scores, int start, float[] max, float[] total, float[] rescale) {
        boolean rose = false;
        for (int lane = 0; lane < ROWS; lane += LANES) {
            rose |= softmaxLanes(m, scores, start + lane, max, total, rescale, lane);
        }
        return rose;
    }

    private static boolean softmaxLanes(int m, float[] scores, int start, float[] max, float[] total, float[] rescale,
            int lane) {
        FloatVector oldMax = load(max, lane);
        FloatVector newMax = oldMax;
        for (int i = 0; i < m; i++) {
            newMax = newMax.max(load(scores, start + i * ROWS));
        }
        FloatVector sum = FloatVector.zero(SPECIES);
        for (int i = 0; i < m; i++) {
            FloatVector e = VectorExp.exp(load(scores, start + i * ROWS).sub(newMax));
            e.intoArray(scores, start + i * ROWS);
            sum = sum.add(e);
        }
        FloatVector factor = VectorExp.exp(oldMax.sub(newMax));
        factor.intoArray(rescale, lane);
        load(total, lane).fma(factor, sum).intoArray(total, lane);
        newMax.intoArray(max, lane);
        return newMax.compare(VectorOperators.GT, oldMax).anyTrue();
    }

    @Override
    public boolean softmaxStep(int m, float[] scores, int start, float[] max, float[] total, float[] rescale, float[] drop,
            float[] weighted, float[] weightedTotal) {
        boolean rose = false;
        for (int lane = 0; lane < ROWS; lane += LANES) {
            rose |= slopeLanes(m, scores, start + lane, max, total, rescale, drop, weighted, weightedTotal, lane);
        }
        return rose;
    }

    private static boolean slopeLanes(int m, float[] scores, int start, float[] max, float[] total, float[] rescale, float[] drop,
            float[] weighted, float[] weightedTotal, int lane) {
        FloatVector oldMax = load(max, lane);
        FloatVector newMax = oldMax;
        for (int i = 0; i < m; i++) {
            newMax = newMax.max(load(scores, start + i * ROWS));
        }
        FloatVector sum = FloatVector.zero(SPECIES);
        FloatVector weightedSum = sum;
        for (int i = 0; i < m; i++) {
            FloatVector s = load(scores, start + i * ROWS).sub(newMax);
            FloatVector e = VectorExp.exp(s);
            FloatVector w = e.mul(s.max(LOWEST));
            e.intoArray(scores, start + i * ROWS);
            w.intoArray(weighted, lane + i * ROWS);
            sum = sum.add(e);
            weightedSum = weightedSum.add(w);
        }
        FloatVector lower = oldMax.sub(newMax).max(-Float.MAX_VALUE);
        FloatVector factor = VectorExp.exp(lower);
        FloatVector oldTotal = load(total, lane);
        factor.intoArray(rescale, lane);
        lower.intoArray(drop, lane);
        load(weightedTotal, lane).add(lower.mul(oldTotal)).fma(factor, weightedSum).intoArray(weightedTotal, lane);
        oldTotal.fma(factor, sum).intoArray(total, lane);
        newMax.intoArray(max, lane);
        return newMax.compare(VectorOperators.GT, oldMax).anyTrue();
    }

    @Override
    public void weights(int m, float[] scores, int start, float[] max, float[] factor, float[] sum) {
        for (int lane = 0; lane < ROWS; lane += LANES) {
            weightLanes(m, scores, start + lane, max, factor, sum, lane);
        }
    }

    private static void weightLanes(int m, float[] scores, int start, float[] max, float[] factor, float[] sum, int lane) {
        FloatVector added = FloatVector.zero(SPECIES);
        FloatVector top = load(max, lane);
        FloatVector f = load(factor, lane);
        for (int i = 0; i < m; i++) {
            FloatVector s = load(scores, start + i * ROWS);
            FloatVector p = VectorExp.exp(s.sub(top)).mul(f);
            p.intoArray(scores, start + i * ROWS);
            added = added.add(p);
        }
        load(sum, lane).add(added).intoArray(sum, lane);
    }

    @Override
    public void weigh(int m, float[] p, int pStart, float[] g, int gStart, float[] shift, float[] c, int cStart,
            float[] sum) {
        for (int lane = 0; lane < ROWS; lane += LANES) {
            weighLanes(m, p, pStart + lane, g, gStart + lane, shift, c, cStart + lane, sum, lane);
        }
    }

    private static void weighLanes(int m, float[] p, int pStart, float[] g, int gStart, float[] shift,
            float[] c, int cStart, float[] sum, int lane) {
        FloatVector t = load(shift, lane);
        FloatVector added = FloatVector.zero(SPECIES);
        for (int i = 0; i < m; i++) {
            FloatVector w = load(g, gStart + i * ROWS).add(t).mul(load(p, pStart + i * ROWS));
            w.intoArray(c, cStart + i * ROWS);
            added = added.add(w);
        }
        load(sum, lane).add(added).intoArray(sum, lane);
    }

    @Override
    public void keyGradients(int m, float[] s, float[] xk, float[] gu, float[] rows, int row) {
        for (int lane = 0; lane < ROWS; lane += LANES) {
            for (int i = 0; i < m; i++) {
                int r = (row + i) * ROW_SCALARS;
                int at = i * ROWS + lane;
                FloatVector p = VectorExp.exp(load(s, at).sub(rows[r + LSE])).mul(rows[r + FACTOR]);
                FloatVector pe = FloatVector.broadcast(SPECIES, rows[r + X_KBAR]).sub(load(xk, at)).add(1f).mul(p);
                FloatVector h = load(gu, at).add(rows[r + H_SHIFT]);
                pe.mul(h).sub(p.mul(rows[r + MU])).intoArray(s, at);
                pe.intoArray(xk, at);
                p.mul(h).neg().intoArray(gu, at);
            }
        }
    }

    @Override
    public void sum(int m, float[] a, int start, float[] sum) {
        for (int lane = 0; lane < ROWS; lane += PANEL) {
            sumPanel(start + m * ROWS, a, start, lane, sum);
        }
    }

    /** Eight sums, as in {@link #dotPanel}. */
    private static void sumPanel(int end, float[] a, int start, int lane, float[] sum) {
        FloatVector c00 = FloatVector.zero(SPECIES);
        FloatVector c01 = c00;
        FloatVector c10 = c00;
        FloatVector c11 = c00;
        FloatVector c20 = c00;
        FloatVector c21 = c00;
        FloatVector c30 = c00;
        FloatVector c31 = c00;
        for (int at = start + lane; at < end; at += UNROLL * ROWS) {
            c00 = c00.add(load(a, at));
            c01 = c01.add(load(a, at + LANES));
            c10 = c10.add(load(a, at + ROWS));
            c11 = c11.add(load(a, at + ROWS + LANES));
            c20 = c20.add(load(a, at + 2 * ROWS));
            c21 = c21.add(load(a, at + 2 * ROWS + LANES));
            c30 = c30.add(load(a, at + 3 * ROWS));
            c31 = c31.add(load(a, at + 3 * ROWS + LANES));
        }
        load(sum, lane).add(c00.add(c10).add(c20.add(c30))).intoArray(sum, lane);
        load(sum, lane + LANES).add(c01.add(c11).add(c21.add(c31))).intoArray(sum, lane + LANES);
    }

    @Override
    public void dot(int dim, float[] a, float[] b, float[] out) {
        for (int lane = 0; lane < ROWS; lane += PANEL) {
            FloatVector c0 = FloatVector.zero(SPECIES);
            FloatVector c1 = c0;
            for (int at = lane; at < dim * ROWS; at += ROWS) {
                c0 = load(a, at).fma(load(b, at), c0);
                c1 = load(a, at + LANES).fma(load(b, at + LANES), c1);
            }
            c0.intoArray(out, lane);
            c1.intoArray(out, lane + LANES);
        }
    }

    @Override
    public void dotInAnyOrder(int dim, float[] a, float[] b, float[] out) {
        for (int lane = 0; lane < ROWS; lane += PANEL) {
            dotPanel(dim * ROWS, a, b, lane, out);
        }
    }

    /** Eight sums, so that none waits for the one before; dims are a multiple of {@link #UNROLL}. */
    private static void dotPanel(int end, float[] a, float[] b, int lane, float[] out) {
        FloatVector c00 = FloatVector.zero(SPECIES);
        FloatVector c01 = c00;
        FloatVector c10 = c00;
        FloatVector c11 = c00;
        FloatVector c20 = c00;
        FloatVector c21 = c00;
        FloatVector c30 = c00;
        FloatVector c31 = c00;
        for (int at = lane; at < end; at += UNROLL * ROWS) {
            c00 = load(a, at).fma(load(b, at), c00);
            c01 = load(a, at + LANES).fma(load(b, at + LANES), c01);
            c10 = load(a, at + ROWS).fma(load(b, at + ROWS), c10);
            c11 = load(a, at + ROWS + LANES).fma(load(b, at + ROWS + LANES), c11);
            c20 = load(a, at + 2 * ROWS).fma(load(b, at + 2 * ROWS), c20);
            c21 = load(a, at + 2 * ROWS + LANES).fma(load(b, at + 2 * ROWS + LANES), c21);
            c30 = load(a, at + 3 * ROWS).fma(load(b, at + 3 * ROWS), c30);
            c31 = load(a, at + 3 * ROWS + LANES).fma(load(b, at + 3 * ROWS + LANES), c31);
        }
        c00.add(c10).add(c20.add(c30)).intoArray(out, lane);
        c01.add(c11).add(c21.add(c31)).intoArray(out, lane + LANES);
    }

    @Override
    public void scale(int m, float[] a, int start, float[] factor) {
        for (int lane = 0; lane < ROWS; lane += LANES) {
            FloatVector f = load(factor, lane);
            for (int i = 0; i < m; i++) {
                load(a, start + i * ROWS + lane).mul(f).intoArray(a, start + i * ROWS + lane);
            }
        }
    }

    @Override
    public void addScaled(int dim, float[] a, float[] factor, float[] b) {
        for (int lane = 0; lane < ROWS; lane += LANES) {
            FloatVector f = load(factor, lane);
            for (int d = 0; d < dim; d++) {
                f.fma(load(b, d * ROWS + lane), load(a, d * ROWS + lane)).intoArray(a, d * ROWS + lane);
            }
        }
    }

    @Override
    public void scaleAndAdd(int dim, float[] a, float[] factor, float[] b) {
        for (int lane = 0; lane < ROWS; lane += LANES) {
            FloatVector f = load(factor, lane);
            for (int d = 0; d < dim; d++) {
                f.fma(load(a, d * ROWS + lane), load(b, d * ROWS + lane)).intoArray(a, d * ROWS + lane);
            }
        }
    }

    private static FloatVector load(float[] a, int at) {
        return FloatVector.fromArray(SPECIES, a, at);
    }
}
