package io.github.flashlla.tornado;

import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.kernels.DecodeKernels;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Locale;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;

/**
 * Keys or values of a cache, or tokens on their way into one, in one of TornadoVM's arrays. A float16 cache on a device without a
 * half type is kept in float32, rounded.
 */
final class CacheRows {

    /** Rows of a sequence are a multiple of this, so that no block of {@link DecodeKernels#index} has rows of two. */
    private static final int BLOCK = 32;

    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    private final int dim;
    private final boolean rounds;
    private final boolean halves;
    /** The elements; the array of the other type is one element long. */
    final FloatArray single;
    final HalfFloatArray half;

    private CacheRows(int dim, long rows, boolean rounds, boolean halves, String tooMany) {
        if (rows * dim > Integer.MAX_VALUE - 64) {
            throw new InvalidInputException(tooMany);
        }
        this.dim = dim;
        this.rounds = rounds;
        this.halves = halves;
        this.single = new FloatArray(halves ? 1 : (int) rows * dim);
        this.half = new HalfFloatArray(halves ? (int) rows * dim : 1);
    }

    /** @param dim D for keys, Dv for values */
    static CacheRows of(DeviceInfo device, KvCacheShape shape, int dim) {
        boolean float16 = shape.type() == DataType.FLOAT16;
        return new CacheRows(dim, (long) shape.batch() * shape.kvHeads() * capacity(shape), float16, float16 && hasHalf(device),
                device.name() + ": a key/value cache of " + shape
                        + " exceeds 2^31 elements: lower the capacity or the batch");
    }

    /** Room for {@code rows} rows of the same kind. */
    CacheRows staging(int rows) {
        return new CacheRows(dim, rows, rounds, halves, "too many rows are staged");
    }

    /** Rows of a sequence: the capacity and what fills its last block. */
    static int capacity(KvCacheShape shape) {
        return Math.ceilDiv(shape.capacity(), BLOCK) * BLOCK;
    }

    /** NVIDIA's OpenCL takes half and does not list it. */
    private static boolean hasHalf(DeviceInfo device) {
        return switch (device.backend()) {
            case "cuda", "ptx" -> true;
            case "opencl" -> device.vendor().toLowerCase(Locale.ROOT).contains("nvidia");
            default -> false;
        };
    }

    boolean halves() {
        return halves;
    }

    long bytes() {
        return (long) Float.BYTES * single.getSize() + (long) Short.BYTES * half.getSize();
    }

    float get(int row, int d) {
        int at = DecodeKernels.index(row, d, dim);
        return halves ? Float.float16ToFloat(half.getSegment().getAtIndex(SHORT, at)) : single.getSegment().getAtIndex(FLOAT, at);
    }

    void put(int row, int d, float value) {
        int at = DecodeKernels.index(row, d, dim);
        if (halves) {
            half.getSegment().setAtIndex(SHORT, at, Float.floatToFloat16(value));
        } else {
            single.getSegment().setAtIndex(FLOAT, at, rounds ? Float.float16ToFloat(Float.floatToFloat16(value)) : value);
        }
    }

    /** Copies rows of {@code source} (..., dim). */
    void put(int row, Tensor source, long sourceRow, int rows) {
        for (int r = 0; r < rows; r++) {
            for (int d = 0; d < dim; d++) {
                put(row + r, d, (float) source.get((sourceRow + r) * dim + d));
            }
        }
    }

    void copyTo(Tensor target, long targetRow, int row, int rows) {
        for (int r = 0; r < rows; r++) {
            for (int d = 0; d < dim; d++) {
                target.set((targetRow + r) * dim + d, get(row + r, d));
            }
        }
    }

    /** Copies a row to {@code staged}, whose rows are one after the other. */
    void stage(int row, CacheRows staged, int stagedRow) {
        MemorySegment to = halves ? staged.half.getSegment() : staged.single.getSegment();
        for (int d = 0; d < dim; d++) {
            long at = (long) stagedRow * dim + d;
            if (halves) {
                to.setAtIndex(SHORT, at, half.getSegment().getAtIndex(SHORT, DecodeKernels.index(row, d, dim)));
            } else {
                to.setAtIndex(FLOAT, at, single.getSegment().getAtIndex(FLOAT, DecodeKernels.index(row, d, dim)));
            }
        }
    }
}
