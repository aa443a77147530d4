package io.github.flashlla.jvm;

/**
 * The inner loops of decoding: one query at a time against tiles of keys or values.
 *
 * <p>A tile is row-major, {@code n} rows of {@code dim} floats; every {@code dim} is a multiple of {@value #PAD}, filled up
 * with zeros ({@link #padded}). Names are the operator's: c is the key that the moments are taken about, z a key less c.
 */
interface DecodeKernels {

    /** Widths are padded to this: the widest vector register in floats. */
    int PAD = 16;

    /** Rows of a tile, a multiple of {@value #PAD}; 64 keys of 64 floats and their centred copy stay in a core's own cache. */
    int TILE = 64;

    /** scores[j] = k[j] . q for j &lt; n. */
    void scores(int n, int dim, float[] k, float[] q, float[] scores);

    /** dots[j] = (k[j] - c) . x for j &lt; n, each difference taken before it is multiplied. */
    void centredDots(int n, int dim, float[] k, float[] c, float[] x, float[] dots);

    /** out[j] = e^(factor * (scores[j] - max)) for j &lt; {@code padded(n)}. */
    void exponentials(int n, float[] scores, float max, float factor, float[] out);

    /** z[j] = root[j] (k[j] - c) and sum += root[j] z[j] for j &lt; n: with root = sqrt(w), z z^T sums to sum w (k - c)(k - c)^T. */
    void centre(int n, int dim, float[] k, float[] c, float[] root, float[] z, float[] sum);

    /** out[j] = root[j] v[j] and sum += root[j] out[j] for j &lt; n. */
    void scaleRows(int n, int dim, float[] v, float[] root, float[] out, float[] sum);

    /** g[a][b] += sum_j z[j][a] z[j][b] for b &gt;= a (and some of the b &lt; a, which nobody reads), j &lt; n. */
    void gram(int n, int dim, float[] z, float[] g);

    /** g[a][e] += sum_j z[j][a] v[j][e], j &lt; n. */
    void product(int n, int dim, float[] z, int valueDim, float[] v, float[] g);

    /** sum += coefficient[j] v[j] for j &lt; n. */
    void accumulate(int n, int dim, float[] v, float[] coefficient, float[] sum);

    /** sum += coefficient[j] (k[j] - c) for j &lt; n, each difference taken before it is multiplied. */
    void accumulateCentred(int n, int dim, float[] k, float[] c, float[] coefficient, float[] sum);

    /** {@code n} rounded up to a multiple of {@value #PAD}. */
    static int padded(int n) {
        return Math.ceilDiv(n, PAD) * PAD;
    }
}
