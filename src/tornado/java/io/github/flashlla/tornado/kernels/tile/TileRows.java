package io.github.flashlla.tornado.kernels.tile;

import static io.github.flashlla.tornado.kernels.tile.TilePieces.quadSum;

import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * A lane's part of its two rows, A and B, in registers as the matrix units leave it, and in global memory row by row: from
 * {@link #base} on, two of every 8 numbers.
 */
public final class TileRows {
    private static final float TINY = 1e-30f;

    private TileRows() {}

    /** Where a row's numbers of this lane start; opaque, so that what lies behind is at constants from it. */
    public static int base(int row, int quad, int dims) {
        return Tile.opaque(row * dims + 2 * quad);
    }

    /** Four numbers, two of each row; only of rows that are {@code live}. */
    public static void store(FloatArray scratch, int array, int baseA, int baseB, int column, float[] from, int n, int liveA, int liveB) {
        if (liveA != 0) {
            Tile.store2(scratch, array + baseA + column, from[n], from[n + 1]);
        }
        if (liveB != 0) {
            Tile.store2(scratch, array + baseB + column, from[n + 2], from[n + 3]);
        }
    }

    public static void load(float[] to, int n, FloatArray scratch, int array, int baseA, int baseB, int column) {
        Tile.load2(to, n, scratch, array + baseA + column);
        Tile.load2(to, n + 2, scratch, array + baseB + column);
    }

    public static void storePairs(FloatArray scratch, int[] y, int array, int baseA, int baseB, int dims, int liveA, int liveB) {
        for (int n = 0; n < dims / 8; n++) {
            int at = 4 * (n >> 1) + 2 * (n & 1);
            if (liveA != 0) {
                Tile.storeBits(scratch, array + (baseA >> 1) + 4 * n, y[at]);
            }
            if (liveB != 0) {
                Tile.storeBits(scratch, array + (baseB >> 1) + 4 * n, y[at + 1]);
            }
        }
    }

    public static void loadPairs(int[] y, FloatArray scratch, int array, int baseA, int baseB, int dims) {
        for (int n = 0; n < dims / 8; n++) {
            int at = 4 * (n >> 1) + 2 * (n & 1);
            y[at] = Tile.loadBits(scratch, array + (baseA >> 1) + 4 * n);
            y[at + 1] = Tile.loadBits(scratch, array + (baseB >> 1) + 4 * n);
        }
    }

    /** A row by its place: itself, or what the list has there; the last one for places behind it. */
    public static int row(FloatArray scratch, int list, int place, int count, int listed) {
        int row = Math.min(place, count - 1);
        if (listed != 0) {
            row = Tile.loadBits(scratch, list + row);
        }
        return row;
    }

    /** d -= (fA, fB) y. */
    public static void subtract(float[] d, int[] y, float fA, float fB, int dims) {
        combine(d, y, 1f, 1f, fA, fB, dims);
    }

    /** d = (keepA, keepB) d - (fA, fB) y. */
    public static void combine(float[] d, int[] y, float keepA, float keepB, float fA, float fB, int dims) {
        for (int n = 0; n < dims / 8; n++) {
            int pairA = y[4 * (n >> 1) + 2 * (n & 1)];
            int pairB = y[4 * (n >> 1) + 2 * (n & 1) + 1];
            d[4 * n] = keepA * d[4 * n] - fA * Tile.low(pairA);
            d[4 * n + 1] = keepA * d[4 * n + 1] - fA * Tile.high(pairA);
            d[4 * n + 2] = keepB * d[4 * n + 2] - fB * Tile.low(pairB);
            d[4 * n + 3] = keepB * d[4 * n + 3] - fB * Tile.high(pairB);
        }
    }

    /** y = d at these lengths, rounded; 0 where the length is; and yk = -y.kbar of what was rounded. */
    public static void direction(int[] y, float[] yk, float[] d, FloatArray scratch, int kbarAt, int baseA, int baseB, int dims, float lengthA,
            float lengthB) {
        float ddA = 0f;
        float ddB = 0f;
        for (int n = 0; n < dims / 8; n++) {
            ddA += d[4 * n] * d[4 * n] + d[4 * n + 1] * d[4 * n + 1];
            ddB += d[4 * n + 2] * d[4 * n + 2] + d[4 * n + 3] * d[4 * n + 3];
        }
        ddA = quadSum(ddA);
        ddB = quadSum(ddB);
        float scaleA = ddA > TINY ? lengthA * Tile.rsqrt(ddA) : 0f;
        float scaleB = ddB > TINY ? lengthB * Tile.rsqrt(ddB) : 0f;
        float[] mean = new float[4];
        float ykA = 0f;
        float ykB = 0f;
        for (int n = 0; n < dims / 8; n++) {
            int pairA = Tile.half2(d[4 * n] * scaleA, d[4 * n + 1] * scaleA);
            int pairB = Tile.half2(d[4 * n + 2] * scaleB, d[4 * n + 3] * scaleB);
            y[4 * (n >> 1) + 2 * (n & 1)] = pairA;
            y[4 * (n >> 1) + 2 * (n & 1) + 1] = pairB;
            load(mean, 0, scratch, kbarAt, baseA, baseB, 8 * n);
            ykA += Tile.low(pairA) * mean[0] + Tile.high(pairA) * mean[1];
            ykB += Tile.low(pairB) * mean[2] + Tile.high(pairB) * mean[3];
        }
        yk[0] = -quadSum(ykA);
        yk[1] = -quadSum(ykB);
    }
}
