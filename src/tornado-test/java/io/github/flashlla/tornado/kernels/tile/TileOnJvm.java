package io.github.flashlla.tornado.kernels.tile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.NoSuchElementException;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The Java bodies of the operations, on an emulated warp, against what they are said to do. */
class TileOnJvm {
    private static final TileKernels RUN = new TileKernels();

    @BeforeAll
    static void run() {
        RUN.runOnJvm();
    }

    @Test
    void scalars() {
        for (int t = 0; t < TileKernels.THREADS; t++) {
            float x = RUN.numbers.get(t);
            assertEquals(Math.pow(2, x), RUN.scalars.get(6 * t), 1e-6 * Math.pow(2, x));
            assertEquals(Math.log(x * x + 0.1f) / Math.log(2), RUN.scalars.get(6 * t + 1), 1e-5);
            assertEquals(1 / Math.sqrt(x * x + 0.1f), RUN.scalars.get(6 * t + 2), 1e-5);
            assertEquals(x, RUN.scalars.get(6 * t + 3), Math.abs(x) / 2048);
            assertEquals(3 * x, RUN.scalars.get(6 * t + 4), Math.abs(3 * x) / 2048);
            assertEquals(Float.floatToFloat16(x) & 0xffff, RUN.scalars.get(6 * t + 5));
        }
    }

    @Test
    void together() {
        for (int t = 0; t < TileKernels.THREADS; t++) {
            assertEquals(RUN.numbers.get(t ^ 5), RUN.together.get(6 * t));
            assertEquals(RUN.numbers.get(t & 32 | t + 7 & 31), RUN.together.get(6 * t + 1));
            assertEquals(t / 32, RUN.together.get(6 * t + 2));
            assertEquals(0, RUN.together.get(6 * t + 3));
            assertEquals(43, RUN.together.get(6 * t + 4));
            assertEquals(41, RUN.together.get(6 * t + 5));
        }
    }

    @Test
    void products() {
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

    private static double value(int warp, int row, int column) {
        return RUN.halves.get(1024 * warp + 64 * row + column).getFloat32();
    }

    private static double element(int warp, int row, int column, int from) {
        int lane = row % 8 * 4 + column % 8 / 2;
        return RUN.products.get(24 * (32 * warp + lane) + from + 4 * (column / 8) + 2 * (row / 8) + column % 2);
    }

    @Test
    void pairs() {
        for (int t = 0; t < TileKernels.THREADS; t++) {
            assertEquals(RUN.numbers.get(t ^ 1), RUN.pairs.get(t));
            assertEquals(Float.floatToRawIntBits(RUN.numbers.get(t)) >>> 20, RUN.pairs.get(TileKernels.THREADS + t));
            assertEquals(Float.intBitsToFloat(0x3f800000 + (t << 16)), RUN.pairs.get(2 * TileKernels.THREADS + t));
            for (int i = 0; i < 4; i++) {
                assertEquals((Float.floatToFloat16(t) & 0xffff) + i, RUN.written.get(8 * t + 2 * i).getHalfFloatValue() & 0xffff);
                assertEquals(-t, RUN.written.get(8 * t + 2 * i + 1).getFloat32());
            }
        }
    }

    /** Or TornadoVM would run a kernel that it cannot compile as one thread of Java. */
    @Test
    void needsAWarp() {
        assertThrows(NoSuchElementException.class, Tile::commit);
        assertThrows(NoSuchElementException.class, () -> Tile.launchBounds(128, 2));
        assertThrows(NoSuchElementException.class, () -> Tile.shuffleXor(1, 1));
    }
}
