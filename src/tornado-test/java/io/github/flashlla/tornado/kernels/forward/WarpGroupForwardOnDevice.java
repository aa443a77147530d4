package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.kernels.tile.WarpGroupOnDevice;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import uk.ac.manchester.tornado.api.GridScheduler;

/** The tile kernels with products of four warps together, on a GPU against float64. */
class WarpGroupForwardOnDevice {
    private static BackendDevice device;

    @BeforeAll
    static void open() {
        device = WarpGroupOnDevice.openWithOperations();
    }

    @ParameterizedTest
    @MethodSource("io.github.flashlla.tornado.kernels.forward.TileCase#all")
    void agrees(TileCase problemCase) throws Exception {
        TileProblem problem = problemCase.problem().byWarpGroups();
        GridScheduler grids = new GridScheduler();
        WarpGroupOnDevice.execute(device, problem.graph("warpgroups", grids), grids);
        problemCase.check(problem);
    }
}
