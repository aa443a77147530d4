package io.github.flashlla.precise;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.KvCache;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.spi.AbstractKvCache;
import io.github.flashlla.spi.Checks;
import java.util.BitSet;
import java.util.function.Function;

/** A device's decoding, whose result says how far it can be trusted; queries that float32 does not carry are done in float64. */
public final class PreciseDecodePlan implements DecodePlan {
    private final AbstractKvCache cache;
    private final LlaOptions options;
    private final FloatDecodePlan plan;
    /** For results that keep no state; null until one is needed. */
    private KeptState room;

    /** @param factory makes the device's plan for options */
    public PreciseDecodePlan(AbstractKvCache cache, LlaOptions options, Function<LlaOptions, FloatDecodePlan> factory) {
        this.cache = cache;
        this.options = options;
        this.plan = factory.apply(RowTrust.tightened(options, cache.shape().headDim()));
    }

    @Override
    public void decode(Tensor q, Tensor ridge, LlaResult result) {
        plan.use().run(() -> cache.exclusively(() -> decodeAlone(q, ridge, result)));
    }

    private void decodeAlone(Tensor q, Tensor ridge, LlaResult result) {
        Ridges ridges = new Ridges(ridge, options().ridge());
        RowTrust trust = new RowTrust(shape(), q, Magnitude.largest(q), ridges, options(), cache.largestKeys(),
                row -> seen(row / shape().heads()));
        boolean carried = trust.allCarried();
        KeptState kept = KeptState.of(result);
        if (kept == null && !carried) {
            room = room == null ? KeptState.allocate(shape()) : room;
            kept = room;
        }
        plan.decode(q, ridge, result, kept);
        BitSet doubtful = trust.judge(result, carried ? null
                : SolveSizes.of(q, kept, result.logSumExp(), options().scaleFor(shape().headDim())), null);
        result.setCheckedRows(0);
        result.setRecomputedRows(0);
        if (!doubtful.isEmpty()) {
            recompute(doubtful, trust, q, ridges, kept, result);
            Checks.requireFinite(plan.use().device(), result, "q, a key, a value, the scale or the ridge"); // a row that is not finite is in doubt
        }
    }

    /** Holds each query in doubt against float64, and solves it there where it does not hold. */
    private void recompute(BitSet doubtful, RowTrust trust, Tensor q, Ridges ridges, KeptState kept, LlaResult result) {
        int d = shape().headDim();
        DoubleRow scratch = new DoubleRow(d, shape().valueDim(), options().scaleFor(d));
        long work = 0;
        int heldSequence = -1;
        int heldHead = -1;
        Tensor keys = null;
        Tensor values = null;
        double[] k = null;
        double[] v = null;
        for (int row = doubtful.nextSetBit(0); row >= 0; row = doubtful.nextSetBit(row + 1)) {
            int sequence = row / shape().heads();
            int length = seen(sequence);
            work += DoubleRow.work(length, d);
            long bytes = Double.BYTES * (long) length * (2 * d + shape().valueDim() + 8); // k twice, v, and numbers a key
            if (work > DoubleRows.MOST_WORK || bytes > Runtime.getRuntime().maxMemory() / 2) {
                return;
            }
            if (heldSequence != sequence) {
                keys = last(cache.keys(sequence), length);
                values = last(cache.values(sequence), length);
                heldSequence = sequence;
            }
            int kvHead = shape().kvHeadOf(row);
            if (heldHead != kvHead) {
                k = part(keys, kvHead % shape().kvHeads(), length * d);
                v = part(values, kvHead % shape().kvHeads(), length * shape().valueDim());
                heldHead = kvHead;
            }
            double[] query = DoubleRows.values(q, (long) row * d, d);
            if (kept != null && !trust.lost().get(row)) {
                scratch.check(query, k, v, length, ridges.of(row), DoubleRows.values(kept.x(), (long) row * d, d));
                if (trust.holds(scratch)) {
                    DoubleRows.writeChecked(scratch, row, shape(), result);
                    result.setCheckedRows(result.checkedRows() + 1);
                    continue;
                }
            }
            scratch.solve(query, k, v, length, ridges.of(row));
            DoubleRows.write(scratch, row, shape(), result);
            result.setRecomputedRows(result.recomputedRows() + 1);
        }
    }

    /** Tokens that the newest one sees. */
    private int seen(int sequence) {
        int length = cache.length(sequence);
        return options.window() == 0 ? length : Math.min(length, options.window());
    }

    private static Tensor last(Tensor tokens, int count) {
        return tokens.part(2, tokens.dim(2) - count, count);
    }

    private static double[] part(Tensor all, int index, int size) {
        return DoubleRows.values(all, (long) index * size, size);
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
        return options;
    }

    @Override
    public DecodeMethod lastMethod() {
        return plan.lastMethod();
    }

    @Override
    public long workspaceBytes() {
        return plan.workspaceBytes() + (room == null ? 0 : room.bytes());
    }

    @Override
    public void close() {
        plan.close();
    }
}
