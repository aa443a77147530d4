package io.github.flashlla.bench;

import io.github.flashlla.io.ScratchFolder;
import io.github.flashlla.process.ChildJvm;
import io.github.flashlla.process.JavaCommand;
import io.github.flashlla.record.DeviceFacts.Ceilings;
import io.github.flashlla.record.RecordJson;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The parent's side of a {@link Worker}: starts it, reads its events and its log, ends it. */
final class WorkerProcess implements AutoCloseable {
    private final ScratchFolder folder;
    private final ChildJvm child;
    private final RandomAccessFile events;
    private final StringBuilder partial = new StringBuilder();

    /**
     * @param java the JVM that opens the device
     * @param ceilings the device's, null if it has to measure them
     */
    WorkerProcess(JavaCommand java, String device, List<Task> tasks, Protocol protocol, Ceilings ceilings) throws IOException {
        folder = new ScratchFolder("bench");
        try {
            events = order(device, tasks, protocol, ceilings);
            child = ChildJvm.start(java, folder, Worker.class, List.of(folder.resolve("order.json").toString()));
        } catch (IOException | RuntimeException e) {
            folder.close(); // nobody else can: a signal may have deleted half of it while it was filled
            throw e;
        }
    }

    private RandomAccessFile order(String device, List<Task> tasks, Protocol protocol, Ceilings ceilings) throws IOException {
        Path eventFile = Files.createFile(folder.resolve("events.jsonl"));
        RecordJson.COMPACT.writeValue(folder.resolve("order.json").toFile(), new WorkerOrder(device, tasks, protocol, ceilings, eventFile.toString()));
        return new RandomAccessFile(eventFile.toFile(), "r");
    }

    long pid() {
        return child.pid();
    }

    /** Events since the last call, waiting a moment if there are none. */
    List<WorkerEvent> poll() throws IOException {
        boolean ended = child.awaitEnd(50);
        List<WorkerEvent> fresh = read();
        return ended && fresh.isEmpty() ? read() : fresh;
    }

    boolean alive() {
        return child.alive();
    }

    /** Exit status; above 128 it is 128 plus the signal that ended the process. */
    int exitStatus() {
        return child.exitStatus();
    }

    /** What its drivers or lost parts reported since the last call, as part of a sentence; empty if nothing. */
    String complaints() {
        return child.driverLog().complaints();
    }

    /** The end of what it wrote to standard output and error, on one line. */
    String lastWords() throws IOException {
        return child.lastWords();
    }

    /** Ends it at once, with whatever it started. */
    void kill() {
        child.kill();
    }

    @Override
    public void close() throws IOException {
        child.close();
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
}
