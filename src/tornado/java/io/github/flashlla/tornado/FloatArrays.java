package io.github.flashlla.tornado;

import io.github.flashlla.DataType;
import io.github.flashlla.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.LongStream;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Copies between tensors and TornadoVM's arrays. */
final class FloatArrays {
    private static final int BLOCK = 1 << 16;

    private FloatArrays() {}

    /** The elements of an array, without the header in front of them. */
    static MemorySegment elements(FloatArray array) {
        return array.getSegment();
    }

    /** Fills the front of {@code to}, which may be longer. */
    static void load(Tensor from, FloatArray to) {
        MemorySegment elements = elements(to);
        if (from.type() == DataType.FLOAT32) {
            elements.copyFrom(from.segment());
            return;
        }
        long size = from.size();
        LongStream.range(0, Math.ceilDiv(size, BLOCK)).parallel().forEach(block -> {
            long at = block * BLOCK;
            float[] values = new float[(int) Math.min(BLOCK, size - at)];
            from.copyTo(at, values, 0, values.length);
            MemorySegment.copy(values, 0, elements, ValueLayout.JAVA_FLOAT, at * Float.BYTES, values.length);
        });
    }

    /** Fills {@code to} from the front of {@code from}, which may be longer. */
    static void store(FloatArray from, Tensor to) {
        if (to.type() == DataType.FLOAT32) {
            to.segment().copyFrom(elements(from).asSlice(0, to.byteSize()));
            return;
        }
        LongStream.range(0, Math.ceilDiv(to.size(), BLOCK)).parallel().forEach(block -> {
            for (long i = block * BLOCK; i < Math.min(to.size(), (block + 1) * BLOCK); i++) {
                to.set(i, from.get((int) i));
            }
        });
    }
}
