package io.github.flashlla.io;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.Tensor;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PushbackInputStream;
import java.nio.channels.Channels;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * Reads tensors from pipes, whose names tell no format: their first bytes do. An array is read as it comes. A {@code .npz} or
 * {@code .safetensors} file, whose tensors are asked for one by one, is kept in a file until the JVM ends, since a pipe is read once.
 */
final class Pipe {
    private static final long MOST_BYTES = 1L << 30;
    /** Of a .safetensors file 8 bytes are the header's length, and the header begins with a brace. */
    private static final int START = 9;
    private static final Map<Path, Path> KEPT = new HashMap<>();
    private static ScratchFolder folder;

    private Pipe() {}

    /** Whether a place is read once: a pipe or the like, or standard input whatever it comes from. */
    static boolean is(Path place) {
        return Files.exists(place) && !Files.isDirectory(place)
                && (!Files.isRegularFile(place) || place.equals(Path.of("/dev/stdin")) || place.startsWith("/dev/fd"));
    }

    static synchronized Tensor read(TensorFile place) throws IOException {
        Path kept = KEPT.get(place.file());
        if (kept == null) {
            try (PushbackInputStream in = new PushbackInputStream(Files.newInputStream(place.file()), START)) {
                byte[] start = in.readNBytes(START);
                in.unread(start);
                if (!isZip(start) && (start.length < START || start[START - 1] != '{')) { // one array, or no file of tensors
                    return Files.isRegularFile(place.file()) ? Npy.readFile(place.file()) : Npy.readPipe(Channels.newChannel(in), place.file());
                }
                kept = keep(in, place.file());
            }
            KEPT.put(place.file(), kept);
        }
        try (InputStream in = Files.newInputStream(kept)) {
            return isZip(in.readNBytes(2)) ? Npz.read(place, kept) : Safetensors.read(place, kept);
        }
    }

    private static boolean isZip(byte[] start) {
        return start.length > 1 && start[0] == 'P' && start[1] == 'K';
    }

    private static Path keep(InputStream in, Path pipe) throws IOException {
        if (folder == null) {
            folder = new ScratchFolder("pipe");
        }
        Path file = folder.resolve(String.valueOf(KEPT.size()));
        byte[] some = new byte[1 << 16];
        long bytes = 0;
        try (OutputStream out = Files.newOutputStream(file)) {
            for (int n = in.read(some); n >= 0; n = in.read(some)) {
                bytes += n;
                if (bytes > MOST_BYTES) {
                    throw new InvalidInputException(pipe + " is a pipe of more than 1 GiB; name a file.");
                }
                out.write(some, 0, n);
            }
        }
        return file;
    }
}
