package io.github.flashlla.jvm;

import static io.github.flashlla.jvm.DecodeKernels.TILE;

/** One thread's walk over tiles of one key/value head's cache, for the query heads that share it. */
final class DecodeTiles {

    /**
     * Log of the weight, relative to the heaviest key's, below which a tile is skipped. A cache of 2^17 such keys holds less
     * than 1e-12 of the weight, far below a float's rounding; in trained heads most tiles are such.
     */
    private static final float NEGLIGIBLE = -40;

    private final JvmKvCache cache;
    private final DecodeKernels kernels;
    private final int dim;
    private final int valueDim;
    private final float[] k;
    private final float[] z;
    private final float[] v;
    private final float[] weightedV;
    private final short[] half;
    private final float[] scores = new float[TILE];
    private final float[] weights = new float[TILE];
    private final float[] dots = new float[TILE];

    DecodeTiles(JvmKvCache cache, DecodeKernels kernels) {
        this.cache = cache;
        this.kernels = kernels;
        this.dim = DecodeKernels.padded(cache.shape().headDim());
        this.valueDim = DecodeKernels.padded(cache.shape().valueDim());
        this.k = new float[TILE * dim];
        this.z = new float[TILE * dim];
        this.v = new float[TILE * valueDim];
        this.weightedV = new float[TILE * valueDim];
        this.half = new short[TILE * Math.max(dim, valueDim)];
    }

    static long bytes(int dim, int valueDim) {
        return TILE * ((2L * dim + 2L * valueDim + 3) * Float.BYTES + (long) Math.max(dim, valueDim) * Short.BYTES);
    }

    /** Adds tokens {@code from} to {@code to} - 1 to the sums of every head; keeps their scores where the unit wants them. */
    void accumulate(DecodeUnit unit, int from, int to, DecodeSums[] sums) {
        for (int token = from; token < to; token += TILE) {
            int n = Math.min(TILE, to - token);
            cache.loadKeys(unit.sequence(), unit.kvHead(), token, n, k, half);
            boolean valuesLoaded = false;
            for (int h = 0; h < sums.length; h++) {
                DecodeSums s = sums[h];
                kernels.scores(n, dim, k, unit.head(h).scaledQ, scores);
                if (unit.keepsScores()) {
                    System.arraycopy(scores, 0, unit.scores(h), token, n);
                }
                int top = indexOfMax(n);
                if (scores[top] > s.max + DecodeSums.LEAP) {
                    s.moveTo(scores[top], k, top * dim);
                } else if (scores[top] < s.max + NEGLIGIBLE) {
                    continue;
                }
                kernels.exponentials(n, scores, s.max, 0.5f, weights);
                s.omega += squares(n);
                kernels.centre(n, dim, k, s.c, weights, z, s.z);
                if (s.zz != null) {
                    kernels.gram(n, dim, z, s.zz);
                }
                if (s.zv != null) {
                    if (!valuesLoaded) {
                        cache.loadValues(unit.sequence(), unit.kvHead(), token, n, v, half);
                        valuesLoaded = true;
                    }
                    kernels.scaleRows(n, valueDim, v, weights, weightedV, s.v);
                    kernels.product(n, dim, z, valueDim, weightedV, s.zv);
                }
            }
        }
    }

    /** ay[h] += sum_j p_j ((k_j - kbar) . y) (k_j - c) over a slice, for the heads still iterating; p comes from kept scores. */
    void multiply(DecodeUnit unit, int from, int to, float[][] ay) {
        for (int token = from; token < to; token += TILE) {
            int n = Math.min(TILE, to - token);
            boolean loaded = false;
            for (int h = 0; h < ay.length; h++) {
                DecodeUnit.Head head = unit.head(h);
                if (!head.active || !weigh(unit, h, token, n)) {
                    continue;
                }
                if (!loaded) {
                    cache.loadKeys(unit.sequence(), unit.kvHead(), token, n, k, half);
                    loaded = true;
                }
                kernels.centredDots(n, dim, k, head.c, head.y, dots);
                float shift = -DecodeUnit.dot(head.zbar, head.y);
                for (int j = 0; j < n; j++) {
                    dots[j] = weights[j] * head.perWeight * (dots[j] + shift);
                }
                kernels.accumulateCentred(n, dim, k, head.c, dots, ay[h]);
            }
        }
    }

    /** o[h] += sum_j p_j (1 - (k_j - kbar) . x) v_j over a slice. */
    void output(DecodeUnit unit, int from, int to, float[][] o) {
        for (int token = from; token < to; token += TILE) {
            int n = Math.min(TILE, to - token);
            boolean keysLoaded = false;
            boolean valuesLoaded = false;
            for (int h = 0; h < o.length; h++) {
                DecodeUnit.Head head = unit.head(h);
                if (!keysLoaded && !unit.keepsScores()) {
                    cache.loadKeys(unit.sequence(), unit.kvHead(), token, n, k, half);
                    keysLoaded = true;
                }
                if (!weigh(unit, h, token, n)) {
                    continue;
                }
                if (!keysLoaded) {
                    cache.loadKeys(unit.sequence(), unit.kvHead(), token, n, k, half);
                    keysLoaded = true;
                }
                if (!valuesLoaded) {
                    cache.loadValues(unit.sequence(), unit.kvHead(), token, n, v, half);
                    valuesLoaded = true;
                }
                kernels.centredDots(n, dim, k, head.c, head.x, dots);
                float shift = 1 + DecodeUnit.dot(head.zbar, head.x);
                for (int j = 0; j < n; j++) {
                    dots[j] = weights[j] * head.perWeight * (shift - dots[j]);
                }
                kernels.accumulate(n, valueDim, v, dots, o[h]);
            }
        }
    }

    /** Writes the tile's weights, relative to the head's heaviest key; false where the tile is negligible. Without kept scores the tile's keys are loaded. */
    private boolean weigh(DecodeUnit unit, int h, int token, int n) {
        DecodeUnit.Head head = unit.head(h);
        if (unit.keepsScores()) {
            System.arraycopy(unit.scores(h), token, scores, 0, n);
        } else {
            kernels.scores(n, dim, k, head.scaledQ, scores);
        }
        if (scores[indexOfMax(n)] < head.max + NEGLIGIBLE) {
            return false;
        }
        kernels.exponentials(n, scores, head.max, 1, weights); // not less lse: at scores of 1e4 a float's ulp is 1e-3
        return true;
    }

    private int indexOfMax(int n) {
        int top = 0;
        for (int j = 1; j < n; j++) {
            top = scores[j] > scores[top] ? j : top;
        }
        return top;
    }

    private float squares(int n) {
        float even = 0;
        float odd = 0;
        for (int j = 0; j + 1 < n; j += 2) {
            even += weights[j] * weights[j];
            odd += weights[j + 1] * weights[j + 1];
        }
        return even + odd + (n % 2 == 1 ? weights[n - 1] * weights[n - 1] : 0);
    }
}
