package io.github.flashlla.tornadovm;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * What is tuned for one device: the settings of {@code tornado-config/devices.yaml} whose profiles match it.
 *
 * @param memoryShare part of the device's memory that TornadoVM may use, above 0 and at most 1
 * @param forwardKernels names of the kernels of the forward pass, the best first
 * @param localMemoryBytes local memory that a work-group may take; empty for all that the device has
 * @param compilerFlags flags of the driver's compiler; empty for TornadoVM's own
 * @param profiledRuns runs of a plan whose kernels are timed by the device's clock, at least 1
 */
public record DeviceProfile(double memoryShare, List<String> forwardKernels, Optional<Long> localMemoryBytes,
        Optional<String> compilerFlags, int profiledRuns) {
    private static final String FILE = "devices.yaml";
    private static final YAMLMapper YAML = YAMLMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .build();

    private record Parsed(String text, List<Entry> entries) {}

    private static volatile Parsed parsed;

    /** One entry of the file. */
    private record Entry(
            String backend,
            String type,
            String vendor,
            String hardware,
            Double memoryShare,
            List<String> forwardKernels,
            Long localMemoryKib,
            String compilerFlags,
            Integer profiledRuns) {

        boolean matches(DeviceInfo device) {
            return (backend == null || backend.equals(device.backend()))
                    && (type == null || type.equals(device.type().name().toLowerCase(Locale.ROOT)))
                    && (vendor == null || contains(device.vendor(), vendor))
                    && (hardware == null || contains(device.hardware(), hardware));
        }

        private static boolean contains(String name, String part) {
            return name.toLowerCase(Locale.ROOT).contains(part.toLowerCase(Locale.ROOT));
        }
    }

    /**
     * The profile of a device.
     *
     * @throws InvalidInputException if the file does not read, or leaves a needed setting out
     */
    public static DeviceProfile of(DeviceInfo device) {
        return of(device, TornadoConfig.text(FILE));
    }

    static DeviceProfile of(DeviceInfo device, String text) {
        Double memoryShare = null;
        List<String> forwardKernels = null;
        Optional<Long> localMemoryBytes = Optional.empty();
        Optional<String> compilerFlags = Optional.empty();
        Integer profiledRuns = null;
        for (Entry entry : read(text)) {
            if (!entry.matches(device)) {
                continue;
            }
            memoryShare = entry.memoryShare() == null ? memoryShare : entry.memoryShare();
            forwardKernels = entry.forwardKernels() == null ? forwardKernels : entry.forwardKernels();
            localMemoryBytes = entry.localMemoryKib() == null ? localMemoryBytes : Optional.of(entry.localMemoryKib() << 10);
            compilerFlags = entry.compilerFlags() == null ? compilerFlags : Optional.of(entry.compilerFlags());
            profiledRuns = entry.profiledRuns() == null ? profiledRuns : entry.profiledRuns();
        }
        if (memoryShare == null || !(memoryShare > 0 && memoryShare <= 1)) {
            throw wrong("gives " + device.name() + " the memory_share " + memoryShare + ", which must be above 0 and at most 1");
        }
        if (forwardKernels == null || forwardKernels.isEmpty()) {
            throw wrong("gives " + device.name() + " no forward_kernels");
        }
        if (profiledRuns == null || profiledRuns < 1) {
            throw wrong("gives " + device.name() + " the profiled_runs " + profiledRuns + ", which must be at least 1");
        }
        return new DeviceProfile(memoryShare, List.copyOf(forwardKernels), localMemoryBytes, compilerFlags, profiledRuns);
    }

    /** Bytes of a device's memory that TornadoVM may use, or -1 if its memory is not known. */
    public static long memoryBudget(DeviceInfo device) {
        return device.memoryBytes() < 0 ? -1 : (long) (device.memoryBytes() * of(device).memoryShare());
    }

    /** Kept, since a plan asks for its device's profile several times and the file hardly ever changes. */
    private static List<Entry> read(String text) {
        Parsed last = parsed;
        if (last == null || !last.text().equals(text)) {
            last = new Parsed(text, parse(text));
            parsed = last;
        }
        return last.entries();
    }

    private static List<Entry> parse(String text) {
        try {
            return YAML.readValue(text, new TypeReference<List<Entry>>() {});
        } catch (JsonProcessingException e) {
            String where = e.getLocation() == null ? "" : " at line " + e.getLocation().getLineNr();
            throw wrong("does not read" + where + ": " + e.getOriginalMessage().lines().findFirst().orElse(""));
        }
    }

    private static InvalidInputException wrong(String what) {
        return new InvalidInputException(FILE + " of tornado-config " + what + ".");
    }
}
