package io.github.flashlla.process;

import io.github.flashlla.DeviceException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What native code of drivers printed. TornadoVM's reports a failed launch, copy or allocation on the process's standard
 * output only, and goes on with garbage; a JVM whose standard output is the file named by the system property
 * {@value #PROPERTY} can read that. Elsewhere this sees nothing, and the checks of the output itself remain.
 */
public final class DriverLog {
    /** System property of a child JVM: the file that its standard output goes to. */
    public static final String PROPERTY = "flashlla.driver.log";

    /** Begins a line of ours about a process of a combined device that died; no driver said it. */
    public static final String LOSS = "[LOST] ";

    private static final int MAX_BYTES = 1 << 20;

    private final Path file;
    private long seen;

    /** The log of this JVM, from here on. */
    public DriverLog() {
        this(System.getProperty(PROPERTY) == null ? null : Path.of(System.getProperty(PROPERTY)));
        seen = file == null ? 0 : file.toFile().length();
    }

    /** Another JVM's log, from its beginning. */
    DriverLog(Path file) {
        this.file = file;
    }

    /** Fails if an error was printed since the last call. */
    public void check(String device) {
        String errors = errors();
        if (!errors.isEmpty()) {
            throw new DeviceException(device + " failed in its driver: " + errors);
        }
    }

    /** The errors that were printed since the last call, on one line; empty if there are none. */
    public String errors() {
        return errors(newText());
    }

    private static String errors(String text) {
        return text.lines().filter(line -> line.contains("JNI] ERROR") || line.contains("[ERROR]"))
                .map(String::strip).distinct().collect(Collectors.joining("; "));
    }

    /** What was printed since the last call after which results and times are worth little, as part of a sentence; empty if nothing was. */
    public String complaints() {
        String text = newText();
        String errors = errors(text);
        String losses = text.lines().filter(line -> line.startsWith(LOSS)).map(line -> line.substring(LOSS.length()).strip()).distinct()
                .collect(Collectors.joining("; "));
        return Stream.of(errors.isEmpty() ? "" : "the driver reported: " + errors, losses).filter(said -> !said.isEmpty())
                .collect(Collectors.joining("; "));
    }

    private String newText() {
        if (file == null || file.toFile().length() <= seen) { // asked after every run: no file is opened for it
            return "";
        }
        try (RandomAccessFile in = new RandomAccessFile(file.toFile(), "r")) {
            long length = in.length();
            if (length <= seen) {
                return "";
            }
            byte[] bytes = new byte[(int) Math.min(MAX_BYTES, length - seen)];
            in.seek(seen);
            int read = in.read(bytes);
            seen = length;
            return new String(Arrays.copyOf(bytes, Math.max(0, read)), StandardCharsets.UTF_8);
        } catch (IOException e) {
            return "";
        }
    }
}
