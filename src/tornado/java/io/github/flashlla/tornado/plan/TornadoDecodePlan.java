package io.github.flashlla.tornado.plan;

import static uk.ac.manchester.tornado.api.enums.DataTransferMode.EVERY_EXECUTION;
import static uk.ac.manchester.tornado.api.enums.DataTransferMode.FIRST_EXECUTION;
import static uk.ac.manchester.tornado.api.enums.DataTransferMode.UNDER_DEMAND;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DeviceException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
import io.github.flashlla.precise.FloatDecodePlan;
import io.github.flashlla.precise.KeptState;
import io.github.flashlla.process.DriverLog;
import io.github.flashlla.spi.AbstractDecodePlan;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.tornado.buffers.CacheRows;
import io.github.flashlla.tornado.buffers.DecodeArrays;
import io.github.flashlla.tornado.buffers.FloatArrays;
import io.github.flashlla.tornado.choice.KernelTable;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.DeviceMemory;
import io.github.flashlla.tornado.device.RootCause;
import io.github.flashlla.tornado.device.Transfers;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.DecodeTasks;
import io.github.flashlla.tornado.kernels.DecodeVariant;
import io.github.flashlla.tornado.kernels.VariantDevice;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.ImmutableTaskGraph;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;

/**
 * Decoding as task graphs over the same cache arrays on the device:
 *
 * <pre>
 *   llaAppend   staged tokens -> append -> k, v              run while the device lacks tokens
 *   llaDecode   q, ridge, lengths -> ... -> o, facts         one or more for each method that may be used, {@link DecodeTasks}
 * </pre>
 *
 * <p>Ways are tried in {@link KernelTable#decode}'s order: the first by covariance takes what {@link DecodeVariant#whyCovariance} says, the last of
 * them contexts shorter than D, and each whatever those before it turn out not to solve in what they launch. Such a step is done again, and the
 * following {@value #PATIENCE} begin there.
 */
public final class TornadoDecodePlan extends AbstractDecodePlan<TornadoKvCache> implements FloatDecodePlan, TornadoKvCache.Reader {

    private static final AtomicInteger GRAPHS = new AtomicInteger();
    private static final int PATIENCE = 64;

    private final BackendDevice entry;
    private final String deviceName;
    private final String decodeGraph = "llaDecode" + GRAPHS.incrementAndGet();
    private final DriverLog driverLog = new DriverLog();
    private final DeviceMemory memory;
    private final long heldBytes;
    private final RunTimes times;
    private final DecodeMethod method;

    private final TokensOnDevice tokens;
    private final DecodeArrays io;
    /** In the order of the plan's graphs, after the one that appends. */
    private final List<DecodeTasks> ways = new ArrayList<>();
    /** What each is called. */
    private final List<String> names = new ArrayList<>();
    /** Where each one's graphs begin. */
    private final List<Integer> firstGraphs = new ArrayList<>();
    private final BitSet compiled = new BitSet();
    private TornadoExecutionPlan plan;
    private TornadoExecutionResult lastExecution;
    private DecodeMethod lastMethod;
    private int stepsToWait;
    /** The way that steps begin with until then. */
    private int later;
    private final StepInputs inputs;
    private long compileNanos;

    TornadoDecodePlan(DeviceState device, TornadoKvCache cache, BackendDevice entry, int heads, LlaOptions options,
            DecodeMethod method) {
        super(device, cache, heads, options);
        this.entry = entry;
        this.deviceName = entry.info().name();
        this.method = method;
        this.lastMethod = method;
        this.tokens = new TokensOnDevice(cache, entry);
        this.io = DecodeArrays.of(shape);
        this.inputs = new StepInputs(shape, options, io);
        VariantDevice traits = VariantDevice.of(entry);
        for (DecodeVariant variant : KernelTable.decode(method, traits, shape, options, cache.k().halves() ? DataType.FLOAT16
                : DataType.FLOAT32)) {
            names.add(variant.id().equals(variant.method().label()) ? variant.id() : variant.id() + ", " + variant.method().label());
            ways.add(variant.tasks(traits, cache.arrays(), shape, options, io));
        }
        this.memory = entry.memory();
        this.times = new RunTimes(entry);
        requireLargest(entry);
        this.heldBytes = cache.k().bytes() + cache.v().bytes() + workspaceBytes();
        memory.hold(cache.shape(), heldBytes);
        long start = System.nanoTime();
        try {
            this.plan = entry.building(() -> build(entry));
        } catch (RuntimeException | Error e) { // TornadoVM throws errors as well as exceptions
            memory.release(heldBytes);
            throw e;
        }
        this.compileNanos = System.nanoTime() - start;
    }

