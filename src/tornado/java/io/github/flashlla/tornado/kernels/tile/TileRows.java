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

    /**
     * Which dimension the first of a lane's two numbers in columns 8n to 8n+7 of a fragment is: {@link TilePieces#dimension}, so that a lane
     * has four in a row of every 16.
     */
    public static int column(int n, int quad) {
        return 16 * (n >> 1) + 4 * quad + 2 * (n & 1);
    }

    /** Where a row's numbers of this lane start; opaque, so that what lies behind is at constants from it. */
    public static int base(int row, int quad, int dims) {
        return Tile.opaque(row * dims + 4 * quad);
    }

    /** What a lane has of 16 dimensions, the {@code m}-th so many, four numbers of each row, as sums have them; only of rows that are {@code live}. */
    public static void store(FloatArray scratch, int array, int baseA, int baseB, int m, float[] from, int at, int liveA, int liveB) {
        if (liveA != 0) {
            Tile.store4(scratch, array + baseA + 16 * m, from[at], from[at + 1], from[at + 4], from[at + 5]);
        }
        if (liveB != 0) {
            Tile.store4(scratch, array + baseB + 16 * m, from[at + 2], from[at + 3], from[at + 6], from[at + 7]);
        }
    }

    public static void load(float[] to, int at, FloatArray scratch, int array, int baseA, int baseB, int m) {
        Tile.load4(to, at, scratch, array + baseA + 16 * m);
        Tile.load4(to, at + 2, scratch, array + baseB + 16 * m);
    }

    /** {@link #load} of kbar: the result itself, or what scratch has of it where its rows are padded. */
    public static void loadMean(float[] to, int at, FloatArray kbar, FloatArray scratch, int kbarAt, int baseA, int baseB, int m, int D, int dims) {
        if (D == dims) {
            load(to, at, kbar, 0, baseA, baseB, m);
        } else {
            load(to, at, scratch, kbarAt, baseA, baseB, m);
        }
    }

    /** All of two rows, as sums have them. */
    public static void loadAll(float[] to, FloatArray scratch, int array, int baseA, int baseB, int dims) {
        for (int m = 0; m < dims / 16; m++) {
            load(to, 8 * m, scratch, array, baseA, baseB, m);
        }
    }

    /** {@link #loadAll} of x: the result itself, with {@code own}, or what scratch has of it. */
    public static void loadSolution(float[] to, FloatArray x, FloatArray scratch, int xAt, int own, int baseA, int baseB, int dims) {
        if (own != 0) {
            loadAll(to, x, 0, baseA, baseB, dims);
        } else {
            loadAll(to, scratch, xAt, baseA, baseB, dims);
        }
    }

    /** The same of a row of {@code times} above 0 alone, A's numbers with {@code which} 0 and B's with 2. */
    public static void loadSolution(float[] to, int which, FloatArray x, FloatArray scratch, int xAt, int own, int base, float times, int dims) {
        if (times > 0f) {
            for (int m = 0; m < dims / 16; m++) {
                if (own != 0) {
                    Tile.load4(to, 8 * m + which, x, base + 16 * m);
                } else {
                    Tile.load4(to, 8 * m + which, scratch, xAt + base + 16 * m);
                }
            }
        }
    }

    /** {@link #storeAll} of x, to where {@link #loadSolution} reads it. */
    public static void storeSolution(FloatArray x, FloatArray scratch, int xAt, int own, int baseA, int baseB, float[] from, int dims, int liveA, int liveB) {
        if (own != 0) {
            storeAll(x, 0, baseA, baseB, from, dims, liveA, liveB);
        } else {
            storeAll(scratch, xAt, baseA, baseB, from, dims, liveA, liveB);
        }
    }

    /** d = (fA, fB) y. */
    public static void multiple(float[] d, int[] y, float fA, float fB, int dims) {
        for (int n = 0; n < dims / 8; n++) {
            int pairA = y[4 * (n >> 1) + 2 * (n & 1)];
            int pairB = y[4 * (n >> 1) + 2 * (n & 1) + 1];
            d[4 * n] = fA * Tile.low(pairA);
            d[4 * n + 1] = fA * Tile.high(pairA);
            d[4 * n + 2] = fB * Tile.low(pairB);
            d[4 * n + 3] = fB * Tile.high(pairB);
        }
    }

    /** The way back, to rows that are {@code live}. */
    public static void storeAll(FloatArray scratch, int array, int baseA, int baseB, float[] from, int dims, int liveA, int liveB) {
        for (int m = 0; m < dims / 16; m++) {
            store(scratch, array, baseA, baseB, m, from, 8 * m, liveA, liveB);
        }
    }

    /** All of two rows to local memory, four numbers of a lane each {@code step} bytes; for this lane alone. */
    public static void storeLocal(int[] tile, int address, int step, float[] from, int dims) {
        for (int n = 0; n < dims / 8; n++) {
            Tile.storeLocal2(tile, address + step * n, from[4 * n], from[4 * n + 1]);
            Tile.storeLocal2(tile, address + step * n + 8, from[4 * n + 2], from[4 * n + 3]);
        }
    }

    /** The way back. */
    public static void loadLocal(float[] to, int[] tile, int address, int step, int dims) {
        for (int n = 0; n < dims / 8; n++) {
            Tile.loadLocal4(to, 4 * n, tile, address + step * n);
        }
    }

    /** Pairs of float16, four of a lane in a row. */
    public static void storePairs(FloatArray scratch, int[] y, int array, int baseA, int baseB, int dims, int liveA, int liveB) {
        for (int n = 0; n < dims / 32; n++) {
            if (liveA != 0) {
                storeFour(scratch, array + pairs(baseA, dims) + 16 * n, y, 8 * n);
            }
            if (liveB != 0) {
                storeFour(scratch, array + pairs(baseB, dims) + 16 * n, y, 8 * n + 1);
            }
        }
    }

    private static void storeFour(FloatArray scratch, int element, int[] y, int at) {
        Tile.storeBits4(scratch, element, y[at], y[at + 2], y[at + 4], y[at + 6]);
    }

    public static void loadPairs(int[] y, FloatArray scratch, int array, int baseA, int baseB, int dims) {
        for (int n = 0; n < dims / 32; n++) {
            Tile.loadBits4(y, 8 * n, scratch, array + pairs(baseA, dims) + 16 * n);
            Tile.loadBits4(y, 8 * n + 1, scratch, array + pairs(baseB, dims) + 16 * n);
        }
    }

    /** Where a lane's pairs of a row start: (row dims) / 2 + 4 quad, of row dims + 4 quad. */
    private static int pairs(int base, int dims) {
        int quad = base & 15;
        return (base - quad) / 2 + quad;
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

    /**
     * r becomes d = (keepA, keepB) r - (ofYA, ofYB) y - (ofQA, ofQB) q.
     *
     * @param sums out: d.d of rows A and B, then r.d
     */
    public static void turn(float[] r, float[] sums, int[] y, int[] q, float keepA, float keepB, float ofYA, float ofYB, float ofQA, float ofQB, int dims) {
        for (int i = 0; i < 4; i++) {
            sums[i] = 0f;
        }
        for (int n = 0; n < dims / 8; n++) {
            int at = 4 * (n >> 1) + 2 * (n & 1);
            for (int h = 0; h < 2; h++) {
                float dA = keepA * r[4 * n + h] - ofYA * half(y[at], h) - ofQA * half(q[at], h);
                float dB = keepB * r[4 * n + 2 + h] - ofYB * half(y[at + 1], h) - ofQB * half(q[at + 1], h);
                sums[0] += dA * dA;
                sums[1] += dB * dB;
                sums[2] += r[4 * n + h] * dA;
                sums[3] += r[4 * n + 2 + h] * dB;
                r[4 * n + h] = dA;
                r[4 * n + 2 + h] = dB;
            }
        }
        for (int i = 0; i < 4; i++) {
            sums[i] = quadSum(sums[i]);
        }
    }

    private static float half(int pair, int which) {
        return which == 0 ? Tile.low(pair) : Tile.high(pair);
    }

    /** x += (stepA, stepB) d. */
    public static void step(float[] x, float[] d, float stepA, float stepB, int dims) {
        for (int n = 0; n < dims / 8; n++) {
            for (int h = 0; h < 2; h++) {
                x[4 * n + h] += stepA * d[4 * n + h];
                x[4 * n + 2 + h] += stepB * d[4 * n + 2 + h];
            }
        }
    }

    /** y = d at these lengths, rounded, and ry = r.y but for that; 0 where the length is. {@code sums} are {@link #turn}'s. */
    public static void direction(int[] y, float[] ry, float[] d, float[] sums, int dims, float lengthA, float lengthB) {
        float scaleA = sums[0] > TINY ? lengthA * Tile.rsqrt(sums[0]) : 0f;
        float scaleB = sums[1] > TINY ? lengthB * Tile.rsqrt(sums[1]) : 0f;
        for (int n = 0; n < dims / 8; n++) {
            round(y, n, d, scaleA, scaleB);
        }
        ry[0] = sums[2] * scaleA;
        ry[1] = sums[3] * scaleB;
    }

    /** d.y of each row. */
    public static void dot(float[] of, float[] d, int[] y, int dims) {
        float a = 0f;
        float b = 0f;
        for (int n = 0; n < dims / 8; n++) {
            int pairA = y[4 * (n >> 1) + 2 * (n & 1)];
            int pairB = y[4 * (n >> 1) + 2 * (n & 1) + 1];
            a += d[4 * n] * Tile.low(pairA) + d[4 * n + 1] * Tile.high(pairA);
            b += d[4 * n + 2] * Tile.low(pairB) + d[4 * n + 3] * Tile.high(pairB);
        }
        of[0] = quadSum(a);
        of[1] = quadSum(b);
    }

    /** What to multiply a row's d with so that it has this length; 0 where d is 0. Row A's numbers are from 0 on, row B's from 2. */
    static float directionScale(float[] d, int from, int dims, float length) {
        float dd = 0f;
        for (int n = 0; n < dims / 8; n++) {
            dd += d[4 * n + from] * d[4 * n + from] + d[4 * n + from + 1] * d[4 * n + from + 1];
        }
        dd = quadSum(dd);
        return dd > TINY ? length * Tile.rsqrt(dd) : 0f;
    }

    /** y = d at these lengths, rounded; 0 where the length is. */
    public static void direction(int[] y, float[] d, int dims, float lengthA, float lengthB) {
        float scaleA = directionScale(d, 0, dims, lengthA);
        float scaleB = directionScale(d, 2, dims, lengthB);
        for (int n = 0; n < dims / 8; n++) {
            round(y, n, d, scaleA, scaleB);
        }
    }

    /** Two numbers of each row, so many times what they are. */
    private static void round(int[] y, int n, float[] d, float scaleA, float scaleB) {
        y[4 * (n >> 1) + 2 * (n & 1)] = Tile.half2(d[4 * n] * scaleA, d[4 * n + 1] * scaleA);
        y[4 * (n >> 1) + 2 * (n & 1) + 1] = Tile.half2(d[4 * n + 2] * scaleB, d[4 * n + 3] * scaleB);
    }

    /** The same; and yk = -y.kbar of what was rounded. */
    public static void direction(int[] y, float[] yk, float[] d, FloatArray kbar, FloatArray scratch, int kbarAt, int baseA, int baseB, int D, int dims, float lengthA,
            float lengthB) {
        float scaleA = directionScale(d, 0, dims, lengthA);
        float scaleB = directionScale(d, 2, dims, lengthB);
        float[] mean = new float[8];
        float ykA = 0f;
        float ykB = 0f;
        for (int n = 0; n < dims / 8; n++) {
            round(y, n, d, scaleA, scaleB);
            int pairA = y[4 * (n >> 1) + 2 * (n & 1)];
            int pairB = y[4 * (n >> 1) + 2 * (n & 1) + 1];
            int at = 4 * (n & 1);
            if (at == 0) {
                loadMean(mean, 0, kbar, scratch, kbarAt, baseA, baseB, n >> 1, D, dims);
            }
            ykA += Tile.low(pairA) * mean[at] + Tile.high(pairA) * mean[at + 1];
            ykB += Tile.low(pairB) * mean[at + 2] + Tile.high(pairB) * mean[at + 3];
        }
        yk[0] = -quadSum(ykA);
        yk[1] = -quadSum(ykB);
    }
}
