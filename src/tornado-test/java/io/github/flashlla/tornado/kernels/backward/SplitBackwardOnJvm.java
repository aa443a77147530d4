package io.github.flashlla.tornado.kernels.backward;

import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The backward kernels of float32 by three products, run by the JVM, against float64. */
class SplitBackwardOnJvm {
    private static final float TOLERANCE = 1e-5f;

    /** Problems that reach every path, with numbers that float16 does not hold. */
    static Stream<TileBackwardCase> cases() {
        return Stream.of(
                new TileBackwardCase(2, 2, 70, 70, 64, 64, true, 1, 1, 0, 0, 1, 3e-5, 1e-4, TOLERANCE),
                new TileBackwardCase(2, 1, 20, 64, 64, 64, false, 1, 1e-20f, 0, 0, 1, 3e-5, 3e-5, TOLERANCE),
                new TileBackwardCase(1, 1, 33, 110, 40, 33, true, 1, 1e15f, 0, 0, 0.1f, 3e-5, 3e-5, TOLERANCE),
                new TileBackwardCase(1, 1, 20, 65, 64, 64, false, 1, 1, 3, 10, 1, 1e-4, 1e-4, TOLERANCE),
                new TileBackwardCase(1, 1, 70, 11, 17, 64, true, 1, 1, 0, 0, 1, 3e-5, 3e-5, TOLERANCE),
                // dk is 0: G - Gbar times x, which is as long as q; 5e-3 on a GPU
                new TileBackwardCase(1, 1, 1, 1, 64, 64, true, 1, 1, 0, 0, 1, 1e-2, 3e-5, TOLERANCE),
                // x of 1600; on a GPU more than twice as far off
                new TileBackwardCase(1, 1, 40, 100, 64, 64, true, 20, 1, 0, 0, 0.1f, 3e-3, 4e-3, TOLERANCE),
                // the first queries' x is thousands of times the others'
                new TileBackwardCase(1, 1, 150, 150, 17, 17, true, 1, 1, 0, 0, 1e-3f, 1e-4, 3e-4, TOLERANCE),
                new TileBackwardCase(1, 1, 17, 70, 64, 128, true, 1, 1, 0, 0, 1, 3e-5, 3e-5, TOLERANCE),
                new TileBackwardCase(2, 2, 17, 70, 96, 72, true, 1, 1, 0, 0, 1, 3e-5, 1e-4, TOLERANCE),
                new TileBackwardCase(1, 1, 17, 70, 128, 20, false, 1, 1, 0, 0, 1, 3e-5, 3e-5, TOLERANCE),
                new TileBackwardCase(2, 2, 17, 33, 72, 96, true, 1, 1e-20f, 0, 0, 1, 3e-5, 1e-4, TOLERANCE),
                // keys shifted by 3, values by 10: dk is small beside its parts; 1.6e-4 on a GPU
                new TileBackwardCase(1, 1, 36, 20, 96, 128, true, 1, 1e15f, 3, 10, 1, 3e-4, 1e-4, TOLERANCE),
                new TileBackwardCase(1, 1, 36, 48, 128, 128, true, 20, 1, 0, 0, 0.1f, 3e-3, 1e-2, TOLERANCE),
                new TileBackwardCase(1, 1, 60, 60, 17, 72, true, 1, 1, 0, 0, 1e-3f, 2e-4, 3e-4, TOLERANCE));
    }

    @ParameterizedTest
    @MethodSource("cases")
    void agrees(TileBackwardCase problemCase) {
        SplitBackwardProblem problem = problemCase.splitProblem();
        problem.runOnJvm();
        problemCase.check(problem);
    }
}