    /** Refuses an array that the device does not allocate at once, since some drivers fail silently. */
    private void requireLargest(BackendDevice entry) {
        long largest = Math.max(cache.k().bytes(), cache.v().bytes());
        for (DecodeTasks way : ways) {
            largest = Math.max(largest, way.largestBytes());
        }
        entry.requireAllocatable(largest, "decoding " + cache.shape(), "lower the capacity or the batch, or store FLOAT16");
    }

    private TornadoExecutionPlan build(BackendDevice entry) {
        GridScheduler grids = new GridScheduler();
        List<ImmutableTaskGraph> graphs = new ArrayList<>();
        graphs.add(tokens.graph(grids));
        for (DecodeTasks tasks : ways) {
            firstGraphs.add(graphs.size());
            for (int graph = 0; graph < tasks.graphs(); graph++) {
                graphs.add(graph(tasks, graph, grids));
            }
        }
        return entry.configureShared(new TornadoExecutionPlan(graphs.toArray(ImmutableTaskGraph[]::new))).withGridScheduler(grids);
    }

    private ImmutableTaskGraph graph(DecodeTasks tasks, int graph, GridScheduler grids) {
        CacheRows k = cache.k();
        CacheRows v = cache.v();
        String method = decodeGraph + tasks.method().name().charAt(0);
        TaskGraph built = new TaskGraph(method + graph);
        if (graph == 0) {
            built.consumeFromDevice(tokens.graphName(), k.single, k.half, v.single, v.half)
                    .transferToDevice(FIRST_EXECUTION, tasks.scratch())
                    .transferToDevice(EVERY_EXECUTION, io.lengths(), io.q(), io.scaledQ(), io.ridges(), io.o())
                    .transferToDevice(EVERY_EXECUTION, (Object[]) tasks.results());
        } else {
            // TornadoVM hands on what the graph that ran last has, the cache included
            built.consumeFromDevice(method + (graph - 1), k.single, k.half, v.single, v.half)
                    .consumeFromDevice(method + (graph - 1), kept(tasks));
        }
        tasks.append(graph, new TaskAppender(entry, built, grids));
        built.transferToHost(EVERY_EXECUTION, io.o(), tasks.facts());
        built = built.transferToHost(options.keepState() ? EVERY_EXECUTION : UNDER_DEMAND, (Object[]) tasks.state());
        return (graph + 1 < tasks.graphs() ? built.persistOnDevice(kept(tasks)) : built).snapshot();
    }

    /** What a method's later graphs find on the device. */
    private Object[] kept(DecodeTasks tasks) {
        Stream<Object> inputs = Stream.of(io.lengths(), io.q(), io.scaledQ(), io.ridges(), io.o());
        return Stream.concat(inputs, Stream.concat(Arrays.stream(tasks.scratch()), Arrays.stream(tasks.results()))).toArray();
    }

    @Override
    public void decode(Tensor query, Tensor ridge, LlaResult result, KeptState kept) {
        alone(() -> step(query, ridge, result, kept));
    }

    private void step(Tensor query, Tensor ridge, LlaResult result, KeptState kept) {
        cache.requireStep(shape, query, ridge, result);
        long start = System.nanoTime();
        inputs.load(query, ridge, cache::length);
        stepsToWait = Math.max(0, stepsToWait - 1);
        int way = choose();
        Timing times = run(way);
        while (way + 1 < ways.size() && !solved(ways.get(way))) {
            stepsToWait = PATIENCE;
            way++;
            later = way;
            times = times.plus(run(way));
        }
        lastMethod = ways.get(way).method();
        store(ways.get(way), result, kept);
        result.setComputedBy(names.get(way));
        result.setTiming(new Timing(System.nanoTime() - start, times.kernelNanos(), times.copyInNanos(),
                times.copyOutNanos(), times.compileNanos()));
    }

    /** The first way unless there is a reason against it. */
    private int choose() {
        int last = ways.size() - 1;
        if (inputs.longest() < shape.headDim()) {
            return last;
        }
        int way = stepsToWait > 0 ? later : 0;
        boolean direct = DecodeVariant.whyCovariance(inputs.leastRidge(), inputs.longest(), shape.headDim()).isPresent();
        while (direct && way < last && ways.get(way).method() != DecodeMethod.COVARIANCE) {
            way++;
        }
        return way;
    }

    private boolean solved(DecodeTasks way) {
        for (int row = 0; row < io.ridges().getSize(); row++) {
            if (!(way.residual(row) <= options.tolerance())) {
                return false;
            }
        }
        return true;
    }

