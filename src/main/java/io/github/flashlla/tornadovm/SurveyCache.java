package io.github.flashlla.tornadovm;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flashlla.DeviceProvider.Discovery;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.io.OutputFile;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * What backends answered when they were last asked for their devices, kept from process to process.
 *
 * <p>An answer holds as long as everything that could change it is as it was: the SDK, the JDK, this build, OpenCL's and NVIDIA's
 * drivers, device nodes, the environment variables that drivers read, and the machine's last start. That a backend has no devices holds for
 * an hour at most, for its driver may have failed for once. A file that cannot be read, is not ours, or cannot be written is as good as none;
 * {@link #state()} says so to {@link Doctor}.
 */
public final class SurveyCache {
    private static final int VERSION = 2;
    private static final long ABSENT_MILLIS = Duration.ofHours(1).toMillis();

    /** Folders whose files, with their times and sizes, tell which devices there are. */
    private static final List<String> FOLDERS = List.of("/dev/dri", "/dev/nvidia-caps", "/proc/driver/nvidia/gpus");

    /**
     * The file as it is.
     *
     * @param version of this format
     * @param key digest of all that answers depend on
     * @param answers by backend
     */
    record Content(int version, String key, Map<Backend, Answer> answers) {}

    /**
     * What a backend answered.
     *
     * @param askedMillis when, as {@link System#currentTimeMillis()} has it; 0 where it is not worth keeping
     */
    record Answer(long askedMillis, Discovery discovery) {

        static Answer now(Discovery discovery) {
            return new Answer(System.currentTimeMillis(), discovery);
        }

        /** For this process alone. */
        static Answer passing(Discovery discovery) {
            return new Answer(0, discovery);
        }

        boolean absent() {
            return discovery.devices().isEmpty();
        }

        private boolean holds(long nowMillis) {
            return !absent() || nowMillis - askedMillis < ABSENT_MILLIS && nowMillis >= askedMillis;
        }
    }

    private final Path file;
    private final String key;
    private String state = "empty";
    /** Whether answers could be kept. */
    private boolean sound = true;

    SurveyCache(Path file, String key) {
        this.file = file;
        this.key = key;
    }

    /** The cache of this user, for this SDK. */
    static SurveyCache of(TornadoSdk sdk) {
        return new SurveyCache(folder().resolve("devices.json"), digest(sdk));
    }

    /** {@code FLASHLLA_CACHE}, else the folder {@code flashlla} where the system's users keep caches. */
    public static Path folder() {
        try {
            String set = System.getenv("FLASHLLA_CACHE");
            if (set != null && !set.isBlank()) {
                return Path.of(set);
            }
            String caches = System.getenv("XDG_CACHE_HOME");
            return caches != null && caches.startsWith("/") ? Path.of(caches, "flashlla")
                    : Path.of(System.getProperty("user.home"), ".cache", "flashlla");
        } catch (InvalidPathException e) {
            return Path.of(System.getProperty("java.io.tmpdir"), "flashlla"); // a name that this locale has no letters for
        }
    }

    /** Answers that still hold; empty where there are none. */
    Map<Backend, Answer> read() {
        if (!Files.exists(file)) {
            return Map.of();
        }
        try {
            Content content = new ObjectMapper().readValue(file.toFile(), Content.class);
            if (content.version() != VERSION || content.answers() == null || content.answers().values().stream().anyMatch(answer -> answer == null || answer.discovery() == null)) {
                state = "ignored, since another version wrote it";
            } else if (!key.equals(content.key())) {
                state = "ignored, since the SDK, a driver or the environment changed";
            } else {
                state = "used";
                long now = System.currentTimeMillis();
                content.answers().values().removeIf(answer -> !answer.holds(now));
                return content.answers();
            }
        } catch (IOException | RuntimeException e) {
            state = "ignored, since it cannot be read as what this program writes";
        }
        return Map.of();
    }

    /** Keeps these answers; a reader in another process sees the old file or the new one, never a part. */
    void write(Map<Backend, Answer> answers) {
        try {
            Files.createDirectories(file.getParent());
            try (OutputFile output = OutputFile.create(file)) {
                new ObjectMapper().writeValue(output.temporary().toFile(), new Content(VERSION, key, new EnumMap<>(answers)));
                output.commit();
            }
        } catch (IOException | RuntimeException e) {
            state = "not written: " + reason(e);
            sound = false;
        }
    }

    /** Where it lies and what became of it. */
    CacheFolder.Examination state() {
        return new CacheFolder.Examination(sound, file + ", " + state);
    }

    /** Why it could not be written: the folder's or the file's own fault, or the disk's. */
    private static String reason(Exception e) {
        return switch (e) {
            case FileAlreadyExistsException there -> there.getFile() + " is a file where a folder is needed";
            case AccessDeniedException denied -> denied.getFile() + " refuses new files";
            case FileSystemException system when system.getReason() != null -> system.getFile() + ": " + system.getReason();
            case InvalidInputException told -> told.getMessage().replaceFirst("^.* cannot be written: ", "").replaceFirst("\\.$", "");
            default -> String.valueOf(e.getMessage());
        };
    }

    private static String digest(TornadoSdk sdk) {
        List<String> facts = new ArrayList<>(Surroundings.facts(sdk));
        build().ifPresent(path -> facts.add(Surroundings.stamp(path)));
        FOLDERS.forEach(folder -> facts.addAll(Surroundings.listing(Path.of(folder))));
        facts.addAll(nodes());
        facts.add(Surroundings.text(Path.of("/proc/sys/kernel/random/boot_id")));
        return Surroundings.digest(facts);
    }

    private static Optional<Path> build() {
        try {
            return Optional.of(Path.of(SurveyCache.class.getProtectionDomain().getCodeSource().getLocation().toURI()));
        } catch (Exception e) {
            return Optional.empty();
        }
    }

    /** NVIDIA's device nodes: a GPU that was added, taken away or split. */
    private static List<String> nodes() {
        try (Stream<Path> files = Files.list(Path.of("/dev"))) {
            return files.map(Path::toString).filter(name -> name.startsWith("/dev/nvidia")).sorted().toList();
        } catch (IOException e) {
            return List.of();
        }
    }
}
