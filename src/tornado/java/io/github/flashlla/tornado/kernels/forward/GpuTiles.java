package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.tornado.kernels.tile.Masking;
import io.github.flashlla.tornado.kernels.tile.Views;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.vectors.Float4;

/**
 * The shape of tiles that the float32 kernels {@link GpuMean}, {@link GpuSolve} and {@link GpuOutput} share, and what they do in registers.
 *
 * <p>Threads form a grid of TY rows by TX columns, with {@code dims} the padded head dim:
 *
 * <pre>
 *   dims          32    64    96   128   192   256      TX = dims / 8
 *   threads      128   128    96   128    96   128      TX TY
 *   block        128    64    32    32    16    16      4 TY queries
 *   tile          16    32    48    64    96   128      4 TX keys
 *
 *   scores        thread (ty, tx) has rows ty + TY i, i &lt; 4, and keys tx + TX j, j &lt; 4: a Float4 of keys for each row
 *   sums          the same rows, columns 4 tx + e and dims / 2 + 4 tx + e, e &lt; 4: two Float4 for each row
 * </pre>
 *
 * <p>Local memory holds queries and directions (block x dims), weights (block x tile), and keys: all of a tile to 96 dims, beyond that
 * in turn slices of {@link #keyDims} dims for the scores and of {@link #keyRows} keys for the sums. Within a row, groups of four
 * floats are permuted by the low bits of the row, so that the threads of a warp, which have 4 columns and 8 rows of the grid or 8 and
 * 4, do not meet in a bank.
 *
 * <p>Register tiles are {@code Float4} and not arrays, which PTX keeps in slow local memory.
 */
final class GpuTiles {
    static final int MAX_DIM = 256;

    private GpuTiles() {}

    /** Padded head dim. */
    static int dims(int D) {
        return D <= 128 ? (D + 31) / 32 * 32 : D <= 192 ? 192 : 256;
    }

    /** Threads that share a row. */
    static int columns(int dims) {
        return dims / 8;
    }

    /** Rows of threads. */
    static int rows(int dims) {
        return dims <= 32 ? 32 : dims <= 64 ? 16 : dims <= 128 ? 8 : 4;
    }

    static int threads(int dims) {
        return columns(dims) * rows(dims);
    }

    /** Queries of a group. */
    static int block(int dims) {
        return 4 * rows(dims);
    }

    /** Dims of a slice of keys for the scores. */
    static int keyDims(int dims) {
        return dims <= 96 ? dims : dims <= 192 ? 32 : 16;
    }

    /** Keys of a slice for the sums. */
    static int keyRows(int dims) {
        return dims <= 96 ? dims / 2 : dims <= 192 ? 16 : 8;
    }

    /** Low bits of a row by which its groups of weights are permuted; there are dims / 8 groups. */
    static int weightMask(int dims) {
        return dims % 64 == 0 ? 7 : 3;
    }

    /** Bytes of local memory that a group takes at most. */
    static int localBytes(int dims) {
        int queries = block(dims) * dims;
        int weights = block(dims) * dims / 2;
        return (queries + dims / 2 * keyDims(dims) + weights + Math.max(queries, weights)) * Float.BYTES;
    }

    /** Column of a thread. */
    static int tx(int tid, int dims) {
        int across = dims <= 128 ? 4 : 8;
        return across * ((tid >> 5) % (dims / 8 / across)) + (tid & (across - 1));
    }

    /** Row of a thread. */
    static int ty(int tid, int dims) {
        int across = dims <= 128 ? 4 : 8;
        return 32 / across * ((tid >> 5) / (dims / 8 / across)) + (tid & 31) / across;
    }

    /** Where a tile of keys has a float. */
    static int keyAt(int row, int column, int width) {
        return row * width + (((column >> 2) ^ (row & 3)) << 2) + (column & 3);
    }

    /** Where a block of queries has a float. */
    static int queryAt(int row, int column, int dims) {
        return row * dims + (((column >> 2) ^ (row & queryMask(dims))) << 2) + (column & 3);
    }

    /** Low bits of a row by which its groups of queries are permuted. */
    static int queryMask(int dims) {
        return dims <= 128 ? 7 : 3;
    }

    /** Four rows of one column from row j on, each so many behind the one before, none behind the last; rows are {@code stride} apart. */
    static Float4 column(FloatArray a, int start, int j, int step, int last, int stride, int column) {
        int at = start + column;
        return new Float4(a.get(at + Math.min(j, last) * stride), a.get(at + Math.min(j + step, last) * stride),
                a.get(at + Math.min(j + 2 * step, last) * stride), a.get(at + Math.min(j + 3 * step, last) * stride));
    }

    /** The same of values, which may be in the array of keys. */
    static Float4 column(FloatArray v, FloatArray k, int start, int j, int step, int last, int stride, int column, int flags) {
        int at = start + column;
        float v0 = Views.get(v, k, at + Math.min(j, last) * stride, flags);
        float v1 = Views.get(v, k, at + Math.min(j + step, last) * stride, flags);
        float v2 = Views.get(v, k, at + Math.min(j + 2 * step, last) * stride, flags);
        float v3 = Views.get(v, k, at + Math.min(j + 3 * step, last) * stride, flags);
        return new Float4(v0, v1, v2, v3);
    }

