package io.github.flashlla.io;

import io.github.flashlla.InvalidInputException;
import java.io.IOException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * A file that appears whole or not at all: written beside its place under another name, then renamed.
 *
 * <p>What is not {@link #commit() committed} is deleted on {@link #close()}, and when the JVM is ended by a signal.
 */
public final class OutputFile implements AutoCloseable {
    private final Path file;
    private final Path temporary;
    private final Thread cleaner;

    private OutputFile(Path file, Path temporary) {
        this.file = file;
        this.temporary = temporary;
        this.cleaner = Thread.ofPlatform().unstarted(this::deleteTemporary);
        Runtime.getRuntime().addShutdownHook(cleaner);
    }

    /**
     * Claims room for the file, so that a place that cannot be written is found before any work is done.
     *
     * @throws InvalidInputException if the file cannot be written there
     */
    public static OutputFile create(Path file) {
        Path absolute = file.toAbsolutePath();
        if (Files.isDirectory(absolute)) {
            throw new InvalidInputException(file + " is a directory; name a file to write to.");
        }
        Path folder = absolute.getParent();
        if (!Files.isDirectory(folder)) {
            throw new InvalidInputException(file + " cannot be written: the folder " + folder + " does not exist.");
        }
        if (Files.exists(absolute) && !Files.isWritable(absolute)) {
            throw new InvalidInputException(file + " cannot be written: it is write-protected.");
        }
        try {
            return new OutputFile(file, Files.createTempFile(folder, "." + absolute.getFileName() + ".", ".part"));
        } catch (IOException e) {
            throw new InvalidInputException(file + " cannot be written: the folder " + folder + " refuses new files.");
        }
    }

    /** Where to write. */
    public Path temporary() {
        return temporary;
    }

    /** Puts what was written in its place. */
    public void commit() throws IOException {
        try {
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
        } catch (AtomicMoveNotSupportedException e) {
            Files.move(temporary, file, StandardCopyOption.REPLACE_EXISTING);
        }
    }

    @Override
    public void close() {
        deleteTemporary();
        try {
            Runtime.getRuntime().removeShutdownHook(cleaner);
        } catch (IllegalStateException e) {
            return; // the JVM is going down, and the hook runs with it
        }
    }

    private void deleteTemporary() {
        try {
            Files.deleteIfExists(temporary);
        } catch (IOException e) {
            temporary.toFile().deleteOnExit();
        }
    }
}
