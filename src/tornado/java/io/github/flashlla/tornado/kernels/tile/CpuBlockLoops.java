package io.github.flashlla.tornado.kernels.tile;

import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.collections.VectorFloat16;
import uk.ac.manchester.tornado.api.types.vectors.Float16;

/**
 * What the kernels for CPUs do with a block of {@value #ROWS} rows, one per lane, and a tile of rows of the other side.
 *
 * <p>What belongs to the block lies in scratch memory as rows of {@value #ROWS} floats, one per lane: a row for every dim of a
 * block of vectors, one for every row of a tile. Positions in it count vectors of {@link Lanes#COUNT} lanes, of which a row has
 * {@value #VECTORS}. The other side is row-major and read as scalars that are broadcast, so that both products are one loop
 * each, in register tiles of 4 rows by {@value #ROWS} lanes, with nothing packed or transposed.
 *
 * <p>Sizes of loops that must stay loops are variables to TornadoVM, which unrolls those over constants: callers add a local
 * id to them, which is 0.
 */
public final class CpuBlockLoops {
    /** Rows of one block. */
    public static final int ROWS = 32;

    /** Rows of one tile: tile, other side and the block's vectors stay in the first two cache levels together. */
    public static final int TILE = 64;
    public static final int VECTORS = ROWS / Lanes.COUNT;
    /** Below every score. */
    /** What to divide 0 by instead of 0. */
    public static final float TINY = 1e-37f;

    /** A score this far below the largest weighs as little as an exponential can. */
    public static final float DEEPEST = -84f;

    // how the rows of the other side are read
    public static final int AS_THEY_ARE = 0;
    public static final int FROM_CENTRE = 1;

    private CpuBlockLoops() {}

    /** Rows rounded up to whole register tiles. */
    public static int pad(int n) {
        return (n + 3) / 4 * 4;
    }

    public static int count(int rows) {
        return (rows + TILE - 1) / TILE;
    }

    /** Scratch rows {@code at} to {@code at + rows - 1} become 0. */
    public static void clear(VectorFloat16 t, int at, int rows) {
        Float16 zero = Lanes.spread(0f);
        for (int n = 0; n < rows * VECTORS; n++) {
            t.set(at + n, zero);
        }
    }

    /**
     * into_i = a_i . b for i &lt; m, a multiple of 4.
     *
     * @param b a block's vectors, {@code width} rows
     * @param a rows of {@code width} floats, {@code stride} apart from {@code start} on, of which row {@code row0} is the first; the one
     *     {@code last} behind it stands for all behind
     * @param from {@link #FROM_CENTRE} for a_i - centre, a constant
     * @param centre0 where it starts in {@code centre}
     */
    public static void multiply(VectorFloat16 t, int b, int into, int m, FloatArray a, int start, int row0, int stride, int last, int width,
            int from, FloatArray centre, int centre0) {
        Float16 zero = Lanes.spread(0f);
        for (int i = 0; i < m; i += 4) {
            int a0 = start + (row0 + Math.min(i, last)) * stride;
            int a1 = start + (row0 + Math.min(i + 1, last)) * stride;
            int a2 = start + (row0 + Math.min(i + 2, last)) * stride;
            int a3 = start + (row0 + Math.min(i + 3, last)) * stride;
            Float16 c00 = zero;
            Float16 c01 = zero;
            Float16 c10 = zero;
            Float16 c11 = zero;
            Float16 c20 = zero;
            Float16 c21 = zero;
            Float16 c30 = zero;
            Float16 c31 = zero;
            Float16 b0 = t.get(b);
            Float16 b1 = t.get(b + 1);
            for (int d = 0; d < width; d++) {
                float c = 0f;
                if (from != AS_THEY_ARE) {
                    c = centre.get(centre0 + d);
                }
                Float16 s = Lanes.spread(a.get(a0 + d) - c);
                c00 = Lanes.fma(s, b0, c00);
                c01 = Lanes.fma(s, b1, c01);
                s = Lanes.spread(a.get(a1 + d) - c);
                c10 = Lanes.fma(s, b0, c10);
                c11 = Lanes.fma(s, b1, c11);
                s = Lanes.spread(a.get(a2 + d) - c);
                c20 = Lanes.fma(s, b0, c20);
                c21 = Lanes.fma(s, b1, c21);
                s = Lanes.spread(a.get(a3 + d) - c);
                c30 = Lanes.fma(s, b0, c30);
                c31 = Lanes.fma(s, b1, c31);
                b0 = t.get(b + (d + 1) * VECTORS);
                b1 = t.get(b + (d + 1) * VECTORS + 1);
            }
            int at = into + i * VECTORS;
            t.set(at, c00);
            t.set(at + 1, c01);
            t.set(at + 2, c10);
            t.set(at + 3, c11);
            t.set(at + 4, c20);
            t.set(at + 5, c21);
            t.set(at + 6, c30);
            t.set(at + 7, c31);
        }
    }

