package io.github.flashlla.tornado.buffers;

import io.github.flashlla.DataType;
import io.github.flashlla.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.LongStream;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Copies between tensors and TornadoVM's arrays. */
public final class FloatArrays {
    private static final long BLOCK = 1 << 16;

    private FloatArrays() {}

    /** The elements of an array, without the header in front of them. */
    static MemorySegment elements(FloatArray array) {
        return array.getSegment();
    }

    /** Fills the front of {@code to}, which may be longer. */
    public static void load(Tensor from, FloatArray to) {
        MemorySegment elements = elements(to);
        if (from.type() == DataType.FLOAT32) {
            elements.copyFrom(from.segment());
            return;
        }
        inBlocks(from.size(), (at, count) -> {
            float[] values = new float[count];
            from.copyTo(at, values, 0, count);
            MemorySegment.copy(values, 0, elements, ValueLayout.JAVA_FLOAT, at * Float.BYTES, count);
        });
    }

    /** Fills {@code to} from the front of {@code from}, which may be longer. */
    public static void store(FloatArray from, Tensor to) {
        if (to.type() == DataType.FLOAT32) {
            to.segment().copyFrom(elements(from).asSlice(0, to.byteSize()));
            return;
        }
        inBlocks(to.size(), (at, count) -> {
            for (long i = at; i < at + count; i++) {
                to.set(i, from.get((int) i));
            }
        });
    }

    private interface Block {
        void of(long at, int count);
    }

    private static void inBlocks(long size, Block block) {
        LongStream.range(0, Math.ceilDiv(size, BLOCK)).parallel()
                .forEach(n -> block.of(n * BLOCK, (int) Math.min(BLOCK, size - n * BLOCK)));
    }
}
