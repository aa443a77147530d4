package io.github.flashlla.combined;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.KvCache;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.combined.Layout.Part;
import io.github.flashlla.spi.ExclusiveUse;
import java.util.Map;

/** A decoding step, each head where its keys and values are. */
final class CombinedDecodePlan implements DecodePlan {
    private final CombinedCache cache;
    private final Crew crew;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final ExclusiveUse use;
    private final int number;
    private final SharedMemory inputs;
    private final SharedMemory outputs;
    private final int inputsNumber;
    private final int outputsNumber;
    private final Tensors tensors;
    private final long workspaceBytes;
    private DecodeMethod lastMethod;

    CombinedDecodePlan(CombinedCache cache, int heads, LlaOptions options, DecodeMethod method) {
        this.cache = cache;
        this.crew = cache.device().crew();
        this.shape = cache.shape().step(heads);
        this.options = options;
        this.use = ExclusiveUse.ofDecodePlan(cache.device().state());
        this.lastMethod = method;
        this.number = crew.number();
        Layout layout = new Layout(new AttentionShape(shape.batch(), heads, shape.kvHeads(), 1, 1, shape.headDim(), shape.valueDim()),
                cache.pieces());
        this.inputs = SharedMemory.create(layout.bytes(true), layout.bytes(true));
        SharedMemory made = null;
        try {
            made = SharedMemory.create(layout.bytes(false), layout.bytes(false));
            this.outputs = made;
            this.inputsNumber = crew.share(inputs, false);
            this.outputsNumber = crew.share(outputs, true);
            this.tensors = new Tensors(layout, inputs.segment(), outputs.segment());
            this.workspaceBytes = cache.all((part, own) -> new CacheOrders.MakeStep(number, cache.number(), layout, layout.pieces().indexOf(own),
                    options, method, inputsNumber, outputsNumber), Long.class).values().stream().mapToLong(Long::longValue).sum();
        } catch (RuntimeException e) {
            inputs.close();
            if (made != null) {
                made.close();
            }
            throw e;
        }
    }

    @Override
    public KvCache cache() {
        return cache;
    }

    @Override
    public AttentionShape shape() {
        return shape;
    }

    @Override
    public LlaOptions options() {
        return options;
    }

    @Override
    public void decode(Tensor q, Tensor ridge, LlaResult result) {
        use.run(() -> cache.exclusively(() -> step(q, ridge, result)));
    }

    private void step(Tensor q, Tensor ridge, LlaResult result) {
        cache.requireStep(shape, q, ridge, result);
        long start = System.nanoTime();
        tensors.write(Part.Q, q);
        if (ridge != null) {
            tensors.write(Part.RIDGE, ridge);
        }
        DataType ridgeType = ridge == null ? null : ridge.type();
        Map<PartProcess, Outcome> outcomes = cache.all((part, own) -> new CacheOrders.Decode(number, q.type(), ridgeType), Outcome.class);
        tensors.read(result);
        Outcome together = outcomes.values().stream().reduce(Outcome::beside).orElseThrow();
        together.tell(result, System.nanoTime() - start);
        lastMethod = together.method();
    }

    @Override
    public DecodeMethod lastMethod() {
        return lastMethod;
    }

    @Override
    public long workspaceBytes() {
        return workspaceBytes;
    }

    @Override
    public void close() {
        use.close(() -> {
            crew.allQuietly(new CacheOrders.CloseStep(number));
            crew.allQuietly(new Orders.CloseMemory(inputsNumber));
            crew.allQuietly(new Orders.CloseMemory(outputsNumber));
            inputs.close();
            outputs.close();
        });
    }
}
