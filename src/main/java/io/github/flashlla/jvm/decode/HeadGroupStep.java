package io.github.flashlla.jvm.decode;

import io.github.flashlla.DecodeMethod;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.jvm.block.TensorRows;
import io.github.flashlla.precise.KeptState;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;

/**
 * One decoding step of one sequence and key/value head: the query heads that share it, from scores to output. Its cache is
 * cut into slices, which several threads may walk at once; what they find merges exactly, in the order of the slices.
 */
public final class HeadGroupStep {

    /** Runs a job for every slice, on this thread or on several. */
    public interface Slices {
        void forEach(Job job);
    }

    /** What is done with one slice, by a thread with its own tiles. */
    public interface Job {
        void run(SliceWalk tiles, int slice);
    }

    private final KvCacheShape cache;
    private final LlaOptions options;
    private final int slices;
    private final Head[] heads;
    /** By slice and head; null where the method is not used. */
    private final Map<DecodeMethod, MomentSums[][]> sums = new EnumMap<>(DecodeMethod.class);
    /** By slice, head and lane. */
    private final float[][][] partials;
    private final DecodeSolve solve;
    /** By head and token: weights w, (k - c) . x, (k - c) . y of the matrix-free form. */
    private float[][] weights = new float[0][];
    private float[][] slopes = new float[0][];
    private float[][] dots = new float[0][];
    /** By head and tile: the largest score. */
    private float[][] tops = new float[0][];
    private int sequence;
    /** First token that the query sees. */
    private int first;
    private int kvHead;
    private long pairIterations;
    /** Which way the last pass went over a slice. */
    private boolean forth;

    public HeadGroupStep(KvCacheShape cache, int group, LlaOptions options, int slices, DecodeMethod method) {
        int dim = DecodeLoops.padded(cache.headDim());
        int valueDim = DecodeLoops.padded(cache.valueDim());
        this.cache = cache;
        this.options = options;
        this.slices = slices;
        this.heads = new Head[group];
        Arrays.setAll(heads, h -> new Head(dim, valueDim));
        for (DecodeMethod possible : DecodeCost.possible(cache, method)) {
            MomentSums[][] perSlice = new MomentSums[slices][group];
            for (MomentSums[] slice : perSlice) {
                Arrays.setAll(slice, h -> new MomentSums(possible, dim, valueDim));
            }
            sums.put(possible, perSlice);
        }
        this.partials = new float[slices][group][Math.max(dim, valueDim) * DecodeLoops.PAD];
        this.solve = new DecodeSolve(cache.headDim());
    }

    int sequence() {
        return sequence;
    }

    int kvHead() {
        return kvHead;
    }

    Head head(int h) {
        return heads[h];
    }

    float[] weights(int h) {
        return weights[h];
    }

    float[] slopes(int h) {
        return slopes[h];
    }

    float[] dots(int h) {
        return dots[h];
    }

    float top(int h, int token) {
        return tops[h][token / DecodeLoops.TILE];
    }

    void setTop(int h, int token, float score) {
        tops[h][token / DecodeLoops.TILE] = score;
    }

    /** Iterations times keys since the last call. */
    public long takePairIterations() {
        long taken = pairIterations;
        pairIterations = 0;
        return taken;
    }

    /** @param length the sequence's tokens, at least 1 */
    public void run(int sequence, int kvHead, int length, DecodeMethod method, Slices threads, Tensor q, Tensor ridge,
            LlaResult result, KeptState kept) {
        boolean iterates = method == DecodeMethod.MATRIX_FREE;
        long firstRow = prepare(sequence, kvHead, length, options.window() == 0 ? length : Math.min(length, options.window()), iterates, q, ridge);
        MomentSums[] found = gather(length, method, threads);
        if (iterates) {
            conjugateGradients(length, threads, found);
        } else {
            for (int h = 0; h < heads.length; h++) {
                Head head = heads[h];
                Arrays.fill(head.x, 0);
                solve.solve(found[h], cache.headDim(), head.q, head.ridge, head.x);
                head.residual = solve.residual;
                head.iterations = 0;
            }
        }
        if (method == DecodeMethod.MOMENTS) {
            for (int h = 0; h < heads.length; h++) {
                outputFromMoments(heads[h], found[h]);
            }
        } else {
            for (Head head : heads) {
                head.shift = dot(head.zbar, head.x);
            }
            sumOutputs(length, threads, iterates);
        }
        for (int h = 0; h < heads.length; h++) {
            store(heads[h], firstRow + h, result, kept);
        }
    }

    /**
     * Loads the queries of a head; returns the row of the first.
     *
     * @param seen the last so many of the {@code length} tokens
     */
    long prepare(int ofSequence, int ofKvHead, int length, int seen, boolean iterates, Tensor q, Tensor ridge) {
        sequence = ofSequence;
        kvHead = ofKvHead;
        first = length - seen;
        long firstRow = ((long) sequence * cache.kvHeads() + kvHead) * heads.length;
        loadQueries(firstRow, q, ridge);
        makeRoom(length, iterates);
        return firstRow;
    }

