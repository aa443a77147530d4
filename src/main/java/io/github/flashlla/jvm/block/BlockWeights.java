package io.github.flashlla.jvm.block;

import static io.github.flashlla.jvm.block.BlockLoops.ROWS;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import java.util.Arrays;

/**
 * The softmax weights p_ij of one block of queries, tile of keys by tile of keys.
 *
 * <p>Every pass and every iteration of the solve needs them. Where the scratch memory allows, one block's weights are kept,
 * ROWS x Sk floats per thread, which costs 4 bytes of cache traffic per pair where computing them anew costs 2D flops and
 * an exponential; beyond that they are recomputed from the saved max and total. Work is counted the same for both
 * ({@link io.github.flashlla.LlaWork}).
 */
public final class BlockWeights {

    /** Keys of one tile: tile, keys and a block's vectors stay in the first two cache levels together. */
    static final int TILE_KEYS = 64;

    private final BlockLoops kernels;
    private final int dim;
    private final boolean kept;
    private final float[] p;
    private final float[] tileMax;
    private final float[] rescale = new float[ROWS];
    /** Old less new max of each lane in one step of the softmax. */
    private final float[] drop = new float[ROWS];
    /** Sum of p (s - max) of each lane. */
    private final float[] slopeTotal = new float[ROWS];
    /** What all of a lane's scores lack. */
    private final double[] shared = new double[ROWS];
    /** Of each lane, the first key that its query sees, and the end of those it sees. */
    private final int[] from = new int[ROWS];
    private final int[] end = new int[ROWS];
    private KeyValueHead head;
    /** First key of the first tile that a query of the block sees, and keys up to the last. */
    private int first;
    private int keys;
    /** Keys that every query of the block sees: from a first one to below this. */
    private int seenByAllFrom;
    private int seenByAll;
    /** Lanes in use. */
    private int rows;

    /** Running max of each lane's scores. */
    final float[] max = new float[ROWS];
    /** Total weight of each lane relative to {@link #max}. */
    final float[] total = new float[ROWS];
    /** 1 / {@link #total}, or 0 for a row without keys. */
    final float[] factor = new float[ROWS];

    /**
     * @param dim padded head dim
     * @param maxKeys longest row of keys that a block can see
     * @param kept whether to keep a whole block's weights
     */
    BlockWeights(BlockLoops kernels, int dim, int maxKeys, boolean kept) {
        this.kernels = kernels;
        this.dim = dim;
        this.kept = kept;
        this.p = new float[elements(maxKeys, kept)];
        this.tileMax = new float[kept ? tiles(maxKeys) * ROWS : 0];
    }

    /** Floats that keeping or not keeping takes; {@link Math#multiplyExact} guards what an array can hold. */
    private static int elements(int maxKeys, boolean kept) {
        return Math.multiplyExact(kept ? BlockLoops.padded(maxKeys) : TILE_KEYS, ROWS);
    }

    /** Bytes that keeping or not keeping one block's weights takes. */
    public static long bytes(AttentionShape shape, LlaOptions options, boolean kept) {
        int maxKeys = most(shape, options);
        long floats = kept ? ((long) BlockLoops.padded(maxKeys) + tiles(maxKeys)) * ROWS : (long) TILE_KEYS * ROWS;
        return floats * Float.BYTES;
    }

    private static int tiles(int keys) {
        return Math.ceilDiv(keys, TILE_KEYS);
    }

    /** Starts on queries i0 to i0+rows-1 and the keys of their head. */
    void begin(AttentionShape shape, LlaOptions options, int i0, int rows, KeyValueHead keyValues) {
        head = keyValues;
        this.rows = rows;
        keys = 0;
        seenByAllFrom = 0;
        seenByAll = Integer.MAX_VALUE;
        Arrays.fill(from, 0);
        Arrays.fill(end, 0);
        for (int row = 0; row < rows; row++) {
            from[row] = shape.firstKey(i0 + row, options);
            end[row] = shape.visibleKeys(i0 + row, options.causal());
            keys = Math.max(keys, end[row]);
            seenByAllFrom = Math.max(seenByAllFrom, from[row]);
            seenByAll = Math.min(seenByAll, end[row]);
        }
        first = from[0] / BlockLoops.UNROLL * BlockLoops.UNROLL; // later queries see later keys; rows are padded to as many
    }

