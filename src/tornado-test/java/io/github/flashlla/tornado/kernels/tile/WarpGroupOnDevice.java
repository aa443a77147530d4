package io.github.flashlla.tornado.kernels.tile;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.support.TestDevice;
import java.util.Optional;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;

/** {@link WarpGroup}'s operations on a GPU that has them, compiled as plans compile them. */
public class WarpGroupOnDevice {
    private static final WarpGroupKernels RUN = new WarpGroupKernels();
    private final WarpGroupChecks checks = new WarpGroupChecks(RUN);

    @BeforeAll
    static void run() throws Exception {
        BackendDevice device = BackendDevices.open(TestDevice.NAME);
        Assumptions.assumeTrue(device.info().has(DeviceInfo.Trait.WARP_GROUPS), "the device has no matrix units for four warps together");
        assertEquals(Optional.empty(), TileOperations.warpGroupsUnavailable(device.info()));
        GridScheduler grids = new GridScheduler();
        TornadoExecutionPlan plan = device.building(() -> device.configureShared(new TornadoExecutionPlan(RUN.graph("warpgroup", grids).snapshot())))
                .withGridScheduler(grids);
        device.compiling(plan::withPreCompilation);
        device.inTurn(plan::execute);
        device.inTurn(() -> {
            plan.close();
            return null;
        });
    }

    @Test
    void scores() {
        checks.scores();
    }

    @Test
    void localRows() {
        checks.localRows();
    }

    @Test
    void sums() {
        checks.sums();
    }
}
