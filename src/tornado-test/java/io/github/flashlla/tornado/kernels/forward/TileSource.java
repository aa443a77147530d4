package io.github.flashlla.tornado.kernels.forward;

import io.github.flashlla.tornado.kernels.backward.SplitBackwardProblem;
import io.github.flashlla.tornado.kernels.backward.TileBackwardProblem;
import io.github.flashlla.tornado.kernels.decode.TileDecodeProblem;
import io.github.flashlla.tornado.kernels.tile.CudaC;
import io.github.flashlla.tornado.kernels.tile.Tile;
import io.github.flashlla.tornado.kernels.tile.TileKernels;
import io.github.flashlla.tornado.kernels.tile.TileOperations;
import io.github.flashlla.tornado.kernels.tile.WarpGroup;
import io.github.flashlla.tornado.kernels.tile.WarpGroupKernels;
import java.lang.reflect.Method;
import java.util.Map;
import java.util.Optional;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.runtime.TornadoRuntimeProvider;

/**
 * Compiles tile kernels and has TornadoVM print their source: of each argument in turn, behind a line that names it. The last line is {@code done}.
 */
public final class TileSource {
    /** In front of the text of each operation. */
    public static final String TEXT = "//// ";
    /** In front of an argument whose kernels follow. */
    public static final String KERNELS = "//// kernels of ";
    /** The argument for kernels that have every operation, and for the operations' texts behind them. */
    public static final String OPERATIONS = "operations";
    /** The same of the operations of four warps. */
    public static final String WARP_GROUP = "warpgroup";

    private TileSource() {}

    /**
     * @param args {@link #OPERATIONS} or {@link #WARP_GROUP}; {@code forward:D:Dv}, {@code warp_group:D:Dv}, {@code backward:D:Dv}, {@code split:D:Dv} or
     *         {@code splitbackward:D:Dv} (float32), the kernels of a pass for a head dim and a value dim; {@code decode:H:D}, {@code covariance:H:D} or
     *         {@code preconditioned:H:D}, those of decoding for so many heads that share keys
     */
    public static void main(String[] args) throws Exception {
        TornadoRuntimeProvider.getTornadoRuntime();
        Optional<String> why = TileOperations.unavailable("cuda:0");
        if (why.isPresent()) {
            System.out.println(why.get());
            System.out.flush();
            Runtime.getRuntime().halt(0);
        }
        for (String arg : args) {
            System.out.println(KERNELS + arg);
            GridScheduler grids = new GridScheduler();
            try (TornadoExecutionPlan plan = new TornadoExecutionPlan(graph(arg.split(":"), grids).snapshot())) {
                plan.withGridScheduler(grids).withPreCompilation();
            }
            Class<?> operations = Map.of(OPERATIONS, Tile.class, WARP_GROUP, WarpGroup.class).get(arg);
            for (Method method : operations == null ? new Method[0] : operations.getDeclaredMethods()) {
                if (method.isAnnotationPresent(CudaC.class)) {
                    System.out.println(TEXT + method.getAnnotation(CudaC.class).value());
                }
            }
        }
        System.out.println("done");
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static TaskGraph graph(String[] words, GridScheduler grids) {
        if (words[0].equals(OPERATIONS)) {
            return TileKernels.allOperations(grids);
        }
        if (words[0].equals(WARP_GROUP)) {
            return WarpGroupKernels.allOperations(grids);
        }
        int first = Integer.parseInt(words[1]);
        int second = Integer.parseInt(words[2]);
        return switch (words[0]) {
            case "forward" -> new TileProblem(2, 1, 128, 128, first, second, true, 0.125f, 1e-3f, 64).graph("tile", grids);
            case "warp_group" -> new TileProblem(2, 1, 128, 128, first, second, true, 0.125f, 1e-3f, 64).byWarpGroups().graph("tile", grids);
            case "split" -> new SplitProblem(2, 1, 128, 128, first, second, true, 0.125f, 1e-3f, 64).graph("tile", grids);
            case "backward" -> new TileBackwardProblem(2, 1, 128, 128, first, second, true, 0.125f, 1e-3f, 64).graph("tile", grids);
            case "splitbackward" -> new SplitBackwardProblem(2, 1, 128, 128, first, second, true, 0.125f, 1e-3f, 64).graph("tile", grids);
            case "decode" -> TileDecodeProblem.kernels(first, second, grids);
            case "preconditioned" -> TileDecodeProblem.preconditionedKernels(first, second, grids);
            case "covariance" -> TileDecodeProblem.covarianceKernels(first, second, grids);
            default -> throw new IllegalArgumentException(words[0]);
        };
    }
}
