package io.github.flashlla.bench;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.launch.Backend;
import io.github.flashlla.launch.Relay;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The java command that a device's worker is started with. */
final class ChildJvm {
    private ChildJvm() {}

    /** Java with its flags and class path, to be followed by a main class. */
    static List<String> command(DeviceInfo device) {
        Backend backend = Backend.of(device.name());
        if (backend != null) {
            List<String> command = new ArrayList<>(Relay.javaCommand(List.of(backend), device.memoryBytes()));
            command.add(1, "-Xmx" + Runtime.getRuntime().maxMemory());
            return command;
        }
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString()));
        if (ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent()) {
            command.addAll(List.of("--add-modules", "jdk.incubator.vector"));
        }
        command.add("--enable-native-access=ALL-UNNAMED");
        command.add("-Xmx" + Runtime.getRuntime().maxMemory());
        command.addAll(List.of("-cp", System.getProperty("java.class.path")));
        return command;
    }
}
