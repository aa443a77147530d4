package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.tornado.kernels.tile.TileOperations;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.runtime.TornadoRuntimeProvider;

/** Compiles the tile kernels of a head dim and a value dim on a device; its last line is {@code done}. */
public final class TileSource {
    private TileSource() {}

    public static void main(String[] args) throws Exception {
        TornadoRuntimeProvider.getTornadoRuntime();
        TileOperations.unavailable(0).ifPresent(why -> {
            throw new IllegalStateException(why);
        });
        TileProblem problem = new TileProblem(2, 1, 128, 128, Integer.parseInt(args[0]), Integer.parseInt(args[1]), true, 0.125f, 1e-3f, 64);
        GridScheduler grids = new GridScheduler();
        try (TornadoExecutionPlan plan = new TornadoExecutionPlan(problem.graph("tile", grids).snapshot())) {
            plan.withGridScheduler(grids).withPreCompilation();
        }
        System.out.println("done");
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }
}
