package io.github.flashlla.tornado.kernels.tile;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.support.TestDevice;
import java.util.Optional;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;

/** {@link WarpGroup}'s operations on a GPU that has them, compiled as plans compile them. */
public class WarpGroupOnDevice implements WarpGroupChecks {
    private static final WarpGroupKernels RUN = new WarpGroupKernels();

    @BeforeAll
    static void run() throws Exception {
        GridScheduler grids = new GridScheduler();
        execute(openWithOperations(), RUN.graph("warpgroup", grids), grids);
    }

    /** The device under test; skips the test where it has no matrix units for four warps together. */
    public static BackendDevice openWithOperations() {
        BackendDevice device = BackendDevices.open(TestDevice.NAME);
        Assumptions.assumeTrue(device.info().has(DeviceInfo.Trait.WARP_GROUPS), "the device has no matrix units for four warps together");
        assertEquals(Optional.empty(), TileOperations.warpGroupsUnavailable(device.info()));
        return device;
    }

    /** Runs tasks once, compiled as plans compile them: a bare plan has no {@code sm_90a}. */
    public static void execute(BackendDevice device, TaskGraph graph, GridScheduler grids) throws Exception {
        TornadoExecutionPlan plan = device.building(() -> device.configureShared(new TornadoExecutionPlan(graph.snapshot()))).withGridScheduler(grids);
        device.compiling(plan::withPreCompilation);
        device.inTurn(plan::execute);
        device.inTurn(() -> {
            plan.close();
            return null;
        });
    }

    @Override
    public WarpGroupKernels kernels() {
        return RUN;
    }
}
