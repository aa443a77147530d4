package io.github.flashlla.jvm;

import io.github.flashlla.DecodeMethod;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import java.util.Arrays;

/**
 * One decoding step of one sequence and key/value head: the query heads that share it, from scores to output. Its cache is
 * cut into slices, which several threads may walk at once; what they find merges exactly, in the order of the slices.
 */
final class DecodeUnit {

    /** Runs a job for every slice, on this thread or on several. */
    interface Slices {
        void forEach(Job job);
    }

    /** What is done with one slice, by a thread with its own tiles. */
    interface Job {
        void run(DecodeTiles tiles, int slice);
    }

    /** One query head's vectors, all of padded width. */
    static final class Head {
        final float[] q;
        final float[] scaledQ;
        /** The key that the moments are about, and kbar less it. */
        final float[] c;
        final float[] zbar;
        final float[] x;
        final float[] r;
        final float[] y;
        final float[] ay;
        final float[] o;
        float max;
        /** 1 / sum w */
        float perWeight;
        float logSumExp;
        float ridge;
        boolean active;
        int iterations;
        double residual;
        double rr;
        double bb;

        Head(int dim, int valueDim) {
            q = new float[dim];
            scaledQ = new float[dim];
            c = new float[dim];
            zbar = new float[dim];
            x = new float[dim];
            r = new float[dim];
            y = new float[dim];
            ay = new float[dim];
            o = new float[valueDim];
        }
    }

    private final KvCacheShape cache;
    private final LlaOptions options;
    private final int slices;
    private final Head[] heads;
    private final DecodeSums[][] covariances;
    private final DecodeSums[][] moments;
    private final float[][][] partials;
    private final DecodeSolve solve;
    private float[][] scores = new float[0][];
    private int sequence;
    private int kvHead;
    private boolean keepsScores;
    private long pairIterations;

    DecodeUnit(KvCacheShape cache, int group, LlaOptions options, int slices, DecodeMethod method) {
        int dim = DecodeKernels.padded(cache.headDim());
        int valueDim = DecodeKernels.padded(cache.valueDim());
        this.cache = cache;
        this.options = options;
        this.slices = slices;
        this.heads = new Head[group];
        Arrays.setAll(heads, h -> new Head(dim, valueDim));
        boolean auto = method == DecodeMethod.AUTO;
        this.covariances = sums(dim, valueDim, auto || method != DecodeMethod.MATRIX_FREE, false);
        this.moments = method == DecodeMethod.MOMENTS || auto && DecodeCost.mayChooseMoments(cache)
                ? sums(dim, valueDim, true, true) : null;
        this.partials = new float[slices][group][Math.max(dim, valueDim)];
        this.solve = new DecodeSolve(cache.headDim());
    }

