package io.github.flashlla.tornado.ondevice;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static uk.ac.manchester.tornado.api.enums.DataTransferMode.EVERY_EXECUTION;
import static uk.ac.manchester.tornado.api.enums.DataTransferMode.FIRST_EXECUTION;

import io.github.flashlla.DataType;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.LlaCache;
import io.github.flashlla.tornado.LlaDecodeTasks;
import io.github.flashlla.tornado.LlaPrefillTasks;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.support.DeviceBuffers;
import io.github.flashlla.tornado.support.TestDevice;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.Random;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.ImmutableTaskGraph;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.enums.ProfilerMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * A small transformer: layers of projection, attention over a cache, projection and residual. Prompts go through a graph for each layer
 * in chunks, then all sequences are decoded together, token by token, through another one.
 *
 * @param prompts tokens of each sequence's prompt
 * @param steps tokens that each sequence is decoded by
 * @param pageSize 0 for a cache without pages
 * @param window tokens that a query sees, 0 for all; pages in front of it go to whoever needs one next
 */
record LayerStack(int layers, int heads, int kvHeads, int dim, int width, int[] prompts, int chunk, int steps, int pageSize, int window) {

    LlaOptions options() {
        return LlaOptions.defaults().withWindow(window);
    }

    LayerStack withWindow(int newWindow) {
        return new LayerStack(layers, heads, kvHeads, dim, width, prompts, chunk, steps, pageSize, newWindow);
    }

    /** out (rows,columns) = x (rows,width) w (width,columns), one thread an element. */
    public static void project(KernelContext context, FloatArray x, FloatArray w, FloatArray out, int width, int columns) {
        int i = context.globalIdx;
        if (i < out.getSize()) {
            float sum = 0;
            for (int e = 0; e < width; e++) {
                sum += x.get(i / columns * width + e) * w.get(e * columns + i % columns);
            }
            out.set(i, sum);
        }
    }

    /** y (rows,width) = x + o (rows,columns) w (columns,width). */
    public static void residual(KernelContext context, FloatArray x, FloatArray o, FloatArray w, FloatArray y, int width, int columns) {
        int i = context.globalIdx;
        if (i < y.getSize()) {
            float sum = x.get(i);
            for (int n = 0; n < columns; n++) {
                sum += o.get(i / width * columns + n) * w.get(n * width + i % width);
            }
            y.set(i, sum);
        }
    }

    /** Inputs and weights, the same for the same sizes: tokens (B, prompt + steps, width), weights of each layer for q, k, v and o. */
    record Model(float[][] tokens, float[][][] weights) {}

    Model model() {
        Random random = new Random(17);
        float[][] tokens = new float[prompts.length][];
        for (int b = 0; b < prompts.length; b++) {
            tokens[b] = gaussian(random, (prompts[b] + steps) * width, 1);
        }
        float[][][] weights = new float[layers][4][];
        for (float[][] layer : weights) {
            for (int n = 0; n < 4; n++) {
                layer[n] = gaussian(random, width * columns(n), 1 / Math.sqrt(n < 3 ? width : columns(3)));
            }
        }
        return new Model(tokens, weights);
    }

    private int columns(int n) {
        return (n % 3 == 0 ? heads : kvHeads) * dim;
    }

