package io.github.flashlla.jvm;

import static io.github.flashlla.jvm.DecodeKernels.TILE;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;

/** One thread's walk over tiles of one key/value head's cache, for the query heads that share it. */
final class DecodeTiles {

    /**
     * Log of the weight, relative to the heaviest key's, below which a tile is skipped. A cache of 2^17 such keys holds less
     * than 1e-12 of the weight, far below a float's rounding; in trained heads most tiles are such.
     */
    private static final float NEGLIGIBLE = -40;

    /** The score of a token that is not there: its weight is 0. */
    private static final float ABSENT = -Float.MAX_VALUE;

    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final JvmKvCache cache;
    private final DecodeKernels kernels;
    /** D and Dv, and what rows of them are padded to. */
    private final int dim;
    private final int valueDim;
    private final int rowDim;
    private final int valueRowDim;
    /** A float16 tile, widened. */
    private final MemorySegment widened;
    /** The tile at hand: where it lies. */
    private MemorySegment tile;
    private long at;
    private final float[] origin;
    private final float[] key;
    private final float[] k;
    private final float[] z;
    private final float[] v;
    private final float[] weightedV;
    private final float[] scores = new float[TILE];
    private final float[] weights = new float[TILE];
    private final float[] coefficients = new float[TILE];
    private final float[] dots = new float[TILE];

    DecodeTiles(JvmKvCache cache, DecodeKernels kernels) {
        this.cache = cache;
        this.kernels = kernels;
        this.dim = cache.shape().headDim();
        this.valueDim = cache.shape().valueDim();
        this.rowDim = DecodeKernels.padded(dim);
        this.valueRowDim = DecodeKernels.padded(valueDim);
        this.widened = Arena.ofAuto().allocate((long) TILE * Math.max(dim, valueDim) * Float.BYTES, 64);
        this.origin = new float[Math.max(rowDim, valueRowDim)];
        this.key = new float[rowDim];
        this.k = new float[TILE * rowDim];
        this.z = new float[TILE * rowDim];
        this.v = new float[TILE * valueRowDim];
        this.weightedV = new float[TILE * valueRowDim];
    }

    long bytes() {
        return widened.byteSize() + Float.BYTES * (origin.length + key.length + 2L * k.length + 2L * v.length + 4L * TILE);
    }

    /** Makes a tile of keys or values the one at hand. */
    private void load(TokenTiles tiles, DecodeUnit unit, int token) {
        long offset = tiles.offset(unit.sequence(), unit.kvHead(), token);
        if (tiles.half()) {
            kernels.widen(tiles.dim() * TILE, tiles.segment(), offset, widened);
            tile = widened;
            at = 0;
        } else {
            tile = tiles.segment();
            at = offset;
        }
    }

    /** Turns the tile at hand into rows of {@code stride} floats. */
    private void turn(int n, int width, int stride, float[] rows) {
        for (int d = 0; d < width; d++) {
            long row = at + (long) d * TILE * Float.BYTES;
            for (int j = 0; j < n; j++) {
                rows[j * stride + d] = tile.get(FLOAT, row + (long) j * Float.BYTES);
            }
        }
    }

    /** Scores of the tile at hand into {@code scores}, and the largest. */
    private float score(DecodeUnit.Head head, int n) {
        kernels.dots(dim, tile, at, origin, head.scaledQ, scores);
        Arrays.fill(scores, n, TILE, ABSENT);
        return kernels.max(TILE, scores);
    }

    /** Moves the sums' reference to the heaviest key of the tile at hand where it leaps out; false where the tile is negligible. */
    private boolean follow(DecodeSums s, float top) {
        if (top > s.max + DecodeSums.LEAP) {
            int j = 0;
            while (scores[j] != top) {
                j++;
            }
            for (int d = 0; d < dim; d++) {
                key[d] = tile.get(FLOAT, at + ((long) d * TILE + j) * Float.BYTES);
            }
            s.moveTo(top, key);
        }
        return top >= s.max + NEGLIGIBLE;
    }

    /** Adds tokens {@code from} to {@code to} - 1 to the sums of a direct solve, of every head. */
    void accumulateMoments(DecodeUnit unit, int from, int to, DecodeSums[] sums) {
        for (int token = from; token < to; token += TILE) {
            int n = Math.min(TILE, to - token);
            load(cache.k(), unit, token);
            boolean keysTurned = false;
            boolean valuesTurned = false;
            for (int h = 0; h < sums.length; h++) {
                DecodeSums s = sums[h];
                if (valuesTurned) { // the tile at hand is of values
                    load(cache.k(), unit, token);
                }
                float top = score(unit.head(h), n);
                unit.setTop(h, token, top);
                if (!follow(s, top)) {
                    continue;
                }
                if (!keysTurned) {
                    turn(n, dim, rowDim, k);
                    keysTurned = true;
                }
                kernels.exponentials(DecodeKernels.padded(n), scores, 0, s.max, 0.5f, weights);
                for (int j = 0; j < n; j++) {
                    s.omega += weights[j] * weights[j];
                }
                kernels.centre(n, rowDim, k, s.c, weights, z, s.z);
                kernels.gram(n, rowDim, z, s.zz);
                if (s.zv != null) {
                    if (!valuesTurned) {
                        load(cache.v(), unit, token);
                        turn(n, valueDim, valueRowDim, v);
                        valuesTurned = true;
                    }
                    kernels.scaleRows(n, valueRowDim, v, weights, weightedV, s.v);
                    kernels.product(n, rowDim, z, valueRowDim, weightedV, s.zv);
                }
            }
        }
    }

