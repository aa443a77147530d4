package io.github.flashlla.bench.host;

import io.github.flashlla.bundle.SourceCommit;
import io.github.flashlla.record.Environment;
import io.github.flashlla.tornadovm.TornadoSdk;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Finds out where this process runs. */
public final class EnvironmentProbe {
    private EnvironmentProbe() {}

    public static Environment probe() {
        Package self = EnvironmentProbe.class.getPackage();
        return new Environment(
                System.getProperty("os.name") + " " + System.getProperty("os.version") + " "
                        + System.getProperty("os.arch"),
                cpu(), Runtime.getRuntime().availableProcessors(), HostMemory.physicalBytes(),
                System.getProperty("java.vendor.version", System.getProperty("java.vendor")) + " (Java "
                        + Runtime.version() + ")",
                TornadoSdk.find().map(TornadoSdk::version).orElse(null), self.getImplementationVersion() == null ? "development"
                        : self.getImplementationVersion(), SourceCommit.find().orElse(null));
    }

    private static String cpu() {
        try (var lines = Files.lines(Path.of("/proc/cpuinfo"))) {
            return lines.filter(line -> line.startsWith("model name")).map(line -> line.replaceFirst("[^:]*:\\s*", ""))
                    .findFirst().orElse(System.getProperty("os.arch"));
        } catch (IOException e) {
            return System.getProperty("os.arch");
        }
    }
}
