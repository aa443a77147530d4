package io.github.flashlla.tornado.plan;

import com.google.auto.service.AutoService;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.DeviceProvider;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.device.RootCause;
import java.util.List;

/**
 * Devices of TornadoVM's backends, in a JVM that was started with TornadoVM's flags; {@code tornado-config/README.md}
 * says how. In any other JVM this provider finds nothing and says why.
 */
@AutoService(DeviceProvider.class)
public final class TornadoDeviceProvider implements DeviceProvider {
    private static final List<String> BACKENDS = List.of("opencl", "spirv", "ptx", "cuda");

    @Override
    public List<String> backends() {
        return BACKENDS;
    }

    @Override
    public Discovery discover() {
        if (ModuleLayer.boot().findModule("tornado.runtime").isEmpty()) {
            return new Discovery(List.of(), List.of());
        }
        try {
            List<DeviceInfo> found = BackendDevices.all().values().stream().map(BackendDevice::info).toList();
            return new Discovery(found, List.of());
        } catch (Throwable e) { // the runtime starts in static initialisers, and fails as errors of many types
            return new Discovery(List.of(), List.of(new Absence("tornado", "TornadoVM's runtime did not start: " + RootCause.message(e))));
        }
    }

    @Override
    public Device open(String name) {
        return new TornadoLlaDevice(BackendDevices.open(name));
    }
}