    /** Keys that a block may see, of those of its head. */
    static int most(AttentionShape shape, LlaOptions options) {
        return options.window() == 0 ? shape.keyLength()
                : (int) Math.min(shape.keyLength(), (long) options.window() + ROWS + BlockLoops.UNROLL);
    }

    /** First key of the first tile; tiles start at this, this + TILE_KEYS, ... below {@link #keys()}. */
    int first() {
        return first;
    }

    /** End of the keys that at least one query of the block sees. */
    int keys() {
        return keys;
    }

    /** Keys that the query of this lane sees. */
    int visible(int lane) {
        return end[lane] - from[lane];
    }

    /** Rows of the tile at key {@code j0}, padded; weights of the padding are 0. */
    int tileRows(int j0) {
        return BlockLoops.padded(Math.min(TILE_KEYS, keys - j0));
    }

    /** The memory that {@link #tile} points into. */
    float[] p() {
        return p;
    }

    /**
     * Pass 1: online softmax over all tiles.
     *
     * @param q scale times the queries {@code [dim][lane]}
     * @param kbar receives the weighted mean keys
     */
    void softmax(float[] q, float[] kbar) {
        softmax(q, head.keys, dim, kbar, null, null);
    }

    /**
     * The same, and how the mean key changes with the scores: sum_j p_ij (s_ij - sbar_i) (k_j - kbar_i), which costs one more sum over the
     * keys.
     *
     * @param slope receives it {@code [dim][lane]}
     * @param tile scratch for one tile
     */
    void softmaxWithSlope(float[] q, float[] kbar, float[] slope, float[] tile) {
        softmax(q, head.keys, dim, kbar, slope, tile);
    }

    /**
     * The same with the mean of other rows than the keys.
     *
     * @param rows where those rows start in the head's memory
     * @param width of a row, padded
     */
    void softmax(float[] q, int rows, int width, float[] mean) {
        softmax(q, rows, width, mean, null, null);
    }

    private void softmax(float[] q, int rows, int width, float[] mean, float[] slope, float[] tile) {
        Arrays.fill(max, -Float.MAX_VALUE); // finite, so that a row without keys gives weights of 0 and not NaN
        Arrays.fill(total, 0);
        Arrays.fill(mean, 0);
        if (slope != null) {
            Arrays.fill(slope, 0);
            Arrays.fill(slopeTotal, 0);
        }
        for (int j0 = first; j0 < keys; j0 += TILE_KEYS) {
            int m = tileRows(j0);
            int at = kept ? (j0 - first) * ROWS : 0;
            scores(q, j0, m, at);
            if (slope == null) {
                if (kernels.softmaxStep(m, p, at, max, total, rescale)) {
                    kernels.scale(width, mean, 0, rescale);
                }
            } else {
                // sums of p (s - max): those of the keys so far become relative to the new max
                if (kernels.softmaxStep(m, p, at, max, total, rescale, drop, tile, slopeTotal)) {
                    kernels.addScaled(width, slope, drop, mean);
                    kernels.scale(width, slope, 0, rescale);
                    kernels.scale(width, mean, 0, rescale);
                }
                kernels.accumulate(m, width, head.floats, rows + j0 * width, width, tile, 0, slope);
            }
            if (kept) {
                System.arraycopy(max, 0, tileMax, (j0 - first) / TILE_KEYS * ROWS, ROWS);
            }
            kernels.accumulate(m, width, head.floats, rows + j0 * width, width, p, at, mean);
        }
        invertTotal();
        kernels.scale(width, mean, 0, factor);
        if (slope != null) {
            kernels.scale(width, slope, 0, factor);
            for (int lane = 0; lane < ROWS; lane++) {
                slopeTotal[lane] *= -factor[lane];
            }
            kernels.addScaled(width, slope, slopeTotal, mean);
        }
        if (kept) {
            normalise();
        }
    }

