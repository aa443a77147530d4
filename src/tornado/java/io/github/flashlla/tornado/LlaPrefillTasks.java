package io.github.flashlla.tornado;

import static uk.ac.manchester.tornado.api.enums.DataTransferMode.EVERY_EXECUTION;
import static uk.ac.manchester.tornado.api.enums.DataTransferMode.FIRST_EXECUTION;
import static uk.ac.manchester.tornado.api.enums.DataTransferMode.UNDER_DEMAND;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.tornado.buffers.LlaBuffers;
import io.github.flashlla.tornado.buffers.PagedArrays;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.forward.ChunkStep;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * A chunk of a prompt as tasks of the caller's own graph: the chunk's keys and values go into a {@link LlaCache}, behind what its sequence
 * has, and its queries attend to all that came before and, causally, to the chunk itself. Where the chunk lies is data, so one compiled
 * graph does every chunk of every sequence; a chunk may be shorter than the longest.
 *
 * {@snippet :
 * LlaPrefillTasks lla = LlaPrefillTasks.of("opencl:0", cache, 8, 128, options, q, k, v, o);
 * TaskGraph layer = new TaskGraph("prefill0").transferToDevice(EVERY_EXECUTION, x);         // and tasks that write q, k and v
 * lla.appendTo(layer, grids);                                                               // then tasks that read o
 * TornadoExecutionPlan plan = lla.configure(new TornadoExecutionPlan(layer.snapshot())).withGridScheduler(grids);
 * for (int position = 0; position < prompt; position += 128) {
 *     lla.place(0, position, Math.min(128, prompt - position));
 *     lla.check(plan.execute());
 * }
 * }
 *
 * <p>The tasks are {@code lla_append}, {@code lla_queries}, {@code lla_keys}, {@code lla_values}, those of {@link LlaTasks} and
 * {@code lla_rows}. They need device memory for one sequence's keys and values in float32 ({@link #workspaceBytes}); with a window, for
 * a window's and a chunk's, and pages in front of both may be gone.
 *
 * <p>Not for several threads at once. One object serves one graph.
 */
public final class LlaPrefillTasks {
    private final LlaCache cache;
    private final int chunk;
    private final FloatArray q;
    private final FloatArray k;
    private final FloatArray v;
    private final FloatArray o;
    private final LlaTasks forward;
    private final IntArray span = IntArray.fromElements(0, 0, 0, 0);
    private String graphName;

    private LlaPrefillTasks(LlaCache cache, int chunk, FloatArray q, FloatArray k, FloatArray v, FloatArray o, LlaTasks forward) {
        this.cache = cache;
        this.chunk = chunk;
        this.q = q;
        this.k = k;
        this.v = v;
        this.o = o;
        this.forward = forward;
    }

    /**
     * Prepares chunks over arrays of the caller's. Limits of the device are checked here, before anything is compiled.
     *
     * @param deviceName as {@code flashlla devices} lists it
     * @param heads H, a multiple of Hkv
     * @param chunk most tokens of a chunk
     * @param q (chunk,H,D); of a shorter chunk the first rows, as with k, v and o
     * @param newK the chunk's keys (chunk,Hkv,D)
     * @param newV its values (chunk,Hkv,Dv)
     * @param o (chunk,H,Dv), which the tasks write; 0 behind a shorter chunk's last token
     * @throws InvalidInputException if an array's size is not the shape's, or the options hold what prefill does not take
     * @throws DeviceException if the device is not here or lacks the memory
     */
    public static LlaPrefillTasks of(String deviceName, LlaCache cache, int heads, int chunk, LlaOptions options, FloatArray q,
            FloatArray newK, FloatArray newV, FloatArray o) {
        BackendDevice device = BackendDevices.open(deviceName);
        KvCacheShape held = cache.shape();
        cache.requireType(device.info());
        if (!options.causal()) {
            throw new InvalidInputException("a prompt is prefilled causally; take options that are causal");
        }
        int before = options.window() == 0 ? held.capacity() : Math.min(held.capacity(), options.window() - 1);
        AttentionShape shape = new AttentionShape(1, heads, held.kvHeads(), chunk, Math.addExact(before, chunk), held.headDim(),
                held.valueDim());
        LlaCache.require("q", q.getSize(), (long) chunk * heads * held.headDim());
        LlaCache.require("k", newK.getSize(), (long) chunk * held.kvHeads() * held.headDim());
        LlaCache.require("v", newV.getSize(), (long) chunk * held.kvHeads() * held.valueDim());
        LlaCache.require("o", o.getSize(), (long) chunk * heads * held.valueDim());
        LlaTasks.requireDistinct("q, k, v and o", q, newK, newV, o);
        device.requireAllocatable(cache.largestBytes(), "a cache of " + held, "use fewer pages, or store FLOAT16");
        LlaTasks forward = LlaTasks.of(device, shape, options);
        if (forward.sizes() == null) {
            throw new InvalidInputException(deviceName + " has no kernel for " + shape + " that takes its lengths as data; prefill token by "
                    + "token, with LlaDecodeTasks");
        }
        forward.buffers().ridge().init((float) options.ridge());
        return new LlaPrefillTasks(cache, chunk, q, newK, newV, o, forward);
    }