    private static float[] gaussian(Random random, int n, double scale) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) (random.nextGaussian() * scale);
        }
        return values;
    }

    /** What a run gives: y of every token of each sequence, and how many graphs were compiled before or during a run. */
    record Outcome(float[][] y, int compiled, int runs) {

        /** The largest error of a position, relative to what the layers add to the input. */
        double error(LayerStack stack, Model model, Tensor[] expected) {
            double worst = 0;
            for (int b = 0; b < y.length; b++) {
                for (int token = 0; token < y[b].length / stack.width; token++) {
                    double difference = 0;
                    double size = 0;
                    for (int i = token * stack.width; i < (token + 1) * stack.width; i++) {
                        difference += Math.pow(y[b][i] - expected[b].get(i), 2);
                        size += Math.pow(expected[b].get(i) - model.tokens()[b][i], 2);
                    }
                    double error = Math.sqrt(difference / size);
                    assertTrue(error <= Double.MAX_VALUE, "token " + token + " of sequence " + b + " is not a number");
                    worst = Math.max(worst, error);
                }
            }
            return worst;
        }
    }

    /** The arrays of one layer's graph. */
    private record Arrays4(FloatArray q, FloatArray k, FloatArray v, FloatArray o) {}

    /** @param order of the pool's pages, as sequences take them */
    Outcome run(Model model, DataType stored, int[] order) throws Exception {
        int batch = prompts.length;
        int capacity = Arrays.stream(prompts).max().orElseThrow() + steps;
        KvCacheShape shape = new KvCacheShape(batch, kvHeads, capacity, dim, dim, stored);
        IntArray table = pageSize == 0 ? null : LlaCache.table(shape, pageSize);
        LlaCache[] caches = new LlaCache[layers];
        for (int layer = 0; layer < layers; layer++) {
            caches[layer] = pageSize == 0 ? LlaCache.of(TestDevice.NAME, shape)
                    : LlaCache.paged(TestDevice.NAME, shape, pageSize, order.length, table);
        }
        BackendDevice device = BackendDevices.open(TestDevice.NAME);
        int before = DeviceBuffers.used(device);
        GridScheduler grids = new GridScheduler();
        IntArray positions = new IntArray(batch);
        FloatArray[][] x = new FloatArray[2][layers + 1]; // chunk, token: before each layer, and after the last
        LlaPrefillTasks[] prefill = new LlaPrefillTasks[layers];
        LlaDecodeTasks[] decode = new LlaDecodeTasks[layers];
        ImmutableTaskGraph[] graphs = new ImmutableTaskGraph[2 * layers];
        for (int way = 0; way < 2; way++) {
            for (int layer = 0; layer <= layers; layer++) {
                x[way][layer] = new FloatArray((way == 0 ? chunk : batch) * width);
            }
        }
        for (int g = 0; g < graphs.length; g++) {
            int way = g / layers;
            int layer = g % layers;
            int rows = way == 0 ? chunk : batch;
            FloatArray in = x[way][layer];
            FloatArray out = x[way][layer + 1];
            Arrays4 a = new Arrays4(new FloatArray(rows * columns(0)), new FloatArray(rows * columns(1)), new FloatArray(rows * columns(2)),
                    new FloatArray(rows * columns(0)));
            FloatArray[] w = Arrays.stream(model.weights()[layer]).map(FloatArray::fromArray).toArray(FloatArray[]::new);
            TaskGraph graph = new TaskGraph((way == 0 ? "prefill" : "decode") + layer).transferToDevice(FIRST_EXECUTION, (Object[]) w)
                    .transferToDevice(FIRST_EXECUTION, a.q, a.k, a.v, a.o).transferToDevice(EVERY_EXECUTION, in);
            // the graph before hands on the caches that there are
            Object[] given = arrays(caches, g < layers ? layer : layers);
            Object[] behind = arrays(caches, Math.min(g + 1, layers));
            if (given.length > 0) {
                graph.consumeFromDevice(given);
            }
            TaskAppender appender = new TaskAppender(device, graph, grids);
            FloatArray[] projected = {a.q, a.k, a.v};
            for (int n = 0; n < 3; n++) {
                String name = "project" + n;
                FloatArray weight = w[n];
                FloatArray to = projected[n];
                int columns = columns(n);
                appender.task(name, TaskAppender.groups(Math.ceilDiv(to.getSize(), 64), 64), built -> built.task(name, LayerStack::project,
                        new KernelContext(), in, weight, to, width, columns));
            }
            if (way == 0) {
                prefill[layer] = LlaPrefillTasks.of(TestDevice.NAME, caches[layer], heads, chunk, options(), a.q, a.k, a.v, a.o);
                prefill[layer].appendTo(graph, grids);
            } else {
                graph.transferToDevice(EVERY_EXECUTION, positions);
                decode[layer] = LlaDecodeTasks.of(TestDevice.NAME, caches[layer], heads, options(), a.q, a.k, a.v, positions, a.o);
                decode[layer].append(graph, grids);
            }
            int columns = columns(3);
            appender.task("residual", TaskAppender.groups(Math.ceilDiv(out.getSize(), 64), 64), built -> built.task("residual",
                    LayerStack::residual, new KernelContext(), in, a.o, w[3], out, width, columns));
            graphs[g] = graph.transferToHost(EVERY_EXECUTION, out).persistOnDevice(behind).snapshot();
        }
        float[][] y = new float[batch][];
        int[] counts = new int[2];
        int perSequence = pageSize == 0 ? 0 : table.getSize() / batch;
        Deque<Integer> free = new ArrayDeque<>(); // the page freed last is taken first
        Arrays.stream(order == null ? new int[0] : order).forEach(free::addLast);
        try (TornadoExecutionPlan plan = device.configureShared(new TornadoExecutionPlan(graphs)).withGridScheduler(grids)
                .withProfiler(ProfilerMode.SILENT)) {
            for (int b = 0; b < batch; b++) {
                y[b] = new float[model.tokens()[b].length];
                for (int at = 0; at < prompts[b]; at += chunk) {
                    int tokens = Math.min(chunk, prompts[b] - at);
                    givePages(table, free, b * perSequence, at, at + tokens);
                    x[0][0].init(Float.NaN); // what no token fills must not matter
                    copy(model.tokens()[b], at, x[0][0], 0, tokens);
                    for (int layer = 0; layer < layers; layer++) {
                        prefill[layer].place(b, at, tokens);
                        TornadoExecutionResult result = execute(plan, layer, x[0][layer + 1], counts);
                        prefill[layer].check(result);
                        assertTrue(prefill[layer].residual(tokens - 1, heads - 1) <= 1e-4);
                    }
                    copyBack(x[0][layers], 0, y[b], at, tokens);
                }
            }
            for (int step = 0; step < steps; step++) {
                for (int b = 0; b < batch; b++) {
                    int at = prompts[b] + step;
                    givePages(table, free, b * perSequence, at, at + 1);
                    positions.set(b, at);
                    copy(model.tokens()[b], at, x[1][0], b, 1);
                }
                for (int layer = 0; layer < layers; layer++) {
                    TornadoExecutionResult result = execute(plan, layers + layer, x[1][layer + 1], counts);
                    decode[layer].check(result);
                    assertTrue(decode[layer].residual(heads - 1) < 1e-3);
                }
                for (int b = 0; b < batch; b++) {
                    copyBack(x[1][layers], b, y[b], prompts[b] + step, 1);
                }
            }
            if (batch > 1) { // a sequence that sits a step out gets o = 0, so that only the residual is left
                positions.set(0, -1);
                decode[0].check(execute(plan, layers, x[1][1], new int[2]));
                for (int e = 0; e < batch * width; e++) {
                    assertEquals(e < width, x[1][0].get(e) == x[1][1].get(e), "element " + e % width + " of sequence " + e / width);
                }
            }
            LlaCache.free(plan, graphs.length);
        }
        assertEquals(before, DeviceBuffers.used(device), "buffers that the plan left on the device");
        return new Outcome(y, counts[0], counts[1]);
    }

    /** Of the first layers. */
    private static Object[] arrays(LlaCache[] caches, int count) {
        return Arrays.stream(caches).limit(count).flatMap(cache -> Arrays.stream(cache.arrays())).toArray();
    }

    private static TornadoExecutionResult execute(TornadoExecutionPlan plan, int graph, FloatArray out, int[] counts) throws Exception {
        out.init(Float.NaN);
        TornadoExecutionResult result = BackendDevices.open(TestDevice.NAME).inTurn(() -> plan.withGraph(graph).execute());
        counts[0] += result.getProfilerResult().getCompileTime() > 0 ? 1 : 0;
        counts[1]++;
        return result;
    }

    /** Pages for a sequence's tokens as it comes to them; those in front of the window of token {@code at} are free again. */
    private void givePages(IntArray table, Deque<Integer> free, int first, int at, int tokens) {
        int past = window == 0 || table == null ? 0 : Math.max(0, at + 1 - window) / pageSize;
        for (int n = 0; n < past; n++) {
            if (table.get(first + n) >= 0) {
                free.push(table.get(first + n));
                table.set(first + n, -1);
            }
        }
        for (int n = past; table != null && n * pageSize < tokens; n++) {
            if (table.get(first + n) < 0) {
                table.set(first + n, free.pop());
            }
        }
    }

    private void copy(float[] tokens, int at, FloatArray to, int row, int rows) {
        MemorySegment.copy(MemorySegment.ofArray(tokens), (long) Float.BYTES * at * width, to.getSegment(), (long) Float.BYTES * row * width,
                (long) Float.BYTES * rows * width);
    }

    private void copyBack(FloatArray from, int row, float[] y, int at, int rows) {
        MemorySegment.copy(from.getSegment(), (long) Float.BYTES * row * width, MemorySegment.ofArray(y), (long) Float.BYTES * at * width,
                (long) Float.BYTES * rows * width);
    }

    /** Pages 0, 1, ... that all sequences need, and {@code spare} more. */
    int[] pages(int spare) {
        int pages = spare;
        for (int prompt : prompts) {
            pages += Math.ceilDiv(prompt + steps, pageSize);
        }
        int[] order = new int[pages];
        Arrays.setAll(order, n -> n);
        return order;
    }

    /** The same pages in another order. */
    static int[] shuffled(int[] order) {
        int[] other = order.clone();
        Random random = new Random(5);
        for (int n = other.length - 1; n > 0; n--) {
            int m = random.nextInt(n + 1);
            int page = other[n];
            other[n] = other[m];
            other[m] = page;
        }
        return other;
    }

    /** The stack in float64, all positions of a layer at once: (tokens, width) of each sequence. */
    Tensor[] expected(Model model) {
        Tensor[] y = new Tensor[prompts.length];
        for (int b = 0; b < y.length; b++) {
            int tokens = prompts[b] + steps;
            Tensor x = Tensor.allocate(DataType.FLOAT64, tokens, width);
            for (int i = 0; i < x.size(); i++) {
                x.set(i, model.tokens()[b][i]);
            }
            for (float[][] w : model.weights()) {
                Tensor q = product(x, w[0]).reshape(1, tokens, heads, dim).permute(0, 2, 1, 3);
                Tensor k = product(x, w[1]).reshape(1, tokens, kvHeads, dim).permute(0, 2, 1, 3);
                Tensor v = product(x, w[2]).reshape(1, tokens, kvHeads, dim).permute(0, 2, 1, 3);
                Tensor o = TestDevice.expected(LlaInputs.of(q, k, v), options()).permute(0, 2, 1, 3).copy()
                        .reshape(tokens, heads * dim);
                Tensor added = product(o, w[3]);
                for (long i = 0; i < added.size(); i++) {
                    added.set(i, added.get(i) + x.get(i));
                }
                x = added;
            }
            y[b] = x;
        }
        return y;
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

    /** That a run was right at every position, and compiled a graph of each kind once; returns the worst position's error. */
    double check(Outcome outcome, Model model, Tensor[] expected, double bar, String what) {
        double error = outcome.error(this, model, expected);
        assertTrue(error <= bar, what + " is off by " + error + " at its worst position");
        assertTrue(outcome.compiled <= 2, what + " was compiled in " + outcome.compiled + " runs");
        int chunks = Arrays.stream(prompts).map(prompt -> Math.ceilDiv(prompt, chunk)).sum();
        assertEquals((chunks + steps) * layers, outcome.runs);
        return error;
    }
}
