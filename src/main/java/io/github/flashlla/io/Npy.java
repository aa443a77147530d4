package io.github.flashlla.io;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.Tensor;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * Reads and writes NumPy's {@code .npy} files: float16, float32 and float64, little-endian, C order, any rank.
 *
 * <p>Every failure is an {@link InvalidInputException} that names the file and says what is wrong, in one sentence.
 */
public final class Npy {
    /** Largest claim of a header that is believed where the file's size is not known. */
    private static final long MAX_PIPE_BYTES = 1L << 30;
    private static final int CHUNK_BYTES = 1 << 24;

    private Npy() {}

    /** Reads a whole file into memory of its own. */
    public static Tensor read(Path file) {
        if (Files.isDirectory(file)) {
            throw new InvalidInputException(file + " is a directory, not a .npy file.");
        }
        try (FileChannel in = FileChannel.open(file, StandardOpenOption.READ)) {
            NpyHeader header = NpyHeader.read(in, file);
            if (!Files.isRegularFile(file)) {
                return readPipe(in, header, file);
            }
            long present = in.size() - header.dataOffset();
            if (present < header.byteSize()) {
                throw new InvalidInputException(file + " is truncated: its shape " + Tensor.shapeString(header.dims())
                        + " needs " + header.byteSize() + " bytes, but " + present + " are there.");
            }
            if (present > header.byteSize()) {
                throw new InvalidInputException(file + " holds " + (present - header.byteSize())
                        + " bytes more than its shape " + Tensor.shapeString(header.dims()) + " needs; it is broken.");
            }
            Tensor tensor = Tensor.allocate(header.type(), header.dims());
            transfer(tensor.segment(), buffer -> {
                if (in.read(buffer) < 0) {
                    throw new IOException("the file shrank while it was read");
                }
            });
            return tensor;
        } catch (NoSuchFileException e) {
            throw new InvalidInputException(file + " does not exist.");
        } catch (IOException e) {
            throw new InvalidInputException(file + " cannot be read: " + e.getMessage() + ".");
        } catch (OutOfMemoryError e) {
            throw new InvalidInputException(file + " does not fit in memory.");
        }
    }

    /** A pipe, which does not tell its size before it ends. */
    private static Tensor readPipe(FileChannel in, NpyHeader header, Path file) throws IOException {
        if (header.byteSize() > MAX_PIPE_BYTES) {
            throw new InvalidInputException(file + " is a pipe whose shape " + Tensor.shapeString(header.dims())
                    + " needs more than 1 GiB; name a file.");
        }
        Tensor tensor = Tensor.allocate(header.type(), header.dims());
        try {
            transfer(tensor.segment(), buffer -> {
                if (in.read(buffer) < 0) {
                    throw new EOFException();
                }
            });
        } catch (EOFException e) {
            throw new InvalidInputException(file + " is truncated: it ends before the " + header.byteSize() + " bytes that its shape "
                    + Tensor.shapeString(header.dims()) + " needs.");
        }
        if (in.read(ByteBuffer.allocate(1)) > 0) {
            throw new InvalidInputException(file + " holds more bytes than its shape " + Tensor.shapeString(header.dims())
                    + " needs; it is broken.");
        }
        return tensor;
    }

    /**
     * Writes a tensor; the file appears whole or not at all, and a file of that name is replaced only when the new one
     * is complete.
     */
    public static void write(Path file, Tensor tensor) {
        try (OutputFile output = OutputFile.create(file)) {
            writeTo(output, tensor);
            output.commit();
        } catch (IOException e) {
            throw new InvalidInputException(file + " cannot be written: " + e.getMessage() + ".");
        }
    }

    /** Writes a tensor into a file that the caller commits. */
    public static void writeTo(OutputFile output, Tensor tensor) {
        try (FileChannel out = FileChannel.open(output.temporary(), StandardOpenOption.WRITE)) {
            ByteBuffer header = ByteBuffer.wrap(NpyHeader.format(tensor.type(), tensor.dims()));
            while (header.hasRemaining()) {
                out.write(header);
            }
            transfer(tensor.segment(), out::write);
            out.force(true);
        } catch (IOException e) {
            throw new InvalidInputException(output.file() + " cannot be written: " + e.getMessage() + ".");
        }
    }

    private interface Transfer {
        void some(ByteBuffer buffer) throws IOException;
    }

    /** Files larger than a ByteBuffer go through it in pieces. */
    private static void transfer(MemorySegment segment, Transfer transfer) throws IOException {
        for (long at = 0; at < segment.byteSize(); at += CHUNK_BYTES) {
            ByteBuffer buffer = segment.asSlice(at, Math.min(CHUNK_BYTES, segment.byteSize() - at)).asByteBuffer();
            while (buffer.hasRemaining()) {
                transfer.some(buffer);
            }
        }
    }
}
