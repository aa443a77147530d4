package io.github.flashlla.tornadovm;

import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.process.JavaCommand;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/** Which JVM can open a device. */
public final class DeviceJvm {
    private DeviceJvm() {}

    /**
     * The JVM that opens this device and no other. For a TornadoVM device only that device's driver is loaded, which makes
     * it TornadoVM's default backend: with several, kernels would be checked against another's limits.
     *
     * @throws DeviceException if the device's backend is not here
     */
    public static JavaCommand of(DeviceInfo device) {
        Backend backend = Backend.of(device.name());
        return backend == null ? JavaCommand.likeThis()
                : OneGpu.of(device.name(), command(List.of(backend), DeviceProfile.memoryBudget(device)));
    }

    /**
     * The JVM that opens these devices; empty if this one can.
     *
     * @throws DeviceException if a device's backend is not here
     */
    public static Optional<JavaCommand> neededFor(Collection<DeviceInfo> devices) {
        Set<Backend> backends = devices.stream().map(device -> Backend.of(device.name())).filter(Objects::nonNull)
                .collect(Collectors.toCollection(LinkedHashSet::new));
        if (backends.isEmpty() || SurveyedDeviceProvider.inTornadoJvm()) {
            return Optional.empty();
        }
        long memory = devices.stream().filter(device -> Backend.of(device.name()) != null)
                .mapToLong(DeviceProfile::memoryBudget).max().orElse(-1);
        JavaCommand command = command(backends, memory);
        return Optional.of(devices.size() == 1 ? OneGpu.of(devices.iterator().next().name(), command) : command);
    }

    private static JavaCommand command(Collection<Backend> backends, long memory) {
        return ClassArchive.shared(TornadoFlags.command(backends, memory).with(DeviceProfile.flags()));
    }
}
