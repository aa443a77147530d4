package io.github.flashlla.bench;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.tornadovm.Backend;
import io.github.flashlla.tornadovm.DeviceProfile;
import io.github.flashlla.tornadovm.TornadoFlags;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The java command that a device's worker is started with. */
final class ChildJvm {
    private ChildJvm() {}

    /**
     * Java with its flags and class path, to be followed by a main class. For a TornadoVM device it loads that device's
     * driver alone, which so is the default backend: with several, kernels would be checked against another's.
     */
    static List<String> command(DeviceInfo device) {
        Backend backend = Backend.of(device.name());
        return backend == null ? plain() : TornadoFlags.command(List.of(backend), DeviceProfile.memoryBudget(device));
    }

    private static List<String> plain() {
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
