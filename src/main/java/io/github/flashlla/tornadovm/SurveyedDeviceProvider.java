package io.github.flashlla.tornadovm;

import com.google.auto.service.AutoService;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceProvider;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;

/**
 * Lists TornadoVM's devices in a JVM that was not started for it. In a JVM that was, this provider finds nothing, and the
 * devices list and open themselves.
 */
@AutoService(DeviceProvider.class)
public final class SurveyedDeviceProvider implements DeviceProvider {

    @Override
    public List<String> backends() {
        return Arrays.stream(Backend.values()).map(Backend::id).toList();
    }

    @Override
    public Discovery discover() {
        return discover(BackendSurvey::all);
    }

    @Override
    public Discovery discoverAgain() {
        return discover(BackendSurvey::again);
    }

    private static Discovery discover(Supplier<Discovery> survey) {
        if (inTornadoJvm()) {
            return Discovery.of();
        }
        try {
            return survey.get();
        } catch (NoClassDefFoundError e) { // an application that embeds attention comes without the libraries of the command line
            return new Discovery(List.of(), Arrays.stream(Backend.values()).map(backend -> new Absence(backend.id(),
                    "listing TornadoVM's devices needs jackson-databind on the class path")).toList());
        }
    }

    @Override
    public Device open(String name) {
        throw new DeviceException(name + " opens only in a JVM started with TornadoVM's flags; 'flashlla flags " + name
                + "' writes them.");
    }

    /** Whether this JVM was started with TornadoVM's modules. */
    public static boolean inTornadoJvm() {
        return ModuleLayer.boot().findModule("tornado.runtime").isPresent();
    }
}
