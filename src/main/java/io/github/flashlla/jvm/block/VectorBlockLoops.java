package io.github.flashlla.jvm.block;

import static jdk.incubator.vector.FloatVector.fromArray;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * {@link BlockLoops} on the Vector API. Load this class only where the module {@code jdk.incubator.vector} is present.
 *
 * <p>HotSpot stops inlining where a compilation has grown too large, and a vector that a call returns becomes an object: rows are read by
 * {@link FloatVector#fromArray} itself, which it always inlines, and not by a helper, which in some runs made whole solves slower.
 */
public final class VectorBlockLoops implements BlockLoops {

    static final VectorSpecies<Float> SPECIES =
            FloatVector.SPECIES_PREFERRED.vectorBitSize() > 512 ? FloatVector.SPECIES_512 : FloatVector.SPECIES_PREFERRED;
    static final int LANES = SPECIES.length();
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
                VectorTiles.multiply(dim, a, aStart + i * stride, stride, b, lane, null, 0, 0, 0, null, false,
                        c, cStart + i * ROWS + lane);
            }
        }
    }

    @Override
    public void multiplyAdd(int m, int dim, float[] a, int aStart, int stride, float[] b, float[] c, int cStart) {
        for (int lane = 0; lane < ROWS; lane += PANEL) {
            for (int i = 0; i < m; i += UNROLL) {
                VectorTiles.multiply(dim, a, aStart + i * stride, stride, b, lane, null, 0, 0, 0, null, true,
                        c, cStart + i * ROWS + lane);
            }
        }
    }

    @Override
    public void multiplyWeighted(int m, int dim, float[] a, int aStart, int stride, float[] b,
            float[] p, int pStart, float offset, float sign, float[] centre, float[] c, int cStart) {
        for (int lane = 0; lane < ROWS; lane += PANEL) {
            for (int i = 0; i < m; i += UNROLL) {
                VectorTiles.multiply(dim, a, aStart + i * stride, stride, b, lane, p, pStart + i * ROWS + lane, offset, sign, centre, false,
                        c, cStart + i * ROWS + lane);
            }
        }
    }

    @Override
    public void accumulate(int m, int dim, float[] a, int aStart, int stride, float[] w, int wStart, float[] c) {
        for (int lane = 0; lane < ROWS; lane += PANEL) {
            for (int d = 0; d < dim; d += UNROLL) {
                VectorTiles.accumulate(m, a, aStart + d, stride, w, wStart + lane, c, d * ROWS + lane);
            }
        }
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
        FloatVector oldMax = fromArray(SPECIES, max, lane);
        FloatVector even = oldMax; // compared and blended, for Vector.max takes five instructions to tell NaN and -0
        FloatVector odd = oldMax;
        for (int at = start; at < start + m * ROWS; at += 2 * ROWS) {
            FloatVector s0 = fromArray(SPECIES, scores, at);
            FloatVector s1 = fromArray(SPECIES, scores, at + ROWS);
            even = even.blend(s0, even.compare(VectorOperators.LT, s0));
            odd = odd.blend(s1, odd.compare(VectorOperators.LT, s1));
        }
        FloatVector newMax = even.blend(odd, even.compare(VectorOperators.LT, odd));
        FloatVector sum = FloatVector.zero(SPECIES);
        for (int i = 0; i < m; i++) {
            FloatVector e = VectorExp.exp(fromArray(SPECIES, scores, start + i * ROWS).sub(newMax));
            e.intoArray(scores, start + i * ROWS);
            sum = sum.add(e);
        }
        FloatVector factor = VectorExp.exp(oldMax.sub(newMax));
        factor.intoArray(rescale, lane);
        fromArray(SPECIES, total, lane).fma(factor, sum).intoArray(total, lane);
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
        FloatVector oldMax = fromArray(SPECIES, max, lane);
        FloatVector even = oldMax; // compared and blended, for Vector.max takes five instructions to tell NaN and -0
        FloatVector odd = oldMax;
        for (int at = start; at < start + m * ROWS; at += 2 * ROWS) {
            FloatVector s0 = fromArray(SPECIES, scores, at);
            FloatVector s1 = fromArray(SPECIES, scores, at + ROWS);
            even = even.blend(s0, even.compare(VectorOperators.LT, s0));
            odd = odd.blend(s1, odd.compare(VectorOperators.LT, s1));
        }
        FloatVector newMax = even.blend(odd, even.compare(VectorOperators.LT, odd));
        FloatVector sum = FloatVector.zero(SPECIES);
        FloatVector weightedSum = sum;
        for (int i = 0; i < m; i++) {
            FloatVector s = fromArray(SPECIES, scores, start + i * ROWS).sub(newMax);
            FloatVector e = VectorExp.exp(s);
            FloatVector w = e.mul(s.blend(LOWEST, s.compare(VectorOperators.LT, LOWEST)));
            e.intoArray(scores, start + i * ROWS);
            w.intoArray(weighted, lane + i * ROWS);
            sum = sum.add(e);
            weightedSum = weightedSum.add(w);
        }
        FloatVector lower = oldMax.sub(newMax).max(-Float.MAX_VALUE);
        FloatVector factor = VectorExp.exp(lower);
        FloatVector oldTotal = fromArray(SPECIES, total, lane);
        factor.intoArray(rescale, lane);
        lower.intoArray(drop, lane);
        fromArray(SPECIES, weightedTotal, lane).add(lower.mul(oldTotal)).fma(factor, weightedSum).intoArray(weightedTotal, lane);
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
        FloatVector top = fromArray(SPECIES, max, lane);
        FloatVector f = fromArray(SPECIES, factor, lane);
        for (int i = 0; i < m; i++) {
            FloatVector s = fromArray(SPECIES, scores, start + i * ROWS);
            FloatVector p = VectorExp.exp(s.sub(top)).mul(f);
            p.intoArray(scores, start + i * ROWS);
            added = added.add(p);
        }
        fromArray(SPECIES, sum, lane).add(added).intoArray(sum, lane);
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
        FloatVector t = fromArray(SPECIES, shift, lane);
        FloatVector added = FloatVector.zero(SPECIES);
        for (int i = 0; i < m; i++) {
            FloatVector w = fromArray(SPECIES, g, gStart + i * ROWS).add(t).mul(fromArray(SPECIES, p, pStart + i * ROWS));
            w.intoArray(c, cStart + i * ROWS);
            added = added.add(w);
        }
        fromArray(SPECIES, sum, lane).add(added).intoArray(sum, lane);
    }

    @Override
    public void keyGradients(int m, float[] s, float[] xk, float[] gu, float[] rows, int row) {
        for (int lane = 0; lane < ROWS; lane += LANES) {
            for (int i = 0; i < m; i++) {
                int r = (row + i) * ROW_SCALARS;
                int at = i * ROWS + lane;
                FloatVector p = VectorExp.exp(fromArray(SPECIES, s, at).sub(rows[r + LSE])).mul(rows[r + FACTOR]);
                FloatVector pe = FloatVector.broadcast(SPECIES, rows[r + X_KBAR]).sub(fromArray(SPECIES, xk, at)).add(1f).mul(p);
                FloatVector h = fromArray(SPECIES, gu, at).add(rows[r + H_SHIFT]);
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
            c00 = c00.add(fromArray(SPECIES, a, at));
            c01 = c01.add(fromArray(SPECIES, a, at + LANES));
            c10 = c10.add(fromArray(SPECIES, a, at + ROWS));
            c11 = c11.add(fromArray(SPECIES, a, at + ROWS + LANES));
            c20 = c20.add(fromArray(SPECIES, a, at + 2 * ROWS));
            c21 = c21.add(fromArray(SPECIES, a, at + 2 * ROWS + LANES));
            c30 = c30.add(fromArray(SPECIES, a, at + 3 * ROWS));
            c31 = c31.add(fromArray(SPECIES, a, at + 3 * ROWS + LANES));
        }
        fromArray(SPECIES, sum, lane).add(c00.add(c10).add(c20.add(c30))).intoArray(sum, lane);
        fromArray(SPECIES, sum, lane + LANES).add(c01.add(c11).add(c21.add(c31))).intoArray(sum, lane + LANES);
    }

    @Override
    public void dot(int dim, float[] a, float[] b, float[] out) {
        for (int lane = 0; lane < ROWS; lane += PANEL) {
            FloatVector c0 = FloatVector.zero(SPECIES);
            FloatVector c1 = c0;
            for (int at = lane; at < dim * ROWS; at += UNROLL * ROWS) {
                c0 = fromArray(SPECIES, a, at).fma(fromArray(SPECIES, b, at), c0);
                c1 = fromArray(SPECIES, a, at + LANES).fma(fromArray(SPECIES, b, at + LANES), c1);
                c0 = fromArray(SPECIES, a, at + ROWS).fma(fromArray(SPECIES, b, at + ROWS), c0);
                c1 = fromArray(SPECIES, a, at + ROWS + LANES).fma(fromArray(SPECIES, b, at + ROWS + LANES), c1);
                c0 = fromArray(SPECIES, a, at + 2 * ROWS).fma(fromArray(SPECIES, b, at + 2 * ROWS), c0);
                c1 = fromArray(SPECIES, a, at + 2 * ROWS + LANES).fma(fromArray(SPECIES, b, at + 2 * ROWS + LANES), c1);
                c0 = fromArray(SPECIES, a, at + 3 * ROWS).fma(fromArray(SPECIES, b, at + 3 * ROWS), c0);
                c1 = fromArray(SPECIES, a, at + 3 * ROWS + LANES).fma(fromArray(SPECIES, b, at + 3 * ROWS + LANES), c1);
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
            c00 = fromArray(SPECIES, a, at).fma(fromArray(SPECIES, b, at), c00);
            c01 = fromArray(SPECIES, a, at + LANES).fma(fromArray(SPECIES, b, at + LANES), c01);
            c10 = fromArray(SPECIES, a, at + ROWS).fma(fromArray(SPECIES, b, at + ROWS), c10);
            c11 = fromArray(SPECIES, a, at + ROWS + LANES).fma(fromArray(SPECIES, b, at + ROWS + LANES), c11);
            c20 = fromArray(SPECIES, a, at + 2 * ROWS).fma(fromArray(SPECIES, b, at + 2 * ROWS), c20);
            c21 = fromArray(SPECIES, a, at + 2 * ROWS + LANES).fma(fromArray(SPECIES, b, at + 2 * ROWS + LANES), c21);
            c30 = fromArray(SPECIES, a, at + 3 * ROWS).fma(fromArray(SPECIES, b, at + 3 * ROWS), c30);
            c31 = fromArray(SPECIES, a, at + 3 * ROWS + LANES).fma(fromArray(SPECIES, b, at + 3 * ROWS + LANES), c31);
        }
        c00.add(c10).add(c20.add(c30)).intoArray(out, lane);
        c01.add(c11).add(c21.add(c31)).intoArray(out, lane + LANES);
    }

    @Override
    public void scale(int m, float[] a, int start, float[] factor) {
        for (int lane = 0; lane < ROWS; lane += LANES) {
            FloatVector f = fromArray(SPECIES, factor, lane);
            for (int i = 0; i < m; i++) {
                fromArray(SPECIES, a, start + i * ROWS + lane).mul(f).intoArray(a, start + i * ROWS + lane);
            }
        }
    }

    @Override
    public void addScaled(int dim, float[] a, float[] factor, float[] b) {
        for (int lane = 0; lane < ROWS; lane += PANEL) {
            FloatVector f = fromArray(SPECIES, factor, lane);
            FloatVector g = fromArray(SPECIES, factor, lane + LANES);
            for (int at = lane; at < dim * ROWS; at += UNROLL * ROWS) {
                f.fma(fromArray(SPECIES, b, at), fromArray(SPECIES, a, at)).intoArray(a, at);
                g.fma(fromArray(SPECIES, b, at + LANES), fromArray(SPECIES, a, at + LANES)).intoArray(a, at + LANES);
                f.fma(fromArray(SPECIES, b, at + ROWS), fromArray(SPECIES, a, at + ROWS)).intoArray(a, at + ROWS);
                g.fma(fromArray(SPECIES, b, at + ROWS + LANES), fromArray(SPECIES, a, at + ROWS + LANES)).intoArray(a, at + ROWS + LANES);
                f.fma(fromArray(SPECIES, b, at + 2 * ROWS), fromArray(SPECIES, a, at + 2 * ROWS)).intoArray(a, at + 2 * ROWS);
                g.fma(fromArray(SPECIES, b, at + 2 * ROWS + LANES), fromArray(SPECIES, a, at + 2 * ROWS + LANES)).intoArray(a, at + 2 * ROWS + LANES);
                f.fma(fromArray(SPECIES, b, at + 3 * ROWS), fromArray(SPECIES, a, at + 3 * ROWS)).intoArray(a, at + 3 * ROWS);
                g.fma(fromArray(SPECIES, b, at + 3 * ROWS + LANES), fromArray(SPECIES, a, at + 3 * ROWS + LANES)).intoArray(a, at + 3 * ROWS + LANES);
            }
        }
    }

    @Override
    public void addAllScaled(int dim, float[] a, int count, float[][] factors, float[][] b) {
        int i = 0;
        for (; i + 4 <= count; i += 4) {
            for (int lane = 0; lane < ROWS; lane += LANES) {
                addFourScaled(dim * ROWS, a, lane, factors[i], factors[i + 1], factors[i + 2], factors[i + 3], b[i], b[i + 1], b[i + 2], b[i + 3]);
            }
        }
        for (; i < count; i++) {
            addScaled(dim, a, factors[i], b[i]);
        }
    }

    private static void addFourScaled(int end, float[] a, int lane, float[] factor0, float[] factor1, float[] factor2, float[] factor3,
            float[] b0, float[] b1, float[] b2, float[] b3) {
        FloatVector f0 = fromArray(SPECIES, factor0, lane);
        FloatVector f1 = fromArray(SPECIES, factor1, lane);
        FloatVector f2 = fromArray(SPECIES, factor2, lane);
        FloatVector f3 = fromArray(SPECIES, factor3, lane);
        for (int at = lane; at < end; at += UNROLL * ROWS) {
            FloatVector a0 = f0.fma(fromArray(SPECIES, b0, at), fromArray(SPECIES, a, at));
            FloatVector a1 = f0.fma(fromArray(SPECIES, b0, at + ROWS), fromArray(SPECIES, a, at + ROWS));
            FloatVector a2 = f0.fma(fromArray(SPECIES, b0, at + 2 * ROWS), fromArray(SPECIES, a, at + 2 * ROWS));
            FloatVector a3 = f0.fma(fromArray(SPECIES, b0, at + 3 * ROWS), fromArray(SPECIES, a, at + 3 * ROWS));
            a0 = f1.fma(fromArray(SPECIES, b1, at), a0);
            a1 = f1.fma(fromArray(SPECIES, b1, at + ROWS), a1);
            a2 = f1.fma(fromArray(SPECIES, b1, at + 2 * ROWS), a2);
            a3 = f1.fma(fromArray(SPECIES, b1, at + 3 * ROWS), a3);
            a0 = f2.fma(fromArray(SPECIES, b2, at), a0);
            a1 = f2.fma(fromArray(SPECIES, b2, at + ROWS), a1);
            a2 = f2.fma(fromArray(SPECIES, b2, at + 2 * ROWS), a2);
            a3 = f2.fma(fromArray(SPECIES, b2, at + 3 * ROWS), a3);
            f3.fma(fromArray(SPECIES, b3, at), a0).intoArray(a, at);
            f3.fma(fromArray(SPECIES, b3, at + ROWS), a1).intoArray(a, at + ROWS);
            f3.fma(fromArray(SPECIES, b3, at + 2 * ROWS), a2).intoArray(a, at + 2 * ROWS);
            f3.fma(fromArray(SPECIES, b3, at + 3 * ROWS), a3).intoArray(a, at + 3 * ROWS);
        }
    }

    @Override
    public void scaleAndAdd(int dim, float[] a, float[] factor, float[] b) {
        for (int lane = 0; lane < ROWS; lane += PANEL) {
            FloatVector f = fromArray(SPECIES, factor, lane);
            FloatVector g = fromArray(SPECIES, factor, lane + LANES);
            for (int at = lane; at < dim * ROWS; at += UNROLL * ROWS) {
                f.fma(fromArray(SPECIES, a, at), fromArray(SPECIES, b, at)).intoArray(a, at);
                g.fma(fromArray(SPECIES, a, at + LANES), fromArray(SPECIES, b, at + LANES)).intoArray(a, at + LANES);
                f.fma(fromArray(SPECIES, a, at + ROWS), fromArray(SPECIES, b, at + ROWS)).intoArray(a, at + ROWS);
                g.fma(fromArray(SPECIES, a, at + ROWS + LANES), fromArray(SPECIES, b, at + ROWS + LANES)).intoArray(a, at + ROWS + LANES);
                f.fma(fromArray(SPECIES, a, at + 2 * ROWS), fromArray(SPECIES, b, at + 2 * ROWS)).intoArray(a, at + 2 * ROWS);
                g.fma(fromArray(SPECIES, a, at + 2 * ROWS + LANES), fromArray(SPECIES, b, at + 2 * ROWS + LANES)).intoArray(a, at + 2 * ROWS + LANES);
                f.fma(fromArray(SPECIES, a, at + 3 * ROWS), fromArray(SPECIES, b, at + 3 * ROWS)).intoArray(a, at + 3 * ROWS);
                g.fma(fromArray(SPECIES, a, at + 3 * ROWS + LANES), fromArray(SPECIES, b, at + 3 * ROWS + LANES)).intoArray(a, at + 3 * ROWS + LANES);
            }
        }
    }
}
