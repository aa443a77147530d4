package io.github.flashlla.tornado.buffers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.flashlla.tornado.device.Transfers;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Arrays that are filled on this thread alone, and on several. */
class FillingOnDevice {
    private final Transfers transfers = new Transfers();

    @ParameterizedTest
    @ValueSource(ints = {1, 1000, 65_536, 1_000_000})
    void fillsEachElementOnce(int size) {
        FloatArray first = new FloatArray(size);
        FloatArray second = new FloatArray(size + 7);
        Filling filling = new Filling();
        filling.add(first, size, (at, count) -> raise(first, at, count), transfers);
        filling.add(second, size + 7, (at, count) -> raise(second, at, count), transfers);
        filling.start();
        transfers.filled().join();
        for (FloatArray array : new FloatArray[] {first, second}) {
            for (int i = 0; i < array.getSize(); i++) {
                assertEquals(i % 1000 + 1, array.get(i), "element " + i);
            }
        }
    }

    private static void raise(FloatArray array, long at, int count) {
        for (int i = (int) at; i < at + count; i++) {
            array.set(i, array.get(i) + i % 1000 + 1);
        }
    }

    /** Nothing waits for what never comes. */
    @ParameterizedTest
    @ValueSource(ints = {1000, 1_000_000})
    void endsWithAnError(int size) {
        Filling filling = new Filling();
        filling.add(new FloatArray(size), size, (at, count) -> {
            throw new InternalError("the file is shorter now");
        }, transfers);
        filling.start();
        assertInstanceOf(InternalError.class, assertThrows(CompletionException.class, () -> transfers.filled().join()).getCause());
    }
}
