package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.tornado.kernels.tile.TileOnDevice;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;

/** The kernels of float32 by three products on a GPU against float64. */
class SplitForwardOnDevice {
    @BeforeAll
    static void assumeOperations() {
        TileOnDevice.assumeOperations();
    }

    @ParameterizedTest
    @MethodSource("io.github.flashlla.tornado.kernels.forward.SplitForwardOnJvm#cases")
    void agrees(TileCase problemCase) throws Exception {
        SplitProblem problem = problemCase.splitProblem();
        GridScheduler grids = new GridScheduler();
        try (TornadoExecutionPlan plan = new TornadoExecutionPlan(problem.graph("split", grids).snapshot())) {
            plan.withGridScheduler(grids).execute();
        }
        problemCase.check(problem);
    }
}
