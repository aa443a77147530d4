package io.github.flashlla.jvm;

import java.lang.foreign.MemorySegment;

/**
 * The inner loops of decoding: one query at a time against tiles of keys or values.
 *
 * <p>A tile of the cache holds {@value #TILE} tokens in float32, {@code [dim][token]} ({@link TokenTiles}): one token per lane, so
 * that dot products need no sum across lanes, and a sum over tokens needs one at the very end. What a pass sums over tokens it
 * keeps apart by lane, {@code [dim][}{@value #PAD}{@code ]}; {@link #addLanes} ends it.
 *
 * <p>Sums of k k^T and k v^T want a token's elements side by side: {@code rows} are a tile turned, row-major, {@code n} rows of
 * {@code dim} floats, where {@code dim} is a multiple of {@value #PAD} filled up with zeros ({@link #padded}). Names are the
 * operator's: c is the key that the moments are taken about, z a key less c.
 */
interface DecodeKernels {

    /** Widths of rows are padded to this, and lanes of a sum are at most so many: the widest vector register in floats. */
    int PAD = 16;

    /** Tokens of a tile, a multiple of {@value #PAD}; 64 keys of 64 floats are half of a core's first cache. */
    int TILE = 64;

    /** dots[j] = (k[j] - c) . x for the tile's {@value #TILE} tokens, each difference taken before it is multiplied. */
    void dots(int dim, MemorySegment k, long at, float[] c, float[] x, float[] dots);

    /** lanes += coefficient[j] (k[j] - c), summed over tokens of the same lane. */
    void accumulate(int dim, MemorySegment k, long at, float[] c, float[] coefficient, float[] lanes);

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

    /** float32 of {@code count} IEEE binary16 numbers, a multiple of {@value #PAD}. */
    void widen(int count, MemorySegment half, long at, MemorySegment single);

    /** Largest of the first {@code n}, a multiple of {@value #PAD}. */
    float max(int n, float[] values);

    /** out[from + j] = e^(factor * (scores[from + j] - max)) for j &lt; n, a multiple of {@value #PAD}; returns their sum. */
    float exponentials(int n, float[] scores, int from, float max, float factor, float[] out);

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