    /** Runs as many of a method's graphs as it takes. */
    private Timing run(int way) {
        DecodeTasks tasks = ways.get(way);
        Timing times = runGraph(way, 0);
        for (int graph = 0; graph + 1 < tasks.graphs() && unfinished(tasks, graph); graph++) {
            times = times.plus(runGraph(way, graph + 1));
        }
        return times;
    }

    private boolean unfinished(DecodeTasks tasks, int graph) {
        for (int row = 0; row < io.ridges().getSize(); row++) {
            if (tasks.unfinished(row, graph)) {
                return true;
            }
        }
        return false;
    }

    private Timing runGraph(int way, int graph) {
        times.prepare(plan);
        FloatArrays.fillWithNaN(io.o()); // so that what the device fails to write is seen
        FloatArrays.fillWithNaN(ways.get(way).facts());
        long start;
        Transfers transfers;
        try {
            tokens.update(() -> plan.withGraph(0).execute());
            start = System.nanoTime();
            int index = firstGraphs.get(way) + graph;
            if (!compiled.get(index)) { // side by side; a run compiles one kernel after the other
                entry.compiling(() -> plan.withGraph(index).withPreCompilation());
                compiled.set(index);
                compileNanos += System.nanoTime() - start;
                start = System.nanoTime();
            }
            transfers = inputs.transfers(index, ways.get(way).state());
            lastExecution = entry.inTurn(transfers, () -> plan.withGraph(index).execute());
            inputs.ran(index);
        } catch (Throwable t) { // TornadoVM throws errors as well as exceptions
            driverLog.check(deviceName);
            throw new DeviceException(deviceName + " failed to decode " + shape + ": "
                    + RootCause.message(t), t);
        }
        driverLog.check(deviceName);
        Timing timing = times.of(transfers, lastExecution, System.nanoTime() - start, compileNanos);
        compileNanos = 0;
        return timing;
    }

    @Override
    public void forget(int sequence, int length) {
        tokens.forget(sequence, length);
    }

    private void store(DecodeTasks way, LlaResult result, KeptState kept) {
        if (FloatArrays.holdsNaN(io.o())) {
            throw new DeviceException(deviceName + ": decoding " + shape
                    + " left output unwritten or NaN; nothing of this run can be used: q, keys and values must be finite, and the ridge large enough "
                    + "for float32 beside the keys");
        }
        FloatArrays.store(io.o(), result.output());
        if (kept != null && !options.keepState()) {
            fetchState(way);
        }
        long pairIterations = 0;
        for (int row = 0; row < io.ridges().getSize(); row++) {
            int length = cache.length(row / shape.heads());
            result.logSumExp().set(row, length == 0 ? Double.NEGATIVE_INFINITY : way.logSumExp(row));
            result.residual()[row] = length == 0 ? 0 : way.residual(row);
            result.iterations()[row] = way.iterations(row);
            pairIterations += (long) way.iterations(row) * length;
            if (kept != null) {
                storeState(way, row, length > 0, kept);
            }
        }
        result.setPairIterations(pairIterations);
    }

    private void storeState(DecodeTasks way, int row, boolean seesKeys, KeptState kept) {
        float[] kbar = new float[shape.headDim()];
        float[] x = new float[shape.headDim()];
        way.kbar(row, kbar);
        if (seesKeys) {
            way.x(row, x);
        }
        kept.kbar().copyFrom(kbar, 0, (long) row * kbar.length, kbar.length);
        kept.x().copyFrom(x, 0, (long) row * x.length, x.length);
    }

    /** What the graph copies back only where it is asked to. */
    private void fetchState(DecodeTasks way) {
        try {
            entry.inTurn(() -> lastExecution.transferToHost((Object[]) way.state()));
        } catch (Throwable t) { // TornadoVM throws errors as well as exceptions
            throw new DeviceException(deviceName + " could not read its solutions: " + RootCause.message(t), t);
        }
        driverLog.check(deviceName);
    }

    @Override
    public DecodeMethod lastMethod() {
        return lastMethod;
    }

    @Override
    public long workspaceBytes() {
        long bytes = tokens.bytes();
        for (DecodeTasks way : ways) {
            bytes += way.bytes();
        }
        return bytes;
    }

    @Override
    protected void release() {
        TornadoExecutionPlan closing = plan;
        plan = null;
        memory.release(heldBytes);
        cache.closed(this);
        try {
            entry.inTurn(() -> {
                // one by one: what a method's later graphs name is the first one's, and TornadoVM does not free it twice
                closing.withGraph(0).freeDeviceMemory();
                for (int graph : firstGraphs) {
                    closing.withGraph(graph).freeDeviceMemory();
                }
                return null;
            });
        } catch (Exception e) {
            throw new DeviceException(deviceName + ": cannot free the memory of a decode plan: " + e.getMessage(), e);
        }
    }
}
