package io.github.flashlla.tornadovm;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.DeviceProvider.Absence;
import io.github.flashlla.DeviceProvider.Discovery;
import io.github.flashlla.DeviceProvider;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.ServiceLoader;

/** The child's side of {@link BackendSurvey}: writes one backend's devices to a file. */
public final class BackendSurveyMain {
    private BackendSurveyMain() {}

    /** @param args backend, file to write */
    public static void main(String[] args) throws IOException {
        List<DeviceInfo> devices = new ArrayList<>();
        List<Absence> absences = new ArrayList<>();
        for (DeviceProvider provider : ServiceLoader.load(DeviceProvider.class)) {
            if (provider.backends().contains(args[0])) {
                Discovery discovery = provider.discover();
                discovery.devices().stream().filter(device -> device.backend().equals(args[0])).forEach(devices::add);
                absences.addAll(discovery.absences());
            }
        }
        if (devices.isEmpty()) {
            String why = absences.isEmpty() ? "its driver found no device" : absences.getFirst().reason();
            absences = List.of(new Absence(args[0], why + "; " + Backend.of(args[0]).remedy()));
        } else {
            absences = List.of();
        }
        Path part = Path.of(args[1] + ".part");
        new ObjectMapper().writeValue(part.toFile(), new Discovery(devices, absences));
        Files.move(part, Path.of(args[1]), StandardCopyOption.ATOMIC_MOVE);
        Runtime.getRuntime().halt(0); // drivers' exit handlers may hang
    }
}
