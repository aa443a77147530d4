package io.github.flashlla.tornado.kernels.forward;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The tile kernels, run by the JVM, against float64. */
class TileForwardOnJvm {
    @ParameterizedTest
    @MethodSource("io.github.flashlla.tornado.kernels.forward.TileCase#all")
    void agrees(TileCase problemCase) {
        TileProblem problem = problemCase.problem();
        problem.runOnJvm();
        problemCase.check(problem);
    }

    /** The same with products of four warps together. */
    @ParameterizedTest
    @MethodSource("io.github.flashlla.tornado.kernels.forward.TileCase#all")
    void agreesByWarpGroups(TileCase problemCase) {
        TileProblem problem = problemCase.problem().byWarpGroups();
        problem.runOnJvm();
        problemCase.check(problem);
    }

    /** Rows left over in full groups, as long problems have them. */
    @ParameterizedTest
    @ValueSource(ints = {96, 128})
    void agreesWithoutPairs(int D) {
        TileCase problemCase = new TileCase(1, 1, 90, 130, D, 64, true, 1, 0, 1, 0, 2e-3, 1e-3);
        TileProblem problem = problemCase.problem();
        problem.sharing = 1;
        problem.runOnJvm();
        problemCase.check(problem);
    }

    /** Two warps share rows but of long problems with long rows. */
    @ParameterizedTest
    @CsvSource({"64, 1000000, 2", "96, 131072, 2", "96, 131073, 1", "128, 65536, 2", "128, 262144, 1"})
    void pairs(int dims, long rows, int warps) {
        assertEquals(warps, TileSolve.sharing(rows, dims));
    }
}
