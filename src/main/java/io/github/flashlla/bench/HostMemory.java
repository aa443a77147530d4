package io.github.flashlla.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What Linux tells of this process's memory. */
final class HostMemory {
    private HostMemory() {}

    /** Largest resident set so far in bytes; null where the system does not tell. */
    static Long peakBytes() {
        return fileKilobytes(Path.of("/proc/self/status"), "VmHWM:");
    }

    /** Physical memory in bytes; null where the system does not tell. */
    static Long physicalBytes() {
        return fileKilobytes(Path.of("/proc/meminfo"), "MemTotal:");
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
