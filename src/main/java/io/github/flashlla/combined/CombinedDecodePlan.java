package io.github.flashlla.combined;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.combined.Layout.Part;
import io.github.flashlla.spi.AbstractDecodePlan;
import java.util.Map;

/** A decoding step, each head where its keys and values are. */
final class CombinedDecodePlan extends AbstractDecodePlan<CombinedCache> {
    private final Crew crew;
    private final int number;
    private final SharedMemory inputs;
    private final SharedMemory outputs;
    private final int inputsNumber;
    private final int outputsNumber;
    private final Tensors tensors;
    /** Of the parts, as the last step left it. */
    private volatile long workspaceBytes;
    private DecodeMethod lastMethod;

    CombinedDecodePlan(CombinedCache cache, int heads, LlaOptions options, DecodeMethod method) {
        super(cache.device().state(), cache, heads, options);
        this.crew = cache.device().crew();
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
    public void decode(Tensor q, Tensor ridge, LlaResult result) {
        alone(() -> step(q, ridge, result));
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
        crew.requireUninterrupted();
        tensors.read(result);
        Outcome together = outcomes.values().stream().reduce(Outcome::beside).orElseThrow();
        together.tell(result, System.nanoTime() - start);
        workspaceBytes = together.workspaceBytes();
        lastMethod = together.method();
    }

    @Override
    public DecodeMethod lastMethod() {
        return lastMethod;
    }

    @Override
    public long workspaceBytes() {
        return tensors.touchedBytes() + workspaceBytes;
    }

    @Override
    protected void release() {
        crew.allQuietly(new CacheOrders.CloseStep(number));
        crew.allQuietly(new Orders.CloseMemory(inputsNumber));
        crew.allQuietly(new Orders.CloseMemory(outputsNumber));
        inputs.close();
        outputs.close();
    }
}