    private DecodeSums[][] sums(int dim, int valueDim, boolean covariance, boolean values) {
        DecodeSums[][] sums = new DecodeSums[slices][heads.length];
        for (DecodeSums[] slice : sums) {
            Arrays.setAll(slice, h -> new DecodeSums(dim, valueDim, covariance, values));
        }
        return sums;
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

    /** Whether the scores of all tokens are kept between passes: only where no D x D matrix is. */
    boolean keepsScores() {
        return keepsScores;
    }

    float[] scores(int h) {
        return scores[h];
    }

    /** Iterations times keys since the last call. */
    long takePairIterations() {
        long taken = pairIterations;
        pairIterations = 0;
        return taken;
    }

    /** @param length the sequence's tokens, at least 1 */
    void run(int sequence, int kvHead, int length, DecodeMethod method, Slices threads, Tensor q, Tensor ridge,
            LlaResult result) {
        this.sequence = sequence;
        this.kvHead = kvHead;
        this.keepsScores = method == DecodeMethod.MATRIX_FREE;
        long firstRow = ((long) sequence * cache.kvHeads() + kvHead) * heads.length;
        loadQueries(firstRow, q, ridge);
        if (keepsScores && (scores.length == 0 || scores[0].length < length)) {
            scores = new float[heads.length][Math.min(cache.capacity(), length + length / 2)];
        }

        DecodeSums[][] sums = method == DecodeMethod.MOMENTS ? moments : covariances;
        threads.forEach((tiles, slice) -> {
            for (DecodeSums s : sums[slice]) {
                s.clear();
            }
            tiles.accumulate(this, start(slice, length), start(slice + 1, length), sums[slice]);
        });
        for (int h = 0; h < heads.length; h++) {
            for (int slice = 1; slice < slices; slice++) {
                sums[0][h].merge(sums[slice][h]);
            }
            finishSoftmax(heads[h], sums[0][h]);
        }
        if (method == DecodeMethod.MATRIX_FREE) {
            conjugateGradients(length, threads);
        } else {
            for (int h = 0; h < heads.length; h++) {
                Head head = heads[h];
                Arrays.fill(head.x, 0);
                solve.solve(sums[0][h], cache.headDim(), head.q, head.ridge, head.x);
                head.residual = solve.residual;
                head.iterations = 0;
            }
        }
        if (method == DecodeMethod.MOMENTS) {
            for (int h = 0; h < heads.length; h++) {
                outputFromMoments(heads[h], sums[0][h]);
            }
        } else {
            overSlices(length, threads, DecodeTiles::output);
            for (int h = 0; h < heads.length; h++) {
                sumPartials(h, heads[h].o);
            }
        }
        for (int h = 0; h < heads.length; h++) {
            store(heads[h], firstRow + h, result);
        }
    }

    private int start(int slice, int length) {
        return (int) ((long) length * slice / slices);
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

    private static void finishSoftmax(Head head, DecodeSums sums) {
        head.max = sums.max;
        head.perWeight = (float) (1 / sums.omega);
        head.logSumExp = (float) (sums.max + Math.log(sums.omega));
        for (int d = 0; d < head.c.length; d++) {
            head.c[d] = sums.c[d];
            head.zbar[d] = (float) (sums.z[d] / sums.omega);
        }
    }

    private interface Walk {
        void over(DecodeTiles tiles, DecodeUnit unit, int from, int to, float[][] partial);
    }

    private void overSlices(int length, Slices threads, Walk walk) {
        threads.forEach((tiles, slice) -> {
            for (float[] partial : partials[slice]) {
                Arrays.fill(partial, 0);
            }
            walk.over(tiles, this, start(slice, length), start(slice + 1, length), partials[slice]);
        });
    }

    private void sumPartials(int h, float[] sum) {
        Arrays.fill(sum, 0);
        for (int slice = 0; slice < slices; slice++) {
            for (int d = 0; d < sum.length; d++) {
                sum[d] += partials[slice][h][d];
            }
        }
    }

    /** A x = kbar - q for all heads together, each stopping by itself. */
    private void conjugateGradients(int length, Slices threads) {
        double tolerance2 = options.tolerance() * options.tolerance();
        for (Head head : heads) {
            Arrays.fill(head.x, 0);
            for (int d = 0; d < head.r.length; d++) {
                head.r[d] = (head.c[d] - head.q[d]) + head.zbar[d];
            }
            System.arraycopy(head.r, 0, head.y, 0, head.r.length);
            head.rr = dot64(head.r, head.r);
            head.bb = head.rr;
            head.active = head.bb > 0;
            head.iterations = 0;
        }
        for (int iteration = 1; iteration <= options.maxIterations() && anyActive(); iteration++) {
            overSlices(length, threads, DecodeTiles::multiply);
            for (int h = 0; h < heads.length; h++) {
                if (heads[h].active) {
                    sumPartials(h, heads[h].ay);
                    iterate(heads[h], iteration, tolerance2);
                    pairIterations += length;
                }
            }
        }
        for (Head head : heads) {
            head.residual = head.bb > 0 ? Math.sqrt(head.rr / head.bb) : 0;
        }
    }

    private boolean anyActive() {
        for (Head head : heads) {
            if (head.active) {
                return true;
            }
        }
        return false;
    }

    private void iterate(Head head, int iteration, double tolerance2) {
        for (int d = 0; d < head.y.length; d++) {
            head.ay[d] += head.ridge * head.y[d];
        }
        double yAy = dot64(head.y, head.ay);
        if (!(yAy > 0)) { // rounding has eaten the direction: keep what there is
            head.active = false;
            head.iterations = options.maxIterations();
            return;
        }
        float step = (float) (head.rr / yAy);
        for (int d = 0; d < head.y.length; d++) {
            head.x[d] += step * head.y[d];
            head.r[d] -= step * head.ay[d];
        }
        double rr = dot64(head.r, head.r);
        float turn = (float) (rr / head.rr);
        for (int d = 0; d < head.y.length; d++) {
            head.y[d] = head.r[d] + turn * head.y[d];
        }
        head.rr = rr;
        head.iterations = iteration;
        head.active = rr > tolerance2 * head.bb;
    }

    /** o = vbar - C^T x with C = sum w z v^T / omega - zbar vbar^T. */
    private static void outputFromMoments(Head head, DecodeSums sums) {
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

    private void store(Head head, long row, LlaResult result) {
        TensorRows.store(head.o, 0, cache.valueDim(), result.output(), row * cache.valueDim());
        result.logSumExp().set(row, head.logSumExp);
        if (result.keepsState()) {
            for (int d = 0; d < cache.headDim(); d++) {
                result.kbar().set(row * cache.headDim() + d, head.c[d] + head.zbar[d]);
                result.x().set(row * cache.headDim() + d, head.x[d]);
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

    /** Bytes of a unit's memory, kept scores apart. */
    static long bytes(KvCacheShape cache, int group, int slices, DecodeMethod method) {
        int dim = DecodeKernels.padded(cache.headDim());
        int valueDim = DecodeKernels.padded(cache.valueDim());
        boolean auto = method == DecodeMethod.AUTO;
        long perSlice = DecodeSums.bytes(dim, valueDim, auto || method != DecodeMethod.MATRIX_FREE, false)
                + (method == DecodeMethod.MOMENTS || auto && DecodeCost.mayChooseMoments(cache)
                        ? DecodeSums.bytes(dim, valueDim, true, true) : 0)
                + (long) Math.max(dim, valueDim) * Float.BYTES;
        return group * (slices * perSlice + (8L * dim + valueDim) * Float.BYTES) + DecodeSolve.bytes(dim);
    }

    long scoreBytes() {
        return scores.length == 0 ? 0 : (long) scores.length * scores[0].length * Float.BYTES;
    }
}
