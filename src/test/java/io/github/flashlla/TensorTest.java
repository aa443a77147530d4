package io.github.flashlla;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
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

    @ParameterizedTest
    @EnumSource(DataType.class)
    void sizesBeyondAnyMemoryAreRefused(DataType type) {
        for (long[] dims : List.of(new long[] {1L << 40, 1L << 40}, new long[] {1L << 62})) {
            String said = assertThrows(InvalidInputException.class, () -> Tensor.allocate(type, dims)).getMessage();
            assertTrue(said.startsWith("a tensor of shape (" + dims[0]) && said.endsWith("is larger than any memory"), said);
        }
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void bulkStoresAreTheElementsOneByOne(DataType type) {
        float[] values = new float[SIZE];
        for (int i = 0; i < SIZE; i++) {
            values[i] = (float) (Math.sin(i) * Math.pow(10, i % 13 - 6));
        }
        values[5] = Float.NaN;
        values[6] = Float.NEGATIVE_INFINITY;
        Tensor tensor = Tensor.allocate(type, SIZE);
        tensor.copyFrom(values, 3, 2, SIZE - 3);
        Tensor want = Tensor.allocate(type, SIZE);
        for (int i = 0; i < SIZE - 3; i++) {
            want.set(i + 2, values[i + 3]);
        }
        assertArrayEquals(want.toDoubleArray(), tensor.toDoubleArray());
        assertThrows(IndexOutOfBoundsException.class, () -> tensor.copyFrom(values, 0, SIZE - 5, 6));
        assertThrows(IndexOutOfBoundsException.class, () -> tensor.copyFrom(values, SIZE - 5, 0, 6));
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void conversionsAreThoseOfTheElements(DataType type) {
        for (DataType target : DataType.values()) {
            Tensor tensor = Tensor.allocate(type, 3, 70_001);
            Tensor want = Tensor.allocate(target, 3, 70_001);
            for (long i = 0; i < tensor.size(); i++) {
                tensor.set(i, Math.cos(i) * Math.pow(10, i % 9 - 4));
                want.set(i, tensor.get(i));
            }
            assertArrayEquals(want.toDoubleArray(), tensor.as(target).toDoubleArray(), type + " to " + target);
        }
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void theFirstElementThatIsNotFiniteIsFound(DataType type) {
        for (double strange : new double[] {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY}) {
            try (Arena confined = Arena.ofConfined()) {
                for (Tensor tensor : new Tensor[] {Tensor.allocate(type, 200_001), Tensor.allocate(confined, type, 200_001)}) {
                    tensor.fill(1);
                    assertEquals(-1, tensor.firstNonFinite());
                    tensor.set(200_000, strange);
                    assertEquals(200_000, tensor.firstNonFinite());
                    tensor.set(70_000, strange);
                    assertEquals(70_000, tensor.firstNonFinite());
                }
            }
        }
    }
}
