package io.github.flashlla.experiment;

import io.github.flashlla.DeviceException;
import io.github.flashlla.io.Printable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * Experiments that train a model, and the library that they train with: PyTorch through DJL, a build of its own in
 * {@code training/} that is made, and its artifacts fetched, when such an experiment is first run.
 */
public final class TrainingLibrary {
    /** System property: set in a JVM that has the library. */
    private static final String PRESENT = "flashlla.training";
    private static final long GRACE_SECONDS = 5;
    private static final int CONSOLE_SIGNAL = 130;

    private TrainingLibrary() {}

    /**
     * Runs a command line in a child JVM that has the library.
     *
     * @param notes told that the library is fetched
     * @return its exit status; empty if this JVM has it
     * @throws DeviceException if the library cannot be built or fetched
     */
    public static OptionalInt run(Class<?> mainClass, List<String> args, Consumer<String> notes) {
        if (System.getProperty(PRESENT) != null) {
            return OptionalInt.empty();
        }
        Path root = Path.of(System.getProperty("flashlla.root", ".")).toAbsolutePath().normalize();
        Path training = root.resolve("training");
        if (!Files.exists(training.resolve("pom.xml"))) {
            throw new DeviceException("the experiments that train a model are built from " + training + ", which is not here; run them from a clone of the project.");
        }
        Path jar = training.resolve("target/flashlla-training.jar");
        try {
            if (isStale(training, root.resolve("target/flashlla.jar"), jar)) {
                notes.accept("building " + training + "; the first time fetches PyTorch, about 110 MB");
                build(root, training);
            }
            List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "--add-modules", "jdk.incubator.vector",
                    "--enable-native-access=ALL-UNNAMED", "-Dflashlla.root=" + root, "-D" + PRESENT + "=true", "-cp",
                    System.getProperty("java.class.path") + ":" + jar + ":" + training.resolve("target/lib") + "/*", mainClass.getName()));
            command.addAll(args);
            ProcessBuilder builder = new ProcessBuilder(command).inheritIO();
            environment(builder, training);
            return OptionalInt.of(await(builder.start()));
        } catch (IOException e) {
            throw new UncheckedIOException("cannot start a JVM that trains", e);
        }
    }

    /** The library unpacks its natives beside its build, not into the user's home, and asks nobody for updates. */
    private static void environment(ProcessBuilder builder, Path training) {
        builder.environment().put("DJL_CACHE_DIR", training.resolve("target/djl").toString());
        builder.environment().put("DJL_OFFLINE", "true");
        builder.environment().put("OPT_OUT_TRACKING", "true");
    }

    private static boolean isStale(Path training, Path product, Path jar) throws IOException {
        if (!Files.exists(jar)) {
            return true;
        }
        FileTime built = Files.getLastModifiedTime(jar);
        if (Files.exists(product) && Files.getLastModifiedTime(product).compareTo(built) > 0) {
            return true;
        }
        try (Stream<Path> sources = Stream.concat(Stream.of(training.resolve("pom.xml")), Files.walk(training.resolve("src")).filter(Files::isRegularFile))) {
            for (Path source : (Iterable<Path>) sources::iterator) {
                if (Files.getLastModifiedTime(source).compareTo(built) > 0) {
                    return true;
                }
            }
        }
        return false;
    }

    private static void build(Path root, Path training) throws IOException {
        Files.createDirectories(training.resolve("target"));
        Path log = training.resolve("target/build.log");
        ProcessBuilder builder = new ProcessBuilder(root.resolve("mvnw").toString(), "-B", "-q", "-f", training.resolve("pom.xml").toString(), "package")
                .directory(root.toFile()).redirectErrorStream(true).redirectOutput(log.toFile());
        builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
        if (await(builder.start()) != 0) {
            try (Stream<String> lines = Files.lines(log)) {
                String why = lines.filter(line -> line.contains("ERROR")).findFirst().map(line -> line.replaceFirst(".*ERROR\\]? *", "")).orElse("no reason given");
                throw new DeviceException("the training library could not be fetched or built: " + Printable.sentence(why.length() > 300 ? why.substring(0, 300) + " ..." : why)
                        + "; the whole of it is in " + log + ".");
            }
        }
    }

    /** Ends the child when this JVM is told to end. */
    private static int await(Process child) {
        Thread ending = Thread.ofPlatform().unstarted(() -> end(child));
        Runtime.getRuntime().addShutdownHook(ending);
        try {
            int status = child.waitFor();
            Runtime.getRuntime().removeShutdownHook(ending);
            return status;
        } catch (InterruptedException e) {
            child.destroyForcibly();
            Thread.currentThread().interrupt();
            return CONSOLE_SIGNAL;
        } catch (IllegalStateException e) {
            return CONSOLE_SIGNAL; // this JVM goes down, and the hook ends the child
        }
    }

    private static void end(Process child) {
        child.destroy();
        try {
            if (!child.waitFor(GRACE_SECONDS, TimeUnit.SECONDS)) {
                child.destroyForcibly();
            }
        } catch (InterruptedException e) {
            child.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }
}
