package io.github.flashlla.tornado.buffers;

import io.github.flashlla.DataType;
import io.github.flashlla.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.BitSet;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Copies between tensors and TornadoVM's arrays, in blocks: one core copies at a fraction of the memory's speed. */
public final class FloatArrays {
    /** Of each thread, small enough for its first cache. */
    private static final ThreadLocal<float[]> PIECE = ThreadLocal.withInitial(() -> new float[1 << 12]);

    private FloatArrays() {}

    /** The elements of an array, without the header in front of them. */
    static MemorySegment elements(FloatArray array) {
        return array.getSegment();
    }

    /** All bits set are a NaN, and bytes are filled many times faster than elements. */
    public static void fillWithNaN(FloatArray array) {
        elements(array).fill((byte) -1);
    }

    /** Fills the front of {@code to}, which may be longer. */
    public static void load(Tensor from, FloatArray to) {
        MemorySegment elements = elements(to);
        from.inBlocks((at, count) -> {
            if (from.type() == DataType.FLOAT32 && from.isRowMajor()) {
                MemorySegment.copy(from.segment(), at * Float.BYTES, elements, at * Float.BYTES, (long) count * Float.BYTES);
                return;
            }
            float[] values = PIECE.get();
            for (int done = 0; done < count; done += values.length) {
                int piece = Math.min(values.length, count - done);
                from.copyTo(at + done, values, 0, piece);
                MemorySegment.copy(values, 0, elements, ValueLayout.JAVA_FLOAT, (at + done) * Float.BYTES, piece);
            }
        });
    }

    /** Sets rows of {@code dim} elements to 0. */
    public static void clearRows(FloatArray array, int dim, BitSet rows) {
        rows.stream().forEach(row -> elements(array).asSlice((long) row * dim * Float.BYTES, (long) dim * Float.BYTES).fill((byte) 0));
    }

    /** Fills {@code to} from the front of {@code from}, which may be longer. */
    public static void store(FloatArray from, Tensor to) {
        MemorySegment elements = elements(from);
        to.inBlocks((at, count) -> {
            if (to.type() == DataType.FLOAT32 && to.isRowMajor()) {
                MemorySegment.copy(elements, at * Float.BYTES, to.segment(), at * Float.BYTES, (long) count * Float.BYTES);
                return;
            }
            float[] values = PIECE.get();
            for (int done = 0; done < count; done += values.length) {
                int piece = Math.min(values.length, count - done);
                MemorySegment.copy(elements, ValueLayout.JAVA_FLOAT, (at + done) * Float.BYTES, values, 0, piece);
                to.copyFrom(values, 0, at + done, piece);
            }
        });
    }

    /** Room of this thread for at least one row, until its next call. */
    static float[] room(int dim) {
        return dim > PIECE.get().length ? new float[dim] : PIECE.get();
    }

    /** Copies as many elements as {@code from} has. */
    public static void copy(float[] from, FloatArray to) {
        MemorySegment.copy(from, 0, elements(to), ValueLayout.JAVA_FLOAT, 0, from.length);
    }

    /** Fills {@code to} with the elements from {@code at} on. */
    public static void copy(FloatArray from, int at, float[] to) {
        MemorySegment.copy(elements(from), ValueLayout.JAVA_FLOAT, (long) at * Float.BYTES, to, 0, to.length);
    }

    /** Whether an element is NaN; for arrays of a step, on this thread. */
    public static boolean holdsNaN(FloatArray array) {
        MemorySegment elements = elements(array);
        boolean found = false;
        for (int i = 0; i < array.getSize(); i++) {
            float element = elements.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            found |= element != element;
        }
        return found;
    }
}