    /** An element, or 0 in a column behind the last, where there are such: {@code in} is 1 or 0. */
    static float padded(float a, float in, boolean padded) {
        return padded ? in * a : a;
    }

    static Float4 spread(float s) {
        return new Float4(s, s, s, s);
    }

    /** a + s b. */
    static Float4 fma(Float4 a, float s, Float4 b) {
        return new Float4(a.getX() + s * b.getX(), a.getY() + s * b.getY(), a.getZ() + s * b.getZ(), a.getW() + s * b.getW());
    }

    static Float4 scale(Float4 a, float s) {
        return new Float4(a.getX() * s, a.getY() * s, a.getZ() * s, a.getW() * s);
    }

    static Float4 square(Float4 a) {
        return new Float4(a.getX() * a.getX(), a.getY() * a.getY(), a.getZ() * a.getZ(), a.getW() * a.getW());
    }

    static float max(Float4 a) {
        return Math.max(Math.max(a.getX(), a.getY()), Math.max(a.getZ(), a.getW()));
    }

    static float sum(Float4 a) {
        return a.getX() + a.getY() + (a.getZ() + a.getW());
    }

    /** Softmax weights of four keys; 0 for those that the row does not see, which are before the first where there are spans. */
    static Float4 weights(Float4 s, float scale, float m, int key, int TX, int first, int end, int flags) {
        float w0 = weight(s.getX(), scale, m, key, first, end, flags);
        float w1 = weight(s.getY(), scale, m, key + TX, first, end, flags);
        float w2 = weight(s.getZ(), scale, m, key + 2 * TX, first, end, flags);
        float w3 = weight(s.getW(), scale, m, key + 3 * TX, first, end, flags);
        return new Float4(w0, w1, w2, w3);
    }

    private static float weight(float s, float scale, float m, int key, int first, int end, int flags) {
        float w = 0f;
        if (Masking.sees(key, first, end, flags) > 0) {
            w = TornadoMath.exp(scale * s - m);
        }
        return w;
    }

    /** Scores, and less than any score for keys that the row does not see. */
    static Float4 masked(Float4 s, float scale, int key, int TX, int first, int end, int flags) {
        float s0 = masked(s.getX(), scale, key, first, end, flags);
        float s1 = masked(s.getY(), scale, key + TX, first, end, flags);
        float s2 = masked(s.getZ(), scale, key + 2 * TX, first, end, flags);
        float s3 = masked(s.getW(), scale, key + 3 * TX, first, end, flags);
        return new Float4(s0, s1, s2, s3);
    }

    private static float masked(float s, float scale, int key, int first, int end, int flags) {
        float score = Masking.LOW;
        if (Masking.sees(key, first, end, flags) > 0) {
            score = scale * s;
        }
        return score;
    }

    /** Weights of masked scores, relative to a maximum. */
    static Float4 relative(Float4 s, float max) {
        float first = relative(s.getX(), max);
        float second = relative(s.getY(), max);
        float third = relative(s.getZ(), max);
        float fourth = relative(s.getW(), max);
        return new Float4(first, second, third, fourth);
    }

    private static float relative(float score, float max) {
        float w = 0f;
        if (score > Masking.LOW) {
            w = TornadoMath.exp(score - max);
        }
        return w;
    }

    /** p (c + s u), element by element. */
    static Float4 weighted(Float4 p, float c, float s, Float4 u) {
        return new Float4(p.getX() * (c + s * u.getX()), p.getY() * (c + s * u.getY()), p.getZ() * (c + s * u.getZ()),
                p.getW() * (c + s * u.getW()));
    }

    /** Element j, a constant once loops are unrolled. */
    static float pick(int j, Float4 a) {
        float low = j == 0 ? a.getX() : a.getY();
        float high = j == 2 ? a.getZ() : a.getW();
        return j < 2 ? low : high;
    }

    /** Writes four columns of a row, those that it has. */
    static void store(FloatArray to, int at, int column, int width, Float4 a) {
        if (column < width) {
            to.set(at + column, a.getX());
        }
        if (column + 1 < width) {
            to.set(at + column + 1, a.getY());
        }
        if (column + 2 < width) {
            to.set(at + column + 2, a.getZ());
        }
        if (column + 3 < width) {
            to.set(at + column + 3, a.getW());
        }
    }

    /** Writes a thread's columns of the row that starts at {@code at}, if i is one of the head's rows. */
    static void storeIf(int i, int Sq, FloatArray to, int at, int tx, int dims, int width, Float4 left, Float4 right) {
        if (i < Sq) {
            store(to, at, 4 * tx, width, left);
            store(to, at, dims / 2 + 4 * tx, width, right);
        }
    }

    /** Where numbers of rows start in {@link GpuMean}'s scratch. */
    static int numbersAt(int rows, int D) {
        return rows * D;
    }

    /** Where kept residuals start in {@link GpuMean}'s scratch. */
    static int keptAt(int rows, int D) {
        return rows * D + 4 * rows;
    }

    /** Floats of that scratch. */
    public static long scratchFloats(long rows, int D, int kept) {
        return rows * (D + 4 + (long) kept * D);
    }
}
