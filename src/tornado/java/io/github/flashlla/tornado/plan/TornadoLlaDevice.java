package io.github.flashlla.tornado.plan;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.precise.PrecisePlan;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.tornado.device.BackendDevice;
import java.util.Optional;

/** One device of one TornadoVM backend. Plans of several threads may run on it at once, each on its own thread. */
public final class TornadoLlaDevice implements Device {
    private final BackendDevice entry;
    private final DeviceState state;

    TornadoLlaDevice(BackendDevice entry) {
        this.entry = entry;
        this.state = new DeviceState(entry.info().name());
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
        // TornadoVM keeps its contexts for the life of the JVM; plans free their own memory
    }
}
