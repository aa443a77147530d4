package io.github.flashlla.tornado;

import static uk.ac.manchester.tornado.api.enums.DataTransferMode.EVERY_EXECUTION;
import static uk.ac.manchester.tornado.api.enums.DataTransferMode.FIRST_EXECUTION;
import static uk.ac.manchester.tornado.api.enums.DataTransferMode.UNDER_DEMAND;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.process.DriverLog;
import io.github.flashlla.tornado.buffers.DecodeArrays;
import io.github.flashlla.tornado.buffers.PagedArrays;
import io.github.flashlla.tornado.choice.KernelTable;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.DecodeTasks;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.kernels.decode.CovarianceDecodeVariant;
import io.github.flashlla.tornado.kernels.decode.DecodeStep;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * A decoding step as tasks of the caller's own graph: one new token of each sequence goes into a {@link LlaCache}, and its queries
 * attend to everything that their sequence then holds, the new token included. Positions and page tables are data, so one compiled graph
 * does every step.
 *
 * {@snippet :
 * LlaCache cache = LlaCache.of("opencl:0", shape);                              // one for each layer, zeros at first
 * LlaDecodeTasks lla = LlaDecodeTasks.of("opencl:0", cache, 8, options, q, k, v, positions, o);
 * TaskGraph layer = new TaskGraph("layer0").transferToDevice(EVERY_EXECUTION, x, positions);  // and tasks that write q, k and v
 * lla.appendTo(layer, grids);                                                   // then tasks that read o
 * TornadoExecutionPlan plan = lla.configure(new TornadoExecutionPlan(layer.snapshot())).withGridScheduler(grids);
 * for (int token = 0; token < n; token++) {
 *     positions.set(0, token);
 *     lla.check(plan.execute());
 * }
 * }
 *
 * <p>The solve is direct, by {@link DecodeMethod#COVARIANCE}: every step launches the same tasks. They are called {@code lla_append},
 * {@code lla_prepare}, {@code scan}, {@code covariance}, {@code solve}, {@code output} and {@code merge}, so a graph has room for one
 * layer. With a window a step reads the newest tokens alone, and pages in front of them may be gone from the table. A prompt goes through the same
 * steps, token by token, or in chunks through {@link LlaPrefillTasks}.
 */
public final class LlaDecodeTasks {
    private static final int THREADS = 64;

    private final BackendDevice device;
    private final LlaCache cache;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final IntArray positions;
    private final FloatArray k;
    private final FloatArray v;
    private final DecodeArrays io;
    private final DecodeTasks tasks;
    private final DriverLog driverLog = new DriverLog();
    private String graphName;

    private LlaDecodeTasks(BackendDevice device, LlaCache cache, AttentionShape shape, LlaOptions options, IntArray positions, FloatArray k,
            FloatArray v, DecodeArrays io) {
        this.device = device;
        this.cache = cache;
        this.shape = shape;
        this.options = options;
        this.positions = positions;
        this.k = k;
        this.v = v;
        this.io = io;
        VariantDevice traits = VariantDevice.of(device);
        KernelTable.decode(DecodeMethod.COVARIANCE, traits, shape, options, cache.paged().halves() ? DataType.FLOAT16 : DataType.FLOAT32);
        this.tasks = CovarianceDecodeVariant.tasks(traits, cache.paged(), shape, options.window(), io);
    }

    /**
     * Prepares a step over arrays of the caller's. Limits of the device are checked here, before anything is compiled.
     *
     * @param deviceName as {@code flashlla devices} lists it
     * @param heads H, a multiple of Hkv
     * @param q (B,H,D)
     * @param newK the new tokens' keys (B,Hkv,D)
     * @param newV their values (B,Hkv,Dv)
     * @param positions tokens that each sequence has before a step (B), each less than the capacity; the host sets them between steps. A
     *     sequence at -1 sits the step out: nothing is stored, and its o is 0
     * @param o (B,H,Dv), which the tasks write
     * @throws InvalidInputException if an array's size is not the shape's, or the options hold what decoding graphs do not take
     * @throws DeviceException if the device is not here or cannot allocate the cache
     */
    public static LlaDecodeTasks of(String deviceName, LlaCache cache, int heads, LlaOptions options, FloatArray q, FloatArray newK,
            FloatArray newV, IntArray positions, FloatArray o) {
        BackendDevice device = BackendDevices.open(deviceName);
        cache.requireType(device.info());
        KvCacheShape shape = cache.shape();
        AttentionShape step = shape.step(heads);
        int rows = shape.batch() * heads;
        LlaCache.require("q", q.getSize(), (long) rows * shape.headDim());
        LlaCache.require("k", newK.getSize(), (long) shape.batch() * shape.kvHeads() * shape.headDim());
        LlaCache.require("v", newV.getSize(), (long) shape.batch() * shape.kvHeads() * shape.valueDim());
        LlaCache.require("o", o.getSize(), (long) rows * shape.valueDim());
        LlaCache.require("positions", positions.getSize(), shape.batch());
        LlaTasks.requireDistinct("q, k, v and o", q, newK, newV, o);
        FloatArray ridges = new FloatArray(rows);
        ridges.init((float) options.ridge());
        DecodeArrays io = new DecodeArrays(new IntArray(shape.batch()), q, new FloatArray(q.getSize()), ridges, o);
        LlaDecodeTasks made = new LlaDecodeTasks(device, cache, step, options, positions, newK, newV, io);
        device.requireAllocatable(Math.max(cache.largestBytes(), made.tasks.largestBytes()), "decoding " + shape,
                "lower the capacity or the batch, use fewer pages, or store FLOAT16");
        return made;
    }

    /**
     * Adds the step's tasks behind those that the graph has, and their launch sizes to the scheduler. The graph must transfer
     * {@code positions} to the device with every execution; the page table is transferred here.
     *
     * @param grids the scheduler that the graph's plan will run with
     * @throws IllegalStateException if these tasks are part of a graph already
     */
    public void appendTo(TaskGraph graph, GridScheduler grids) {
        graph.transferToDevice(FIRST_EXECUTION, cache.arrays());
        append(graph, grids);
    }

    /**
     * The same, with the cache left to the caller: another graph of the same plan has it on the device, and this one takes it over with
     * {@code graph.consumeFromDevice(cache.arrays())}. TornadoVM looks for what is taken over in the graph that ran before, whichever
     * it was, so every graph of the plan keeps and takes over the caches of all layers. {@link LlaCache#free} frees such a plan.
     */
    public void append(TaskGraph graph, GridScheduler grids) {
        graphName = TaskAppender.onlyGraph(graphName, graph);
        PagedArrays c = cache.paged();
        KvCacheShape held = cache.shape();
        if (c.isPaged()) {
            graph.transferToDevice(EVERY_EXECUTION, c.pages());
        }
        graph.transferToDevice(FIRST_EXECUTION, io.lengths(), io.scaledQ(), io.ridges())
                .transferToDevice(FIRST_EXECUTION, tasks.scratch())
                .transferToDevice(FIRST_EXECUTION, (Object[]) tasks.results());
        TaskAppender appender = new TaskAppender(device, graph, grids);
        int elements = held.batch() * held.kvHeads() * Math.max(shape.headDim(), shape.valueDim());
        KernelContext context = new KernelContext();
        appender.task("lla_append", TaskAppender.groups(Math.ceilDiv(elements, THREADS), THREADS), built -> built.task("lla_append",
                DecodeStep::append, context, positions, c.pages(), k, v, c.k32(), c.k16(), c.v32(), c.v16(), c.format(), shape.headDim(),
                shape.valueDim(), c.pageSize(), held.kvHeads()));
        float scale = (float) options.scaleFor(shape.headDim());
        appender.task("lla_prepare", TaskAppender.groups(Math.ceilDiv(Math.max(io.q().getSize(), held.batch()), THREADS), THREADS),
                built -> built.task("lla_prepare", DecodeStep::prepare, context, positions, io.lengths(), io.q(), io.scaledQ(), scale));
        tasks.append(0, appender);
        graph.transferToHost(UNDER_DEMAND, tasks.facts());
    }

    /** What {@link LlaTasks#configure} does for a plan: its graphs run on this device. */
    public TornadoExecutionPlan configure(TornadoExecutionPlan plan) {
        return device.configure(plan);
    }

    /**
     * Makes sure that the last step computed every head. The profiler's numbers of the same result are gone afterwards.
     *
     * @throws DeviceException if a head was not computed, or the driver reported an error
     * @throws InvalidInputException if a position does not fit the cache, or the table lacks a page of it
     */
    public void check(TornadoExecutionResult result) {
        for (int sequence = 0; sequence < positions.getSize(); sequence++) {
            long tokens = positions.get(sequence) + 1L;
            cache.requirePages(sequence, options.window() == 0 ? 0 : Math.max(0, tokens - options.window()), tokens);
        }
        tasks.facts().init(Float.NaN);
        result.transferToHost(tasks.facts());
        driverLog.check(device.info().name());
        for (int row = 0; row < shape.batch() * shape.heads(); row++) {
            if (Float.isNaN(tasks.residual(row)) || Float.isNaN(tasks.logSumExp(row))) {
                throw new DeviceException(device.info().name() + " did not compute head " + row % shape.heads() + " of sequence " + row / shape.heads()
                        + ": its kernel did not run, or met numbers that are not finite; run the plan with the grid scheduler, and see flashlla doctor.");
            }
        }
    }

    /** ||A x - b|| / ||b|| of each head (B,H), as the last {@link #check} found it. */
    public float residual(int row) {
        return tasks.residual(row);
    }

    /** Bytes on the device beyond the cache, q, k, v and o. */
    public long workspaceBytes() {
        return tasks.bytes() + (long) Float.BYTES * (io.scaledQ().getSize() + io.ridges().getSize() + io.lengths().getSize());
    }
}
