package io.github.flashlla.tornado.kernels.backward;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
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

    /** The solve by products of four warps together, with x in scratch. */
    @ParameterizedTest
    @CsvSource({"64, 64", "96, 72"})
    void agreesByWarpGroups(int D, int Dv) {
        TileBackwardCase problemCase = new TileBackwardCase(1, 1, 20, 70, D, Dv, true, 1, 1, 0, 0, 1, 3e-3, 6e-3);
        TileBackwardProblem problem = problemCase.problem().byWarpGroups();
        problem.runOnJvm();
        problemCase.check(problem);
    }
}
