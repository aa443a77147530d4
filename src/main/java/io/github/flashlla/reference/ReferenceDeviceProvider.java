package io.github.flashlla.reference;

import com.google.auto.service.AutoService;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.DeviceProvider;
import java.util.List;

/** Offers the device {@code reference}. */
@AutoService(DeviceProvider.class)
public final class ReferenceDeviceProvider implements DeviceProvider {
    private static final String NAME = "reference";

    @Override
    public List<String> backends() {
        return List.of(NAME);
    }

    @Override
    public Discovery discover() {
        return Discovery.of(info());
    }

    @Override
    public Device open(String name) {
        return new ReferenceDevice(info());
    }

    private static DeviceInfo info() {
        return new DeviceInfo(NAME, NAME, DeviceInfo.Type.CPU, "dense float64, Cholesky", System.getProperty("java.vm.vendor"),
                "Java " + Runtime.version(), Runtime.getRuntime().maxMemory(), -1, Runtime.getRuntime().availableProcessors(),
                List.of(DataType.FLOAT64, DataType.FLOAT32, DataType.FLOAT16, DataType.BFLOAT16), DeviceInfo.Trait.ON_HEAP, DeviceInfo.Trait.EXACT);
    }
}
