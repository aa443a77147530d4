package io.github.flashlla.tornado.plan;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.precise.PrecisePlan;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.tornado.device.BackendDevice;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;

/** One device of one TornadoVM backend. Plans of several threads may run on it at once, each on its own thread. */
public final class TornadoLlaDevice implements Device {
    private final BackendDevice entry;
    private final DeviceState state;
    /** Of {@link #forward}; nobody uses it at the moment. */
    private final AtomicReference<KeptPlan> kept = new AtomicReference<>();
    private final Runnable dropping = this::drop;

    private record KeptPlan(AttentionShape shape, LlaOptions options, LlaPlan plan) {}

    TornadoLlaDevice(BackendDevice entry) {
        this.entry = entry;
        this.state = new DeviceState(entry.info().name());
        entry.memory().onShortage(dropping);
    }

    @Override
    public DeviceInfo info() {
        return entry.info();
    }

    @Override
    public LlaPlan plan(AttentionShape shape, LlaOptions options) {
        state.requireOpen();
        return new PrecisePlan(entry.info().name(), shape, options, o -> new TornadoPlan(state, entry, shape, o));
    }

    @Override
    public LlaResult forward(LlaInputs inputs, LlaOptions options) {
        LlaResult result = new LlaResult(inputs.shape(), DataType.FLOAT32, options.keepState());
        forward(inputs, options, result);
        return result;
    }

    /** {@inheritDoc} The plan of the last call is kept, with what it last read and wrote. */
    @Override
    public void forward(LlaInputs inputs, LlaOptions options, LlaResult result) {
        state.requireOpen();
        KeptPlan last = kept.getAndSet(null);
        boolean fits = last != null && last.shape.equals(inputs.shape()) && last.options.equals(options);
        if (last != null && !fits) {
            last.plan.close();
        }
        KeptPlan used = fits ? last : new KeptPlan(inputs.shape(), options, plan(inputs.shape(), options));
        boolean done = false;
        try {
            used.plan.forward(inputs, result);
            done = true;
        } finally {
            KeptPlan other = done ? kept.getAndSet(used) : used;
            if (other != null) {
                other.plan.close();
            }
        }
    }

    private void drop() {
        KeptPlan last = kept.getAndSet(null);
        if (last != null) {
            last.plan.close();
        }
    }

    @Override
    public LlaPlan softmaxPlan(AttentionShape shape, LlaOptions options) {
        state.requireOpen();
        return new TornadoSoftmaxPlan(state, entry, shape, options);
    }

    @Override
    public KvCache kvCache(KvCacheShape shape) {
        return new TornadoKvCache(state, entry, shape);
    }

    @Override
    public Optional<Ceilings> measureCeilings() {
        return DeviceCeilings.measure(entry);
    }

    @Override
    public void close() {
        state.close();
        entry.memory().removeOnShortage(dropping);
        drop();
        // TornadoVM keeps its contexts for the life of the JVM; plans free their own memory
    }
}