    /**
     * into_d += sum_i a_id w_i for d &lt; width and i &lt; m.
     *
     * @param w a tile; the row behind the last is read and not used
     * @param a rows of {@code width} floats, {@code stride} apart from {@code start} on, of which row {@code row0} is the first
     * @param from {@link #FROM_CENTRE} for a_i - centre, a constant
     * @param squares 1 for the squares of a_id, otherwise 0
     */
    public static void accumulate(VectorFloat16 t, int w, int into, int m, FloatArray a, int start, int row0, int stride, int width, int from,
            FloatArray centre, int centre0, int squares) {
        Float16 zero = Lanes.spread(0f);
        for (int d = 0; d < width; d += 4) {
            // where the width is no multiple of 4 the last sum is computed more than once, into the padding
            int d1 = beside(d, 1, width);
            int d2 = beside(d, 2, width);
            int d3 = beside(d, 3, width);
            float c0 = 0f;
            float c1 = 0f;
            float c2 = 0f;
            float c3 = 0f;
            if (from != AS_THEY_ARE) {
                c0 = centre.get(centre0 + d);
                c1 = centre.get(centre0 + d1);
                c2 = centre.get(centre0 + d2);
                c3 = centre.get(centre0 + d3);
            }
            Float16 c00 = zero;
            Float16 c01 = zero;
            Float16 c10 = zero;
            Float16 c11 = zero;
            Float16 c20 = zero;
            Float16 c21 = zero;
            Float16 c30 = zero;
            Float16 c31 = zero;
            Float16 w0 = t.get(w);
            Float16 w1 = t.get(w + 1);
            for (int i = 0; i < m; i++) {
                int at = start + (row0 + i) * stride;
                float a0 = a.get(at + d) - c0;
                float a1 = a.get(at + d1) - c1;
                float a2 = a.get(at + d2) - c2;
                float a3 = a.get(at + d3) - c3;
                if (squares > 0) {
                    a0 = a0 * a0;
                    a1 = a1 * a1;
                    a2 = a2 * a2;
                    a3 = a3 * a3;
                }
                Float16 s = Lanes.spread(a0);
                c00 = Lanes.fma(s, w0, c00);
                c01 = Lanes.fma(s, w1, c01);
                s = Lanes.spread(a1);
                c10 = Lanes.fma(s, w0, c10);
                c11 = Lanes.fma(s, w1, c11);
                s = Lanes.spread(a2);
                c20 = Lanes.fma(s, w0, c20);
                c21 = Lanes.fma(s, w1, c21);
                s = Lanes.spread(a3);
                c30 = Lanes.fma(s, w0, c30);
                c31 = Lanes.fma(s, w1, c31);
                w0 = t.get(w + (i + 1) * VECTORS);
                w1 = t.get(w + (i + 1) * VECTORS + 1);
            }
            int at = into + d * VECTORS;
            t.set(at, Float16.add(t.get(at), c00));
            t.set(at + 1, Float16.add(t.get(at + 1), c01));
            t.set(at + 2, Float16.add(t.get(at + 2), c10));
            t.set(at + 3, Float16.add(t.get(at + 3), c11));
            t.set(at + 4, Float16.add(t.get(at + 4), c20));
            t.set(at + 5, Float16.add(t.get(at + 5), c21));
            t.set(at + 6, Float16.add(t.get(at + 6), c30));
            t.set(at + 7, Float16.add(t.get(at + 7), c31));
        }
    }

    /** Dim d + n, or the last one where that is beyond it. */
    private static int beside(int d, int n, int width) {
        return Math.min(d + n, width - 1);
    }

