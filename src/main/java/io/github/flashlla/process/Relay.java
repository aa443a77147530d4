package io.github.flashlla.process;

import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.io.ScratchFolder;
import io.github.flashlla.tornadovm.Backend;
import io.github.flashlla.tornadovm.BackendSurvey;
import io.github.flashlla.tornadovm.DeviceProfile;
import io.github.flashlla.tornadovm.SurveyedDeviceProvider;
import io.github.flashlla.tornadovm.TornadoFlags;
import io.github.flashlla.tornadovm.TornadoSdk;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Runs a command line in a child JVM that can open a TornadoVM device.
 *
 * <p>Standard output of the child's process belongs to the drivers: TornadoVM's native code reports failures there and
 * nowhere else, so it goes to a file that the device reads after every run ({@value #DRIVER_LOG}). What the command itself
 * prints goes to a second file ({@value #RESULTS}) and from there, as it grows, to this JVM's standard output. Standard
 * error is shared. A child that a driver kills costs a sentence, not the shell's "Aborted (core dumped)".
 */
public final class Relay {
    /** System property: file that the process's own standard output goes to. */
    public static final String DRIVER_LOG = "flashlla.driver.log";
    /** System property: file that {@link #adopt} makes {@code System.out} write to. */
    public static final String RESULTS = "flashlla.results";

    private static final long GRACE_SECONDS = 5;

    private Relay() {}

    /** To be called first in a command's main method: in a child JVM, sends {@code System.out} to the parent. */
    public static void adopt() {
        String results = System.getProperty(RESULTS);
        if (results != null) {
            try {
                System.setOut(new PrintStream(new FileOutputStream(results, true), true, StandardCharsets.UTF_8));
            } catch (IOException e) {
                throw new UncheckedIOException("cannot write to " + results, e);
            }
        }
    }

    /**
     * Runs {@code mainClass} with {@code args} in a child JVM for these devices' backends.
     *
     * @return its exit status; empty if this JVM can open the devices itself
     * @throws DeviceException if a device's backend is not here, or the child was killed by a signal
     */
    public static OptionalInt run(Collection<DeviceInfo> devices, Class<?> mainClass, List<String> args) {
        Set<Backend> backends = devices.stream().map(device -> Backend.of(device.name())).filter(b -> b != null)
                .collect(Collectors.toCollection(LinkedHashSet::new));
        if (backends.isEmpty() || SurveyedDeviceProvider.inTornadoJvm()) {
            return OptionalInt.empty();
        }
        long memory = devices.stream().filter(device -> Backend.of(device.name()) != null)
                .mapToLong(DeviceProfile::memoryBudget).max().orElse(-1);
        String names = devices.stream().map(DeviceInfo::name).collect(Collectors.joining(", "));
        try (ScratchFolder folder = new ScratchFolder("run")) {
            return OptionalInt.of(run(TornadoFlags.command(backends, memory), mainClass, args, folder, names));
        } catch (IOException e) {
            throw new UncheckedIOException("cannot start a JVM for " + names, e);
        }
    }

    private static int run(List<String> java, Class<?> mainClass, List<String> args, ScratchFolder folder, String names)
            throws IOException {
        Path log = Files.createFile(folder.resolve("driver.log"));
        Path results = Files.createFile(folder.resolve("results"));
        Path report = folder.resolve("hs_err.log");
        List<String> command = new ArrayList<>(java);
        command.addAll(1, List.of("-D" + DRIVER_LOG + "=" + log, "-D" + RESULTS + "=" + results,
                "-XX:ErrorFile=" + report, "-XX:-CreateCoredumpOnCrash"));
        command.add(mainClass.getName());
        command.addAll(args);
        Process child = TornadoFlags.process(TornadoSdk.find().orElseThrow(), command).redirectInput(ProcessBuilder.Redirect.INHERIT)
                .redirectOutput(log.toFile()).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        Thread ending = Thread.ofPlatform().unstarted(() -> end(child));
        Runtime.getRuntime().addShutdownHook(ending);
        try (InputStream in = Files.newInputStream(results)) {
            boolean ended;
            do {
                ended = child.waitFor(20, TimeUnit.MILLISECONDS);
                in.transferTo(System.out); // to the end of what is written so far
                System.out.flush(); // whether it could be written is asked when the command has ended
            } while (!ended);
        } catch (InterruptedException e) {
            child.destroyForcibly();
            Thread.currentThread().interrupt();
            return 1;
        }
        int status = child.exitValue();
        try {
            Runtime.getRuntime().removeShutdownHook(ending);
        } catch (IllegalStateException e) {
            return status; // this JVM was told to end, and its child with it
        }
        Optional<String> crash = status > 128 ? Optional.of("was killed by signal " + (status - 128)) : crash(report);
        if (crash.isPresent()) {
            throw new DeviceException("the JVM that ran " + names + " " + crash.get() + lastWords(log) + "; run flashlla doctor.");
        }
        return status;
    }

    /** A JVM that crashes and must write no core ends with status 1, like any command that failed; its report tells. */
    private static Optional<String> crash(Path report) throws IOException {
        if (!Files.exists(report)) {
            return Optional.empty();
        }
        try (Stream<String> lines = Files.lines(report, StandardCharsets.UTF_8)) {
            return Optional.of("crashed in native code" + lines.filter(line -> line.startsWith("#  SIG")).findFirst()
                    .map(line -> " (" + line.substring(1).strip().split(" ")[0] + ")").orElse(""));
        }
    }

    /** With time to delete its unfinished files, which a driver that hangs does not get for ever. */
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

    private static String lastWords(Path log) throws IOException {
        List<String> lines = new String(Files.readAllBytes(log), StandardCharsets.UTF_8).lines().map(String::strip)
                .filter(line -> !line.isEmpty() && !line.startsWith("#")).toList(); // nor HotSpot's own
        String tail = String.join(" / ", lines.subList(Math.max(0, lines.size() - 4), lines.size()));
        return tail.isEmpty() ? "" : "; its driver's last words: " + tail;
    }
}
