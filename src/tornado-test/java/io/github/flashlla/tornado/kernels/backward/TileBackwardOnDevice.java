package io.github.flashlla.tornado.kernels.backward;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import io.github.flashlla.tornado.kernels.tile.TileOnDevice;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;

/** The backward tile kernels on a GPU against float64; a second run gives the same bits. */
class TileBackwardOnDevice {
    @BeforeAll
    static void assumeOperations() {
        TileOnDevice.assumeOperations();
    }

    @ParameterizedTest
    @MethodSource("io.github.flashlla.tornado.kernels.backward.TileBackwardCase#all")
    void agrees(TileBackwardCase problemCase) throws Exception {
        assertTwiceTheSame(problemCase, problemCase.problem());
    }

    /** Runs a problem twice, and holds it against float64 and against itself. */
    static void assertTwiceTheSame(TileBackwardCase problemCase, TileBackwardProblem problem) throws Exception {
        GridScheduler grids = new GridScheduler();
        try (TornadoExecutionPlan plan = new TornadoExecutionPlan(problem.graph("tile", grids).snapshot())) {
            plan.withGridScheduler(grids).execute();
            problemCase.check(problem);
            float[] dq = problem.dq.toHeapArray();
            float[] dk = problem.dk.toHeapArray();
            float[] dv = problem.dv.toHeapArray();
            problem.dq.init(Float.NaN);
            problem.dk.init(Float.NaN);
            problem.dv.init(Float.NaN);
            plan.execute();
            assertArrayEquals(dq, problem.dq.toHeapArray());
            assertArrayEquals(dk, problem.dk.toHeapArray());
            assertArrayEquals(dv, problem.dv.toHeapArray());
        }
    }
}
