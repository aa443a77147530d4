package io.github.flashlla.tornado.device;

import io.github.flashlla.DeviceException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.stream.Collectors;

/**
 * What TornadoVM's native code printed. It reports a failed launch, copy or allocation on the process's standard output
 * only, and goes on with garbage; a JVM whose standard output is the file named by the system property
 * {@value #PROPERTY} can see that. Elsewhere this sees nothing, and the checks of the output itself remain.
 */
public final class DriverLog {
    static final String PROPERTY = "flashlla.driver.log";

    private final String file = System.getProperty(PROPERTY);
    private long seen = length();

    /** Fails if an error was printed since the last call. */
    public void check(String device) {
        String errors = newText().lines().filter(line -> line.contains("JNI] ERROR") || line.contains("[ERROR]"))
                .map(String::strip).distinct().collect(Collectors.joining("; "));
        if (!errors.isEmpty()) {
            throw new DeviceException(device + " failed in its driver: " + errors);
        }
    }

    private String newText() {
        if (file == null) {
            return "";
        }
        try (RandomAccessFile in = new RandomAccessFile(file, "r")) {
            long length = in.length();
            if (length <= seen) {
                return "";
            }
            byte[] bytes = new byte[(int) Math.min(1 << 20, length - seen)];
            in.seek(seen);
            int read = in.read(bytes);
            seen = length;
            return new String(Arrays.copyOf(bytes, Math.max(0, read)), StandardCharsets.UTF_8);
        } catch (IOException e) {
            return "";
        }
    }

    private long length() {
        return file == null ? 0 : new java.io.File(file).length();
    }
}
