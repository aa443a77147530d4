package io.github.flashlla.tornado.kernels.backward;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The backward tile kernels, run by the JVM, against float64. */
class TileBackwardOnJvm {
    @ParameterizedTest
    @MethodSource("io.github.flashlla.tornado.kernels.backward.TileBackwardCase#all")
    void agrees(TileBackwardCase problemCase) {
        TileBackwardProblem problem = problemCase.problem();
        problem.runOnJvm();
        problemCase.check(problem);
    }
}