    /** The first pass: sums over all slices, of each query head. */
    MomentSums[] gather(int length, DecodeMethod method, Slices threads) {
        forth = true;
        MomentSums[][] found = sums.get(method);
        boolean iterates = method == DecodeMethod.MATRIX_FREE;
        threads.forEach((tiles, slice) -> {
            for (MomentSums s : found[slice]) {
                s.clear();
            }
            if (iterates) {
                tiles.accumulate(this, start(slice, length), start(slice + 1, length), found[slice]);
            } else {
                tiles.accumulateMoments(this, start(slice, length), start(slice + 1, length), found[slice]);
            }
        });
        for (int h = 0; h < heads.length; h++) {
            found[0][h].settle();
            for (int slice = 1; slice < slices; slice++) {
                found[0][h].merge(found[slice][h]);
            }
            finishSoftmax(heads[h], found[0][h]);
        }
        return found[0];
    }

    /** The last pass: o of each query head, from its x. */
    void sumOutputs(int length, Slices threads, boolean iterates) {
        overSlices(length, threads, iterates ? SliceWalk::outputFromKept : SliceWalk::output);
        for (int h = 0; h < heads.length; h++) {
            sumPartials(h, cache.valueDim(), heads[h].o);
        }
    }

    private void makeRoom(int length, boolean iterates) {
        int tiles = Math.ceilDiv(length, DecodeLoops.TILE);
        int roomy = Math.min(Math.ceilDiv(cache.capacity(), DecodeLoops.TILE), tiles + tiles / 2);
        if (tops.length == 0 || tops[0].length < tiles) {
            tops = new float[heads.length][roomy];
        }
        if (iterates && (weights.length == 0 || weights[0].length < tiles * DecodeLoops.TILE)) {
            weights = new float[heads.length][roomy * DecodeLoops.TILE];
            slopes = new float[heads.length][roomy * DecodeLoops.TILE];
            dots = new float[heads.length][roomy * DecodeLoops.TILE];
        }
    }

    /** First token of a slice: slices begin with a tile. */
    private int start(int slice, int length) {
        int firstTile = first / DecodeLoops.TILE;
        long tiles = Math.ceilDiv(length, DecodeLoops.TILE) - firstTile;
        return (int) Math.min(length, (firstTile + tiles * slice / slices) * DecodeLoops.TILE);
    }

    /** Tokens of the tile at {@code token} that lie before the window. */
    int hidden(int token) {
        return Math.max(0, first - token);
    }

    private void loadQueries(long firstRow, Tensor q, Tensor ridge) {
        float scale = (float) options.scaleFor(cache.headDim());
        for (int h = 0; h < heads.length; h++) {
            Head head = heads[h];
            TensorRows.load(q, (firstRow + h) * cache.headDim(), head.q, 0, cache.headDim());
            for (int d = 0; d < head.q.length; d++) {
                head.scaledQ[d] = head.q[d] * scale;
            }
            head.ridge = (float) (ridge == null ? options.ridge() : ridge.get(firstRow + h));
        }
    }

    private static void finishSoftmax(Head head, MomentSums sums) {
        head.max = sums.max;
        head.perWeight = (float) (1 / sums.omega);
        head.logSumExp = (float) (sums.max + Math.log(sums.omega));
        for (int d = 0; d < head.c.length; d++) {
            head.c[d] = sums.c[d];
            head.zbar[d] = (float) (sums.z[d] / sums.omega);
        }
    }

    private interface Walk {
        void over(SliceWalk tiles, HeadGroupStep unit, boolean forth, int from, int to, float[][] partial);
    }

    private void overSlices(int length, Slices threads, Walk walk) {
        forth = !forth;
        threads.forEach((tiles, slice) -> {
            for (float[] partial : partials[slice]) {
                Arrays.fill(partial, 0);
            }
            walk.over(tiles, this, forth, start(slice, length), start(slice + 1, length), partials[slice]);
        });
    }

    private void sumPartials(int h, int dim, float[] sum) {
        Arrays.fill(sum, 0);
        for (int slice = 0; slice < slices; slice++) {
            DecodeLoops.addLanes(dim, partials[slice][h], sum);
        }
    }

    /** A x = kbar - q for all heads together, each stopping by itself. */
    private void conjugateGradients(int length, Slices threads, MomentSums[] found) {
        for (int h = 0; h < heads.length; h++) {
            begin(heads[h], found[h]);
        }
        for (int iteration = 1; iteration <= options.maxIterations() && anyActive(); iteration++) {
            for (Head head : heads) {
                head.shift = dot(head.zbar, head.y);
            }
            overSlices(length, threads, SliceWalk::multiply);
            for (int h = 0; h < heads.length; h++) {
                if (heads[h].active) {
                    sumPartials(h, cache.headDim(), heads[h].ay);
                    iterate(heads[h], iteration);
                    pairIterations += length - first;
                }
            }
        }
        for (Head head : heads) {
            head.residual = head.bb > 0 ? Math.sqrt(head.rr / head.bb) : 0;
        }
    }

