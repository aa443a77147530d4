package io.github.flashlla.precise;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.KvCache;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.spi.AbstractKvCache;
import java.util.BitSet;

/** A device's decoding, whose result says how far it can be trusted; queries that float32 does not carry are done in float64. */
public final class PreciseDecodePlan implements DecodePlan {
    private final AbstractKvCache cache;
    private final FloatDecodePlan plan;

    public PreciseDecodePlan(AbstractKvCache cache, FloatDecodePlan plan) {
        this.cache = cache;
        this.plan = plan;
    }

    @Override
    public void decode(Tensor q, Tensor ridge, LlaResult result) {
        plan.use().run(() -> cache.exclusively(() -> decodeAlone(q, ridge, result)));
    }

    private void decodeAlone(Tensor q, Tensor ridge, LlaResult result) {
        plan.decode(q, ridge, result);
        RowTrust trust = new RowTrust(shape(), q, Magnitude.largest(q), ridge, options(), cache.largestKeys(), row -> cache.length(row / shape().heads()));
        BitSet doubtful = trust.judge(result, trust.allCarried() ? null : plan.solveSizes());
        result.setRecomputedRows(0);
        long work = 0;
        DoubleRow scratch = doubtful.isEmpty() ? null
                : new DoubleRow(shape().headDim(), shape().valueDim(), options().scaleFor(shape().headDim()));
        int held = -1;
        double[] k = null;
        double[] v = null;
        for (int row = doubtful.nextSetBit(0); row >= 0; row = doubtful.nextSetBit(row + 1)) {
            int sequence = row / shape().heads();
            int length = cache.length(sequence);
            work += DoubleRow.work(length, shape().headDim());
            if (work > DoubleRows.MOST_WORK) {
                return;
            }
            if (held != sequence) {
                k = cache.keys(sequence).toDoubleArray();
                v = cache.values(sequence).toDoubleArray();
                held = sequence;
            }
            int kvHead = row % shape().heads() / shape().group();
            double[] query = DoubleRows.values(q, (long) row * shape().headDim(), shape().headDim());
            scratch.solve(query, part(k, kvHead, length * shape().headDim()), part(v, kvHead, length * shape().valueDim()), length,
                    trust.ridge(row));
            DoubleRows.write(scratch, row, shape(), result);
            result.setRecomputedRows(result.recomputedRows() + 1);
        }
    }

    private static double[] part(double[] all, int index, int size) {
        double[] part = new double[size];
        System.arraycopy(all, index * size, part, 0, size);
        return part;
    }

    @Override
    public KvCache cache() {
        return cache;
    }

    @Override
    public AttentionShape shape() {
        return plan.shape();
    }

    @Override
    public LlaOptions options() {
        return plan.options();
    }

    @Override
    public DecodeMethod lastMethod() {
        return plan.lastMethod();
    }

    @Override
    public long workspaceBytes() {
        return plan.workspaceBytes();
    }

    @Override
    public void close() {
        plan.close();
    }
}
