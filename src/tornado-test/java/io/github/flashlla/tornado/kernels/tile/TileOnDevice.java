package io.github.flashlla.tornado.kernels.tile;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Optional;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.runtime.TornadoRuntimeProvider;

/**
 * The operations on a GPU, against what their Java bodies are held to by {@link TileOnJvm}: not in one JVM with these, since TornadoVM
 * then no longer compiles calls of a {@code KernelContext} as its own.
 */
public class TileOnDevice implements TileChecks {
    private static final TileKernels RUN = new TileKernels();

    @BeforeAll
    static void run() throws Exception {
        assumeOperations();
        GridScheduler grids = new GridScheduler();
        try (TornadoExecutionPlan plan = new TornadoExecutionPlan(RUN.graph("operations", grids).snapshot())) {
            plan.withGridScheduler(grids).execute();
        }
    }

    /** Skips the test where the device under test is not one of CUDA's. */
    public static void assumeOperations() {
        String device = System.getProperty("flashlla.test.device", "");
        Assumptions.assumeTrue(device.startsWith("cuda:"), "the operations are CUDA's");
        TornadoRuntimeProvider.getTornadoRuntime();
        assertEquals(Optional.empty(), TileOperations.unavailable(device));
    }

    @Override
    public TileKernels kernels() {
        return RUN;
    }
}
