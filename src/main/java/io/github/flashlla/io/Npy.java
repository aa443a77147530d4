package io.github.flashlla.io;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.Tensor;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.ReadableByteChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * Reads and writes NumPy's {@code .npy} files: float16, bfloat16, float32 and float64, little-endian, C order, any rank.
 *
 * <p>Every failure is an {@link InvalidInputException} that names the file and says what is wrong, in one sentence.
 */
public final class Npy {
    /** Largest claim of a header that is believed where the file's size is not known. */
    private static final long MAX_PIPE_BYTES = 1L << 30;

    private Npy() {}

    /** Maps a file, whose tensor is then read-only, or reads a pipe into memory of its own. */
    public static Tensor read(Path file) {
        return TensorFile.reading(file, () -> Pipe.is(file) ? Pipe.read(new TensorFile(file, null)) : readFile(file));
    }

    static Tensor readFile(Path file) throws IOException {
        try (FileChannel in = FileChannel.open(file, StandardOpenOption.READ)) {
            return map(in, NpyHeader.read(in, file.toString()), file);
        }
    }

    private static Tensor map(FileChannel in, NpyHeader header, Path file) throws IOException {
        long present = in.size() - header.dataOffset();
        if (present < header.byteSize()) {
            throw new InvalidInputException(file + " is truncated: its shape " + Tensor.shapeString(header.dims())
                    + " needs " + header.byteSize() + " bytes, but " + present + " are there.");
        }
        if (present > header.byteSize()) {
            throw new InvalidInputException(file + " holds " + (present - header.byteSize())
                    + " bytes more than its shape " + Tensor.shapeString(header.dims()) + " needs; it is broken.");
        }
        return TensorFile.map(in, header.dataOffset(), header.type(), header.dims(), header.byteSize());
    }

    /** A pipe, which does not tell its size before it ends. */
    /** From a pipe, whose size is not known beforehand. */
    static Tensor readPipe(ReadableByteChannel in, Path file) throws IOException {
        NpyHeader header = NpyHeader.read(in, file.toString());
        if (header.byteSize() > MAX_PIPE_BYTES) {
            throw new InvalidInputException(file + " is a pipe whose shape " + Tensor.shapeString(header.dims())
                    + " needs more than 1 GiB; name a file.");
        }
        return readAll(in, header, file.toString());
    }

    /** Reads the elements that follow a header into memory of their own, to the end of the stream. */
    static Tensor readAll(ReadableByteChannel in, NpyHeader header, String where) throws IOException {
        Tensor tensor = Tensor.allocate(header.type(), header.dims());
        try {
            TensorFile.transfer(tensor.segment(), buffer -> {
                if (in.read(buffer) < 0) {
                    throw new EOFException();
                }
            });
        } catch (EOFException e) {
            throw new InvalidInputException(where + " is truncated: it ends before the " + header.byteSize() + " bytes that its shape "
                    + Tensor.shapeString(header.dims()) + " needs.");
        }
        if (in.read(ByteBuffer.allocate(1)) > 0) {
            throw new InvalidInputException(where + " holds more bytes than its shape " + Tensor.shapeString(header.dims())
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
        TensorFile.write(output, NpyHeader.format(tensor.type(), tensor.dims()), tensor);
    }
}
