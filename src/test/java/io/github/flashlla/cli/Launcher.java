package io.github.flashlla.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Starts {@code bin/flashlla} as a shell does, in a folder of its own. */
final class Launcher {
    static final Path ROOT = Path.of(System.getProperty("flashlla.root", ".")).toAbsolutePath().normalize();

    private final Path folder;
    private Path script = ROOT.resolve("bin/flashlla");
    private final Map<String, String> environment = new LinkedHashMap<>(Map.of("FLASHLLA_NO_BUILD", "1"));

    Launcher(Path folder) {
        this.folder = folder;
    }

    Launcher script(Path newScript) {
        script = newScript;
        return this;
    }

    /** @param value null unsets */
    Launcher with(String variable, String value) {
        environment.put(variable, value);
        return this;
    }

    record Run(int status, String out, String err) {}

    Run run(String... args) {
        try {
            Path out = Files.createTempFile(folder, "out", ".txt");
            Path err = Files.createTempFile(folder, "err", ".txt");
            Process process = start(out, err, args);
            if (!process.waitFor(180, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                throw new IllegalStateException("flashlla " + String.join(" ", args) + " did not end");
            }
            return ended(process, out, err);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    Run ended(Process process, Path out, Path err) throws IOException {
        Run run = new Run(process.exitValue(), Files.readString(out), Files.readString(err));
        Files.delete(out);
        Files.delete(err);
        return run;
    }

    Process start(Path out, Path err, String... args) throws IOException {
        List<String> command = new ArrayList<>(List.of(script.toString()));
        command.addAll(List.of(args));
        ProcessBuilder builder = new ProcessBuilder(command).directory(folder.toFile()).redirectOutput(out.toFile())
                .redirectError(err.toFile());
        environment.forEach((name, value) -> {
            if (value == null) {
                builder.environment().remove(name);
            } else {
                builder.environment().put(name, value);
            }
        });
        return builder.start();
    }
}
