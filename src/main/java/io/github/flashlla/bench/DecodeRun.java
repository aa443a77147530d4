package io.github.flashlla.bench;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.Device;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.LlaWork;

/** Presents a decoding step as a plan; the inputs' keys and values are in the cache before the clock starts. */
final class DecodeRun implements LlaPlan {
    private final KvCache cache;
    private final DecodePlan plan;

    private DecodeRun(KvCache cache, DecodePlan plan) {
        this.cache = cache;
        this.plan = plan;
    }

    static DecodeRun of(Device device, Task task, LlaInputs inputs) {
        AttentionShape s = task.shape();
        KvCache cache = device.kvCache(new KvCacheShape(s.batch(), s.kvHeads(), s.keyLength(), s.headDim(),
                s.valueDim(), task.dataType()));
        try {
            cache.append(inputs.k(), inputs.v());
            return new DecodeRun(cache, cache.decodePlan(s.heads(), task.options()));
        } catch (Throwable t) {
            cache.close();
            throw t;
        }
    }

    /** The method's own count of flops for the step that wrote {@code result}. */
    double flops(LlaResult result) {
        return LlaWork.decodeFlops(shape(), plan.lastMethod(), result.pairIterations());
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
    public LlaResult newResult() {
        return plan.newResult();
    }

    @Override
    public void forward(LlaInputs inputs, LlaResult result) {
        plan.decode(inputs.q(), inputs.ridge(), result);
    }

    @Override
    public long workspaceBytes() {
        return plan.workspaceBytes();
    }

    @Override
    public void close() {
        plan.close();
        cache.close();
    }
}