    /** o[h] += sum_j p_j (1 - (k_j - kbar) . x) v_j over a slice, by lane, after a direct solve. */
    void output(DecodeUnit unit, int from, int to, float[][] o) {
        for (int token = from; token < to; token += TILE) {
            int n = Math.min(TILE, to - token);
            for (int h = 0; h < o.length; h++) {
                DecodeUnit.Head head = unit.head(h);
                if (unit.top(h, token) < head.max + NEGLIGIBLE) {
                    continue;
                }
                load(cache.k(), unit, token);
                score(head, n);
                kernels.exponentials(TILE, scores, 0, head.max, 1, weights); // not less lse: at scores of 1e4 a float's ulp is 1e-3
                kernels.dots(dim, tile, at, head.c, head.x, dots);
                for (int j = 0; j < TILE; j++) {
                    coefficients[j] = weights[j] * head.perWeight * (1 + head.shift - dots[j]);
                }
                load(cache.v(), unit, token);
                kernels.accumulate(valueDim, tile, at, origin, coefficients, o[h]);
            }
        }
    }

    /** First pass of the matrix-free form: sums w, w z, w t z of every head; keeps the scores. */
    void accumulate(DecodeUnit unit, int from, int to, DecodeSums[] sums) {
        for (int token = from; token < to; token += TILE) {
            int n = Math.min(TILE, to - token);
            load(cache.k(), unit, token);
            for (int h = 0; h < sums.length; h++) {
                DecodeSums s = sums[h];
                float top = score(unit.head(h), n);
                unit.setTop(h, token, top);
                System.arraycopy(scores, 0, unit.weights(h), token, TILE);
                if (!follow(s, top)) {
                    continue;
                }
                s.omega += kernels.exponentials(TILE, scores, 0, s.max, 1, weights);
                kernels.accumulate(dim, tile, at, s.c, weights, s.zLanes);
                float t = 0;
                for (int j = 0; j < TILE; j++) {
                    coefficients[j] = weights[j] * (scores[j] - s.max);
                    t += coefficients[j];
                }
                s.t += t;
                kernels.accumulate(dim, tile, at, s.c, coefficients, s.tzLanes);
            }
        }
    }

    /**
     * An iteration's pass over a slice: ay[h] += sum_j p_j ((k_j - kbar) . y) (k_j - c), by lane, for the heads still iterating;
     * keeps (k_j - c) . y.
     */
    void multiply(DecodeUnit unit, int from, int to, float[][] ay) {
        for (int token = from; token < to; token += TILE) {
            boolean loaded = false;
            for (int h = 0; h < ay.length; h++) {
                DecodeUnit.Head head = unit.head(h);
                if (!head.active || !weigh(unit, h, token)) {
                    continue;
                }
                if (!loaded) {
                    load(cache.k(), unit, token);
                    loaded = true;
                }
                kernels.dots(dim, tile, at, head.c, head.y, dots);
                System.arraycopy(dots, 0, unit.dots(h), token, TILE);
                float[] w = unit.weights(h);
                for (int j = 0; j < TILE; j++) {
                    coefficients[j] = w[token + j] * head.perWeight * (dots[j] - head.shift);
                }
                kernels.accumulate(dim, tile, at, head.c, coefficients, ay[h]);
            }
        }
    }

    /** Last pass of the matrix-free form over a slice: as {@link #output}, with weights and products that are kept. */
    void outputFromKept(DecodeUnit unit, int from, int to, float[][] o) {
        for (int token = from; token < to; token += TILE) {
            boolean loaded = false;
            for (int h = 0; h < o.length; h++) {
                DecodeUnit.Head head = unit.head(h);
                if (!weigh(unit, h, token)) {
                    continue;
                }
                if (!loaded) {
                    load(cache.v(), unit, token);
                    loaded = true;
                }
                float[] w = unit.weights(h);
                float[] slope = unit.slopes(h);
                for (int j = 0; j < TILE; j++) {
                    coefficients[j] = w[token + j] * head.perWeight * (1 + head.shift - slope[token + j]);
                }
                kernels.accumulate(valueDim, tile, at, origin, coefficients, o[h]);
            }
        }
    }

    /**
     * Brings a tile's weights, relative to the head's heaviest key, and slopes (k_j - c) . x up to the last step; false where the
     * tile is negligible. In the first pass after the scores, the weights are still scores.
     */
    private boolean weigh(DecodeUnit unit, int h, int token) {
        DecodeUnit.Head head = unit.head(h);
        if (unit.top(h, token) < head.max + NEGLIGIBLE) {
            return false;
        }
        float[] w = unit.weights(h);
        float[] slope = unit.slopes(h);
        float step = head.step;
        if (head.weighed) {
            if (step != 0) {
                float[] products = unit.dots(h);
                for (int j = token; j < token + TILE; j++) {
                    slope[j] += step * products[j];
                }
            }
        } else {
            for (int j = token; j < token + TILE; j++) {
                slope[j] = w[j] == ABSENT ? 0 : step * (w[j] - head.max);
            }
            kernels.exponentials(TILE, w, token, head.max, 1, w);
        }
        return true;
    }
}
