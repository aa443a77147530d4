package io.github.flashlla.tornado.kernels.forward;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The tile kernels, run by the JVM, against float64. */
class TileForwardOnJvm {
    @ParameterizedTest
    @MethodSource("io.github.flashlla.tornado.kernels.forward.TileCase#all")
    void agrees(TileCase problemCase) {
        TileProblem problem = problemCase.problem();
        problem.runOnJvm();
        problemCase.check(problem);
    }
}
