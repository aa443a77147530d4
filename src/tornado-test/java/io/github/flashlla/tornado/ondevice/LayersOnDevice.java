package io.github.flashlla.tornado.ondevice;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static uk.ac.manchester.tornado.api.enums.DataTransferMode.EVERY_EXECUTION;
import static uk.ac.manchester.tornado.api.enums.DataTransferMode.FIRST_EXECUTION;

import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.LlaDecodeTasks;
import io.github.flashlla.tornado.buffers.CacheArrays;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.support.TestDevice;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.ImmutableTaskGraph;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.enums.ProfilerMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** A stack of layers, a graph each: projection, attention over a cache of the caller's, projection, residual; decoded token by token. */
public class LayersOnDevice {
    private static final int LAYERS = 2;
    private static final int HEADS = 4;
    private static final int KV_HEADS = 2;
    private static final int DIM = 16;
    private static final int WIDTH = 24;
    private static final int TOKENS = 70;

    /** out[i] = sum_e x[e] w[e,i], one thread an element. */
    public static void project(KernelContext context, FloatArray x, FloatArray w, FloatArray out) {
        int i = context.globalIdx;
        if (i < out.getSize()) {
            float sum = 0;
            for (int e = 0; e < x.getSize(); e++) {
                sum += x.get(e) * w.get(e * out.getSize() + i);
            }
            out.set(i, sum);
        }
    }

    /** y[i] = x[i] + sum_n o[n] w[n,i]. */
    public static void residual(KernelContext context, FloatArray x, FloatArray o, FloatArray w, FloatArray y) {
        int i = context.globalIdx;
        if (i < y.getSize()) {
            float sum = x.get(i);
            for (int n = 0; n < o.getSize(); n++) {
                sum += o.get(n) * w.get(n * y.getSize() + i);
            }
            y.set(i, sum);
        }
    }

    @ParameterizedTest(name = "{0} cache")
    @CsvSource({"FLOAT32,1e-4", "FLOAT16,5e-3"})
    void decodesAsForwardDoes(DataType stored, double bar) throws Exception {
        Random random = new Random(17);
        KvCacheShape shape = new KvCacheShape(1, KV_HEADS, 96, DIM, DIM, stored);
        FloatArray[] x = new FloatArray[LAYERS + 1]; // of one token, before each layer and after the last
        float[][][] weights = new float[LAYERS][4][];
        for (int layer = 0; layer <= LAYERS; layer++) {
            x[layer] = new FloatArray(WIDTH);
        }
        IntArray positions = new IntArray(1);
        GridScheduler grids = new GridScheduler();
        ImmutableTaskGraph[] graphs = new ImmutableTaskGraph[LAYERS];
        LlaDecodeTasks[] lla = new LlaDecodeTasks[LAYERS];
        for (int layer = 0; layer < LAYERS; layer++) {
            int[] columns = {HEADS * DIM, KV_HEADS * DIM, KV_HEADS * DIM};
            FloatArray[] w = new FloatArray[4];
            for (int n = 0; n < 4; n++) {
                int rows = n < 3 ? WIDTH : HEADS * DIM;
                weights[layer][n] = new float[rows * (n < 3 ? columns[n] : WIDTH)];
                for (int i = 0; i < weights[layer][n].length; i++) {
                    weights[layer][n][i] = (float) (random.nextGaussian() / Math.sqrt(rows));
                }
                w[n] = FloatArray.fromArray(weights[layer][n]);
            }
            FloatArray q = new FloatArray(columns[0]);
            FloatArray k = new FloatArray(columns[1]);
            FloatArray v = new FloatArray(columns[2]);
            FloatArray o = new FloatArray(HEADS * DIM);
            CacheArrays cache = LlaDecodeTasks.cache(TestDevice.NAME, shape);
            lla[layer] = LlaDecodeTasks.of(TestDevice.NAME, shape, HEADS, LlaOptions.defaults(), q, k, v, positions, cache, o);
            TaskGraph graph = new TaskGraph("layer" + stored + layer).transferToDevice(FIRST_EXECUTION, w[0], w[1], w[2], w[3], q, k, v, o)
                    .transferToDevice(EVERY_EXECUTION, x[layer], positions);
            TaskAppender appender = new TaskAppender(io.github.flashlla.tornado.device.BackendDevices.open(TestDevice.NAME), graph, grids);
            FloatArray in = x[layer];
            FloatArray out = x[layer + 1];
            FloatArray[] projected = {q, k, v};
            for (int n = 0; n < 3; n++) {
                String name = "project" + n;
                FloatArray weight = w[n];
                FloatArray to = projected[n];
                appender.task(name, TaskAppender.groups(1, 64), built -> built.task(name, LayersOnDevice::project, new KernelContext(), in, weight, to));
            }
            lla[layer].appendTo(graph, grids);
            appender.task("residual", TaskAppender.groups(1, 64), built -> built.task("residual", LayersOnDevice::residual, new KernelContext(), in, o,
                    w[3], out));
            graphs[layer] = graph.transferToHost(EVERY_EXECUTION, out).snapshot();
        }
        float[][] tokens = new float[TOKENS][WIDTH];
        Tensor expected = expected(tokens, random, weights);
        try (TornadoExecutionPlan plan = lla[0].configure(new TornadoExecutionPlan(graphs)).withGridScheduler(grids).withProfiler(ProfilerMode.SILENT)) {
            for (int token = 0; token < TOKENS; token++) {
                x[0].getSegment().copyFrom(java.lang.foreign.MemorySegment.ofArray(tokens[token]));
                positions.set(0, token);
                for (int layer = 0; layer < LAYERS; layer++) {
                    x[layer + 1].init(Float.NaN);
                    TornadoExecutionResult result = plan.withGraph(layer).execute();
                    assertTrue(token == 0 || result.getProfilerResult().getCompileTime() == 0, "token " + token + " is compiled anew");
                    lla[layer].check(result);
                    assertTrue(lla[layer].residual(3) < 1e-3);
                }
                double difference = 0;
                double size = 0;
                for (int e = 0; e < WIDTH; e++) {
                    double want = expected.get((long) token * WIDTH + e);
                    difference += Math.pow(x[LAYERS].get(e) - want, 2);
                    size += want * want;
                }
                double error = Math.sqrt(difference / size);
                assertTrue(error <= bar, "token " + token + " is off by " + error);
            }
        }
    }

