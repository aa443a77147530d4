package io.github.flashlla.tornado.kernels.tile;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.BitSet;
import org.junit.jupiter.api.Test;

/** What the operations are said to do, against what a run of them left. */
interface TileChecks {
    TileKernels kernels();

    @Test
    default void scalars() {
        for (int t = 0; t < TileKernels.THREADS; t++) {
            float x = kernels().numbers.get(t);
            assertEquals(Math.pow(2, x), kernels().scalars.get(8 * t), 1e-5 * Math.pow(2, x));
            assertEquals(Math.log(x * x + 0.1f) / Math.log(2), kernels().scalars.get(8 * t + 1), 1e-5);
            assertEquals(1 / Math.sqrt(x * x + 0.1f), kernels().scalars.get(8 * t + 2), 1e-5);
            assertEquals(x, kernels().scalars.get(8 * t + 3), Math.abs(x) / 2048);
            assertEquals(3 * x, kernels().scalars.get(8 * t + 4), Math.abs(3 * x) / 2048);
            assertEquals(Float.floatToFloat16(x) & 0xffff, kernels().scalars.get(8 * t + 5));
            assertEquals(half(half(x) * half(0.3f * x + 1f)), kernels().scalars.get(8 * t + 6));
            assertEquals(half(half(3 * x) - half(x - 0.7f)), kernels().scalars.get(8 * t + 7));
        }
    }

    private static float half(float x) {
        return Float.float16ToFloat(Float.floatToFloat16(x));
    }

    @Test
    default void together() {
        BitSet arrived = new BitSet();
        for (int t = 0; t < TileKernels.THREADS; t++) {
            assertEquals(kernels().numbers.get(t ^ 5), kernels().together.get(7 * t));
            assertEquals(kernels().numbers.get(t & 32 | t + 7 & 31), kernels().together.get(7 * t + 1));
            assertEquals(t / 32, kernels().together.get(7 * t + 2));
            assertEquals(0, kernels().together.get(7 * t + 3));
            assertEquals(43, kernels().together.get(7 * t + 4));
            assertEquals(41, kernels().together.get(7 * t + 5));
            arrived.set(100 * (t & 1) + (int) kernels().together.get(7 * t + 6));
        }
        assertEquals(32, kernels().counts.get(0));
        assertEquals(37, kernels().counts.get(1));
        BitSet each = new BitSet(); // 0 to 31, and from 5 on
        each.set(0, 32);
        each.set(105, 137);
        assertEquals(each, arrived);
    }

    @Test
    default void products() {
        for (int warp = 0; warp < 2; warp++) {
            for (int row = 0; row < 16; row++) {
                for (int column = 0; column < 16; column++) {
                    for (int other = 0; other < 2; other++) {
                        double product = column < 8 ? row < 8 ? 1 : 2 : 0;
                        for (int k = 0; k < 16; k++) {
                            product += value(warp, row, k) * value(other, column, k);
                        }
                        assertEquals(product, element(warp, row, column, 8 * other), 1e-3);
                    }
                    double product = (column < 8 ? 0 : 4) + (row < 8 ? 0 : 2) + column % 2;
                    for (int k = 0; k < 16; k++) {
                        product += value(warp, row, k) * value(warp, k, 16 + column);
                    }
                    assertEquals(product, element(warp, row, column, 16), 1e-3);
                }
            }
        }
    }

    private double value(int warp, int row, int column) {
        return kernels().halves.get(1024 * warp + 64 * row + column).getFloat32();
    }

    private double element(int warp, int row, int column, int from) {
        int lane = row % 8 * 4 + column % 8 / 2;
        return kernels().products.get(24 * (32 * warp + lane) + from + 4 * (column / 8) + 2 * (row / 8) + column % 2);
    }

    @Test
    default void pairs() {
        for (int t = 0; t < TileKernels.THREADS; t++) {
            assertEquals(kernels().numbers.get(t ^ 1), kernels().pairs.get(t));
            assertEquals(Float.floatToRawIntBits(kernels().numbers.get(t)) >>> 20, kernels().pairs.get(TileKernels.THREADS + t));
            assertEquals(Float.intBitsToFloat(0x3f800000 + (t << 16)), kernels().pairs.get(2 * TileKernels.THREADS + t));
            int four = 4 * ((t ^ 33) & 15);
            assertEquals(kernels().numbers.get(four) + 2 * kernels().numbers.get(four + 1) + 4 * kernels().numbers.get(four + 2) + 8 * kernels().numbers.get(four + 3),
                    kernels().pairs.get(3 * TileKernels.THREADS + t), 1e-4);
            assertEquals(t, kernels().pairs.get(4 * TileKernels.THREADS + t));
            assertEquals(kernels().numbers.get(t ^ 33), kernels().pairs.get(5 * TileKernels.THREADS + t));
            assertEquals(kernels().numbers.get(t ^ 3), kernels().pairs.get(6 * TileKernels.THREADS + t));
            assertEquals(kernels().numbers.get(t ^ 3), kernels().pairs.get(7 * TileKernels.THREADS + t));
            assertEquals(kernels().numbers.get(t ^ 33), kernels().pairs.get(8 * TileKernels.THREADS + t));
            assertEquals(kernels().numbers.get(4 * (t & 15) + 1), kernels().pairs.get(9 * TileKernels.THREADS + t));
            assertEquals(-t, kernels().written.get(8 * TileKernels.THREADS + 2 * t + 1).getFloat32());
            for (int i = 0; i < 4; i++) {
                assertEquals((Float.floatToFloat16(t) & 0xffff) + i, kernels().written.get(8 * t + 2 * i).getHalfFloatValue() & 0xffff);
                assertEquals(-t, kernels().written.get(8 * t + 2 * i + 1).getFloat32());
                assertEquals(Float.floatToRawIntBits(kernels().numbers.get(t ^ 33)) + i,
                        Float.floatToRawIntBits(kernels().pairs.get((10 + i) * TileKernels.THREADS + t)));
            }
        }
    }
}
