package io.github.flashlla.combined;

import io.github.flashlla.DeviceException;
import io.github.flashlla.text.Numbers;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;

/**
 * Memory that several processes map through a file. The file's name goes as soon as all have mapped it ({@link #forget}), so that
 * nothing stays on the disk however they end. It is sparse: what nobody writes takes no room.
 */
final class SharedMemory implements AutoCloseable {
    private static final String PREFIX = "flashlla-combined-";
    private static final String SUFFIX = ".shared";
    /** Where Linux keeps files in memory; elsewhere the folder for temporary files does. */
    private static final Path IN_MEMORY = Path.of("/dev/shm");
    /** Room that is left to others. */
    private static final long SPARE_BYTES = 64L << 20;
    /** The name of a file that is in use is gone within seconds. */
    private static final Duration STALE = Duration.ofMinutes(10);

    private final Path file;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment segment;

    private SharedMemory(Path file, long bytes, boolean writable) throws IOException {
        this.file = file;
        this.segment = map(file, bytes, writable, arena);
    }

    /** An interrupt closes the file, which is opened again then; it stays set. */
    private static MemorySegment map(Path file, long bytes, boolean writable, Arena arena) throws IOException {
        FileChannel.MapMode mode = writable ? FileChannel.MapMode.READ_WRITE : FileChannel.MapMode.READ_ONLY;
        try (PutOffInterrupt interrupt = new PutOffInterrupt()) {
            while (true) {
                try (FileChannel channel = writable ? FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)
                        : FileChannel.open(file, StandardOpenOption.READ)) {
                    return channel.map(mode, 0, bytes, arena);
                } catch (ClosedByInterruptException e) {
                    interrupt.again();
                }
            }
        }
    }

    /**
     * Makes a file and maps it.
     *
     * @param bytes its size
     * @param used bytes of it that will be written
     * @throws DeviceException if no folder for it has the room
     */
    static SharedMemory create(long bytes, long used) {
        try {
            for (Path folder : new Path[] {IN_MEMORY, Path.of(System.getProperty("java.io.tmpdir"))}) {
                if (Files.isWritable(folder) && Files.getFileStore(folder).getUsableSpace() >= used + SPARE_BYTES) {
                    Path file = Files.createTempFile(folder, PREFIX, SUFFIX);
                    file.toFile().deleteOnExit();
                    return new SharedMemory(file, Math.max(bytes, 1), true);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot make the file that the parts of a combined device share", e);
        }
        throw new DeviceException("the parts of a combined device share their tensors through a file, which needs " + Numbers.bytes(used)
                + " in " + IN_MEMORY + " or " + System.getProperty("java.io.tmpdir") + "; make room there, or name another folder with "
                + "FLASHLLA_JAVA_OPTS=-Djava.io.tmpdir=<folder>");
    }

    /** Maps another process's file. */
    static SharedMemory open(Path file, long bytes, boolean writable) throws IOException {
        return new SharedMemory(file, Math.max(bytes, 1), writable);
    }

    /** Deletes files that processes left which were killed before they could. */
    static void sweep() {
        for (Path folder : new Path[] {IN_MEMORY, Path.of(System.getProperty("java.io.tmpdir"))}) {
            try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, PREFIX + "*" + SUFFIX)) {
                for (Path stale : files) {
                    if (Files.getLastModifiedTime(stale).toInstant().isBefore(Instant.now().minus(STALE))) {
                        Files.deleteIfExists(stale);
                    }
                }
            } catch (IOException e) {
                continue; // another user's file, or no such folder
            }
        }
    }

    Path file() {
        return file;
    }

    MemorySegment segment() {
        return segment;
    }

    /** Takes the file's name away; the memory stays for those that have mapped it. */
    void forget() {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            return; // a system that keeps mapped files: it goes when this JVM ends
        }
    }

    @Override
    public void close() {
        forget();
        arena.close();
    }
}
