package io.github.flashlla.jvm;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.jvm.decode.DecodeCost;
import io.github.flashlla.precise.PrecisePlan;
import io.github.flashlla.spi.Checks;
import io.github.flashlla.spi.DeviceState;

/**
 * This JVM as a device: float32, one thread per processor, on the Vector API where its module is present and in plain
 * loops, some fifteen times slower, where it is not. May be used by several threads at once; they share its threads.
 */
public final class JvmDevice implements Device {

    private final DeviceInfo info;
    private final JvmLoops loops;
    private final WorkerPool pool;
    private final DeviceState state;
    private final boolean mayKeepWeights;

    /** @param mayKeepWeights whether plans may keep a block's weights where memory allows it */
    JvmDevice(DeviceInfo info, JvmLoops loops, int threads, boolean mayKeepWeights) {
        this.info = info;
        this.loops = loops;
        this.mayKeepWeights = mayKeepWeights;
        this.pool = new WorkerPool(threads);
        this.state = new DeviceState(info.name());
    }

    @Override
    public DeviceInfo info() {
        return info;
    }

    @Override
    public LlaPlan plan(AttentionShape shape, LlaOptions options) {
        state.requireOpen();
        options.requirePrecisionOf(info);
        return new PrecisePlan(info.name(), shape, options, o -> new JvmPlan(state, pool, loops.block(), shape, o, mayKeepWeights));
    }

    @Override
    public LlaPlan softmaxPlan(AttentionShape shape, LlaOptions options) {
        state.requireOpen();
        options.requirePrecisionOf(info);
        return new SoftmaxPlan(state, pool, loops.block(), shape, options);
    }

    @Override
    public KvCache kvCache(KvCacheShape shape) {
        return new JvmKvCache(state, pool, loops.decode(), shape);
    }

    /**
     * {@inheritDoc} Reads keys and values where they are, and keeps no copy of them. Keys that no cache of the processor holds are read
     * twice, for a direct solve, and not once an iteration.
     */
    @Override
    public LlaResult decode(LlaInputs inputs, LlaOptions options) {
        if (inputs.shape().queryLength() != 1) {
            return Device.super.decode(inputs, options); // has the words for it
        }
        Checks.requireShared(inputs);
        try (KvCache cache = new TensorKvCache(state, pool, loops.decode(), inputs);
                DecodePlan plan = cache.decodePlan(inputs.shape().heads(), options, DecodeCost.inPlace(cache.shape()))) {
            LlaResult result = plan.newResult();
            plan.decode(inputs.q(), inputs.ridge(), result);
            return result;
        }
    }

    /** Stops the threads; plans of this device cannot run any more. */
    @Override
    public void close() {
        state.close();
        pool.close();
    }
}
