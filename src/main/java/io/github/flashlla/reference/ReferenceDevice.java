package io.github.flashlla.reference;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.spi.DeviceState;

/**
 * The oracle: every query's A formed and solved directly in float64, on inputs as they are. Results are float64, 0
 * iterations, residual 0; tolerance, iteration cap and preconditioner mean nothing here. O(Sq Sk D^2) work.
 */
final class ReferenceDevice implements Device {
    private final DeviceInfo info;
    private final DeviceState state;

    ReferenceDevice(DeviceInfo info) {
        this.info = info;
        this.state = new DeviceState(info.name());
    }

    @Override
    public DeviceInfo info() {
        return info;
    }

    @Override
    public LlaPlan plan(AttentionShape shape, LlaOptions options) {
        state.requireOpen();
        return new ReferencePlan(state, shape, options);
    }

    @Override
    public KvCache kvCache(KvCacheShape shape) {
        return new ReferenceKvCache(shape, state);
    }

    @Override
    public void close() {
        state.close(); // nothing is held
    }
}
