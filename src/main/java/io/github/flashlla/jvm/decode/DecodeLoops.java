package io.github.flashlla.jvm.decode;

import java.lang.foreign.MemorySegment;

/**
 * The inner loops of decoding: one query at a time against tiles of keys or values.
 *
 * <p>A tile of the cache holds {@value #TILE} tokens in float32, {@code [dim][token]} ({@link CacheTiles}): one token per lane, so
 * that dot products need no sum across lanes, and a sum over tokens needs one at the very end. What a pass sums over tokens it
 * keeps apart by lane, {@code [dim][}{@value #PAD}{@code ]}; {@link #addLanes} ends it.
 *
 * <p>Sums of k k^T and k v^T want a token's elements side by side: {@code rows} are a tile turned, row-major, {@code n} rows of
 * {@code dim} floats, where {@code dim} is a multiple of {@value #PAD} filled up with zeros ({@link #padded}). Names are the
 * operator's: c is the key that the moments are taken about, z a key less c.
 */
public interface DecodeLoops {

    /** Widths of rows are padded to this, and lanes of a sum are at most so many: the widest vector register in floats. */
    int PAD = 16;

    /** Tokens of a tile, a multiple of {@value #PAD}: 128 keys of 64 floats are a core's first cache, and eight pages of memory. */
    int TILE = 128;

    /** dots[from + j] = (k[j] - c) . x for the tile's {@value #TILE} tokens, each difference taken before it is multiplied. */
    void dots(int dim, MemorySegment k, long at, float[] c, float[] x, float[] dots, int from);

    /** lanes += coefficient[j] (k[j] - c), summed over tokens of the same lane. */
    void accumulate(int dim, MemorySegment k, long at, float[] c, float[] coefficient, float[] lanes);

    /** Two such sums, {@code a} into {@code aLanes} and {@code b} into {@code bLanes}. */
    void accumulate(int dim, MemorySegment k, long at, float[] c, float[] a, float[] b, float[] aLanes, float[] bLanes);

    /** sum[d] += sum of lanes[d]. */
    static void addLanes(int dim, float[] lanes, float[] sum) {
        for (int d = 0; d < dim; d++) {
            float total = 0;
            for (int lane = 0; lane < PAD; lane++) {
                total += lanes[d * PAD + lane];
            }
            sum[d] += total;
        }
    }

    /** float32 of a tile of {@code dim} rows of IEEE binary16 numbers, which lie as {@link #halfPosition} says. */
    void widen(int dim, MemorySegment half, long at, MemorySegment single);

    /**
     * Where a tile's token lies in a row of float16: beside the one half a tile away, so that 32-bit integers hold them in pairs and
     * shifts and masks take them apart. The Vector API's conversion of shorts is a few times slower, and until it is compiled goes
     * through arrays, whose traces in the profile slow down every later kernel.
     */
    static int halfPosition(int token) {
        return token % (TILE / 2) * 2 + token / (TILE / 2);
    }

    /** Largest of a tile's numbers, from {@code from} on. */
    float max(float[] values, int from);

    /** out[j] = factor * w[from + j] * (x[from + j] - shift) for a tile; returns their sum. */
    float weigh(float[] w, int from, float factor, float[] x, float shift, float[] out);

    /** out[from + j] = step * (x[from + j] - shift) for a tile. */
    void scale(float[] x, int from, float step, float shift, float[] out);

    /** out[from + j] += step * x[from + j] for a tile. */
    void addScaled(float[] x, int from, float step, float[] out);

    /** out[to + j] = e^(factor * (scores[from + j] - max)) for j &lt; n, a multiple of {@value #PAD}; returns their sum. */
    float exponentials(int n, float[] scores, int from, float max, float factor, float[] out, int to);

    /** z[j] = root[j] (k[j] - c) and sum += root[j] z[j] for j &lt; n: with root = sqrt(w), z z^T sums to sum w (k - c)(k - c)^T. */
    void centre(int n, int dim, float[] k, float[] c, float[] root, float[] z, float[] sum);

    /** out[j] = root[j] v[j] and sum += root[j] out[j] for j &lt; n. */
    void scaleRows(int n, int dim, float[] v, float[] root, float[] out, float[] sum);

    /** g[a][b] += sum_j z[j][a] z[j][b] for b &gt;= a (and some of the b &lt; a, which nobody reads), j &lt; n. */
    void gram(int n, int dim, float[] z, float[] g);

    /** g[a][e] += sum_j z[j][a] v[j][e], j &lt; n. */
    void product(int n, int dim, float[] z, int valueDim, float[] v, float[] g);

    /** {@code n} rounded up to a multiple of {@value #PAD}. */
    static int padded(int n) {
        return Math.ceilDiv(n, PAD) * PAD;
    }
}
