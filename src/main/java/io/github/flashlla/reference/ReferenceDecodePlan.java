package io.github.flashlla.reference;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
import io.github.flashlla.spi.AbstractDecodePlan;
import io.github.flashlla.spi.DeviceState;

/** {@link DecodeMoments} for every sequence and head of a cache; {@link ExactQuery} where float64 moments do not carry it. */
final class ReferenceDecodePlan extends AbstractDecodePlan<ReferenceKvCache> {

    ReferenceDecodePlan(DeviceState device, ReferenceKvCache cache, int heads, LlaOptions options, DecodeMethod method) {
        super(device, cache, heads, options);
        if (method != DecodeMethod.AUTO && method != DecodeMethod.MOMENTS) {
            throw new InvalidInputException("reference: decodes by MOMENTS only, not " + method);
        }
    }

    @Override
    public void decode(Tensor q, Tensor ridge, LlaResult result) {
        alone(() -> step(q, ridge, result));
    }

    private void step(Tensor q, Tensor ridge, LlaResult result) {
        cache.requireStep(shape, q, ridge, result);
        long start = System.nanoTime();
        for (int sequence = 0; sequence < shape.batch(); sequence++) {
            for (int head = 0; head < shape.heads(); head++) {
                decode(sequence, head, q, ridge, result);
            }
        }
        result.setPairIterations(0);
        result.setComputedBy(lastMethod().label());
        result.setTiming(Timing.ofWall(System.nanoTime() - start));
    }

    private void decode(int sequence, int head, Tensor q, Tensor ridge, LlaResult result) {
        int row = sequence * shape.heads() + head;
        int kvHead = head / shape.group();
        int length = cache.length(sequence);
        double scale = options.scaleFor(shape.headDim());
        double[] query = ReferenceKvCache.get(q, row, shape.headDim());
        int first = first(length);
        double[] origin = length == 0 ? query : cache.key(sequence, kvHead, first);
        DecodeMoments moments = new DecodeMoments(origin, shape.valueDim());
        for (int token = first; token < length; token++) {
            double[] key = cache.key(sequence, kvHead, token);
            double score = 0;
            for (int d = 0; d < query.length; d++) {
                score += query[d] * key[d];
            }
            moments.add(scale * score, key, cache.value(sequence, kvHead, token));
        }
        double own = ridge == null ? options.ridge() : ridge.get(row);
        DecodeMoments.Step step = moments.solve(query, own);
        if (!step.carried()) {
            step = exact(sequence, kvHead, query, own);
        }
        set(result.output(), row, step.o());
        result.logSumExp().set(row, step.logSumExp());
        if (result.keepsState()) {
            set(result.kbar(), row, step.kbar());
            set(result.x(), row, step.x());
        }
        result.iterations()[row] = 0;
        result.residual()[row] = 0;
    }

    /** First token that the newest one sees. */
    private int first(int length) {
        return options.window() == 0 ? 0 : Math.max(0, length - options.window());
    }

    /** From the keys themselves, where their moments have lost the answer. */
    private DecodeMoments.Step exact(int sequence, int kvHead, double[] query, double ridge) {
        int length = cache.length(sequence);
        int first = first(length);
        double[] keys = new double[(length - first) * query.length];
        double[] values = new double[(length - first) * shape.valueDim()];
        for (int token = first; token < length; token++) {
            System.arraycopy(cache.key(sequence, kvHead, token), 0, keys, (token - first) * query.length, query.length);
            System.arraycopy(cache.value(sequence, kvHead, token), 0, values, (token - first) * shape.valueDim(), shape.valueDim());
        }
        ExactQuery exact = new ExactQuery(query, keys, values, shape.valueDim(), options.scaleFor(query.length), ridge);
        return new DecodeMoments.Step(exact.output(), exact.kbar(), exact.x(), exact.logSumExp(), true);
    }

    private static void set(Tensor tensor, long row, double[] values) {
        for (int i = 0; i < values.length; i++) {
            tensor.set(row * values.length + i, values[i]);
        }
    }

    /** Float64, so that nothing is lost on the way out. */
    @Override
    public LlaResult newResult() {
        return new LlaResult(shape, DataType.FLOAT64, options.keepState());
    }

    @Override
    public DecodeMethod lastMethod() {
        return DecodeMethod.MOMENTS;
    }

    @Override
    public long workspaceBytes() {
        return 8L * shape.headDim() * (shape.headDim() + shape.valueDim());
    }

    @Override
    protected void release() {} // nothing is held
}