    /**
     * Says where the next run's chunk lies.
     *
     * @param sequence 0 to B - 1
     * @param position tokens that the sequence has before
     * @param tokens of the chunk, at most its longest
     * @throws InvalidInputException if they do not fit the cache, or the table lacks a page of them
     */
    public void place(int sequence, int position, int tokens) {
        if (position < 0 || tokens < 0 || tokens > chunk) {
            throw new InvalidInputException("a chunk of " + tokens + " tokens at position " + position + " is not one of 0 to " + chunk
                    + " tokens at a position from 0 on");
        }
        int window = forward.options().window();
        int first = window == 0 ? 0 : Math.max(0, position + 1 - window);
        cache.requirePages(sequence, first, (long) position + tokens);
        span.set(0, sequence);
        span.set(1, position);
        span.set(2, tokens);
        span.set(3, first);
    }

    /**
     * Adds the chunk's tasks behind those that the graph has, and their launch sizes to the scheduler. The page table and what
     * {@link #place} says are transferred with every execution.
     *
     * @param grids the scheduler that the graph's plan will run with
     * @throws IllegalStateException if these tasks are part of a graph already
     */
    public void appendTo(TaskGraph graph, GridScheduler grids) {
        graph.transferToDevice(FIRST_EXECUTION, cache.arrays());
        append(graph, grids);
    }

    /** The same, with the cache left to the caller, as {@link LlaDecodeTasks#append} says. */
    public void append(TaskGraph graph, GridScheduler grids) {
        graphName = TaskAppender.onlyGraph(graphName, graph);
        PagedArrays c = cache.paged();
        LlaBuffers b = forward.buffers();
        AttentionShape s = forward.shape();
        graph.transferToDevice(EVERY_EXECUTION, span)
                .transferToDevice(c.isPaged() ? EVERY_EXECUTION : FIRST_EXECUTION, c.pages())
                .transferToDevice(FIRST_EXECUTION, b.q(), b.k(), b.v(), b.o(), b.ridge());
        TaskAppender tasks = new TaskAppender(forward.entry(), graph, grids);
        KernelContext context = new KernelContext();
        int D = s.headDim();
        int Dv = s.valueDim();
        int heads = s.heads();
        int kvHeads = s.kvHeads();
        int perSequence = cache.perSequence();
        tasks.task("lla_append", ChunkStep.grid((long) chunk * kvHeads * Math.max(D, Dv)), built -> built.task("lla_append", ChunkStep::append,
                context, span, c.pages(), k, v, c.k32(), c.k16(), c.v32(), c.v16(), c.format(), D, Dv, c.pageSize(), kvHeads, perSequence));
        tasks.task("lla_queries", ChunkStep.grid(b.q().getSize()), built -> built.task("lla_queries", ChunkStep::queries, context, span, q,
                forward.sizes(), b.q(), D, heads, chunk, forward.options().window()));
        copy(tasks, "lla_keys", context, c.k32(), c.k16(), b.k(), D);
        copy(tasks, "lla_values", context, c.v32(), c.v16(), b.v(), Dv);
        forward.append(graph, grids);
        tasks.task("lla_rows", ChunkStep.grid(o.getSize()), built -> built.task("lla_rows", ChunkStep::rows, context, span, b.o(), o, Dv,
                heads, chunk));
        graph.transferToHost(UNDER_DEMAND, b.stats());
    }

    private void copy(TaskAppender tasks, String name, KernelContext context, FloatArray from32, HalfFloatArray from16, FloatArray to, int dim) {
        PagedArrays c = cache.paged();
        tasks.task(name, ChunkStep.grid(to.getSize()), built -> built.task(name, ChunkStep::copy, context, span, c.pages(), from32, from16, to,
                c.format(), dim, c.pageSize(), cache.shape().kvHeads(), cache.perSequence(), chunk));
    }

    /** What {@link LlaTasks#configure} does for a plan: its graphs run on this device. */
    public TornadoExecutionPlan configure(TornadoExecutionPlan plan) {
        return forward.configure(plan);
    }

    /**
     * Makes sure that the last run computed every query. The profiler's numbers of the same result are gone afterwards.
     *
     * @throws DeviceException if a query was not computed, or the driver reported an error
     */
    public void check(TornadoExecutionResult result) {
        forward.check(result);
    }

    /** Iterations of a query's solve, as the last {@link #check} found them. */
    public int iterations(int token, int head) {
        return forward.iterations()[head * chunk + token];
    }

    /** ||r|| / ||kbar - q|| of a query, as {@link LlaTasks#residual} says; one above the tolerance is not solved. */
    public float residual(int token, int head) {
        return forward.residual()[head * chunk + token];
    }

    /** Bytes on the device beyond the cache, q, k, v and o. */
    public long workspaceBytes() {
        return forward.memoryBytes();
    }
}
