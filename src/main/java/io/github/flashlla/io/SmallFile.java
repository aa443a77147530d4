package io.github.flashlla.io;

import io.github.flashlla.InvalidInputException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** Reads whole files up to a size limit; pipes too, whose size is not known beforehand. */
public final class SmallFile {
    private SmallFile() {}

    /**
     * All bytes of a file.
     *
     * @param what the file in a sentence, such as {@code suite a.yaml}
     * @param mebibytes most that it may hold
     * @throws InvalidInputException if it is a folder or holds more
     */
    public static byte[] read(Path file, String what, int mebibytes) throws IOException {
        if (Files.isDirectory(file)) {
            throw new InvalidInputException(what + " is a folder; name a file");
        }
        int most = mebibytes << 20;
        try (InputStream in = Files.newInputStream(file)) {
            byte[] bytes = in.readNBytes(most + 1);
            if (bytes.length > most) {
                throw new InvalidInputException(what + " is larger than " + mebibytes + " MiB, which none is; name another file");
            }
            return bytes;
        }
    }
}
