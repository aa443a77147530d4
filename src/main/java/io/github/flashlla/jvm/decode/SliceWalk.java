package io.github.flashlla.jvm.decode;

import static io.github.flashlla.jvm.decode.DecodeLoops.TILE;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;

/** One thread's walk over tiles of one key/value head's cache, for the query heads that share it. */
public final class SliceWalk {

    /**
     * Log of the weight, relative to the heaviest key's, below which a tile is skipped. A cache of 2^17 such keys holds less
     * than 1e-12 of the weight, far below a float's rounding; in trained heads most tiles are such.
     */
    private static final float NEGLIGIBLE = -40;

    /** The score of a token that is not there: its weight is 0. */
    private static final float ABSENT = -1e30f; // a number whose product with a weight of 0 is 0, and not NaN

    private static final int LINE_BYTES = 64;

    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final TokenTiles keys;
    private final TokenTiles values;
    private final DecodeLoops kernels;
    /** D and Dv, and what rows of them are padded to. */
    private final int dim;
    private final int valueDim;
    private final int rowDim;
    private final int valueRowDim;
    /** A float16 tile, widened, or a tile turned. */
    private final MemorySegment widened;
    /** Where the current tile lies. */
    private MemorySegment tile;
    private long at;
    /** Keeps the compiler from removing the reads of {@link #fetch}. */
    int fetched;
    private final float[] origin;
    private final float[] key;
    private final float[] k;
    private final float[] z;
    private final float[] v;
    private final float[] weightedV;
    private final float[] scores = new float[TILE];
    private final float[] weights = new float[TILE];
    private final float[] coefficients = new float[TILE];
    private final float[][] headCoefficients;
    /** Null for a cache. */
    private final TensorTiles.Room room;

    /** @param group query heads that share a key/value head */
    public SliceWalk(TokenTiles keys, TokenTiles values, DecodeLoops kernels, int group) {
        this.keys = keys;
        this.values = values;
        this.kernels = kernels;
        this.dim = keys.dim();
        this.valueDim = values.dim();
        this.rowDim = DecodeLoops.padded(dim);
        this.valueRowDim = DecodeLoops.padded(valueDim);
        this.widened = Arena.ofAuto().allocate((long) TILE * Math.max(dim, valueDim) * Float.BYTES, 64);
        this.origin = new float[Math.max(rowDim, valueRowDim)];
        this.key = new float[rowDim];
        this.k = new float[TILE * rowDim];
        this.z = new float[TILE * rowDim];
        this.v = new float[TILE * valueRowDim];
        this.weightedV = new float[TILE * valueRowDim];
        this.headCoefficients = new float[group][TILE];
        this.room = keys instanceof TensorTiles ? new TensorTiles.Room(Math.max(dim, valueDim)) : null;
    }

    public long bytes() {
        long tokens = 2L * k.length + 2L * v.length + (3L + headCoefficients.length) * TILE;
        return widened.byteSize() + (room == null ? 0 : room.bytes()) + Float.BYTES * (origin.length + key.length + tokens);
    }

    /** Loads a tile of keys or values; it is then the current tile. */
    private void load(TokenTiles source, HeadGroupStep unit, int token) {
        switch (source) {
            case CacheTiles tiles -> loadCached(tiles, unit, token);
            case TensorTiles tiles -> {
                tiles.load(unit.sequence(), unit.kvHead(), token, room, widened);
                tile = widened;
                at = 0;
            }
        }
    }

    private void loadCached(CacheTiles tiles, HeadGroupStep unit, int token) {
        long offset = tiles.offset(unit.sequence(), unit.kvHead(), token);
        fetch(tiles.segment(), offset, tiles.tileBytes());
        if (tiles.half()) {
            kernels.widen(tiles.dim(), tiles.segment(), offset, widened);
            tile = widened;
            at = 0;
        } else {
            tile = tiles.segment();
            at = offset;
        }
    }

    /**
     * Reads one number of every cache line, a line of each eighth in turn. A tile of 64 floats is eight pages of memory, and a
     * processor fetches ahead within each page that is being read: side by side they bring a core 24 GB/s, one after the other 12.
     */
    private void fetch(MemorySegment memory, long from, long bytes) {
        long part = bytes / 8 / LINE_BYTES * LINE_BYTES;
        int sum = 0;
        for (long line = from; line < from + part; line += LINE_BYTES) {
            sum += memory.get(INT, line) + memory.get(INT, line + part) + memory.get(INT, line + 2 * part)
                    + memory.get(INT, line + 3 * part) + memory.get(INT, line + 4 * part) + memory.get(INT, line + 5 * part)
                    + memory.get(INT, line + 6 * part) + memory.get(INT, line + 7 * part);
        }
        fetched = sum;
    }

