package io.github.flashlla.bench.host;

import io.github.flashlla.DeviceInfo;
import java.util.Optional;

/** A counter of the energy that a device has taken. */
public interface EnergyMeter {
    /** Joules since a fixed time in the past; NaN if the counter cannot be read now. */
    double joules();

    /** Who counts, as records say it. */
    String source();

    /** The counter of a device: NVIDIA's own for its GPUs, the processor's for what computes on it. */
    static Optional<EnergyMeter> of(DeviceInfo device) {
        if (device.type() == DeviceInfo.Type.CPU) {
            return RaplMeter.find().map(meter -> meter);
        }
        return NvidiaGpu.of(device).filter(gpu -> !Double.isNaN(gpu.joules())).map(gpu -> gpu);
    }
}
