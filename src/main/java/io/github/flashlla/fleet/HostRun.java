package io.github.flashlla.fleet;

import io.github.flashlla.fleet.HostResult.State;
import io.github.flashlla.fleet.RemoteProcess.Line;
import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.RecordFile;
import io.github.flashlla.text.Printable;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.regex.Pattern;

/** One host's run: sends the bundle where it is not, runs bench, keeps what comes as it comes. */
final class HostRun {
    private static final int LAST_WORDS = 3;
    private static final int STOP_POLLS = 50;
    private static final int STOP_POLL_MILLIS = 10;
    /** How lines of bench begin that say how far it is: they are no reason for its end. */
    private static final Pattern PROGRESS = Pattern.compile("\\[\\d+/\\d+] ");
    private static final String HOME = "\"$HOME\"";

    private final Host host;
    private final Job job;
    private final Supplier<BundleArchive> bundle;
    private final Path root;
    private final Path folder;
    private final double silenceSeconds;
    private final Consumer<String> told;
    private final Deque<String> lastWords = new ArrayDeque<>();
    private volatile boolean stopping;
    private volatile RemoteProcess current;
    private Integer ended;
    private int measured;

    /**
     * @param root this program's folder, for a host that is this machine
     * @param folder for the host's record and log
     */
    HostRun(Host host, Job job, Supplier<BundleArchive> bundle, Path root, Path folder, double silenceSeconds, Consumer<String> told) {
        this.host = host;
        this.job = job;
        this.bundle = bundle;
        this.root = root;
        this.folder = folder;
        this.silenceSeconds = silenceSeconds;
        this.told = message -> told.accept(host.name() + ": " + message);
    }

    static Path recordFile(Path folder, Host host) {
        return folder.resolve(host.name() + ".json");
    }

    /** Ends it from another thread; what has come is kept. */
    void stop() {
        stopping = true;
        RemoteProcess process = current;
        if (process != null) {
            process.hangUp();
        }
    }

    HostResult run() {
        Path lines = folder.resolve(host.name() + ".jsonl");
        String failure;
        try (PrintWriter log = new PrintWriter(Files.newBufferedWriter(folder.resolve(host.name() + ".log"), StandardCharsets.UTF_8), true)) {
            Files.deleteIfExists(lines);
            failure = measure(lines, log);
        } catch (IOException | RuntimeException e) {
            failure = e.getMessage() == null ? e.toString() : e.getMessage();
        }
        if (failure != null) {
            awaitStop();
        }
        boolean complete = failure == null && !stopping;
        Optional<BenchmarkRecord> record = Optional.empty();
        try {
            record = keep(lines, complete);
        } catch (RuntimeException | IOException e) {
            failure = failure == null ? "what it sent is no record: " + e.getMessage() : failure;
        }
        State state = stopping ? State.STOPPED : failure == null ? State.DONE : State.FAILED;
        String reason = state == State.STOPPED ? "interrupted" : failure == null ? "" : Printable.sentence(shown(failure));
        told.accept(state == State.DONE ? "done" : state.word() + ": " + reason);
        return new HostResult(host.name(), state, record, reason);
    }

