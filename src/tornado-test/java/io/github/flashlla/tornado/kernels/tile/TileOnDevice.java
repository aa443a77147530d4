package io.github.flashlla.tornado.kernels.tile;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Optional;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.runtime.TornadoRuntimeProvider;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** The operations on a GPU against their Java bodies. */
public class TileOnDevice {
    private static final TileKernels EXPECTED = new TileKernels();
    private static final TileKernels FOUND = new TileKernels();

    @BeforeAll
    static void run() throws Exception {
        assumeOperations();
        EXPECTED.runOnJvm();
        GridScheduler grids = new GridScheduler();
        try (TornadoExecutionPlan plan = new TornadoExecutionPlan(FOUND.graph("operations", grids).snapshot())) {
            plan.withGridScheduler(grids).execute();
        }
    }

    /** Skips the test where the device under test is not one of CUDA's. */
    public static void assumeOperations() {
        String device = System.getProperty("flashlla.test.device", "");
        Assumptions.assumeTrue(device.startsWith("cuda:"), "the operations are CUDA's");
        TornadoRuntimeProvider.getTornadoRuntime();
        assertEquals(Optional.empty(), TileOperations.unavailable(Integer.parseInt(device.substring("cuda:".length()))));
    }

    @Test
    void scalars() {
        assertNear(EXPECTED.scalars, FOUND.scalars, 1e-5f);
    }

    @Test
    void together() {
        assertNear(EXPECTED.together, FOUND.together, 0f);
    }

    @Test
    void products() {
        assertNear(EXPECTED.products, FOUND.products, 1e-5f);
    }

    @Test
    void pairs() {
        assertNear(EXPECTED.pairs, FOUND.pairs, 0f);
        for (int i = 0; i < EXPECTED.written.getSize(); i++) {
            assertEquals(EXPECTED.written.get(i).getFloat32(), FOUND.written.get(i).getFloat32(), "half " + i);
        }
    }

    private static void assertNear(FloatArray expected, FloatArray found, float relative) {
        for (int i = 0; i < expected.getSize(); i++) {
            assertEquals(expected.get(i), found.get(i), relative * Math.max(1f, Math.abs(expected.get(i))), "element " + i);
        }
    }
}
