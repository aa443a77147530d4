package io.github.flashlla.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceCombiner;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.DeviceInfo.Trait;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.text.Printable;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Devices that a file describes, here or not: the output of {@code devices --format json}, or a record of {@code bench}. */
final class RecordedDevices {
    /** What records of earlier versions do not tell; NVIDIA's drivers give a work-group this much. */
    private static final long USUAL_LOCAL_BYTES = 48 << 10;

    private static final String REFERENCE = "reference";
    /** NVIDIA's GPUs of compute capability 9.0. */
    private static final Pattern HOPPER = Pattern.compile("\\bG?H\\d{2,3}\\b");

    private RecordedDevices() {}

    /**
     * The devices that a file describes.
     *
     * @param names selectors as {@link Devices#select} takes them; of devices joined by + it gives the parts. Null for all devices
     */
    static List<DeviceInfo> select(Path file, List<String> names) {
        List<DeviceInfo> all = read(file);
        if (names == null) {
            return all;
        }
        Set<DeviceInfo> chosen = new LinkedHashSet<>();
        for (String name : names) {
            List<DeviceInfo> whole = all.stream().filter(device -> device.matches(name)).toList();
            chosen.addAll(whole);
            for (String part : whole.isEmpty() ? name.split(Pattern.quote(DeviceCombiner.JOINER), -1) : new String[0]) {
                List<DeviceInfo> matches = all.stream().filter(device -> device.matches(part)).toList();
                if (matches.isEmpty()) {
                    throw new InvalidInputException(file + " describes no device '" + Printable.text(part) + "'; it has "
                            + all.stream().map(DeviceInfo::name).collect(Collectors.joining(", ")) + ".");
                }
                chosen.addAll(matches);
            }
        }
        return List.copyOf(chosen);
    }

    private static List<DeviceInfo> read(Path file) {
        JsonNode devices;
        try {
            devices = new ObjectMapper().readTree(file.toFile()).path("devices");
        } catch (FileNotFoundException e) {
            throw new InvalidInputException(file + (Files.isDirectory(file) ? " is a folder; name a file." : Files.exists(file) ? " cannot be read."
                    : " does not exist."));
        } catch (IOException e) {
            throw new InvalidInputException(file + " does not read as JSON: " + e.getMessage().lines().findFirst().orElse("") + ".");
        }
        if (!devices.isArray() || devices.isEmpty()) {
            throw new InvalidInputException(file + " describes no devices; --as takes a record of flashlla bench, or what "
                    + "flashlla devices --format json printed.");
        }
        List<DeviceInfo> found = new ArrayList<>();
        for (JsonNode device : devices) {
            try {
                found.add(device(device));
            } catch (IllegalArgumentException e) { // a type, a precision or a trait of no device
                throw new InvalidInputException(file + ": device '" + device.path("name").asText() + "' has a type, a precision or a trait that there is not; "
                        + "--as takes a record of flashlla bench, or what flashlla devices --format json printed.");
            }
        }
        return found;
    }

    private static DeviceInfo device(JsonNode device) {
        String backend = device.path("backend").asText();
        List<DataType> precisions = new ArrayList<>();
        device.path("precisions").forEach(precision -> precisions.add(DataType.valueOf(precision.asText().toUpperCase(Locale.ROOT))));
        if (precisions.isEmpty()) { // records do not tell; TornadoVM reaches matrix units through CUDA alone
            precisions.addAll(backend.equals(REFERENCE) ? List.of(DataType.values())
                    : backend.equals("cuda") ? List.of(DataType.FLOAT32, DataType.FLOAT16) : List.of(DataType.FLOAT32));
        }
        String hardware = device.path("hardware").asText();
        Set<Trait> traits = EnumSet.noneOf(Trait.class);
        device.path("traits").forEach(trait -> traits.add(Trait.valueOf(trait.asText().toUpperCase(Locale.ROOT))));
        if (!device.has("traits") && backend.equals(REFERENCE)) { // records do not tell that either
            traits.add(Trait.EXACT);
        } else if (!device.has("traits") && backend.equals("cuda") && HOPPER.matcher(hardware).find()) {
            traits.add(Trait.WARP_GROUPS);
        }
        return new DeviceInfo(device.path("name").asText(), backend,
                DeviceInfo.Type.valueOf(device.path("type").asText("gpu").toUpperCase(Locale.ROOT)), hardware,
                device.path("vendor").asText(), device.path("driver").asText(), number(device, "memoryBytes", "memory_bytes", -1),
                number(device, "localMemoryBytes", "local_memory_bytes", USUAL_LOCAL_BYTES),
                (int) number(device, "computeUnits", "compute_units", -1), precisions, traits);
    }

    private static long number(JsonNode device, String name, String recordName, long otherwise) {
        return device.path(name).asLong(device.path(recordName).asLong(otherwise));
    }
}
