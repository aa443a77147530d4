package io.github.flashlla.tornado.buffers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** What runs do with whole arrays, of one part and of several. */
class FloatArraysOnDevice {
    private static final int DIM = 3;

    @ParameterizedTest
    @ValueSource(ints = {DIM, 300, 300_000})
    void fillsAllWithNaN(int size) {
        FloatArray array = new FloatArray(size);
        FloatArrays.fillWithNaN(array);
        for (int i = 0; i < size; i++) {
            assertTrue(Float.isNaN(array.get(i)), "element " + i);
        }
    }

    /** Two rows have it, and threads may come to the later one first. */
    @ParameterizedTest
    @ValueSource(ints = {DIM, 300, 300_000})
    void findsTheFirst(int size) {
        FloatArray array = new FloatArray(size);
        array.init(1);
        AtomicInteger seen = new AtomicInteger();
        FloatArrays.Search negative = (at, values, count) -> {
            assertEquals(0, at % DIM);
            assertEquals(0, count % DIM);
            for (int i = 0; i < count; i++) {
                if (values[i] < 0) {
                    return i;
                }
            }
            seen.addAndGet(count);
            return count;
        };
        assertEquals(size, FloatArrays.first(array, DIM, negative));
        assertEquals(size, seen.get());
        array.set(size - 1, -1);
        assertEquals(size - 1, FloatArrays.first(array, DIM, negative));
        array.set(size / 2, -1);
        assertEquals(size / 2, FloatArrays.first(array, DIM, negative));
    }
}
