package io.github.flashlla.bench.host;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;

/** What Linux tells of this process's memory. */
public final class HostMemory {
    private HostMemory() {}

    /** Largest resident set so far in bytes; null where the system does not tell. */
    public static Long peakBytes() {
        return fileKilobytes(Path.of("/proc/self/status"), "VmHWM:");
    }

    /** Physical memory in bytes; null where the system does not tell. */
    static Long physicalBytes() {
        return fileKilobytes(Path.of("/proc/meminfo"), "MemTotal:");
    }

    /**
     * Memory that this process may use, in bytes; in a container that can be less than the machine has. Null where it is
     * not known.
     */
    public static Long usableBytes() {
        return ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system && system.getTotalMemorySize() > 0
                ? Long.valueOf(system.getTotalMemorySize()) : physicalBytes();
    }

    private static Long fileKilobytes(Path file, String key) {
        try {
            for (String line : Files.readAllLines(file)) {
                if (line.startsWith(key)) {
                    return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
                }
            }
        } catch (IOException | NumberFormatException e) {
            return null;
        }
        return null;
    }
}