    /** The stack in float64, all positions of a layer at once; fills {@code tokens}. */
    private static Tensor expected(float[][] tokens, Random random, float[][][] weights) {
        Tensor x = Tensor.allocate(DataType.FLOAT64, TOKENS, WIDTH);
        for (int token = 0; token < TOKENS; token++) {
            for (int e = 0; e < WIDTH; e++) {
                tokens[token][e] = (float) random.nextGaussian();
                x.set((long) token * WIDTH + e, tokens[token][e]);
            }
        }
        for (float[][] w : weights) {
            Tensor q = product(x, w[0]).reshape(1, TOKENS, HEADS, DIM).permute(0, 2, 1, 3);
            Tensor k = product(x, w[1]).reshape(1, TOKENS, KV_HEADS, DIM).permute(0, 2, 1, 3);
            Tensor v = product(x, w[2]).reshape(1, TOKENS, KV_HEADS, DIM).permute(0, 2, 1, 3);
            Tensor o = TestDevice.expected(LlaInputs.of(q, k, v), LlaOptions.defaults()).permute(0, 2, 1, 3).copy().reshape(TOKENS, HEADS * DIM);
            Tensor y = product(o, w[3]);
            for (long i = 0; i < y.size(); i++) {
                y.set(i, y.get(i) + x.get(i));
            }
            x = y;
        }
        return x;
    }

    private static Tensor product(Tensor x, float[] w) {
        int width = (int) x.dim(1);
        int columns = w.length / width;
        Tensor out = Tensor.allocate(DataType.FLOAT64, x.dim(0), columns);
        for (long i = 0; i < out.size(); i++) {
            double sum = 0;
            for (int e = 0; e < width; e++) {
                sum += x.get(i / columns * width + e) * w[(int) (e * columns + i % columns)];
            }
            out.set(i, sum);
        }
        return out;
    }

    @Test
    void refusesWrongArraysBeforeAnythingIsCompiled() {
        KvCacheShape shape = new KvCacheShape(1, 1, 40, 8, 8, DataType.FLOAT32);
        CacheArrays cache = LlaDecodeTasks.cache(TestDevice.NAME, shape);
        FloatArray q = new FloatArray(8);
        FloatArray k = new FloatArray(8);
        FloatArray v = new FloatArray(8);
        FloatArray o = new FloatArray(8);
        IntArray positions = new IntArray(1);
        LlaOptions options = LlaOptions.defaults();
        String sizes = assertThrows(InvalidInputException.class,
                () -> LlaDecodeTasks.of(TestDevice.NAME, shape, 2, options, q, k, v, positions, cache, o)).getMessage();
        assertEquals("q has 8 elements, but the shape needs 16", sizes);
        assertTrue(assertThrows(InvalidInputException.class, () -> LlaDecodeTasks.of(TestDevice.NAME, shape, 1, options.withWindow(4), q, k, v,
                positions, cache, o)).getMessage().contains("no kernels for a window"));
        CacheArrays other = LlaDecodeTasks.cache(TestDevice.NAME, new KvCacheShape(1, 1, 80, 8, 8, DataType.FLOAT32));
        assertTrue(assertThrows(InvalidInputException.class, () -> LlaDecodeTasks.of(TestDevice.NAME, shape, 1, options, q, k, v, positions, other, o))
                .getMessage().contains("the cache's rows"));
    }
}
