package io.github.flashlla.tornado.buffers;

import io.github.flashlla.DataType;
import io.github.flashlla.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.BitSet;
import java.util.stream.IntStream;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Copies between tensors and TornadoVM's arrays, in blocks: one core copies at a fraction of the memory's speed. */
public final class FloatArrays {
    /** Of each thread, small enough for its first cache. */
    private static final ThreadLocal<float[]> PIECE = ThreadLocal.withInitial(() -> new float[1 << 12]);

    /** Elements that one thread takes at a time. */
    private static final int TOGETHER = 1 << 16;

    private FloatArrays() {}

    /** The elements of an array, without the header in front of them. */
    static MemorySegment elements(FloatArray array) {
        return array.getSegment();
    }

    /** All bits set are a NaN, and bytes are filled many times faster than elements. */
    public static void fillWithNaN(FloatArray array) {
        MemorySegment elements = elements(array);
        parts(array.getSize(), TOGETHER).forEach(part -> elements.asSlice((long) part * TOGETHER * Float.BYTES,
                Math.min(TOGETHER, array.getSize() - part * TOGETHER) * (long) Float.BYTES).fill((byte) -1));
    }

    /** Numbers of the parts of {@code size} elements, side by side where there are several. */
    private static IntStream parts(int size, int together) {
        IntStream parts = IntStream.range(0, Math.ceilDiv(size, together));
        return size > together ? parts.parallel() : parts;
    }

    /** A look at some elements of an array, which may be beside looks at others. */
    @FunctionalInterface
    public interface Search {
        /**
         * @param at position in the array of the first element
         * @param values its elements and those after it
         * @param count how many of {@code values}
         * @return index in {@code values} of what is looked for; {@code count} where it is not there
         */
        int in(int at, float[] values, int count);
    }

    /**
     * Looks at all elements, in parts of whole rows.
     *
     * @param dim elements of a row
     * @return position of the first that is looked for; the array's size where there is none
     */
    public static int first(FloatArray array, int dim, Search search) {
        MemorySegment elements = elements(array);
        int size = array.getSize();
        int together = Math.max(1, TOGETHER / dim) * dim;
        return parts(size, together).map(part -> {
            int begin = part * together;
            int count = Math.min(together, size - begin);
            float[] values = room(dim);
            int each = values.length / dim * dim;
            for (int done = 0; done < count; done += each) {
                int at = begin + done;
                int some = Math.min(each, count - done);
                MemorySegment.copy(elements, ValueLayout.JAVA_FLOAT, (long) at * Float.BYTES, values, 0, some);
                int found = search.in(at, values, some);
                if (found < some) {
                    return at + found;
                }
            }
            return size;
        }).min().orElse(size);
    }

    /** Fills the front of {@code to}, which may be longer. */
    public static void load(Tensor from, FloatArray to) {
        from.inBlocks((at, count) -> load(from, to, at, count));
    }

    /** The same of some elements. */
    static void load(Tensor from, FloatArray to, long at, int count) {
        MemorySegment elements = elements(to);
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
    }

    /** Of {@code count} elements from {@code at} on, sets those to 0 that are in some rows of {@code dim} elements. */
    public static void clearRows(FloatArray array, int dim, BitSet rows, long at, int count) {
        long end = at + count;
        for (int row = rows.nextSetBit((int) (at / dim)); row >= 0 && (long) row * dim < end; row = rows.nextSetBit(row + 1)) {
            long from = Math.max(at, (long) row * dim);
            long to = Math.min(end, (row + 1L) * dim);
            elements(array).asSlice(from * Float.BYTES, (to - from) * Float.BYTES).fill((byte) 0);
        }
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
