package io.github.flashlla.bench;

import io.github.flashlla.launch.TornadoSdk;
import io.github.flashlla.report.Environment;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** Finds out where this process runs. */
final class EnvironmentProbe {
    private EnvironmentProbe() {}

    static Environment probe() {
        Package self = EnvironmentProbe.class.getPackage();
        return new Environment(
                System.getProperty("os.name") + " " + System.getProperty("os.version") + " "
                        + System.getProperty("os.arch"),
                cpu(), Runtime.getRuntime().availableProcessors(), HostMemory.physicalBytes(),
                System.getProperty("java.vendor.version", System.getProperty("java.vendor")) + " (Java "
                        + Runtime.version() + ")",
                TornadoSdk.find().map(TornadoSdk::version).orElse(null), self.getImplementationVersion() == null ? "development"
                        : self.getImplementationVersion(), commit());
    }

    private static String cpu() {
        try (var lines = Files.lines(Path.of("/proc/cpuinfo"))) {
            return lines.filter(line -> line.startsWith("model name")).map(line -> line.replaceFirst("[^:]*:\\s*", ""))
                    .findFirst().orElse(System.getProperty("os.arch"));
        } catch (IOException e) {
            return System.getProperty("os.arch");
        }
    }

    /** The commit of the checkout that the program runs from; null outside one, or without git. */
    private static String commit() {
        try {
            Path classes = Path.of(EnvironmentProbe.class.getProtectionDomain().getCodeSource().getLocation().toURI());
            Process git = new ProcessBuilder("git", "-C", classes.getParent().toString(), "describe", "--always",
                    "--dirty", "--abbrev=12").redirectError(ProcessBuilder.Redirect.DISCARD).start();
            git.getOutputStream().close();
            String answer = new String(git.getInputStream().readNBytes(200)).strip();
            return git.waitFor(5, TimeUnit.SECONDS) && git.exitValue() == 0 && !answer.isEmpty() ? answer : null;
        } catch (IOException | java.net.URISyntaxException | SecurityException e) {
            return null;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return null;
        }
    }
}
