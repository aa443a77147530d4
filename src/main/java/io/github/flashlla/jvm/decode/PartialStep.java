package io.github.flashlla.jvm.decode;

import io.github.flashlla.DecodeMethod;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.spi.PartialDecode.Found;
import java.util.Arrays;

/** The two rounds of {@link io.github.flashlla.spi.PartialDecode} for one sequence and key/value head. */
public final class PartialStep {
    private final KvCacheShape cache;
    private final int group;
    private final HeadGroupStep step;
    private int length;
    private int seen;
    private long firstRow;

    public PartialStep(KvCacheShape cache, int group, LlaOptions options, int slices) {
        this.cache = cache;
        this.group = group;
        this.step = new HeadGroupStep(cache, group, options, slices, DecodeMethod.COVARIANCE);
    }

    /**
     * @param length tokens of the sequence
     * @param seen the last so many are counted
     */
    public void gather(int sequence, int kvHead, int length, int seen, HeadGroupStep.Slices threads, Tensor q, Tensor ridge, Found found) {
        this.length = length;
        this.seen = seen;
        firstRow = step.prepare(sequence, kvHead, length, seen, false, q, ridge);
        if (seen == 0) {
            for (int h = 0; h < group; h++) {
                found.clear((int) firstRow + h);
            }
            return;
        }
        MomentSums[] sums = step.gather(length, DecodeMethod.COVARIANCE, threads);
        int dim = cache.headDim();
        for (int h = 0; h < group; h++) {
            int row = (int) firstRow + h;
            MomentSums s = sums[h];
            found.logSumExp()[row] = s.max + Math.log(s.omega);
            for (int d = 0; d < dim; d++) {
                found.kbar()[row * dim + d] = s.c[d] + s.z[d] / s.omega;
                DecodeSolve.fillRow(s, dim, d, step.head(h).ridge, found.a(), (row * dim + d) * dim);
            }
            found.mirror(row);
        }
    }

    /** As {@link io.github.flashlla.spi.PartialDecode#output} has them. */
    public void output(HeadGroupStep.Slices threads, double[] x, double[] kbar, double[] o) {
        int dim = cache.headDim();
        int valueDim = cache.valueDim();
        if (seen == 0) {
            Arrays.fill(o, (int) firstRow * valueDim, ((int) firstRow + group) * valueDim, 0);
            return;
        }
        for (int h = 0; h < group; h++) {
            Head head = step.head(h);
            int at = ((int) firstRow + h) * dim;
            double shift = 0;
            for (int d = 0; d < dim; d++) {
                head.x[d] = (float) x[at + d];
                shift += (kbar[at + d] - head.c[d]) * head.x[d];
            }
            head.shift = (float) shift;
        }
        step.sumOutputs(length, threads, false);
        for (int h = 0; h < group; h++) {
            for (int e = 0; e < valueDim; e++) {
                o[((int) firstRow + h) * valueDim + e] = step.head(h).o[e];
            }
        }
    }

    public long bytes() {
        return step.bytes();
    }
}
