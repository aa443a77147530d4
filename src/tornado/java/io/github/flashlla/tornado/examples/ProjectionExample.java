package io.github.flashlla.tornado.examples;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.LlaTasks;
import java.util.Arrays;
import java.util.Locale;
import java.util.Random;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.WorkerGrid1D;
import uk.ac.manchester.tornado.api.annotations.Parallel;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.exceptions.TornadoExecutionPlanException;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * An attention layer as one task graph: tokens are projected to q, k and v, Local Linear Attention computes o, and o is
 * projected back. Weights, q, k, v and o stay on the device; tokens go in and y comes out.
 *
 * <pre>
 *   tokens (S,E) --project--> q (1,H,S,D), k and v (1,Hkv,S,D) --lla_*--> o (1,H,S,D) --unproject--> y (S,E)
 * </pre>
 *
 * Run it with {@code bin/flashlla flags opencl:0 > opencl.args; java @opencl.args -cp 'target/flashlla.jar:target/lib/*'
 * io.github.flashlla.tornado.examples.ProjectionExample opencl:0}.
 */
public final class ProjectionExample implements AutoCloseable {
    private static final int THREADS = 64;

    private final AttentionShape shape;
    private final int width;
    private final FloatArray tokens;
    private final FloatArray y;
    private final LlaTasks lla;
    private final TornadoExecutionPlan plan;

    /**
     * @param shape of the attention, with batch 1 and as many queries as keys
     * @param width E, length of a token's vector
     * @param weights of q (E,H D), k (E,Hkv D), v (E,Hkv Dv) and of the output (H Dv,E)
     */
    public ProjectionExample(String device, AttentionShape shape, LlaOptions options, int width, float[][] weights) {
        this.shape = shape;
        this.width = width;
        int s = shape.queryLength();
        tokens = new FloatArray(s * width);
        y = new FloatArray(s * width);
        FloatArray wq = FloatArray.fromArray(weights[0]);
        FloatArray wk = FloatArray.fromArray(weights[1]);
        FloatArray wv = FloatArray.fromArray(weights[2]);
        FloatArray wo = FloatArray.fromArray(weights[3]);
        FloatArray q = new FloatArray(shape.heads() * s * shape.headDim());
        FloatArray k = new FloatArray(shape.kvHeads() * s * shape.headDim());
        FloatArray v = new FloatArray(shape.kvHeads() * s * shape.valueDim());
        FloatArray o = new FloatArray(shape.heads() * s * shape.valueDim());

        lla = LlaTasks.of(device, shape, options, q, k, v, null, o);
        GridScheduler grids = new GridScheduler();
        TaskGraph graph = new TaskGraph("attention")
                .transferToDevice(DataTransferMode.FIRST_EXECUTION, wq, wk, wv, wo, q, k, v, o)
                .transferToDevice(DataTransferMode.EVERY_EXECUTION, tokens)
                .task("q", ProjectionExample::project, new KernelContext(), tokens, wq, q, s, width, shape.headDim())
                .task("k", ProjectionExample::project, new KernelContext(), tokens, wk, k, s, width, shape.headDim())
                .task("v", ProjectionExample::project, new KernelContext(), tokens, wv, v, s, width, shape.valueDim());
        grids.addWorkerGrid("attention.q", onePerElement(q));
        grids.addWorkerGrid("attention.k", onePerElement(k));
        grids.addWorkerGrid("attention.v", onePerElement(v));
        lla.appendTo(graph, grids);
        graph.task("y", ProjectionExample::unproject, o, wo, y, s, width, shape.heads(), shape.valueDim())
                .transferToHost(DataTransferMode.EVERY_EXECUTION, y);
        plan = lla.configure(new TornadoExecutionPlan(graph.snapshot())).withGridScheduler(grids);
    }