    /**
     * After {@link #softmax}, of the keys as given: relative to their centre every score lacks q.centre.
     *
     * @param into receives one per lane; minus infinity where a lane sees no key
     */
    void logSumExp(float[] q, float[] centre, float[] into) {
        Arrays.fill(shared, 0);
        for (int d = 0; d < dim; d++) {
            for (int lane = 0; lane < ROWS; lane++) {
                shared[lane] += (double) q[d * ROWS + lane] * centre[d];
            }
        }
        for (int lane = 0; lane < ROWS; lane++) {
            into[lane] = visible(lane) == 0 ? Float.NEGATIVE_INFINITY : (float) (max[lane] + Math.log(total[lane]) + shared[lane]);
        }
    }

    /**
     * Instead of {@link #softmax}, where the log-sum-exp is known already. Weights are divided by what they add up to, so
     * that the rounding of a large log-sum-exp does not leave a row's weights all too large or too small.
     */
    void restore(float[] q, float[] logSumExp) {
        for (int lane = 0; lane < ROWS; lane++) {
            max[lane] = visible(lane) > 0 ? logSumExp[lane] : 0;
        }
        Arrays.fill(total, 0);
        Arrays.fill(factor, 1);
        for (int j0 = first; j0 < keys; j0 += TILE_KEYS) {
            int m = tileRows(j0);
            int at = kept ? (j0 - first) * ROWS : 0;
            scores(q, j0, m, at);
            kernels.weights(m, p, at, max, factor, total);
        }
        invertTotal();
        if (kept) {
            kernels.scale(BlockLoops.padded(keys - first), p, 0, factor);
        }
    }

    private void invertTotal() {
        for (int lane = 0; lane < ROWS; lane++) {
            factor[lane] = total[lane] > 0 ? 1 / total[lane] : 0;
        }
    }

    /** Kept weights are relative to the max of their own time; makes them p_ij. */
    private void normalise() {
        int tiles = tiles(keys - first);
        kernels.weights(tiles, tileMax, 0, max, factor, rescale);
        for (int tile = 0; tile < tiles; tile++) {
            int j0 = first + tile * TILE_KEYS;
            System.arraycopy(tileMax, tile * ROWS, rescale, 0, ROWS);
            kernels.scale(tileRows(j0), p, (j0 - first) * ROWS, rescale);
        }
    }

    /** Position in {@link #p()} of the weights of the tile at key {@code j0}, computing them if they were not kept. */
    int tile(float[] q, int j0) {
        if (kept) {
            return (j0 - first) * ROWS;
        }
        int m = tileRows(j0);
        scores(q, j0, m, 0);
        kernels.weights(m, p, 0, max, factor, rescale);
        return 0;
    }

    /** Scores of the tile at key {@code j0}; minus infinity where a lane does not see a key. */
    private void scores(float[] q, int j0, int m, int at) {
        kernels.multiply(m, dim, head.floats, head.keys + j0 * dim, dim, q, p, at);
        if (j0 >= seenByAllFrom && j0 + m <= seenByAll) {
            return;
        }
        // later queries see later keys, and lanes past the last query see none
        int unseen = 0;
        int begun = 0;
        for (int i = 0; i < m; i++) {
            int row = at + i * ROWS;
            while (unseen < rows && end[unseen] <= j0 + i) {
                unseen++;
            }
            while (begun < rows && from[begun] <= j0 + i) {
                begun++;
            }
            Arrays.fill(p, row, row + unseen, Float.NEGATIVE_INFINITY);
            Arrays.fill(p, row + begun, row + ROWS, Float.NEGATIVE_INFINITY);
        }
    }
}
