package io.github.flashlla.io;

import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.Tensor;
import io.github.flashlla.text.Printable;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ReadableByteChannel;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/**
 * The header of a {@code .npy} file: a magic string, a version, and a Python dictionary literal with descr,
 * fortran_order and shape (NumPy Enhancement Proposal 1).
 *
 * @param type element type
 * @param dims sizes, outermost first
 * @param dataOffset where the elements start, in bytes
 */
public record NpyHeader(DataType type, long[] dims, long dataOffset) {

    private static final byte[] MAGIC = {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y'};
    /** NumPy's own writer stays far below this; more is a broken or hostile file. */
    private static final int MAX_HEADER_BYTES = 1 << 16;
    private static final int ALIGNMENT = 64;
    private static final int MAX_RANK = 32;
    private static final String SUPPORTED = "float16, bfloat16, float32 or float64 (<f2, <V2, <f4, <f8), little-endian, C order";

    private static final Pattern DESCR = Pattern.compile("['\"]descr['\"]\\s*:\\s*(?:['\"]([^'\"]*)['\"]|(\\[))");
    private static final Pattern FORTRAN = Pattern.compile("['\"]fortran_order['\"]\\s*:\\s*(True|False)");
    private static final Pattern SHAPE = Pattern.compile("['\"]shape['\"]\\s*:\\s*\\(([^)]*)\\)");
    private static final Pattern SIZE = Pattern.compile("-?[0-9]+L?");

    /** Bytes of the elements. */
    public long byteSize() {
        return Arrays.stream(dims).reduce(type.bytes(), Math::multiplyExact);
    }

    /** Reads the header at a channel's position. @param file for messages */
    public static NpyHeader read(ReadableByteChannel in, String file) throws IOException {
        ByteBuffer start = ByteBuffer.allocate(MAGIC.length + 2).order(ByteOrder.LITTLE_ENDIAN);
        try {
            readFully(in, start);
        } catch (EOFException e) {
            throw bad(file, (start.position() == 0 ? "is empty, so it " : "") + "is not a .npy file; NumPy's save() writes one");
        }
        if (!Arrays.equals(start.array(), 0, MAGIC.length, MAGIC, 0, MAGIC.length)) {
            throw bad(file, "is not a .npy file; NumPy's save() writes one");
        }
        int major = start.get(MAGIC.length);
        if (major < 1 || major > 3) {
            throw bad(file, "is of .npy format version " + major + "; versions 1 to 3 are supported");
        }
        try {
            ByteBuffer length = ByteBuffer.allocate(major == 1 ? 2 : 4).order(ByteOrder.LITTLE_ENDIAN);
            readFully(in, length);
            long headerBytes = major == 1 ? Short.toUnsignedInt(length.getShort(0)) : Integer.toUnsignedLong(length.getInt(0));
            if (headerBytes > MAX_HEADER_BYTES) {
                throw bad(file, "claims a header of " + headerBytes + " bytes; it is broken");
            }
            ByteBuffer text = ByteBuffer.allocate((int) headerBytes);
            readFully(in, text);
            Charset charset = major == 3 ? StandardCharsets.UTF_8 : StandardCharsets.ISO_8859_1;
            long offset = start.capacity() + length.capacity() + headerBytes;
            return parse(new String(text.array(), charset), offset, file);
        } catch (EOFException e) {
            throw bad(file, "is truncated: it ends within its header");
        }
    }

    private static NpyHeader parse(String text, long offset, String file) {
        String whole = text.strip();
        if (whole.lastIndexOf('{') != 0 || whole.indexOf('}') != whole.length() - 1) {
            throw bad(file, "has a header that is no dictionary { ... }; it is broken");
        }
        MatchResult descr = last(DESCR, text);
        MatchResult fortran = last(FORTRAN, text);
        MatchResult shape = last(SHAPE, text);
        if (descr == null || fortran == null || shape == null) {
            throw bad(file, "has a header without descr, fortran_order or shape; it is broken");
        }
        DataType type = type(descr.group(1), file);
        if (fortran.group(1).equals("True")) {
            throw bad(file, "is in Fortran order; supported is " + SUPPORTED + " (save numpy.ascontiguousarray(a))");
        }
        return new NpyHeader(type, dims(shape.group(1), type, file), offset);
    }

    /** If a key occurs twice, the last value counts, as in Python and so in NumPy. */
    private static MatchResult last(Pattern pattern, String text) {
        return pattern.matcher(text).results().reduce((first, second) -> second).orElse(null);
    }

    private static DataType type(String descr, String file) {
        if (descr == null) {
            throw bad(file, "holds a structured dtype; supported is " + SUPPORTED);
        }
        return switch (descr) {
            case "<f2" -> DataType.FLOAT16;
            case "<V2", "|V2" -> DataType.BFLOAT16; // two bytes of no type to NumPy: how the bfloat16 of ml_dtypes is saved
            case "<f4" -> DataType.FLOAT32;
            case "<f8" -> DataType.FLOAT64;
            default -> {
                String what = descr.contains("O") ? "the object dtype '" : descr.startsWith(">") ? "the big-endian dtype '"
                        : "the dtype '";
                throw bad(file, "holds " + what + Printable.text(descr) + "'; supported is " + SUPPORTED);
            }
        };
    }

    private static long[] dims(String shape, DataType type, String file) {
        String[] parts = shape.isBlank() ? new String[0] : shape.strip().replaceAll(",$", "").split(",", -1);
        if (parts.length > MAX_RANK) {
            throw bad(file, "has rank " + parts.length + "; it is broken");
        }
        long[] dims = new long[parts.length];
        long bytes = type.bytes();
        for (int axis = 0; axis < parts.length; axis++) {
            String part = parts[axis].strip();
            if (!SIZE.matcher(part).matches()) {
                throw bad(file, "has the shape (" + Printable.text(shape) + "), which is no list of sizes");
            }
            if (part.startsWith("-")) {
                throw bad(file, "claims the negative size " + Printable.text(part) + " in its shape (" + Printable.text(shape) + ")");
            }
            try {
                dims[axis] = Long.parseLong(part.replace("L", "")); // Python 2 wrote 6L
                bytes = Math.multiplyExact(bytes, dims[axis]);
            } catch (NumberFormatException | ArithmeticException e) {
                throw bad(file, "claims the shape (" + Printable.text(shape) + "), more than any memory holds");
            }
        }
        return dims;
    }

    /** The header of a C-ordered file, padded so that the elements start on a 64-byte boundary. */
    public static byte[] format(DataType type, long[] dims) {
        String descr = switch (type) {
            case FLOAT16 -> "<f2";
            case FLOAT32 -> "<f4";
            case FLOAT64 -> "<f8";
            case BFLOAT16 -> "<V2";
        };
        String shape = dims.length == 1 ? "(" + dims[0] + ",)" : Tensor.shapeString(dims).replace(",", ", ");
        String text = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
        int prefix = MAGIC.length + 2 + 2;
        int total = (prefix + text.length() + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        ByteBuffer header = ByteBuffer.allocate(total).order(ByteOrder.LITTLE_ENDIAN);
        header.put(MAGIC).put((byte) 1).put((byte) 0).putShort((short) (total - prefix));
        header.put(text.getBytes(StandardCharsets.ISO_8859_1));
        while (header.position() < total - 1) {
            header.put((byte) ' ');
        }
        header.put((byte) '\n');
        return header.array();
    }

    private static void readFully(ReadableByteChannel in, ByteBuffer buffer) throws IOException {
        while (buffer.hasRemaining()) {
            if (in.read(buffer) < 0) {
                throw new EOFException();
            }
        }
    }

    private static InvalidInputException bad(String file, String what) {
        return new InvalidInputException(file + " " + what + ".");
    }
}
