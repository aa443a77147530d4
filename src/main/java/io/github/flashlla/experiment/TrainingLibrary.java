package io.github.flashlla.experiment;

import io.github.flashlla.DeviceException;
import io.github.flashlla.process.JavaCommand;
import io.github.flashlla.text.Printable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * What experiments train with: PyTorch through DJL, a build of its own in {@code src/training/} that is made, and its artifacts
 * fetched, when such an experiment is first run.
 */
public final class TrainingLibrary {
    /** System property: set in a JVM that has the library. */
    private static final String PRESENT = "flashlla.training";
    private static final int LONGEST = 300;

    private TrainingLibrary() {}

    /** Whether this JVM has it. */
    public static boolean isPresent() {
        return System.getProperty(PRESENT) != null;
    }

    /**
     * The same JVM with the library, which is built if it is not there or older than its sources.
     *
     * @param notes told that it is built
     * @throws DeviceException if it cannot be built or fetched
     */
    public static JavaCommand addTo(JavaCommand java, Consumer<String> notes) {
        Path root = JavaCommand.root().toAbsolutePath().normalize();
        Path training = root.resolve("src/training");
        if (!Files.exists(training.resolve("pom.xml"))) {
            throw new DeviceException("experiments that train a model are built from " + training + ", which is not here; run them from a clone of the project.");
        }
        Path jar = training.resolve("target/flashlla-training.jar");
        try {
            if (isStale(training, root.resolve("target/flashlla.jar"), jar)) {
                notes.accept("building " + training + "; the first time fetches PyTorch, about 110 MB");
                build(root, training);
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot build " + training, e);
        }
        // PyTorch unpacks its natives beside its build, not into the user's home, and asks nobody for updates
        return java.with(List.of("-D" + PRESENT + "=true"))
                .withClassPath(List.of(jar.toString(), training.resolve("target/lib") + "/*"))
                .with("DJL_CACHE_DIR", training.resolve("target/djl").toString()).with("DJL_OFFLINE", "true").with("OPT_OUT_TRACKING", "true");
    }

    private static boolean isStale(Path training, Path product, Path jar) throws IOException {
        if (!Files.exists(jar)) {
            return true;
        }
        FileTime built = Files.getLastModifiedTime(jar);
        try (Stream<Path> sources = Files.walk(training.resolve("src"))) {
            return Stream.concat(Stream.of(training.resolve("pom.xml"), product), sources).filter(Files::isRegularFile).map(TrainingLibrary::modified)
                    .anyMatch(time -> time.compareTo(built) > 0);
        }
    }

    private static FileTime modified(Path file) {
        try {
            return Files.getLastModifiedTime(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void build(Path root, Path training) throws IOException {
        Files.createDirectories(training.resolve("target"));
        Path log = training.resolve("target/build.log");
        ProcessBuilder builder = new ProcessBuilder(root.resolve("mvnw").toString(), "-B", "-q", "-f", training.resolve("pom.xml").toString(), "package")
                .directory(root.toFile()).redirectErrorStream(true).redirectOutput(log.toFile());
        builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
        Process maven = builder.start();
        try {
            if (maven.waitFor() == 0) {
                return;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            maven.destroy();
        }
        try (Stream<String> lines = Files.lines(log)) {
            String why = lines.filter(line -> line.contains("ERROR")).findFirst().map(line -> line.replaceFirst(".*ERROR\\]? *", "")).orElse("no reason given");
            throw new DeviceException("what trains could not be fetched or built: " + Printable.sentence(why.length() > LONGEST ? why.substring(0, LONGEST)
                    + " ..." : why)
                    + "; the whole of it is in " + log + ".");
        }
    }
}