    /** Projections of tokens (S,E) by weights (E,heads D) to out (heads,S,D), one thread an element. */
    public static void project(KernelContext ctx, FloatArray tokens, FloatArray weights, FloatArray out, int S, int E, int D) {
        int n = ctx.globalIdx;
        if (n < out.getSize()) {
            int columns = out.getSize() / S;
            int head = n / (S * D);
            int row = n / D % S;
            int column = head * D + n % D;
            float sum = 0f;
            for (int e = 0; e < E; e++) {
                sum += tokens.get(row * E + e) * weights.get(e * columns + column);
            }
            out.set(n, sum);
        }
    }

    /** y (S,E) = o (H,S,D), heads side by side, times weights (H D,E). */
    public static void unproject(FloatArray o, FloatArray weights, FloatArray y, int S, int E, int H, int D) {
        for (@Parallel int row = 0; row < S; row++) {
            for (@Parallel int e = 0; e < E; e++) {
                float sum = 0f;
                for (int head = 0; head < H; head++) {
                    for (int d = 0; d < D; d++) {
                        sum += o.get((head * S + row) * D + d) * weights.get((head * D + d) * E + e);
                    }
                }
                y.set(row * E + e, sum);
            }
        }
    }

    /**
     * One pass of the layer.
     *
     * @param vectors tokens (S,E)
     * @return y (S,E)
     */
    public float[] run(float[] vectors) {
        for (int n = 0; n < vectors.length; n++) {
            tokens.set(n, vectors[n]);
        }
        TornadoExecutionResult result = plan.execute();
        lla.check(result);
        return y.toHeapArray();
    }

    /** Iterations of the query that took most in the last run. */
    public int iterations() {
        return Arrays.stream(lla.iterations()).max().orElse(0);
    }

    /** Frees the device's memory. */
    @Override
    public void close() {
        try {
            plan.close();
        } catch (TornadoExecutionPlanException e) {
            throw new IllegalStateException(e);
        }
    }

    private static WorkerGrid1D onePerElement(FloatArray out) {
        WorkerGrid1D grid = new WorkerGrid1D(Math.ceilDiv(out.getSize(), THREADS) * THREADS);
        grid.setLocalWork(THREADS, 1, 1);
        return grid;
    }

    /** Weights that keep the size of what they multiply, from a normal distribution. */
    public static float[][] weights(AttentionShape shape, int width, long seed) {
        Random random = new Random(seed);
        int[][] sizes = {{width, shape.heads() * shape.headDim()}, {width, shape.kvHeads() * shape.headDim()},
            {width, shape.kvHeads() * shape.valueDim()}, {shape.heads() * shape.valueDim(), width}};
        float[][] weights = new float[sizes.length][];
        for (int n = 0; n < sizes.length; n++) {
            weights[n] = new float[sizes[n][0] * sizes[n][1]];
            for (int i = 0; i < weights[n].length; i++) {
                weights[n][i] = (float) (random.nextGaussian() / Math.sqrt(sizes[n][0]));
            }
        }
        return weights;
    }

    /** @param args a device's name; opencl:0 where there is none */
    public static void main(String[] args) {
        AttentionShape shape = new AttentionShape(1, 4, 2, 512, 512, 64, 64);
        int width = 256;
        float[] tokens = new float[shape.queryLength() * width];
        Random random = new Random(1);
        for (int n = 0; n < tokens.length; n++) {
            tokens[n] = (float) random.nextGaussian();
        }
        String device = args.length == 0 ? "opencl:0" : args[0];
        try (ProjectionExample layer = new ProjectionExample(device, shape, LlaOptions.defaults(), width,
                weights(shape, width, 2))) {
            for (int run = 1; run <= 3; run++) {
                long start = System.nanoTime();
                float[] y = layer.run(tokens);
                double square = 0;
                for (float value : y) {
                    square += value * value;
                }
                System.out.printf(Locale.ROOT, "run %d on %s: %.1f ms, at most %d iterations, root mean square of y %.4f%n", run,
                        device, (System.nanoTime() - start) / 1e6, layer.iterations(), Math.sqrt(square / y.length));
            }
        }
    }
}
