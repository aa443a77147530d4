package io.github.flashlla.tornado.buffers;

import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs.Strides;
import io.github.flashlla.Tensor;
import java.util.List;
import java.util.stream.Stream;
import uk.ac.manchester.tornado.api.types.arrays.BFloat16Array;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

/**
 * A tensor in an array of the caller's.
 *
 * @param stored a {@code FloatArray}, {@code HalfFloatArray} or {@code BFloat16Array}
 * @param strides where its rows lie; null for (B,H,S,D), row-major
 */
public record ArrayView(TornadoNativeArray stored, Strides strides) {

    /** A tensor (B,H,S,D), row-major, that is all of an array. */
    public static ArrayView of(TornadoNativeArray stored) {
        return new ArrayView(stored, null);
    }

    /** A tensor that lies as (B,S,H,D), row-major, and is all of an array. */
    public ArrayView rowsFirst(int length, int heads, int dim) {
        return new ArrayView(stored, new Strides(0, (long) length * heads * dim, dim, (long) heads * dim));
    }

    public boolean isStrided() {
        return strides != null;
    }

    public DataType type() {
        return switch (stored) {
            case HalfFloatArray half -> DataType.FLOAT16;
            case BFloat16Array brain -> DataType.BFLOAT16;
            default -> DataType.FLOAT32;
        };
    }

    /** Its array, where that is float32. */
    public FloatArray array() {
        return (FloatArray) stored;
    }

    /** Its strides, the usual ones spelled out. */
    public Strides strides(long[] dims) {
        return strides != null ? strides : new Strides(0, dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3]);
    }

    public void requireInput(String name, long[] dims) {
        if (strides == null) {
            LlaBuffers.require(name, stored.getSize(), dims);
            return;
        }
        long end = strides.offset() + (dims[0] - 1) * strides.batch() + (dims[1] - 1) * strides.head() + (dims[2] - 1) * strides.row() + dims[3];
        if (Math.min(Math.min(strides.offset(), strides.batch()), Math.min(strides.head(), strides.row())) < 0 || end > stored.getSize()) {
            throw new InvalidInputException(name + " has " + stored.getSize() + " elements, but " + Tensor.shapeString(dims) + " with "
                    + strides + " reaches to " + end);
        }
    }

    /** The whole array is set to NaN before it is written, so that nothing else may be in it. */
    public void requireOutput(String name, long[] dims) {
        requireInput(name, dims);
        if (strides != null && !fillsItsArray(dims)) {
            throw new InvalidInputException(name + " is written, so " + Tensor.shapeString(dims) + " with " + strides
                    + " must fill its array of " + stored.getSize() + " elements");
        }
    }

    private boolean fillsItsArray(long[] dims) {
        List<long[]> byStride = Stream.of(new long[] {strides.batch(), dims[0]}, new long[] {strides.head(), dims[1]},
                new long[] {strides.row(), dims[2]}).filter(dim -> dim[1] > 1).sorted((a, b) -> Long.compare(a[0], b[0])).toList();
        long next = dims[3];
        for (long[] dim : byStride) {
            if (dim[0] != next) {
                return false;
            }
            next *= dim[1];
        }
        return strides.offset() == 0 && next == stored.getSize();
    }
}
