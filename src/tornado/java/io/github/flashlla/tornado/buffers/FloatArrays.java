package io.github.flashlla.tornado.buffers;

import io.github.flashlla.DataType;
import io.github.flashlla.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Copies between tensors and TornadoVM's arrays, in blocks: one core copies at a fraction of the memory's speed. */
public final class FloatArrays {
    private FloatArrays() {}

    /** The elements of an array, without the header in front of them. */
    static MemorySegment elements(FloatArray array) {
        return array.getSegment();
    }

    /** Fills the front of {@code to}, which may be longer. */
    public static void load(Tensor from, FloatArray to) {
        MemorySegment elements = elements(to);
        from.inBlocks((at, count) -> {
            if (from.type() == DataType.FLOAT32 && from.isRowMajor()) {
                MemorySegment.copy(from.segment(), at * Float.BYTES, elements, at * Float.BYTES, (long) count * Float.BYTES);
                return;
            }
            float[] values = new float[count];
            from.copyTo(at, values, 0, count);
            MemorySegment.copy(values, 0, elements, ValueLayout.JAVA_FLOAT, at * Float.BYTES, count);
        });
    }

    /** Fills {@code to} from the front of {@code from}, which may be longer. */
    public static void store(FloatArray from, Tensor to) {
        MemorySegment elements = elements(from);
        to.inBlocks((at, count) -> {
            if (to.type() == DataType.FLOAT32 && to.isRowMajor()) {
                MemorySegment.copy(elements, at * Float.BYTES, to.segment(), at * Float.BYTES, (long) count * Float.BYTES);
                return;
            }
            float[] values = new float[count];
            MemorySegment.copy(elements, ValueLayout.JAVA_FLOAT, at * Float.BYTES, values, 0, count);
            to.copyFrom(values, 0, at, count);
        });
    }
}