    /**
     * Takes the solve's first step along q, which costs no pass: sum w t z, gathered with the scores, is A q but for known terms,
     * since t is scale q.z. On long contexts of spread weights, kbar - q is nearly a multiple of q, and this step most of the way.
     */
    private void begin(Head head, MomentSums sums) {
        double scale = options.scaleFor(cache.headDim());
        double qz = sums.t / (scale * sums.omega);
        for (int d = 0; d < head.r.length; d++) {
            head.x[d] = 0;
            head.r[d] = (head.c[d] - head.q[d]) + head.zbar[d];
            head.aq[d] = (float) (sums.tz[d] / (scale * sums.omega) - qz * head.zbar[d] + head.ridge * (double) head.q[d]);
        }
        head.bb = dot64(head.r, head.r);
        head.rr = head.bb;
        head.qAq = dot64(head.q, head.aq);
        double length = head.qAq > 0 ? dot64(head.q, head.r) / head.qAq : 0;
        for (int d = 0; d < head.r.length; d++) {
            head.x[d] = (float) length * head.q[d];
            head.r[d] -= (float) length * head.aq[d];
        }
        head.step = (float) (length / scale);
        head.weighed = false;
        head.iterations = 0;
        Arrays.fill(head.y, 0);
        turn(head, dot64(head.r, head.r), 0);
    }

    private boolean anyActive() {
        for (Head head : heads) {
            if (head.active) {
                return true;
            }
        }
        return false;
    }

    private void iterate(Head head, int iteration) {
        head.weighed = true;
        for (int d = 0; d < head.y.length; d++) {
            head.ay[d] += head.ridge * head.y[d];
        }
        double yAy = dot64(head.y, head.ay);
        if (!(yAy > 0)) { // the direction is lost to rounding: keep the solution so far
            head.active = false;
            head.step = 0;
            head.iterations = options.maxIterations();
            return;
        }
        head.step = (float) (dot64(head.r, head.y) / yAy);
        for (int d = 0; d < head.y.length; d++) {
            head.x[d] += head.step * head.y[d];
            head.r[d] -= head.step * head.ay[d];
        }
        double rr = dot64(head.r, head.r);
        head.iterations = iteration;
        boolean anew = iteration == cache.headDim();
        if (anew) { // but for rounding it would have ended: of few keys at a small ridge, the free product A q may not be exact enough
            head.qAq = 0;
        }
        turn(head, rr, anew ? 0 : rr / head.rr);
    }

    /** The next direction, conjugate to the last one and to q; none where the residual {@code rr} is small enough. */
    private void turn(Head head, double rr, double turn) {
        double alongQ = head.qAq > 0 ? dot64(head.r, head.aq) / head.qAq : 0;
        for (int d = 0; d < head.y.length; d++) {
            head.y[d] = (float) (head.r[d] + turn * head.y[d] - alongQ * head.q[d]);
        }
        head.rr = rr;
        head.active = rr > options.tolerance() * options.tolerance() * head.bb;
    }

    /** o = vbar - C^T x with C = sum w z v^T / omega - zbar vbar^T. */
    private static void outputFromMoments(Head head, MomentSums sums) {
        float shift = 1 + dot(head.zbar, head.x);
        for (int e = 0; e < head.o.length; e++) {
            head.o[e] = shift * sums.v[e] * head.perWeight;
        }
        for (int a = 0; a < head.x.length; a++) {
            float factor = head.x[a] * head.perWeight;
            for (int e = 0; e < head.o.length; e++) {
                head.o[e] -= factor * sums.zv[a * head.o.length + e];
            }
        }
    }

    private void store(Head head, long row, LlaResult result, KeptState kept) {
        TensorRows.store(head.o, 0, cache.valueDim(), result.output(), row * cache.valueDim());
        result.logSumExp().set(row, head.logSumExp);
        if (kept != null) {
            for (int d = 0; d < cache.headDim(); d++) {
                kept.kbar().set(row * cache.headDim() + d, head.c[d] + head.zbar[d]);
                kept.x().set(row * cache.headDim() + d, head.x[d]);
            }
        }
        result.iterations()[(int) row] = head.iterations;
        result.residual()[(int) row] = (float) head.residual;
    }

    static float dot(float[] a, float[] b) {
        return (float) dot64(a, b);
    }

    private static double dot64(float[] a, float[] b) {
        double sum = 0;
        for (int d = 0; d < a.length; d++) {
            sum += (double) a[d] * b[d];
        }
        return sum;
    }

    public long bytes() {
        long bytes = DecodeSolve.bytes(cache.headDim())
                + Float.BYTES * (long) heads.length * (10L * heads[0].q.length + heads[0].o.length);
        for (MomentSums[][] perSlice : sums.values()) {
            bytes += slices * heads.length * perSlice[0][0].bytes();
        }
        for (float[][] arrays : new float[][][] {weights, slopes, dots, tops}) {
            bytes += arrays.length == 0 ? 0 : Float.BYTES * (long) arrays.length * arrays[0].length;
        }
        return bytes + Float.BYTES * (long) slices * heads.length * partials[0][0].length;
    }
}