    /**
     * Products of queries and keys become scores, in half of a tile's lanes; those of keys that a query does not see, far less
     * than any.
     *
     * @param tile position of the half
     * @param sees position of the key behind the last that each query sees
     * @param unseen more than 0 where some key of the tile is behind the last that some query sees
     * @param firsts position of the first key that each query sees
     * @param before more than 0 where some key of the tile is before the first that some query sees
     * @param j0 the tile's first key
     * @return the largest score of each lane, or {@code least} where that is larger
     */
    public static Float16 scores(VectorFloat16 t, int tile, int m, float scale, int sees, int unseen, int firsts, int before, int j0,
            Float16 least, int flags) {
        float factor = scale;
        if (unseen > 0) {
            // after scaling: a negative scale would turn far below every score into far above
            Float16 seen = t.get(sees);
            for (int i = 0; i < m; i++) {
                int at = tile + i * VECTORS;
                Float16 s = Float16.mult(t.get(at), Lanes.spread(scale));
                t.set(at, Float16.add(s, masked(seen, Lanes.spread(j0 + i + 1f))));
            }
            factor = 1f;
        }
        if ((flags & Masking.SPANS) != 0) {
            if (before > 0) {
                Float16 first = t.get(firsts);
                for (int i = 0; i < m; i++) {
                    int at = tile + i * VECTORS;
                    Float16 s = Float16.mult(t.get(at), Lanes.spread(factor));
                    t.set(at, Float16.add(s, masked(Lanes.spread(j0 + i), first)));
                }
                factor = 1f;
            }
        }
        Float16 max = least;
        for (int i = 0; i < m; i++) {
            int at = tile + i * VECTORS;
            Float16 s = Float16.mult(t.get(at), Lanes.spread(factor));
            t.set(at, s);
            max = Lanes.max(max, s);
        }
        return max;
    }

    /** 0 where a query sees this many keys, and far below every score where it does not. */
    public static Float16 masked(Float16 sees, Float16 keys) {
        return Float16.mult(Lanes.max(Lanes.sub(keys, sees), Lanes.spread(0f)), Lanes.spread(Masking.LOW));
    }

    /** Scores become factor e^(score - max), in half of a tile's lanes; returns their sum. */
    public static Float16 exponentials(VectorFloat16 t, int tile, int m, Float16 max, Float16 factor) {
        Float16 sum = Lanes.spread(0f);
        for (int i = 0; i < m; i++) {
            int at = tile + i * VECTORS;
            Float16 e = Float16.mult(Lanes.exp(Lanes.sub(t.get(at), max)), factor);
            t.set(at, e);
            sum = Float16.add(sum, e);
        }
        return sum;
    }

    /** into_i = score_i - max, but not so far below 0 that its weight means nothing. */
    public static void depths(VectorFloat16 t, int tile, int into, int m, Float16 max) {
        for (int i = 0; i < m; i++) {
            t.set(into + i * VECTORS, Lanes.max(Lanes.sub(t.get(tile + i * VECTORS), max), Lanes.spread(DEEPEST)));
        }
    }

    /** into_i = p_i (offset + sign (a_i - shift)) in half of a tile's lanes, of which all are positions; returns their sum. */
    public static Float16 weigh(VectorFloat16 t, int a, int p, int into, int m, Float16 shift, float offset, float sign) {
        Float16 sum = Lanes.spread(0f);
        for (int i = 0; i < m; i++) {
            int at = i * VECTORS;
            Float16 f = Float16.mult(Lanes.sub(t.get(a + at), shift), Lanes.spread(sign));
            Float16 w = Float16.mult(Float16.add(f, Lanes.spread(offset)), t.get(p + at));
            t.set(into + at, w);
            sum = Float16.add(sum, w);
        }
        return sum;
    }

    /** Half of the lanes of {@code rows} rows times {@code factor}. */
    public static void scale(VectorFloat16 t, int at, int rows, Float16 factor) {
        for (int n = 0; n < rows; n++) {
            t.set(at + n * VECTORS, Float16.mult(t.get(at + n * VECTORS), factor));
        }
    }

    /** 1 where the modes of a sweep are the same, otherwise 0: TornadoVM's switches do not compile. */
    public static int is(int mode, int which) {
        return 1 << which >> mode & 1;
    }

    /** 1 where a &gt; 0, otherwise 0. */
    public static float positive(float a) {
        float p = Math.max(0f, Math.min(a, 1f));
        return Math.min(1f, Math.min(1f, p * 0x1p100f) * 0x1p100f);
    }
}
