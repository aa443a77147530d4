package io.github.flashlla.io;

import io.github.flashlla.InvalidInputException;
import java.io.IOException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFileAttributeView;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;

/**
 * A file that appears whole or not at all: written beside its place under another name, then renamed.
 *
 * <p>What is not {@link #commit() committed} is deleted on {@link #close()}, and when the JVM is ended by a signal. A
 * symbolic link is followed; the permissions of a replaced file are kept.
 */
public final class OutputFile implements AutoCloseable {
    /** As many as the kernel follows. */
    private static final int MAX_LINKS = 40;

    private final Path file;
    private final Path target;
    private final Path temporary;
    private final Thread cleaner;

    private OutputFile(Path file, Path target, Path temporary) {
        this.file = file;
        this.target = target;
        this.temporary = temporary;
        this.cleaner = Thread.ofPlatform().unstarted(this::deleteTemporary);
        try {
            Runtime.getRuntime().addShutdownHook(cleaner);
        } catch (IllegalStateException e) {
            return; // the JVM is going down already; close() deletes what is left
        }
    }

    /**
     * Claims room for the file, so that a place that cannot be written is found before any work is done.
     *
     * @throws InvalidInputException if the file cannot be written there
     */
    public static OutputFile create(Path file) {
        try {
            Path target = linked(file.toAbsolutePath());
            Path folder = target.getParent();
            if (isOpen(target)) {
                throw new InvalidInputException(file + " is open already, as a terminal, a pipe or another's file, and cannot be "
                        + "replaced when complete; name a file to write to.");
            }
            if (Files.isDirectory(target)) {
                throw new InvalidInputException(file + " is a directory; name a file to write to.");
            }
            if (!Files.isDirectory(folder)) {
                throw new InvalidInputException(file + " cannot be written: the folder " + folder + " does not exist.");
            }
            if (Files.exists(target) && !Files.isRegularFile(target)) { // renaming over /dev/null would replace the device
                throw new InvalidInputException(file + " is a device or a pipe; name a file to write to.");
            }
            if (Files.exists(target) && !Files.isWritable(target)) {
                throw new InvalidInputException(file + " cannot be written: it is write-protected.");
            }
            // not a JDK temporary file, which only its owner may read
            Path temporary = folder.resolve("." + target.getFileName() + "." + ProcessHandle.current().pid() + "."
                    + Integer.toHexString(ThreadLocalRandom.current().nextInt()) + ".part");
            try {
                Files.createFile(temporary);
            } catch (FileSystemException e) {
                throw new InvalidInputException(file + " cannot be written: the folder " + folder + " refuses new files"
                        + (e.getReason() == null ? "" : " (" + e.getReason() + ")") + ".");
            }
            keepPermissions(target, temporary);
            return new OutputFile(file, target, temporary);
        } catch (IOException e) {
            throw new InvalidInputException(file + " cannot be written: " + e.getMessage() + ".");
        }
    }

    /** Finds out whether {@link #create} would succeed, and leaves nothing. */
    public static void requireWritable(Path file) {
        create(file).close();
    }

    /**
     * Refuses an output that is an input or another output, whatever links and relative paths they are named by.
     *
     * @param outputs by what the user calls them; null values are left out
     * @param inputs likewise
     */
    public static void requireDistinct(Map<String, Path> outputs, Map<String, Path> inputs) {
        Map<Path, String> places = new LinkedHashMap<>();
        outputs.forEach((name, output) -> {
            if (output == null) {
                return;
            }
            inputs.forEach((inputName, input) -> {
                if (input != null && isSame(output, input)) {
                    throw new InvalidInputException(output + " is both an input (" + inputName + ") and an output (" + name
                            + "); name another file to write to.");
                }
            });
            String other = places.putIfAbsent(place(output), name);
            if (other != null) {
                throw new InvalidInputException(other + " and " + name + " both name " + output + "; name two files.");
            }
        });
    }

    /** The file as the user named it. */
    public Path file() {
        return file;
    }

    /** Where to write. */
    public Path temporary() {
        return temporary;
    }

    /** Puts what was written in its place. */
    public void commit() throws IOException {
        try {
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
        } catch (AtomicMoveNotSupportedException e) {
            Files.move(temporary, target, StandardCopyOption.REPLACE_EXISTING);
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

    private static Path linked(Path file) throws IOException {
        Path at = file;
        for (int n = 0; Files.isSymbolicLink(at) && !isOpen(at); n++) {
            if (n == MAX_LINKS) {
                throw new IOException("too many symbolic links");
            }
            at = at.resolveSibling(Files.readSymbolicLink(at));
        }
        return at;
    }

    /** Whether it is one of this process's descriptors, as {@code /dev/stdout} is: a link that names no file of its own. */
    private static boolean isOpen(Path target) throws IOException {
        return Files.isDirectory(target.getParent()) && target.getParent().toRealPath().toString().matches("/proc/\\d+(/task/\\d+)?/fd");
    }

    /** The canonical name of a file that may not exist yet. */
    private static Path place(Path file) {
        try {
            Path target = linked(file.toAbsolutePath());
            return Files.exists(target) ? target.toRealPath() : target.getParent().toRealPath().resolve(target.getFileName());
        } catch (IOException e) {
            return file.toAbsolutePath().normalize(); // its folder is not there yet
        }
    }

    private static boolean isSame(Path a, Path b) {
        try {
            return Files.exists(a) && Files.exists(b) && Files.isSameFile(a, b);
        } catch (IOException e) {
            return false;
        }
    }

    private static void keepPermissions(Path from, Path to) throws IOException {
        PosixFileAttributeView view = Files.getFileAttributeView(from, PosixFileAttributeView.class);
        if (view != null && Files.exists(from)) {
            Files.setPosixFilePermissions(to, view.readAttributes().permissions());
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