    /** Transposes the current tile into rows of {@code stride} floats. */
    private void turn(int n, int width, int stride, float[] rows) {
        for (int d = 0; d < width; d++) {
            long row = at + (long) d * TILE * Float.BYTES;
            for (int j = 0; j < n; j++) {
                rows[j * stride + d] = tile.get(FLOAT, row + (long) j * Float.BYTES);
            }
        }
    }

    /**
     * Writes the current tile's scores into {@code out}, from {@code to} on, and returns the largest.
     *
     * @param hidden tokens at the front that the query does not see
     */
    private float score(Head head, int hidden, int n, float[] out, int to) {
        kernels.dots(dim, tile, at, origin, head.scaledQ, out, to);
        Arrays.fill(out, to, to + hidden, ABSENT);
        Arrays.fill(out, to + n, to + TILE, ABSENT);
        return kernels.max(out, to);
    }

    /**
     * Moves the sums' reference to the current tile's heaviest key if that is far heavier; returns false if the tile is
     * negligible.
     *
     * @param found the tile's scores, from {@code from} on
     */
    private boolean follow(MomentSums s, float top, float[] found, int from) {
        if (top > s.max + MomentSums.LEAP) {
            int j = 0;
            while (found[from + j] != top) {
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
    void accumulateMoments(HeadGroupStep unit, int from, int to, MomentSums[] sums) {
        visit(true, from, to, (token, n) -> {
            load(keys, unit, token);
            boolean keysTurned = false;
            boolean valuesTurned = false;
            for (int h = 0; h < sums.length; h++) {
                MomentSums s = sums[h];
                if (valuesTurned) { // the tile at hand is of values
                    load(keys, unit, token);
                }
                float top = score(unit.head(h), unit.hidden(token), n, scores, 0);
                unit.setTop(h, token, top);
                if (!follow(s, top, scores, 0)) {
                    continue;
                }
                if (!keysTurned) {
                    turn(n, dim, rowDim, k);
                    keysTurned = true;
                }
                kernels.exponentials(DecodeLoops.padded(n), scores, 0, s.max, 0.5f, weights, 0);
                for (int j = 0; j < n; j++) {
                    s.omega += weights[j] * weights[j];
                }
                kernels.centre(n, rowDim, k, s.c, weights, z, s.z);
                kernels.gram(n, rowDim, z, s.zz);
                if (s.zv != null) {
                    if (!valuesTurned) {
                        load(values, unit, token);
                        turn(n, valueDim, valueRowDim, v);
                        valuesTurned = true;
                    }
                    kernels.scaleRows(n, valueRowDim, v, weights, weightedV, s.v);
                    kernels.product(n, rowDim, z, valueRowDim, weightedV, s.zv);
                }
            }
        });
    }

    /** A tile that a pass visits: its first token, and how many it holds. */
    private interface Visit {
        void of(int token, int n);
    }

    /**
     * Visits the tiles of tokens {@code from} to {@code to} - 1, in alternating direction: what one pass read last, the
     * next finds in a cache.
     */
    private static void visit(boolean forth, int from, int to, Visit visit) {
        int tiles = Math.ceilDiv(to - from, TILE);
        for (int i = 0; i < tiles; i++) {
            int token = from + (forth ? i : tiles - 1 - i) * TILE;
            visit.of(token, Math.min(TILE, to - token));
        }
    }

    /** o[h] += sum_j p_j (1 - (k_j - kbar) . x) v_j over a slice, by lane, after a direct solve. */
    void output(HeadGroupStep unit, boolean forth, int from, int to, float[][] o) {
        visit(forth, from, to, (token, n) -> {
            boolean loaded = false;
            for (int h = 0; h < o.length; h++) {
                Head head = unit.head(h);
                if (unit.top(h, token) < head.max + NEGLIGIBLE) {
                    continue;
                }
                if (!loaded) {
                    load(keys, unit, token);
                    loaded = true;
                }
                score(head, unit.hidden(token), n, scores, 0);
                kernels.exponentials(TILE, scores, 0, head.max, 1, weights, 0); // not less lse: at 1e4 a float's ulp is 1e-3
                kernels.dots(dim, tile, at, head.c, head.x, scores, 0);
                kernels.weigh(weights, 0, -head.perWeight, scores, 1 + head.shift, headCoefficients[h]);
            }
            if (loaded) {
                load(values, unit, token);
            }
            for (int h = 0; h < o.length; h++) {
                if (unit.top(h, token) >= unit.head(h).max + NEGLIGIBLE) {
                    kernels.accumulate(valueDim, tile, at, origin, headCoefficients[h], o[h]);
                }
            }
        });
    }

    /** First pass of the matrix-free form: sums w, w z, w t z of every head; keeps the scores. */
    void accumulate(HeadGroupStep unit, int from, int to, MomentSums[] sums) {
        visit(true, from, to, (token, n) -> {
            load(keys, unit, token);
            for (int h = 0; h < sums.length; h++) {
                MomentSums s = sums[h];
                float[] kept = unit.weights(h);
                float top = score(unit.head(h), unit.hidden(token), n, kept, token);
                unit.setTop(h, token, top);
                if (!follow(s, top, kept, token)) {
                    continue;
                }
                s.omega += kernels.exponentials(TILE, kept, token, s.max, 1, weights, 0);
                System.arraycopy(kept, token, scores, 0, TILE);
                s.t += kernels.weigh(weights, 0, 1, scores, s.max, coefficients);
                kernels.accumulate(dim, tile, at, s.c, weights, coefficients, s.zLanes, s.tzLanes);
            }
        });
    }

    /**
     * An iteration's pass over a slice: ay[h] += sum_j p_j ((k_j - kbar) . y) (k_j - c), by lane, for the heads still iterating;
     * keeps (k_j - c) . y.
     */
    void multiply(HeadGroupStep unit, boolean forth, int from, int to, float[][] ay) {
        visit(forth, from, to, (token, n) -> {
            boolean loaded = false;
            for (int h = 0; h < ay.length; h++) {
                Head head = unit.head(h);
                if (!head.active || !weigh(unit, h, token, n)) {
                    continue;
                }
                if (!loaded) {
                    load(keys, unit, token);
                    loaded = true;
                }
                float[] products = unit.dots(h);
                kernels.dots(dim, tile, at, head.c, head.y, products, token);
                kernels.weigh(unit.weights(h), token, head.perWeight, products, head.shift, coefficients);
                kernels.accumulate(dim, tile, at, head.c, coefficients, ay[h]);
            }
        });
    }

    /** Last pass of the matrix-free form over a slice: as {@link #output}, with weights and products that are kept. */
    void outputFromKept(HeadGroupStep unit, boolean forth, int from, int to, float[][] o) {
        visit(forth, from, to, (token, n) -> {
            boolean loaded = false;
            for (int h = 0; h < o.length; h++) {
                Head head = unit.head(h);
                if (!weigh(unit, h, token, n)) {
                    continue;
                }
                if (!loaded) {
                    load(values, unit, token);
                    loaded = true;
                }
                kernels.weigh(unit.weights(h), token, -head.perWeight, unit.slopes(h), 1 + head.shift, coefficients);
                kernels.accumulate(valueDim, tile, at, origin, coefficients, o[h]);
            }
        });
    }

    /**
     * Brings a tile's weights, relative to the head's heaviest key, and slopes (k_j - c) . x up to the last step; false where the
     * tile is negligible. In the first pass after the scores, the weights are still scores.
     */
    private boolean weigh(HeadGroupStep unit, int h, int token, int n) {
        Head head = unit.head(h);
        if (unit.top(h, token) < head.max + NEGLIGIBLE) {
            return false;
        }
        float[] w = unit.weights(h);
        if (!head.weighed) {
            kernels.scale(w, token, head.step, head.max, unit.slopes(h));
            Arrays.fill(unit.slopes(h), token, token + unit.hidden(token), 0);
            Arrays.fill(unit.slopes(h), token + n, token + TILE, 0);
            kernels.exponentials(TILE, w, token, head.max, 1, w, token);
        } else if (head.step != 0) {
            kernels.addScaled(unit.dots(h), token, head.step, unit.slopes(h));
        }
        return true;
    }
}
