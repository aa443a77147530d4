package io.github.flashlla.spi;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.LlaOptions;

/**
 * What every device's own decoding plan has: its cache, its shape and its options, and one caller at a time.
 *
 * @param <C> the device's caches
 */
public abstract class AbstractDecodePlan<C extends AbstractKvCache> implements DecodePlan {
    protected final C cache;
    protected final AttentionShape shape;
    protected final LlaOptions options;
    private final ExclusiveUse use;

    /** @param heads query heads of a step */
    protected AbstractDecodePlan(DeviceState device, C cache, int heads, LlaOptions options) {
        this.use = ExclusiveUse.ofDecodePlan(device);
        this.cache = cache;
        this.shape = cache.shape().step(heads);
        this.options = options;
    }

    /** Runs a step while neither another thread's step nor its use of the cache does. */
    protected final void alone(Runnable step) {
        use.run(() -> cache.exclusively(step));
    }

    /** Gives back what the plan holds beside its cache. */
    protected abstract void release();

    /** What keeps other threads out. */
    public final ExclusiveUse use() {
        return use;
    }

    @Override
    public final C cache() {
        return cache;
    }

    @Override
    public final AttentionShape shape() {
        return shape;
    }

    @Override
    public final LlaOptions options() {
        return options;
    }

    @Override
    public final void close() {
        use.close(this::release);
    }
}
