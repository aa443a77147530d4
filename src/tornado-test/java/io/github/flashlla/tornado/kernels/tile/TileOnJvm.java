package io.github.flashlla.tornado.kernels.tile;

import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.NoSuchElementException;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The Java bodies of the operations, on an emulated warp. */
class TileOnJvm implements TileChecks {
    private static final TileKernels RUN = new TileKernels();

    @BeforeAll
    static void run() {
        RUN.runOnJvm();
    }

    /** Or TornadoVM would run a kernel that it cannot compile as one thread of Java. */
    @Test
    void needsAWarp() {
        assertThrows(NoSuchElementException.class, Tile::commit);
        assertThrows(NoSuchElementException.class, () -> Tile.launchBounds(128, 2));
        assertThrows(NoSuchElementException.class, () -> Tile.shuffleXor(1, 1));
    }

    @Override
    public TileKernels kernels() {
        return RUN;
    }
}
