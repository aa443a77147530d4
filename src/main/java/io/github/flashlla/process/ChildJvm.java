package io.github.flashlla.process;

import io.github.flashlla.io.ScratchFolder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * A JVM that runs one of this program's main classes. No other class starts one.
 *
 * <p>Its standard output goes to a file, since native code of drivers writes there what it likes. {@link DriverLog} reads
 * that file, in the child and here. If the child dies, its crash report tells how, and no core is written.
 */
public final class ChildJvm implements AutoCloseable {
    private static final long GRACE_SECONDS = 5;

    private final Process process;
    private final Path log;
    private final Path crashReport;
    private final DriverLog driverLog;

    private ChildJvm(Process process, Path log, Path crashReport) {
        this.process = process;
        this.log = log;
        this.crashReport = crashReport;
        this.driverLog = new DriverLog(log);
    }

    /**
     * Starts a JVM whose standard error goes to the log too. Its standard input stays open until this JVM ends.
     *
     * @param folder for its log; outlives the child
     */
    public static ChildJvm start(JavaCommand java, ScratchFolder folder, Class<?> main, List<String> args) throws IOException {
        return start(java, folder, main.getName(), args, false);
    }

    /** Starts a JVM that shares this JVM's standard input and standard error. */
    static ChildJvm startOnTerminal(JavaCommand java, ScratchFolder folder, String main, List<String> args) throws IOException {
        return start(java, folder, main, args, true);
    }

    private static ChildJvm start(JavaCommand java, ScratchFolder folder, String main, List<String> args, boolean onTerminal)
            throws IOException {
        Path log = Files.createFile(folder.resolve("driver.log"));
        Path crashReport = folder.resolve("hs_err.log");
        List<String> command = new ArrayList<>(java.with(List.of("-D" + DriverLog.PROPERTY + "=" + log,
                "-XX:ErrorFile=" + crashReport, "-XX:-CreateCoredumpOnCrash")).words());
        command.add(main);
        command.addAll(args);
        ProcessBuilder builder = new ProcessBuilder(command).redirectOutput(log.toFile());
        if (onTerminal) {
            builder.redirectInput(ProcessBuilder.Redirect.INHERIT).redirectError(ProcessBuilder.Redirect.INHERIT);
        } else {
            builder.redirectErrorStream(true);
        }
        builder.environment().putAll(java.environment());
        return new ChildJvm(builder.start(), log, crashReport);
    }

    public long pid() {
        return process.pid();
    }

    public boolean alive() {
        return process.isAlive();
    }

    /** Exit status; above 128 it is 128 plus the signal that ended the process. */
    public int exitStatus() {
        return process.exitValue();
    }

    /** Waits this long at most; returns whether it has ended. An interrupt ends the waiting and stays set. */
    public boolean awaitEnd(long millis) {
        try {
            return process.waitFor(millis, TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return !process.isAlive();
        }
    }

    /** What drivers reported in the child. */
    public DriverLog driverLog() {
        return driverLog;
    }

    /** How it died; empty if it ended by itself. A JVM that crashes without a core ends with status 1, as if it had failed. */
    public Optional<String> death() throws IOException {
        if (exitStatus() > 128) {
            return Optional.of("was killed by signal " + (exitStatus() - 128));
        }
        if (!Files.exists(crashReport)) {
            return Optional.empty();
        }
        try (Stream<String> lines = Files.lines(crashReport, StandardCharsets.UTF_8)) {
            return Optional.of("crashed in native code" + lines.filter(line -> line.startsWith("#  SIG")).findFirst()
                    .map(line -> " (" + line.substring(1).strip().split(" ")[0] + ")").orElse(""));
        }
    }

    /** Lines of its log, without those that every JVM prints at its start or crash. */
    public List<String> said() throws IOException {
        return new String(Files.readAllBytes(log), StandardCharsets.UTF_8).lines().map(String::strip)
                .filter(line -> !line.isEmpty() && !line.startsWith("WARNING: ") && !line.startsWith("#")).toList();
    }

    /** The last lines of its log, as one. */
    public String lastWords() throws IOException {
        List<String> lines = said();
        return String.join(" / ", lines.subList(Math.max(0, lines.size() - 3), lines.size()));
    }

    /** Ends it at once, with whatever it started. */
    public void kill() {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
    }

    /** Ends it, with a few seconds to delete its unfinished files; a driver that hangs gets no more. */
    void end() {
        process.destroy();
        if (!awaitEnd(TimeUnit.SECONDS.toMillis(GRACE_SECONDS))) {
            process.destroyForcibly();
        }
    }

    @Override
    public void close() {
        kill();
        awaitEnd(TimeUnit.SECONDS.toMillis(GRACE_SECONDS));
    }
}
