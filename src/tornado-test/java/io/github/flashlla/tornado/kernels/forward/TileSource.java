package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.tornado.kernels.backward.SplitBackwardProblem;
import io.github.flashlla.tornado.kernels.backward.TileBackwardProblem;
import io.github.flashlla.tornado.kernels.decode.TileDecodeProblem;
import io.github.flashlla.tornado.kernels.tile.CudaC;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TileKernels;
import io.github.flashlla.tornado.kernels.tile.TileOperations;
import java.lang.reflect.Method;
import java.util.Optional;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.runtime.TornadoRuntimeProvider;

/**
 * Compiles kernels with every operation, or the tile kernels of a head dim and a value dim, behind a word those of backward, of float32, or of float32's backward,
 * behind {@code decode} those of so many heads and a head dim; its last line is {@code done}.
 */
public final class TileSource {
    /** In front of the text of each operation. */
    public static final String TEXT = "//// ";

    private TileSource() {}

    public static void main(String[] args) throws Exception {
        TornadoRuntimeProvider.getTornadoRuntime();
        Optional<String> why = TileOperations.unavailable("cuda:0");
        if (why.isPresent()) {
            System.out.println(why.get());
            System.out.flush();
            Runtime.getRuntime().halt(0);
        }
        GridScheduler grids = new GridScheduler();
        TaskGraph graph = args.length == 1 ? TileKernels.allOperations(grids)
                : args[0].equals("decode") ? TileDecodeProblem.kernels(Integer.parseInt(args[1]), Integer.parseInt(args[2]), grids)
                : args[0].equals("split") ? new SplitProblem(2, 1, 128, 128, Integer.parseInt(args[1]), Integer.parseInt(args[2]), true, 0.125f, 1e-3f, 64)
                        .graph("tile", grids)
                : args[0].equals("splitbackward") ? new SplitBackwardProblem(2, 1, 128, 128, Integer.parseInt(args[1]), Integer.parseInt(args[2]), true,
                        0.125f, 1e-3f, 64).graph("tile", grids)
                : args.length == 3 ? new TileBackwardProblem(2, 1, 128, 128, Integer.parseInt(args[1]), Integer.parseInt(args[2]), true, 0.125f, 1e-3f,
                        64).graph("tile", grids)
                : new TileProblem(2, 1, 128, 128, Integer.parseInt(args[0]), Integer.parseInt(args[1]), true, 0.125f, 1e-3f, 64)
                        .graph("tile", grids);
        try (TornadoExecutionPlan plan = new TornadoExecutionPlan(graph.snapshot())) {
            plan.withGridScheduler(grids).withPreCompilation();
        }
        for (Method method : args.length == 1 ? Tile.class.getDeclaredMethods() : new Method[0]) {
            if (method.isAnnotationPresent(CudaC.class)) {
                System.out.println(TEXT + method.getAnnotation(CudaC.class).value());
            }
        }
        System.out.println("done");
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }
}
