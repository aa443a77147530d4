package io.github.flashlla.tornado;

import com.google.auto.service.AutoService;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.DeviceProvider;
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
            List<DeviceInfo> found = TornadoRuntimeDevices.all().values().stream().map(TornadoRuntimeDevices.Entry::info).toList();
            return new Discovery(found, List.of());
        } catch (Throwable e) { // the runtime starts in static initialisers, and fails as errors of many types
            return new Discovery(List.of(), List.of(new Absence("tornado", "TornadoVM's runtime did not start: " + rootMessage(e))));
        }
    }

    @Override
    public Device open(String name) {
        return new TornadoLlaDevice(TornadoRuntimeDevices.open(name));
    }

    static String rootMessage(Throwable e) {
        Throwable cause = e;
        while (cause.getCause() != null && cause.getCause() != cause) {
            cause = cause.getCause();
        }
        String message = cause.getMessage() == null ? cause.getClass().getSimpleName() : cause.getMessage();
        return message.strip().replaceAll("\\s+", " ");
    }
}
