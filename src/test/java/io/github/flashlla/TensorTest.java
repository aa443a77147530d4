package io.github.flashlla;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TensorTest {
    /** More than a block of a bulk copy, and no multiple of it. */
    private static final int SIZE = 10_001;

    @ParameterizedTest
    @EnumSource(DataType.class)
    void bulkCopiesAreTheElementsOneByOne(DataType type) {
        Tensor tensor = Tensor.allocate(type, SIZE);
        for (int i = 0; i < SIZE; i++) {
            tensor.set(i, Math.sin(i) * Math.pow(10, i % 9 - 4));
        }
        float[] all = tensor.toFloatArray();
        for (int i = 0; i < SIZE; i++) {
            assertEquals((float) tensor.get(i), all[i], "element " + i);
        }
        float[] part = new float[9_000];
        Arrays.fill(part, -1);
        tensor.copyTo(700, part, 3, 8_000);
        float[] want = new float[9_000];
        Arrays.fill(want, -1);
        System.arraycopy(all, 700, want, 3, 8_000);
        assertArrayEquals(want, part);
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void aCopyBeyondTheEndIsRefused(DataType type) {
        Tensor tensor = Tensor.allocate(type, 10);
        assertThrows(IndexOutOfBoundsException.class, () -> tensor.copyTo(5, new float[20], 0, 6));
        assertThrows(IndexOutOfBoundsException.class, () -> tensor.copyTo(0, new float[5], 0, 6));
    }
}
