package io.github.flashlla.jvm.block;


/**
 * The inner loops of FlashLLA on tiles of {@value #ROWS} lanes (one lane is one row of the block: a query, or a key in the
 * backward pass over keys).
 *
 * <p>Layout: a tile or a transposed block is {@code [i][lane]}, {@code ROWS} floats per {@code i}. The other operand,
 * called {@code a}, is row-major with {@code stride} floats per row, and its rows and columns are padded with zeros to
 * multiples of {@value #UNROLL}. In the products all counts are multiples of {@code UNROLL}.
 */
public interface BlockLoops {

    /** Lanes of a block: two 512-bit registers, or more of narrower ones. */
    int ROWS = 32;

    /** Rows of {@code a} that one register tile covers; sizes are padded to it. */
    int UNROLL = 4;

    /** What computes, such as {@code Vector API, 512 bit}. */
    String description();

    /** c[i][lane] = sum_d a[i][d] b[d][lane] for i &lt; m, d &lt; dim. */
    void multiply(int m, int dim, float[] a, int aStart, int stride, float[] b, float[] c, int cStart);

    /** c[i][lane] += sum_d a[i][d] b[d][lane] for i &lt; m, d &lt; dim. */
    void multiplyAdd(int m, int dim, float[] a, int aStart, int stride, float[] b, float[] c, int cStart);

    /**
     * Weighted relative product: c[i][lane] = p[i][lane] (offset + sign (sum_d a[i][d] b[d][lane] - centre[lane])) for
     * i &lt; m, d &lt; dim.
     */
    void multiplyWeighted(int m, int dim, float[] a, int aStart, int stride, float[] b,
            float[] p, int pStart, float offset, float sign, float[] centre, float[] c, int cStart);

    /** c[d][lane] += sum_i a[i][d] w[i][lane] for i &lt; m, d &lt; dim. */
    void accumulate(int m, int dim, float[] a, int aStart, int stride, float[] w, int wStart, float[] c);

    /**
     * One step of the online softmax, in place: raises {@code max} to the tile's, replaces every score by
     * exp(score - max), and updates {@code total}. {@code rescale} receives exp(old max - new max).
     *
     * @return whether any lane's max rose, that is, whether earlier sums must be multiplied by {@code rescale}
     */
    boolean softmaxStep(int m, float[] scores, int start, float[] max, float[] total, float[] rescale);

    /**
     * The same, and the sum of exp(score - max) (score - max).
     *
     * @param drop receives old max - new max
     * @param weighted receives the tile's addends, 0 where a score is minus infinity, from position 0
     * @param weightedTotal the sum of the tiles so far, relative to {@code max} like {@code total}
     */
    boolean softmaxStep(int m, float[] scores, int start, float[] max, float[] total, float[] rescale, float[] drop, float[] weighted,
            float[] weightedTotal);

    /** scores[i][lane] becomes exp(scores[i][lane] - max[lane]) * factor[lane] for i &lt; m, and sum[lane] grows by it. */
    void weights(int m, float[] scores, int start, float[] max, float[] factor, float[] sum);

    /** c[i][lane] = p[i][lane] (g[i][lane] + shift[lane]) for i &lt; m, and sum[lane] grows by it; c may be p. */
    void weigh(int m, float[] p, int pStart, float[] g, int gStart, float[] shift, float[] c, int cStart, float[] sum);

    /** Scalars of one query in {@link #keyGradients}, in this order. */
    int LSE = 0;
    int FACTOR = 1;
    int X_KBAR = 2;
    int H_SHIFT = 3;
    int MU = 4;
    int ROW_SCALARS = 5;

    /**
     * What one tile of m queries by {@code ROWS} keys (the lanes) contributes to dk and dv, in place, with
     * p = exp(s - LSE) FACTOR, e = 1 - (xk - X_KBAR) and h = H_SHIFT + gu per query i:
     *
     * @param s scores; becomes dS = p (e h - MU)
     * @param xk x.k; becomes p e
     * @param gu g.v + u.k; becomes -p h
     * @param rows {@link #ROW_SCALARS} floats per query
     * @param row the tile's first query
     */
    void keyGradients(int m, float[] s, float[] xk, float[] gu, float[] rows, int row);

    /** sum[lane] += sum_i a[i][lane] for {@code m} values of i from position {@code start}. */
    void sum(int m, float[] a, int start, float[] sum);

    /**
     * out[lane] = sum_d a[d][lane] b[d][lane] for d &lt; dim, in the order of {@link #multiply}: the product with a vector that equals a row
     * of its {@code a} has the same bits.
     */
    void dot(int dim, float[] a, float[] b, float[] out);

    /** The same in whatever order is fastest. */
    void dotInAnyOrder(int dim, float[] a, float[] b, float[] out);

    /** a[i][lane] *= factor[lane] for {@code m} values of i from position {@code start}. */
    void scale(int m, float[] a, int start, float[] factor);

    /** a[d][lane] += factor[lane] b[d][lane] for d &lt; dim. */
    void addScaled(int dim, float[] a, float[] factor, float[] b);

    /** {@link #addScaled} with {@code count} factors and b, in their order. */
    default void addAllScaled(int dim, float[] a, int count, float[][] factors, float[][] b) {
        for (int i = 0; i < count; i++) {
            addScaled(dim, a, factors[i], b[i]);
        }
    }

    /** a[d][lane] = b[d][lane] + factor[lane] a[d][lane] for d &lt; dim. */
    void scaleAndAdd(int dim, float[] a, float[] factor, float[] b);

    /** {@code n} rounded up to a multiple of {@link #UNROLL}. */
    static int padded(int n) {
        return Math.ceilDiv(n, UNROLL) * UNROLL;
    }
}
