package io.github.flashlla.bench;

import io.github.flashlla.io.ScratchFolder;
import io.github.flashlla.record.RecordJson;
import io.github.flashlla.tornadovm.TornadoSdk;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** The parent's side of a {@link Worker}: starts it, reads its events and its log, ends it. */
final class WorkerProcess implements AutoCloseable {
    private static final int LOG_TAIL_BYTES = 4000;

    /** System property by which a device finds what its driver printed. */
    private static final String DRIVER_LOG = "flashlla.driver.log";

    private final ScratchFolder folder;
    private final Path log;
    private final Process process;
    private final RandomAccessFile events;
    private final StringBuilder partial = new StringBuilder();
    private long logRead;

    /** @param javaCommand java and its flags, class path included, up to where the main class goes */
    WorkerProcess(List<String> javaCommand, String device, List<Task> tasks, Protocol protocol) throws IOException {
        folder = new ScratchFolder("bench");
        log = folder.resolve("log");
        try {
            events = order(device, tasks, protocol);
            process = start(javaCommand);
        } catch (IOException | RuntimeException e) {
            folder.close(); // nobody else can: a signal may have deleted half of it while it was filled
            throw e;
        }
    }

    private RandomAccessFile order(String device, List<Task> tasks, Protocol protocol) throws IOException {
        Path eventFile = Files.createFile(folder.resolve("events.jsonl"));
        RecordJson.COMPACT.writeValue(folder.resolve("order.json").toFile(), new WorkerOrder(device, tasks, protocol, eventFile.toString()));
        return new RandomAccessFile(eventFile.toFile(), "r");
    }

    private Process start(List<String> javaCommand) throws IOException {
        List<String> command = new ArrayList<>(javaCommand);
        command.addAll(1, List.of("-D" + DRIVER_LOG + "=" + log, "-XX:ErrorFile=" + folder.resolve("hs_err.log"),
                "-XX:-CreateCoredumpOnCrash"));
        command.add(Worker.class.getName());
        command.add(folder.resolve("order.json").toString());
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile());
        // where TornadoVM looks for its settings, also when the SDK was found elsewhere
        TornadoSdk.find().ifPresent(sdk -> builder.environment().put("TORNADOVM_HOME", sdk.home().toString()));
        return builder.start();
    }

    long pid() {
        return process.pid();
    }

    /** Events since the last call, waiting a moment if there are none. */
    List<WorkerEvent> poll() throws IOException {
        boolean ended = awaitEnd(50);
        List<WorkerEvent> fresh = read();
        return ended && fresh.isEmpty() ? read() : fresh;
    }

    boolean alive() {
        return process.isAlive();
    }

    /** Exit status; above 128 it is 128 plus the signal that ended the process. */
    int exitStatus() {
        return process.exitValue();
    }

    /** Complaints that a native library wrote to the log since the last call, or null. */
    String nativeError() throws IOException {
        String text = Files.exists(log) ? new String(Files.readAllBytes(log), StandardCharsets.UTF_8) : "";
        String fresh = text.substring((int) Math.min(logRead, text.length()));
        logRead = text.length();
        return fresh.lines().filter(line -> line.contains("JNI] ERROR")).findFirst().map(String::strip).orElse(null);
    }

    /** The end of what it wrote to standard output and error, on one line. */
    String lastWords() throws IOException {
        String text = Files.exists(log) ? Files.readString(log, StandardCharsets.ISO_8859_1) : "";
        List<String> lines = text.substring(Math.max(0, text.length() - LOG_TAIL_BYTES)).lines().map(String::strip)
                .filter(line -> !line.isEmpty() && !line.startsWith("WARNING: ")).toList(); // Java's own, of every start
        return String.join(" / ", lines.subList(Math.max(0, lines.size() - 3), lines.size()));
    }

    /** Ends it at once, with whatever it started. */
    void kill() {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
    }

    @Override
    public void close() throws IOException {
        kill();
        awaitEnd(5000);
        events.close();
        folder.close();
    }

    private List<WorkerEvent> read() throws IOException {
        byte[] fresh = new byte[(int) (events.length() - events.getFilePointer())];
        events.readFully(fresh);
        partial.append(new String(fresh, StandardCharsets.ISO_8859_1)); // bytes as chars: a character may be cut here
        List<WorkerEvent> read = new ArrayList<>();
        int end;
        while ((end = partial.indexOf("\n")) >= 0) {
            byte[] line = partial.substring(0, end).getBytes(StandardCharsets.ISO_8859_1);
            partial.delete(0, end + 1);
            read.add(RecordJson.COMPACT.readValue(line, WorkerEvent.class));
        }
        return read;
    }

    private boolean awaitEnd(long millis) {
        try {
            return process.waitFor(millis, TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return !process.isAlive();
        }
    }
}
