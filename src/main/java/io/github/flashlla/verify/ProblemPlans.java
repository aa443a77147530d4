package io.github.flashlla.verify;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.Device;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * One device's plans for problems. The last few stay open, for plans of the same sizes and options take long to make again where
 * kernels are compiled.
 */
final class ProblemPlans implements AutoCloseable {
    private final Device device;
    private final int open;
    private final Map<Key, AutoCloseable> plans = new LinkedHashMap<>();

    private record Key(AttentionShape shape, LlaOptions options, DataType cacheType) {}

    /** A cache and the plan that decodes it. */
    record Decoding(KvCache cache, DecodePlan plan) implements AutoCloseable {
        @Override
        public void close() {
            plan.close();
            cache.close();
        }
    }

    /** @param open plans that stay open; 0: each is closed after its problem */
    ProblemPlans(Device device, int open) {
        this.device = device;
        this.open = open;
    }

    Device device() {
        return device;
    }

    void forward(AttentionShape shape, LlaOptions options, Consumer<LlaPlan> work) {
        with(new Key(shape, options, null), () -> device.plan(shape, options), work);
    }

    /** Its cache is empty. */
    void decoding(AttentionShape shape, LlaOptions options, DataType cacheType, Consumer<Decoding> work) {
        with(new Key(shape, options, cacheType), () -> decoding(shape, options, cacheType), (Decoding decoding) -> {
            decoding.cache.reset();
            work.accept(decoding);
        });
    }

    private Decoding decoding(AttentionShape shape, LlaOptions options, DataType cacheType) {
        KvCache cache = device.kvCache(new KvCacheShape(shape.batch(), shape.kvHeads(), shape.keyLength(), shape.headDim(),
                shape.valueDim(), cacheType));
        try {
            return new Decoding(cache, cache.decodePlan(shape.heads(), options));
        } catch (RuntimeException e) {
            cache.close();
            throw e;
        }
    }

    private <T extends AutoCloseable> void with(Key key, Supplier<T> factory, Consumer<T> work) {
        @SuppressWarnings("unchecked")
        T kept = (T) plans.remove(key);
        T plan = kept == null ? factory.get() : kept;
        try {
            work.accept(plan);
        } catch (RuntimeException e) { // a plan that failed may be of no use any more
            closeQuietly(plan);
            throw e;
        }
        plans.put(key, plan);
        while (plans.size() > open) {
            closeQuietly(plans.remove(plans.keySet().iterator().next()));
        }
    }

    private static void closeQuietly(AutoCloseable plan) {
        try {
            plan.close();
        } catch (Exception e) { // what its problem told counts
            return;
        }
    }

    @Override
    public void close() {
        plans.values().forEach(ProblemPlans::closeQuietly);
        plans.clear();
    }
}
