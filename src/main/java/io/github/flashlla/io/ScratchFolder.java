package io.github.flashlla.io;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** A temporary folder that goes, with all in it, on {@link #close()} and when the JVM is ended by a signal. */
public final class ScratchFolder implements AutoCloseable {
    private final Path folder;
    private final Thread cleaner = Thread.ofPlatform().unstarted(this::delete);

    /** @param purpose part of its name, for people who find it while it is there */
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

    /** As far as it can: a child that still writes into it is not worth failing for. */
    private synchronized void delete() {
        for (int i = 0; i < 3 && Files.exists(folder); i++) { // again, for what came while the first pass went
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
