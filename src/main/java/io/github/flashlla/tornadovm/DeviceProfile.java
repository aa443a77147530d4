package io.github.flashlla.tornadovm;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.exc.MismatchedInputException;
import com.fasterxml.jackson.databind.exc.UnrecognizedPropertyException;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.text.Printable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * What is tuned for one device: the settings of {@code tornado-config/devices.yaml} whose profiles match it, and then those of the
 * user's own file, {@link UserProfile}.
 *
 * @param memoryShare part of the device's memory that TornadoVM may use, above 0 and at most 1
 * @param kernels names of the kernels of each pass, the best first
 * @param localMemoryBytes local memory that a work-group may take; empty for all that the device has
 * @param compilerFlags flags of the driver's compiler; empty for TornadoVM's own
 * @param profiledRuns runs of a plan whose kernels are timed by the device's clock, at least 1
 */
public record DeviceProfile(double memoryShare, Map<Pass, List<String>> kernels, Optional<Long> localMemoryBytes,
        Optional<String> compilerFlags, int profiledRuns) {
    /** System property: the forward kernel to use, whatever the profile says. A JVM that this one starts for a device has it, too. */
    private static final String KERNEL = "flashlla.kernel";
    private static final String FILE = "devices.yaml";
    /** What reads profiles, and brings all that it needs; pom.xml calls it optional, since programs without TornadoVM do without. */
    private static final String READER = "com.fasterxml.jackson.dataformat:jackson-dataformat-yaml";

    private record Parsed(String text, List<Entry> entries) {}

    private static volatile Parsed parsed;
    private static volatile Parsed parsedByUser;

    /** One entry of the file. */
    private record Entry(
            String backend,
            String type,
            String vendor,
            String hardware,
            Double memoryShare,
            List<String> forward,
            List<String> backward,
            List<String> decode,
            List<String> softmax,
            Long localMemoryKib,
            String compilerFlags,
            Integer profiledRuns) {

        List<String> kernels(Pass pass) {
            return switch (pass) {
                case FORWARD -> forward;
                case BACKWARD -> backward;
                case DECODE -> decode;
                case SOFTMAX -> softmax;
            };
        }

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
     * @throws DeviceException if the library that reads it is not on the class path
     */
    public static DeviceProfile of(DeviceInfo device) {
        List<Entry> entries = new ArrayList<>(read(TornadoConfig.text(FILE)));
        entries.addAll(ofUser());
        return of(device, entries);
    }

    /** Reads the files, so that {@link #of} finds them read; throws what that throws. */
    public static void load() {
        read(TornadoConfig.text(FILE));
        ofUser();
    }

    static DeviceProfile of(DeviceInfo device, String text) {
        return of(device, read(text));
    }

    /** The file that orders the kernels of a pass on this device: the user's, or null for that of tornado-config. */
    public static Path chosenBy(DeviceInfo device, Pass pass) {
        return ofUser().stream().anyMatch(entry -> entry.matches(device) && entry.kernels(pass) != null) ? UserProfile.file() : null;
    }

    /** Where a kernel of this device's order is named, to be told to people: the option, the user's file with the line, or that of tornado-config. */
    public static String namedIn(DeviceInfo device, Pass pass, String kernel) {
        if (pass == Pass.FORWARD && forcedKernel().isPresent()) {
            return "--kernel";
        }
        Path file = chosenBy(device, pass);
        return file == null ? FILE + " of tornado-config" : "the profile " + file + ", line " + lineOf(kernel, UserProfile.text().orElse("")) + ",";
    }

    /** What to change where no kernel of this device's order will do, to be told to people: the option, the user's file, or that of tornado-config. */
    public static String otherOrder(DeviceInfo device, Pass pass) {
        if (pass == Pass.FORWARD && forcedKernel().isPresent()) {
            return "another --kernel";
        }
        Path file = chosenBy(device, pass);
        return "other kernels in " + (file == null ? FILE + " of tornado-config" : "the profile " + file);
    }

    private static List<Entry> ofUser() {
        String text = UserProfile.text().orElse(null);
        if (text == null || text.isBlank()) {
            return List.of();
        }
        Parsed last = parsedByUser;
        if (last == null || !last.text().equals(text)) {
            last = new Parsed(text, parse(text, "the profile " + UserProfile.file()));
            parsedByUser = last;
        }
        return last.entries();
    }

    private static DeviceProfile of(DeviceInfo device, List<Entry> entries) {
        Double memoryShare = null;
        Map<Pass, List<String>> kernels = new EnumMap<>(Pass.class);
        Optional<Long> localMemoryBytes = Optional.empty();
        Optional<String> compilerFlags = Optional.empty();
        Integer profiledRuns = null;
        for (Entry entry : entries) {
            if (!entry.matches(device)) {
                continue;
            }
            memoryShare = entry.memoryShare() == null ? memoryShare : entry.memoryShare();
            for (Pass pass : Pass.values()) {
                if (entry.kernels(pass) != null) {
                    kernels.put(pass, List.copyOf(entry.kernels(pass)));
                }
            }
            localMemoryBytes = entry.localMemoryKib() == null ? localMemoryBytes : Optional.of(entry.localMemoryKib() << 10);
            compilerFlags = entry.compilerFlags() == null ? compilerFlags : Optional.of(entry.compilerFlags());
            profiledRuns = entry.profiledRuns() == null ? profiledRuns : entry.profiledRuns();
        }
        if (memoryShare == null || !(memoryShare > 0 && memoryShare <= 1)) {
            throw wrong("gives " + device.name() + " the memory_share " + memoryShare + ", which must be above 0 and at most 1");
        }
        forcedKernel().ifPresent(name -> kernels.put(Pass.FORWARD, List.of(name)));
        for (Pass pass : Pass.values()) {
            if (kernels.getOrDefault(pass, List.of()).isEmpty()) {
                throw wrong("gives " + device.name() + " no " + key(pass) + " kernels");
            }
        }
        if (profiledRuns == null || profiledRuns < 1) {
            throw wrong("gives " + device.name() + " the profiled_runs " + profiledRuns + ", which must be at least 1");
        }
        return new DeviceProfile(memoryShare, Map.copyOf(kernels), localMemoryBytes, compilerFlags, profiledRuns);
    }

    /** Names of the kernels of a pass, the best first. */
    public List<String> kernels(Pass pass) {
        return kernels.get(pass);
    }

    /** The forward kernel that every plan of this JVM must use; empty where profiles choose. */
    public static Optional<String> forcedKernel() {
        return Optional.ofNullable(System.getProperty(KERNEL));
    }

    /** Has every plan of this JVM, and of those that it starts for devices, use this forward kernel; null lets profiles choose. */
    public static void forceKernel(String name) {
        if (name == null) {
            System.clearProperty(KERNEL);
        } else {
            System.setProperty(KERNEL, name);
        }
    }

    /** Flags for a JVM that is to choose kernels as this one does. */
    static List<String> flags() {
        List<String> flags = new ArrayList<>();
        forcedKernel().ifPresent(name -> flags.add("-D" + KERNEL + "=" + name));
        Optional.ofNullable(System.getProperty(UserProfile.PROPERTY)).ifPresent(file -> flags.add("-D" + UserProfile.PROPERTY + "=" + file));
        return flags;
    }

    /** What the file calls a pass. */
    public static String key(Pass pass) {
        return pass.name().toLowerCase(Locale.ROOT);
    }

    /** Bytes of a device's memory that TornadoVM may use, or -1 if its memory is not known. */
    public static long memoryBudget(DeviceInfo device) {
        return device.memoryBytes() < 0 ? -1 : (long) (device.memoryBytes() * of(device).memoryShare());
    }

    /** Kept, since a plan asks for its device's profile several times and the file hardly ever changes. */
    private static List<Entry> read(String text) {
        Parsed last = parsed;
        if (last == null || !last.text().equals(text)) {
            last = new Parsed(text, parse(text, FILE + " of tornado-config"));
            parsed = last;
        }
        return last.entries();
    }

    /** @throws DeviceException if the library that reads YAML is not on the class path */
    private static List<Entry> parse(String text, String what) {
        try {
            return Yaml.parse(text, what);
        } catch (NoClassDefFoundError e) {
            throw new DeviceException("TornadoVM devices cannot be opened: " + what + " is read by " + READER
                    + ", which is not complete on the class path; add it with its dependencies, as docs/embedding.md says.", e);
        }
    }

    /** Names classes of the library; apart, so that its absence is noticed in one place. */
    private static final class Yaml {
        private static final YAMLMapper MAPPER = YAMLMapper.builder()
                .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
                .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
                .build();

        static List<Entry> parse(String text, String what) {
            try {
                return MAPPER.readValue(text, new TypeReference<List<Entry>>() {});
            } catch (UnrecognizedPropertyException e) {
                throw new InvalidInputException(what + " does not read at line " + lineOf(e.getPropertyName() + ":", text) + ": there is no setting '"
                        + Printable.text(e.getPropertyName()) + "'; there are " + String.join(", ",
                        e.getKnownPropertyIds().stream().map(String::valueOf).toList()) + ".");
            } catch (MismatchedInputException e) {
                String setting = e.getPath().reversed().stream().map(JsonMappingException.Reference::getFieldName).filter(Objects::nonNull).findFirst().orElse(null);
                throw new InvalidInputException(what + " does not read" + (e.getLocation() == null ? "" : " at line " + e.getLocation().getLineNr()) + ": "
                        + (setting == null ? "it is no list of entries" : "the value of '" + setting + "' is of the wrong kind") + ".");
            } catch (JsonProcessingException e) {
                String where = e.getLocation() == null ? "" : " at line " + e.getLocation().getLineNr();
                throw new InvalidInputException(what + " does not read" + where + ": " + Printable.text(e.getOriginalMessage().lines().findFirst().orElse("")
                        .replaceFirst(" \\(class [^)]*\\)", "").replaceFirst("`[\\w.$<>]*`", "a setting")) + ".");
            }
        }
    }

    /** The line of a name, which the parser has read past when it turns out to be unknown; comments are not asked. */
    private static long lineOf(String name, String text) {
        return text.lines().takeWhile(line -> line.strip().startsWith("#") || !line.contains(name)).count() + 1;
    }

    private static InvalidInputException wrong(String what) {
        return new InvalidInputException(FILE + " of tornado-config " + (Files.exists(UserProfile.file()) ? "with " + UserProfile.file() + " " : "") + what + ".");
    }
}
