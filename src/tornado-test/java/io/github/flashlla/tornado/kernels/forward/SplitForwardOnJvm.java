package io.github.flashlla.tornado.kernels.forward;

import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The kernels of float32 by three products, run by the JVM, against float64. */
class SplitForwardOnJvm {
    /** Problems that reach every path, with numbers that float16 does not hold. */
    static Stream<TileCase> cases() {
        return Stream.of(
                new TileCase(2, 2, 70, 70, 64, 64, true, 1, 0, 1, 0, 1e-5, 1e-5, 1e-5f),
                new TileCase(2, 1, 20, 64, 64, 64, false, 1, 0, 1, 0, 1e-5, 1e-5, 1e-5f),
                new TileCase(1, 1, 33, 110, 40, 33, true, 1, 0, 0.1f, 0, 1e-5, 1e-5, 1e-5f),
                new TileCase(1, 1, 20, 65, 64, 64, false, 1, 100, 1, 0, 3e-5, 1e-4, 1e-5f),
                new TileCase(1, 1, 70, 11, 17, 64, true, 1, 0, 1, 0, 1e-5, 1e-5, 1e-5f),
                new TileCase(1, 1, 1, 1, 64, 64, true, 1, 0, 1, 0, 1e-5, 1e-5, 1e-5f),
                new TileCase(1, 1, 16, 530, 64, 64, false, 20, 0, 1, 0, 5e-4, 1e-4, 1e-4f),
                // weights beyond float16 in every pass; what o misses is kbar's rounding, times |x| of 200 and keys of 200
                new TileCase(1, 1, 16, 600, 64, 64, false, 1, 0, 1, 24, 1e-2, 1e-4, 1e-4f),
                new TileCase(1, 1, 17, 70, 96, 72, true, 1, 0, 1, 0, 2e-4, 1e-4, 1e-4f),
                new TileCase(1, 1, 17, 70, 64, 128, true, 1, 0, 1, 0, 2e-4, 1e-4, 1e-4f),
                new TileCase(1, 1, 17, 70, 128, 20, false, 1, 0, 1, 0, 2e-4, 1e-4, 1e-4f));
    }

    @ParameterizedTest
    @MethodSource("cases")
    void agrees(TileCase problemCase) {
        SplitProblem problem = problemCase.splitProblem();
        problem.runOnJvm();
        problemCase.check(problem);
    }
}
