package io.github.flashlla.tornadovm;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.io.OutputFile;
import io.github.flashlla.process.JavaCommand;
import io.github.flashlla.text.Numbers;
import java.io.File;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.ToIntFunction;
import java.util.stream.Stream;
import java.util.zip.CRC32;

/**
 * Classes as a JVM for a TornadoVM device had them in memory when it ended, in Java's class data sharing archives: one file for each
 * backend in the folder {@code classes} of the cache. A JVM that maps one neither reads nor checks thousands of classes.
 *
 * <p>A file's name begins with a digest of the runtime, the modules and the class path, and ends with a checksum of its content. One that
 * is cut off or has changed is as good as none, and written again; {@link #examine} says so to {@link Doctor}. Files appear whole, so that
 * processes may write the same one at once. There is none where {@code --upgrade-module-path} is needed, which switches sharing off:
 * a full JDK has a module of the compiler's name, a bundle's runtime has not.
 */
public final class ClassArchive {
    private static final String SUFFIX = ".jsa";
    /** The oldest are removed when there are more; each has about 30 MB. */
    private static final int MOST_FILES = 8;
    /** Java would tell on standard output why it does not use an archive, and which classes it leaves out of one. */
    private static final List<String> QUIETLY = List.of("-Xlog:cds*=off", "-Xlog:aot*=off");

    private ClassArchive() {}

    /** The command, with the archive that an earlier JVM of its modules and class path left, if there is one. */
    static JavaCommand shared(JavaCommand java) {
        return shared(java, folder());
    }

    static JavaCommand shared(JavaCommand java, Path folder) {
        return key(java).flatMap(key -> find(folder, key)).map(file -> {
            touch(file);
            return java.with(QUIETLY).with(List.of("-XX:SharedArchiveFile=" + file));
        }).orElse(java);
    }

    /**
     * Runs a command that {@link DeviceJvm} made, and has its JVM leave an archive as it ends where there is none yet. That takes seconds,
     * after the command's results are there.
     *
     * @param run gets the command, and returns its exit status
     */
    public static int leftBy(JavaCommand java, ToIntFunction<JavaCommand> run) {
        return leftBy(java, folder(), run);
    }

    static int leftBy(JavaCommand java, Path folder, ToIntFunction<JavaCommand> run) {
        Optional<OutputFile> file = key(java).filter(key -> find(folder, key).isEmpty()).flatMap(key -> room(folder, key));
        if (file.isEmpty()) {
            return run.applyAsInt(java);
        }
        try (OutputFile output = file.get()) {
            int status = run.applyAsInt(java.with(QUIETLY).with(List.of("-XX:ArchiveClassesAtExit=" + output.temporary())));
            if (status == 0) {
                keep(output);
            }
            return status;
        }
    }

    /** Room for an archive in the folder; empty where that takes no files. */
    private static Optional<OutputFile> room(Path folder, String key) {
        try {
            Files.createDirectories(folder);
            return Optional.of(OutputFile.create(folder.resolve(key + SUFFIX)));
        } catch (IOException | InvalidInputException e) {
            return Optional.empty(); // as good as no cache; doctor tells
        }
    }

    private static void keep(OutputFile output) {
        try {
            if (Files.size(output.temporary()) == 0) {
                return; // Java could write none
            }
            String name = output.file().getFileName().toString();
            Path folder = output.file().getParent();
            Path named = folder.resolve(name.replace(SUFFIX, "-" + checksum(output.temporary()) + SUFFIX));
            for (Path other : CacheFolder.files(folder, SUFFIX)) {
                if (other.getFileName().toString().startsWith(name.replace(SUFFIX, "-")) && !isSound(other)) {
                    Files.deleteIfExists(other);
                }
            }
            Files.move(output.temporary(), named, StandardCopyOption.ATOMIC_MOVE);
            CacheFolder.removeOldest(folder, SUFFIX, MOST_FILES, Long.MAX_VALUE);
        } catch (IOException e) {
            // as good as no cache; doctor tells
        }
    }

    /** Digest of all that an archive depends on; empty where this command's JVM shares no classes. */
    private static Optional<String> key(JavaCommand java) {
        List<String> words = java.words();
        Path base = Path.of(words.getFirst()).resolveSibling("../lib/server/classes.jsa").normalize();
        boolean shares = Files.exists(base) && words.stream().noneMatch(word -> word.equals("--upgrade-module-path")
                || word.startsWith("-Xshare") || word.startsWith("-XX:ArchiveClasses") || word.contains("SharedArchive") || word.startsWith("-XX:AOT"));
        List<Path> jars = Stream.of("--module-path", "-cp").map(words::indexOf).filter(at -> at >= 0)
                .flatMap(at -> Arrays.stream(words.get(at + 1).split(File.pathSeparator))).map(Path::of).toList();
        if (!shares || !jars.stream().allMatch(Files::isRegularFile)) { // Java archives classes of jars only
            return Optional.empty();
        }
        List<String> facts = new ArrayList<>(words.stream().filter(word -> !word.startsWith("-D") && !word.startsWith("-X")).toList());
        facts.add(Surroundings.stamp(base));
        jars.forEach(jar -> facts.add(Surroundings.stamp(jar)));
        return Optional.of(Surroundings.digest(facts).substring(0, 32));
    }

    /** The archive of this key that is as it was written. */
    private static Optional<Path> find(Path folder, String key) {
        try {
            return CacheFolder.files(folder, SUFFIX).stream().filter(file -> file.getFileName().toString().startsWith(key + "-") && isSound(file)).findFirst();
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    private static boolean isSound(Path file) {
        try {
            return file.getFileName().toString().endsWith("-" + checksum(file) + SUFFIX);
        } catch (IOException e) {
            return false;
        }
    }

    private static String checksum(Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(file)) {
            CRC32 sum = new CRC32();
            sum.update(channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size()));
            return "%08x".formatted(sum.getValue());
        }
    }

    /** A file that is used counts as new. */
    private static void touch(Path file) {
        try {
            Files.setLastModifiedTime(file, FileTime.fromMillis(System.currentTimeMillis()));
        } catch (IOException e) {
            // a folder of somebody else's; its files are as good
        }
    }

    private static Path folder() {
        return SurveyCache.folder().resolve("classes");
    }

    /** What {@link Doctor} tells of the folder; empty where nothing was ever kept there. */
    static Optional<CacheFolder.Examination> examine() {
        return examine(folder());
    }

    static Optional<CacheFolder.Examination> examine(Path folder) {
        try {
            List<Path> files = CacheFolder.files(folder, SUFFIX);
            long broken = files.stream().filter(file -> !isSound(file)).count();
            if (files.isEmpty()) {
                return Optional.empty();
            }
            long bytes = files.stream().mapToLong(file -> file.toFile().length()).sum();
            String kept = folder + ", " + Numbers.count(files.size(), "archive") + ", " + Numbers.bytes(bytes);
            return Optional.of(broken == 0 ? new CacheFolder.Examination(true, kept) : new CacheFolder.Examination(false, kept + "; " + broken
                    + " ignored, since what is in " + (broken == 1 ? "it" : "them") + " is not what Java wrote"));
        } catch (IOException e) {
            return Optional.of(new CacheFolder.Examination(false, folder + ", not used: it cannot be listed"));
        }
    }
}
