package io.github.flashlla.tornado.kernels.decode;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A decoding step by the tile kernels, run by the JVM, against float64. */
class TileDecodeOnJvm {
    @ParameterizedTest
    @MethodSource("io.github.flashlla.tornado.kernels.decode.TileDecodeProblem#all")
    void agrees(TileDecodeProblem.Case problemCase) {
        TileDecodeProblem problem = new TileDecodeProblem(problemCase);
        problem.runOnJvm();
        problem.check();
    }

    @ParameterizedTest
    @MethodSource("io.github.flashlla.tornado.kernels.decode.TileDecodeProblem#covariances")
    void covarianceAgrees(TileDecodeProblem.Case problemCase) {
        TileDecodeProblem problem = new TileDecodeProblem(problemCase);
        problem.runCovarianceOnJvm();
        problem.check();
    }

    @ParameterizedTest
    @MethodSource("io.github.flashlla.tornado.kernels.decode.TileDecodeProblem#preconditioned")
    void preconditionedAgrees(TileDecodeProblem.Case problemCase) {
        TileDecodeProblem problem = new TileDecodeProblem(problemCase);
        problem.runPreconditionedOnJvm(false);
        problem.check();
    }

    /** A preconditioner that overflowed is not used, by the unit whose it is. */
    @Test
    void goesOnWithoutPreconditioner() {
        TileDecodeProblem problem = new TileDecodeProblem(new TileDecodeProblem.Case(4, 1, 300, 64, 2, 1, 0, 2e-4));
        problem.runPreconditionedOnJvm(true);
        problem.check();
    }
}
