package io.github.flashlla.io;

import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.Tensor;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.text.Printable;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collection;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * Where a tensor lies: a file, and its name there if the file holds several.
 *
 * <p>The ending of the file's name tells the format: {@code .safetensors} and {@code .npz} hold tensors by name, as in {@code
 * model.safetensors:layer.0.q}; every other file holds one array as {@link Npy} writes it. Of a pipe the first bytes tell it, and a name may
 * follow a colon: {@code /dev/stdin:layer.0.q}. Every failure is an {@link
 * InvalidInputException} that names the place and says what is wrong, in one sentence.
 *
 * @param name null if none was given
 */
public record TensorFile(Path file, String name) {
    private static final String SAFETENSORS = ".safetensors";
    private static final String NPZ = ".npz";
    private static final int CHUNK_BYTES = 1 << 24;
    private static final int NAMES_SHOWN = 8;

    /** As a user writes it: the file's name, and after a colon the tensor's. */
    public static TensorFile of(String text) {
        for (String ending : new String[] {SAFETENSORS, NPZ}) {
            int at = text.indexOf(ending + ":");
            if (at >= 0) {
                int colon = at + ending.length();
                return new TensorFile(Path.of(text.substring(0, colon)), text.substring(colon + 1));
            }
        }
        for (int colon = text.indexOf(':'); colon > 0; colon = text.indexOf(':', colon + 1)) {
            Path place = Path.of(text.substring(0, colon));
            if (Pipe.is(place)) {
                return new TensorFile(place, text.substring(colon + 1));
            }
        }
        return new TensorFile(Path.of(text), null);
    }

    private boolean ends(String ending) {
        return file.toString().toLowerCase(Locale.ROOT).endsWith(ending);
    }

    /** Reads the tensor. A regular file is mapped, so that it takes no heap and may be larger than memory; the tensor is then read-only. */
    public Tensor read() {
        if (Pipe.is(file)) {
            return reading(file, () -> Pipe.read(this));
        }
        return ends(SAFETENSORS) ? reading(file, () -> Safetensors.read(this, file)) : ends(NPZ) ? reading(file, () -> Npz.read(this, file))
                : Npy.read(file);
    }

    /** Whether a tensor can be written here, said before any work is done. */
    public void requireWritable() {
        if (ends(NPZ)) {
            throw new InvalidInputException(this + " is a .npz file, which is only read; write a .npy or .safetensors file.");
        }
        Path name = file.getFileName();
        if (name != null && name.toString().contains(".") && !ends(".npy") && !ends(SAFETENSORS)) {
            throw new InvalidInputException(this + " is no kind of file that is written here; the name of the output ends in .npy or .safetensors.");
        }
    }

    /** Writes a tensor into a file that the caller commits; without a name it is called after the file. */
    public void writeTo(OutputFile output, Tensor tensor) {
        requireWritable();
        if (!ends(SAFETENSORS)) {
            Npy.writeTo(output, tensor);
            return;
        }
        String base = file.getFileName().toString();
        write(output, Safetensors.format(name == null ? base.substring(0, base.length() - SAFETENSORS.length()) : name, tensor), tensor);
    }

    @Override
    public String toString() {
        return name == null ? file.toString() : file + ":" + Printable.text(name);
    }

    /** A tensor's place is needed, for the file holds several. */
    InvalidInputException unnamed(Collection<String> names) {
        return new InvalidInputException(name == null ? file + " holds " + Numbers.count(names.size(), "tensor") + "; name one as " + file + ":NAME, of "
                + some(names) + "." : file + " holds no tensor '" + Printable.text(name) + "'; it holds " + some(names) + ".");
    }

    private static String some(Collection<String> names) {
        String first = names.stream().limit(NAMES_SHOWN).map(name -> Printable.text(name)).collect(Collectors.joining(", "));
        return names.isEmpty() ? "none" : names.size() > NAMES_SHOWN ? first + " and " + (names.size() - NAMES_SHOWN) + " more" : first;
    }

    interface Reading {
        Tensor read() throws IOException;
    }

    /** Turns what can go wrong with a file into a sentence. */
    static Tensor reading(Path file, Reading reading) {
        if (Files.isDirectory(file)) {
            throw new InvalidInputException(file + " is a directory, not a file of tensors.");
        }
        try {
            return reading.read();
        } catch (NoSuchFileException e) {
            throw new InvalidInputException(file + " does not exist.");
        } catch (IOException e) {
            throw new InvalidInputException(file + " cannot be read: " + e.getMessage() + ".");
        } catch (OutOfMemoryError e) {
            throw new InvalidInputException(file + " does not fit in memory.");
        }
    }

    /** Maps elements that lie within the file, which the caller has checked. */
    static Tensor map(FileChannel in, long at, DataType type, long[] dims, long bytes) throws IOException {
        MemorySegment elements = bytes == 0 ? MemorySegment.NULL : in.map(FileChannel.MapMode.READ_ONLY, at, bytes, Arena.ofAuto());
        return Tensor.wrap(elements, type, dims);
    }

    /** Writes a header, then the elements. */
    static void write(OutputFile output, byte[] header, Tensor tensor) {
        try (FileChannel out = FileChannel.open(output.temporary(), StandardOpenOption.WRITE)) {
            ByteBuffer start = ByteBuffer.wrap(header);
            while (start.hasRemaining()) {
                out.write(start);
            }
            transfer(tensor.segment(), out::write);
            out.force(true);
        } catch (IOException e) {
            throw new InvalidInputException(output.file() + " cannot be written: " + e.getMessage() + ".");
        }
    }

    interface Transfer {
        void some(ByteBuffer buffer) throws IOException;
    }

    /** Files larger than a ByteBuffer go through it in pieces. */
    static void transfer(MemorySegment segment, Transfer transfer) throws IOException {
        for (long at = 0; at < segment.byteSize(); at += CHUNK_BYTES) {
            ByteBuffer buffer = segment.asSlice(at, Math.min(CHUNK_BYTES, segment.byteSize() - at)).asByteBuffer();
            while (buffer.hasRemaining()) {
                transfer.some(buffer);
            }
        }
    }
}
