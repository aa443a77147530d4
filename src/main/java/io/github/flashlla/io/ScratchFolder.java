package io.github.flashlla.io;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** A temporary folder, deleted with its content by {@link #close()} and when a signal ends the JVM. */
public final class ScratchFolder implements AutoCloseable {
    private final Path folder;
    private final Thread cleaner = Thread.ofPlatform().unstarted(this::delete);

    /** @param purpose part of its name, for people who come across it */
    public ScratchFolder(String purpose) throws IOException {
        folder = Files.createTempDirectory("flashlla-" + purpose + "-");
        try {
            Runtime.getRuntime().addShutdownHook(cleaner);
        } catch (IllegalStateException e) {
            return; // the JVM is going down already; close() deletes it
        }
    }

    public Path path() {
        return folder;
    }

    public Path resolve(String name) {
        return folder.resolve(name);
    }

    @Override
    public void close() {
        delete();
        try {
            Runtime.getRuntime().removeShutdownHook(cleaner);
        } catch (IllegalStateException e) {
            return; // the JVM is going down, and the hook runs with it
        }
    }

    /** Deletes what it can; a child that still writes into the folder is no reason to fail. */
    private synchronized void delete() {
        for (int i = 0; i < 3 && Files.exists(folder); i++) { // again, for files that appeared during the first pass
            for (Path file : files()) {
                try {
                    Files.deleteIfExists(file);
                } catch (IOException e) {
                    continue;
                }
            }
        }
    }

    private List<Path> files() {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.sorted(Comparator.reverseOrder()).toList();
        } catch (NoSuchFileException e) {
            return List.of();
        } catch (IOException | java.io.UncheckedIOException e) {
            return List.of(folder);
        }
    }
}
