package io.github.flashlla.tornado.buffers;

import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.kernels.tile.CacheLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Locale;
import java.util.stream.IntStream;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/**
 * Keys or values of a cache, or tokens on their way into one, in one of TornadoVM's arrays. A float16 cache on a device without a
 * half type is kept in float32, rounded.
 */
public final class CacheRows {

    /** Rows of a sequence are a multiple of this, so that no block of {@link CacheLayout#index} has rows of two. */
    private static final int BLOCK = 32;

    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    /** Elements that one thread copies at a time. */
    private static final int PART = 1 << 16;

    private final int dim;
    /** Neighbours of a row that are neighbours here, too. */
    private final int lanes;
    private final boolean rounds;
    private final boolean halves;
    /** The elements; the array of the other type is one element long. */
    public final FloatArray single;
    public final HalfFloatArray half;

    private CacheRows(int dim, long rows, boolean rounds, boolean halves, String tooMany) {
        if (rows * dim > Integer.MAX_VALUE - 64) {
            throw new InvalidInputException(tooMany);
        }
        this.dim = dim;
        this.lanes = CacheLayout.lanes(dim);
        this.rounds = rounds;
        this.halves = halves;
        this.single = new FloatArray(halves ? 1 : (int) rows * dim);
        this.half = new HalfFloatArray(halves ? (int) rows * dim : 1);
    }

    /** @param dim D for keys, Dv for values */
    public static CacheRows of(DeviceInfo device, KvCacheShape shape, int dim) {
        boolean float16 = shape.type() == DataType.FLOAT16;
        return new CacheRows(dim, (long) shape.batch() * shape.kvHeads() * capacity(shape), float16, float16 && hasHalf(device),
                device.name() + ": a key/value cache of " + shape
                        + " exceeds 2^31 elements: lower the capacity or the batch");
    }

    /** Room for {@code rows} rows of the same kind. */
    public CacheRows staging(int rows) {
        return new CacheRows(dim, rows, rounds, halves, "too many rows are staged");
    }

    /** Rows of a sequence: the capacity and what fills its last block. */
    public static int capacity(KvCacheShape shape) {
        return Math.ceilDiv(shape.capacity(), BLOCK) * BLOCK;
    }

    /** NVIDIA's OpenCL takes half and does not list it. */
    public static boolean hasHalf(DeviceInfo device) {
        return switch (device.backend()) {
            case "cuda", "ptx" -> true;
            case "opencl" -> device.vendor().toLowerCase(Locale.ROOT).contains("nvidia");
            default -> false;
        };
    }

    public boolean halves() {
        return halves;
    }

    public long bytes() {
        return (long) Float.BYTES * single.getSize() + (long) Short.BYTES * half.getSize();
    }

    /** Copies rows of {@code source} (..., dim). */
    public void put(int row, Tensor source, long sourceRow, int rows) {
        inParts(rows, (from, count) -> {
            float[] values = new float[count * dim];
            source.copyTo((sourceRow + from) * dim, values, 0, values.length);
            if (halves) {
                short[] bits = new short[values.length];
                for (int i = 0; i < bits.length; i++) {
                    bits[i] = Float.floatToFloat16(values[i]);
                }
                MemorySegment to = half.getSegment();
                eachPiece(row + from, count, (at, piece) -> MemorySegment.copy(bits, piece, to, SHORT, (long) at * Short.BYTES, lanes));
                return;
            }
            for (int i = 0; rounds && i < values.length; i++) {
                values[i] = Float.float16ToFloat(Float.floatToFloat16(values[i]));
            }
            MemorySegment to = single.getSegment();
            eachPiece(row + from, count, (at, piece) -> MemorySegment.copy(values, piece, to, FLOAT, (long) at * Float.BYTES, lanes));
        });
    }

    /** @param target float32 */
    public void copyTo(Tensor target, long targetRow, int row, int rows) {
        inParts(rows, (from, count) -> {
            MemorySegment to = target.segment().asSlice((targetRow + from) * dim * Float.BYTES, (long) count * dim * Float.BYTES);
            if (halves) {
                MemorySegment bits = half.getSegment();
                eachPiece(row + from, count, (at, piece) -> {
                    for (int lane = 0; lane < lanes; lane++) {
                        to.setAtIndex(FLOAT, piece + lane, Float.float16ToFloat(bits.getAtIndex(SHORT, at + lane)));
                    }
                });
                return;
            }
            MemorySegment values = single.getSegment();
            eachPiece(row + from, count, (at, piece) -> MemorySegment.copy(values, (long) at * Float.BYTES, to,
                    (long) piece * Float.BYTES, (long) lanes * Float.BYTES));
        });
    }

    /** Copies a row to {@code staged}, whose rows are one after the other. */
    public void stage(int row, CacheRows staged, int stagedRow) {
        MemorySegment from = halves ? half.getSegment() : single.getSegment();
        MemorySegment to = halves ? staged.half.getSegment() : staged.single.getSegment();
        long width = halves ? Short.BYTES : Float.BYTES;
        long start = (long) stagedRow * dim;
        eachPiece(row, 1, (at, piece) -> MemorySegment.copy(from, at * width, to, (start + piece) * width, lanes * width));
    }

    /** Parts of rows, side by side where there are several. */
    private void inParts(int rows, Piece part) {
        int each = Math.max(1, PART / dim);
        IntStream parts = IntStream.range(0, Math.ceilDiv(rows, each));
        (rows > each ? parts.parallel() : parts).forEach(n -> part.of(n * each, Math.min(each, rows - n * each)));
    }

    /** Calls with where each run of neighbouring elements lies, and where it belongs in row-major order from {@code row} on. */
    private void eachPiece(int row, int rows, Piece piece) {
        for (int r = 0; r < rows; r++) {
            for (int d = 0; d < dim; d += lanes) {
                piece.of(CacheLayout.index(row + r, d, dim), r * dim + d);
            }
        }
    }

    private interface Piece {
        void of(int first, int second);
    }
}
