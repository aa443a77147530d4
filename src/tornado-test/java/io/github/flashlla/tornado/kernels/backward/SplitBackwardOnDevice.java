package io.github.flashlla.tornado.kernels.backward;

import io.github.flashlla.tornado.kernels.tile.TileOnDevice;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The backward kernels of float32 by three products on a GPU against float64; a second run gives the same bits. */
class SplitBackwardOnDevice {
    @BeforeAll
    static void assumeOperations() {
        TileOnDevice.assumeOperations();
    }

    @ParameterizedTest
    @MethodSource("io.github.flashlla.tornado.kernels.backward.SplitBackwardOnJvm#cases")
    void agrees(TileBackwardCase problemCase) throws Exception {
        TileBackwardOnDevice.assertTwiceTheSame(problemCase, problemCase.splitProblem());
    }
}