    /** Ctrl-C reaches ssh and this JVM alike, ssh perhaps first: what it ends is no failure of the host. */
    private void awaitStop() {
        for (int i = 0; i < STOP_POLLS && !stopping; i++) {
            try {
                Thread.sleep(STOP_POLL_MILLIS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return;
            }
        }
    }

    /** @return why it failed; null if it did not */
    private String measure(Path lines, PrintWriter log) throws IOException {
        String program;
        if (host.isLocal()) {
            program = "FLASHLLA_NO_BUILD=1 " + Shell.quoted(root.resolve("bin/flashlla").toString());
        } else {
            String failure = host.ssh() == null ? noLauncher(log) : reach(log);
            if (failure != null || stopping) {
                return failure;
            }
            BundleArchive archive = bundle.get();
            failure = install(archive, log);
            if (failure != null || stopping) {
                return failure;
            }
            program = folderThere() + "/" + archive.hash() + "/flashlla/bin/flashlla";
        }
        told.accept("bench starts");
        try (RemoteProcess process = start(job.script(host, program))) {
            String failure = follow(process, log, line -> {
                try {
                    Files.writeString(lines, line + "\n", java.nio.file.StandardOpenOption.CREATE, java.nio.file.StandardOpenOption.APPEND);
                    measured++;
                } catch (IOException e) {
                    throw new java.io.UncheckedIOException("cannot write " + lines, e);
                }
            });
            if (failure != null) {
                return failure;
            }
            if (ended == null) {
                return "the connection ended with status " + process.exitStatus() + " before the run did" + said();
            }
            return measured > 0 && ended <= 1 ? null : "bench ended with status " + ended + said();
        }
    }

    private RemoteProcess start(String script) throws IOException {
        RemoteProcess process;
        try {
            process = new RemoteProcess(host.command(script));
        } catch (IOException e) {
            throw new IOException("cannot start " + host.command("").getFirst() + ": " + e.getMessage(), e);
        }
        current = process;
        if (stopping) {
            process.hangUp();
        }
        return process;
    }

    private String folderThere() {
        if (host.folder() == null) {
            return HOME + "/flashlla-bundles";
        }
        return host.folder().startsWith("~/") ? HOME + "/" + Shell.quoted(host.folder().substring(2)) : Shell.quoted(host.folder());
    }

    /** Packing a bundle takes long, and is for nothing where no machine is reached. */
    private String reach(PrintWriter log) throws IOException {
        boolean[] reached = {false};
        try (RemoteProcess process = start(Shell.HELLO)) {
            String failure = follow(process, log, _ -> reached[0] = true);
            return failure != null ? failure : reached[0] || stopping ? null : "it was not reached (status " + process.exitStatus() + ")" + said();
        }
    }

    /** A launcher's command may wait in a queue each time, so all that is asked beforehand is whether this machine has the launcher. */
    private String noLauncher(PrintWriter log) throws IOException {
        String launcher = host.launcher();
        if (launcher.isEmpty()) {
            return null;
        }
        try (RemoteProcess process = new RemoteProcess(List.of("sh", "-c", "command -v " + launcher))) {
            String failure = follow(process, log, _ -> { });
            return failure != null ? failure : process.exitStatus() == 0 || stopping ? null
                    : "this machine has no command '" + launcher + "', with which its 'launch' begins";
        }
    }

    private String install(BundleArchive archive, PrintWriter log) throws IOException {
        boolean[] here = {false};
        boolean[] reached = {false};
        try (RemoteProcess process = start(Shell.install(folderThere(), archive.hash()))) {
            String failure = follow(process, log, line -> {
                reached[0] = true;
                if (line.equals(Shell.HERE)) {
                    here[0] = true;
                } else if (line.equals(Shell.WANTS_XZ) || line.equals(Shell.WANTS_TAR)) {
                    told.accept("sending the bundle");
                    Thread.ofVirtual().start(() -> send(process, archive, line.equals(Shell.WANTS_XZ)));
                }
            });
            return failure != null ? failure : here[0] || stopping ? null
                    : (reached[0] ? "the bundle could not be unpacked there" : "it was not reached") + " (status " + process.exitStatus() + ")" + said();
        }
    }

    /** Where there is no xz there, it is unpacked here. */
    private void send(RemoteProcess process, BundleArchive archive, boolean packed) {
        try {
            if (packed) {
                try (InputStream in = Files.newInputStream(archive.file())) {
                    process.send(in);
                }
                return;
            }
            Process xz = new ProcessBuilder("xz", "-dc", archive.file().toString()).redirectError(ProcessBuilder.Redirect.DISCARD).start();
            try (InputStream in = xz.getInputStream()) {
                process.send(in);
            } finally {
                xz.destroyForcibly();
            }
        } catch (IOException e) {
            process.hangUp(); // what the other side says of it is the reason
        }
    }

    /**
     * Reads what a script says until it ends.
     *
     * @param data gets lines of records and of the script itself
     * @return why it was given up; null if it ended by itself
     */
    private String follow(RemoteProcess process, PrintWriter log, Consumer<String> data) {
        lastWords.clear();
        while (!process.ended()) {
            Line line = process.next();
            if (line != null) {
                take(line, log, data);
            } else if (process.silence() > silenceSeconds) {
                return "gave no sign for " + Math.round(silenceSeconds) + " s, and was given up" + said();
            } else if (Thread.currentThread().isInterrupted()) {
                return "interrupted";
            }
        }
        return null;
    }

    private void take(Line line, PrintWriter log, Consumer<String> data) {
        String text = line.text();
        if (!line.error() && text.startsWith(Shell.ENDED)) {
            ended = Integer.valueOf(text.substring(Shell.ENDED.length()).strip());
        } else if (!line.error() && (text.startsWith(Shell.MARK) || text.startsWith("{\"schema_version\""))) {
            data.accept(text);
        } else if (!text.isBlank()) {
            log.println(host.hidden(text));
            if (text.startsWith("[")) { // bench's progress, or an error
                told.accept(Printable.text(text));
            }
            if (PROGRESS.matcher(text).lookingAt()) {
                return;
            }
            lastWords.addLast(text.strip());
            if (lastWords.size() > LAST_WORDS) {
                lastWords.removeFirst();
            }
        }
    }

    private String shown(String failure) {
        String shown = host.hidden(failure);
        return shown.equals(failure) ? failure : shown + " (" + host.name() + " stands for what its 'ssh' says)";
    }

    private String said() {
        return lastWords.isEmpty() ? "" : ", saying: " + String.join(" / ", lastWords);
    }

    private Optional<BenchmarkRecord> keep(Path lines, boolean complete) throws IOException {
        if (!Files.exists(lines)) {
            return Optional.empty();
        }
        BenchmarkRecord found = RecordFile.read(lines, note -> { });
        BenchmarkRecord record = new BenchmarkRecord(found.schemaVersion(), found.name(), found.created(), complete, found.environment(),
                found.conditions(), found.devices(), found.measurements());
        RecordFile.write(recordFile(folder, host), record);
        Files.delete(lines);
        return Optional.of(record);
    }
}
