package io.github.flashlla.jvm.block;

import java.util.Arrays;

/** {@link BlockLoops} in plain loops, for JVMs started without the Vector API's module. */
public final class ScalarBlockLoops implements BlockLoops {

    @Override
    public String description() {
        return "plain loops";
    }

    @Override
    public void multiply(int m, int dim, float[] a, int aStart, int stride, float[] b, float[] c, int cStart) {
        Arrays.fill(c, cStart, cStart + m * ROWS, 0);
        multiplyAdd(m, dim, a, aStart, stride, b, c, cStart);
    }

    @Override
    public void multiplyAdd(int m, int dim, float[] a, int aStart, int stride, float[] b, float[] c, int cStart) {
        for (int i = 0; i < m; i++) {
            int row = aStart + i * stride;
            for (int d = 0; d < dim; d += UNROLL) {
                addFour(a[row + d], a[row + d + 1], a[row + d + 2], a[row + d + 3], b, d * ROWS, c, cStart + i * ROWS);
            }
        }
    }

    @Override
    public void multiplyWeighted(int m, int dim, float[] a, int aStart, int stride, float[] b,
            float[] p, int pStart, float offset, float sign, float[] centre, float[] c, int cStart) {
        multiply(m, dim, a, aStart, stride, b, c, cStart);
        for (int i = 0; i < m; i++) {
            for (int lane = 0; lane < ROWS; lane++) {
                int at = i * ROWS + lane;
                c[cStart + at] = p[pStart + at] * (offset + sign * (c[cStart + at] - centre[lane]));
            }
        }
    }

    @Override
    public void accumulate(int m, int dim, float[] a, int aStart, int stride, float[] w, int wStart, float[] c) {
        for (int d = 0; d < dim; d++) {
            for (int i = 0; i < m; i += UNROLL) {
                int at = aStart + i * stride + d;
                addFour(a[at], a[at + stride], a[at + 2 * stride], a[at + 3 * stride], w, wStart + i * ROWS, c, d * ROWS);
            }
        }
    }

    /** c[lane] += s0 b[0][lane] + s1 b[1][lane] + ...: four at once save three in four loads and stores of c. */
    private static void addFour(float s0, float s1, float s2, float s3, float[] b, int at, float[] c, int cAt) {
        for (int lane = 0; lane < ROWS; lane++) {
            c[cAt + lane] += s0 * b[at + lane] + s1 * b[at + ROWS + lane] + s2 * b[at + 2 * ROWS + lane]
                    + s3 * b[at + 3 * ROWS + lane];
        }
    }

    @Override
    public boolean softmaxStep(int m, float[] scores, int start, float[] max, float[] total, float[] rescale) {
        return softmaxStep(m, scores, start, max, total, rescale, null, null, null);
    }

    @Override
    public boolean softmaxStep(int m, float[] scores, int start, float[] max, float[] total, float[] rescale, float[] drop,
            float[] weighted, float[] weightedTotal) {
        boolean rose = false;
        for (int lane = 0; lane < ROWS; lane++) {
            float newMax = max[lane];
            for (int i = 0; i < m; i++) {
                newMax = Math.max(newMax, scores[start + i * ROWS + lane]);
            }
            float sum = 0;
            float weightedSum = 0;
            for (int i = 0; i < m; i++) {
                int at = start + i * ROWS + lane;
                float score = scores[at] - newMax;
                scores[at] = (float) Math.exp(score);
                sum += scores[at];
                if (weighted != null) {
                    weighted[i * ROWS + lane] = scores[at] == 0 ? 0 : scores[at] * score;
                    weightedSum += weighted[i * ROWS + lane];
                }
            }
            float lower = Math.max(max[lane] - newMax, -Float.MAX_VALUE);
            rose |= newMax > max[lane];
            rescale[lane] = (float) Math.exp(lower);
            if (weighted != null) {
                drop[lane] = lower;
                weightedTotal[lane] = rescale[lane] * (weightedTotal[lane] + lower * total[lane]) + weightedSum;
            }
            total[lane] = total[lane] * rescale[lane] + sum;
            max[lane] = newMax;
        }
        return rose;
    }

    @Override
    public void weights(int m, float[] scores, int start, float[] max, float[] factor, float[] sum) {
        for (int i = 0; i < m; i++) {
            for (int lane = 0; lane < ROWS; lane++) {
                int at = start + i * ROWS + lane;
                scores[at] = (float) Math.exp(scores[at] - max[lane]) * factor[lane];
                sum[lane] += scores[at];
            }
        }
    }

    @Override
    public void weigh(int m, float[] p, int pStart, float[] g, int gStart, float[] shift, float[] c, int cStart,
            float[] sum) {
        for (int i = 0; i < m; i++) {
            for (int lane = 0; lane < ROWS; lane++) {
                int at = i * ROWS + lane;
                c[cStart + at] = p[pStart + at] * (g[gStart + at] + shift[lane]);
                sum[lane] += c[cStart + at];
            }
        }
    }

    @Override
    public void keyGradients(int m, float[] s, float[] xk, float[] gu, float[] rows, int row) {
        for (int i = 0; i < m; i++) {
            int r = (row + i) * ROW_SCALARS;
            for (int lane = 0; lane < ROWS; lane++) {
                int at = i * ROWS + lane;
                float p = (float) Math.exp(s[at] - rows[r + LSE]) * rows[r + FACTOR];
                float pe = p * (1 - (xk[at] - rows[r + X_KBAR]));
                float h = gu[at] + rows[r + H_SHIFT];
                s[at] = pe * h - p * rows[r + MU];
                xk[at] = pe;
                gu[at] = -p * h;
            }
        }
    }

    @Override
    public void sum(int m, float[] a, int start, float[] sum) {
        for (int i = 0; i < m * ROWS; i++) {
            sum[i % ROWS] += a[start + i];
        }
    }

    @Override
    public void dot(int dim, float[] a, float[] b, float[] out) {
        Arrays.fill(out, 0);
        for (int d = 0; d < dim; d += UNROLL) {
            int at = d * ROWS;
            for (int lane = 0; lane < ROWS; lane++) { // in addFour's order, so that equal vectors give equal bits
                out[lane] += a[at + lane] * b[at + lane] + a[at + ROWS + lane] * b[at + ROWS + lane]
                        + a[at + 2 * ROWS + lane] * b[at + 2 * ROWS + lane]
                        + a[at + 3 * ROWS + lane] * b[at + 3 * ROWS + lane];
            }
        }
    }

    @Override
    public void dotInAnyOrder(int dim, float[] a, float[] b, float[] out) {
        dot(dim, a, b, out);
    }

    @Override
    public void scale(int m, float[] a, int start, float[] factor) {
        for (int i = 0; i < m * ROWS; i++) {
            a[start + i] *= factor[i % ROWS];
        }
    }

    @Override
    public void addScaled(int dim, float[] a, float[] factor, float[] b) {
        for (int i = 0; i < dim * ROWS; i++) {
            a[i] += factor[i % ROWS] * b[i];
        }
    }

    @Override
    public void scaleAndAdd(int dim, float[] a, float[] factor, float[] b) {
        for (int i = 0; i < dim * ROWS; i++) {
            a[i] = b[i] + factor[i % ROWS] * a[i];
        }
    }
}
