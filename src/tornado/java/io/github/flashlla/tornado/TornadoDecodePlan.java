package io.github.flashlla.tornado;

import static uk.ac.manchester.tornado.api.enums.DataTransferMode.EVERY_EXECUTION;
import static uk.ac.manchester.tornado.api.enums.DataTransferMode.FIRST_EXECUTION;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.DeviceException;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
import io.github.flashlla.tornado.kernels.DecodeKernels;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.ImmutableTaskGraph;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoProfilerResult;
import uk.ac.manchester.tornado.api.WorkerGrid1D;

import uk.ac.manchester.tornado.api.enums.ProfilerMode;
import uk.ac.manchester.tornado.api.exceptions.TornadoExecutionPlanException;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.ShortArray;

/**
 * Decoding as two task graphs over the same cache arrays on the device (tasks as in {@link DecodeKernels}):
 *
 * <pre>
 *   llaAppend   staged tokens -> append -> k, v              run while the device lacks tokens
 *   llaDecode   q, ridge, lengths -> scan -> covariance -> solve -> output -> merge -> o, facts
 * </pre>
 */
final class TornadoDecodePlan implements DecodePlan {

    private static final AtomicInteger GRAPHS = new AtomicInteger();
    private static final int FACTS = 5;

    private final TornadoKvCache cache;
    private final String deviceName;
    private final String appendGraph = "llaAppend" + GRAPHS.incrementAndGet();
    private final String decodeGraph = "llaDecode" + GRAPHS.get();
    private final DriverLog driverLog = new DriverLog();
    private final AttentionShape shape;
    private final LlaOptions options;
    private final DecodeGrid grid;

    private final IntArray target;
    private final FloatArray stagedK32;
    private final ShortArray stagedK16;
    private final FloatArray stagedV32;
    private final ShortArray stagedV16;
    private final FloatArray powers = powersOfTwo();
    private final IntArray lengths;
    private final FloatArray q;
    private final FloatArray scaledQ;
    private final FloatArray ridges;
    private final FloatArray topScore;
    private final IntArray topKey;
    private final FloatArray sums;
    private final FloatArray sumZ;
    private final FloatArray centre;
    private final FloatArray a;
    private final FloatArray x;
    private final FloatArray kbar;
    private final FloatArray facts;
    private final FloatArray parts;
    private final FloatArray o;
    /** Tokens of each sequence that are on the device as they are on the host; -1 before anything is. */
    private final int[] onDevice;
    private TornadoExecutionPlan plan;
    private long compileNanos;

    TornadoDecodePlan(TornadoKvCache cache, TornadoRuntimeDevices.Entry entry, int heads, LlaOptions options) {
        this.cache = cache;
        this.deviceName = entry.info().name();
        this.options = options;
        KvCacheShape c = cache.shape();
        this.shape = c.step(heads);
        this.grid = DecodeGrid.of(entry, shape);
        int rows = c.batch() * heads;
        int staged = Math.max(c.batch(), 64);
        this.onDevice = new int[c.batch()];
        Arrays.fill(onDevice, -1);
        this.target = new IntArray(staged);
        int stagedKeys = staged * c.kvHeads() * c.headDim();
        int stagedValues = staged * c.kvHeads() * c.valueDim();
        this.stagedK32 = new FloatArray(cache.half() ? 1 : stagedKeys);
        this.stagedK16 = new ShortArray(cache.half() ? stagedKeys : 1);
        this.stagedV32 = new FloatArray(cache.half() ? 1 : stagedValues);
        this.stagedV16 = new ShortArray(cache.half() ? stagedValues : 1);
        this.lengths = new IntArray(c.batch());
        this.q = new FloatArray(rows * c.headDim());
        this.scaledQ = new FloatArray(rows * c.headDim());
        this.ridges = new FloatArray(rows);
        this.topScore = new FloatArray(rows * grid.splits());
        this.topKey = new IntArray(rows * grid.splits());
        this.sums = new FloatArray(Math.toIntExact((long) rows * grid.splits() * DecodeGrid.tiles(c.headDim())
                * DecodeKernels.STRIP * DecodeKernels.STRIP));
        this.sumZ = new FloatArray(rows * grid.splits() * (c.headDim() + 1));
        this.centre = new FloatArray(rows * c.headDim());
        this.a = new FloatArray(rows * c.headDim() * c.headDim());
        this.x = new FloatArray(rows * c.headDim());
        this.kbar = new FloatArray(rows * c.headDim());
        this.facts = new FloatArray(rows * FACTS);
        this.parts = new FloatArray(rows * grid.splits() * c.valueDim());
        this.o = new FloatArray(rows * c.valueDim());
        requireMemory(entry);
        long start = System.nanoTime();
        this.plan = build(entry);
        this.compileNanos = System.nanoTime() - start;
    }

    private static FloatArray powersOfTwo() {
        FloatArray powers = new FloatArray(32);
        for (int exponent = 0; exponent < 32; exponent++) {
            powers.set(exponent, (float) Math.pow(2, Math.max(exponent, 1) - 25));
        }
        return powers;
    }

    /** Refuses what the device cannot hold, since some drivers fail silently when memory is short. */
    private void requireMemory(TornadoRuntimeDevices.Entry entry) {
        long need = cache.shape().bytes() + workspaceBytes();
        long have = entry.info().memoryBytes();
        long largest = Math.max((long) Float.BYTES * sums.getSize(),
                cache.shape().bytes() / (cache.shape().headDim() + cache.shape().valueDim())
                        * Math.max(cache.shape().headDim(), cache.shape().valueDim()));
        long maxAlloc = entry.device().getMaxAllocMemory();
        if (have > 0 && need > have || maxAlloc > 0 && largest > maxAlloc) {
            throw new DeviceException(deviceName + " has " + have + " bytes of memory, " + maxAlloc
                    + " at most in one array, but decoding " + cache.shape() + " needs " + need + " and an array of " + largest
                    + "; lower the capacity or the batch, or store FLOAT16.");
        }
    }

    private TornadoExecutionPlan build(TornadoRuntimeDevices.Entry entry) {
        // read when a task is added: kernels are checked against this device's backend, not the default one
        String index = entry.backendIndex() + ":" + entry.deviceIndex();
        System.setProperty(appendGraph + ".append.device", index);
        for (String task : new String[] {"scan", "covariance", "solve", "output", "merge"}) {
            System.setProperty(decodeGraph + "." + task + ".device", index);
        }
        KvCacheShape c = cache.shape();
        KernelContext context = new KernelContext();
        int half = cache.half() ? 1 : 0;
        int dim = c.headDim();
        int group = shape.group();
        int hw = grid.headsPerGroup();
        int splits = grid.splits();
        ImmutableTaskGraph append = new TaskGraph(appendGraph)
                .transferToDevice(FIRST_EXECUTION, cache.k32, cache.k16, cache.v32, cache.v16)
                .transferToDevice(EVERY_EXECUTION, target, stagedK32, stagedK16, stagedV32, stagedV16)
                .task("append", DecodeKernels::append, context, target, stagedK32, stagedK16, stagedV32, stagedV16,
                        cache.k32, cache.k16, cache.v32, cache.v16, half, dim, c.valueDim(), c.capacity(), c.kvHeads())
                .persistOnDevice(cache.k32, cache.k16, cache.v32, cache.v16)
                .snapshot();
        TaskGraph decode = new TaskGraph(decodeGraph)
                .consumeFromDevice(appendGraph, cache.k32, cache.k16, cache.v32, cache.v16)
                .transferToDevice(FIRST_EXECUTION, powers, topScore, topKey, sums, sumZ, centre, a, parts)
                .transferToDevice(EVERY_EXECUTION, lengths, q, scaledQ, ridges, x, kbar, facts, o)
                .task("scan", DecodeKernels::scan, context, cache.k32, cache.k16, powers, scaledQ, lengths, topScore,
                        topKey, half, dim, c.capacity(), c.kvHeads(), group, hw, splits)
                .task("covariance", DecodeKernels::covariance, context, cache.k32, cache.k16, powers, scaledQ, lengths,
                        topScore, topKey, sums, sumZ, centre, half, dim, c.capacity(), c.kvHeads(), group, hw, splits,
                        grid.chunks());
        decode = grid.localSolve()
                ? decode.task("solve", DecodeKernels::solve, context, q, ridges, lengths, topScore, sums, sumZ, centre,
                        a, x, kbar, facts, dim, hw, shape.heads(), splits)
                : decode.task("solve", DecodeKernels::solveInGlobal, context, q, ridges, lengths, topScore, sums, sumZ,
                        centre, a, x, kbar, facts, dim, hw, shape.heads(), splits);
        decode = decode.task("output", DecodeKernels::output, context, cache.k32, cache.k16, cache.v32, cache.v16, powers,
                        scaledQ, lengths, centre, x, facts, parts, half, dim, c.valueDim(), c.capacity(), c.kvHeads(),
                        group, hw, splits)
                .task("merge", DecodeKernels::merge, context, parts, o, c.valueDim(), splits);
        decode = options.keepState() ? decode.transferToHost(EVERY_EXECUTION, o, facts, x, kbar)
                : decode.transferToHost(EVERY_EXECUTION, o, facts);

        GridScheduler scheduler = new GridScheduler();
        int units = grid.units(shape);
        int elements = target.getSize() * c.kvHeads() * Math.max(c.headDim(), c.valueDim());
        workers(scheduler, appendGraph + ".append", Math.ceilDiv(elements, grid.threads()), grid.threads());
        workers(scheduler, decodeGraph + ".scan", units * splits, grid.threads());
        workers(scheduler, decodeGraph + ".covariance", units * splits * grid.chunks(), grid.covarianceThreads());
        workers(scheduler, decodeGraph + ".solve", c.batch() * shape.heads(), grid.threads());
        workers(scheduler, decodeGraph + ".output", units * splits, grid.threads());
        workers(scheduler, decodeGraph + ".merge", Math.ceilDiv(o.getSize(), grid.threads()), grid.threads());
        TornadoExecutionPlan built = new TornadoExecutionPlan(append, decode.snapshot());
        return built.withDevice(entry.device()).withGridScheduler(scheduler).withProfiler(ProfilerMode.SILENT);
    }

    private static void workers(GridScheduler scheduler, String task, int groups, int threads) {
        WorkerGrid1D worker = new WorkerGrid1D(groups * threads);
        worker.setLocalWork(threads, 1, 1);
        scheduler.addWorkerGrid(task, worker);
    }

    @Override
    public void decode(Tensor query, Tensor ridge, LlaResult result) {
        cache.requireStep(shape, query, ridge, result);
        if (plan == null) {
            throw new IllegalStateException(deviceName + ": this decode plan is closed; make a new one from its cache");
        }
        long start = System.nanoTime();
        loadQueries(query, ridge);
        o.init(Float.NaN); // so that what the device fails to write is seen
        facts.init(Float.NaN);
        Timing times;
        try {
            update();
            // profiler results are live views of the last run: copied at once
            TornadoProfilerResult profile = plan.withGraph(1).execute().getProfilerResult();
            times = new Timing(0, profile.getDeviceKernelTime(), profile.getDeviceWriteTime(),
                    profile.getDeviceReadTime(), compileNanos + profile.getCompileTime());
        } catch (Throwable t) { // TornadoVM throws errors as well as exceptions
            driverLog.check(deviceName);
            throw new DeviceException(deviceName + " failed to decode " + shape + ": "
                    + TornadoDeviceProvider.rootMessage(t), t);
        }
        driverLog.check(deviceName);
        if (times.kernelNanos() <= 0) {
            throw new DeviceException(deviceName + " returned without running its kernels (kernel time 0); run flashlla doctor.");
        }
        compileNanos = 0;
        store(result);
        result.setTiming(new Timing(System.nanoTime() - start, times.kernelNanos(), times.copyInNanos(),
                times.copyOutNanos(), times.compileNanos()));
    }

    /** Brings the device's copy of the cache up to the host's. */
    private void update() {
        int row = 0;
        boolean first = onDevice[0] < 0;
        for (int sequence = 0; sequence < onDevice.length; sequence++) {
            int length = cache.length(sequence);
            for (int token = first ? length : onDevice[sequence]; token < length; token++) {
                cache.stage(sequence, token, cache.half() ? stagedK16.getSegment() : stagedK32.getSegment(),
                        cache.half() ? stagedV16.getSegment() : stagedV32.getSegment(), row);
                target.set(row++, sequence * cache.shape().capacity() + token);
                if (row == target.getSize()) {
                    append(row);
                    row = 0;
                }
            }
            onDevice[sequence] = length;
        }
        if (row > 0 || first) { // the first run of the graph carries the whole cache over
            append(row);
        }
    }

    private void append(int rows) {
        for (int row = rows; row < target.getSize(); row++) {
            target.set(row, -1);
        }
        plan.withGraph(0).execute();
    }

    /** Tokens from {@code length} on are no longer what the device has. */
    void forget(int sequence, int length) {
        onDevice[sequence] = Math.min(onDevice[sequence], length);
    }

    private void loadQueries(Tensor query, Tensor ridge) {
        float scale = (float) options.scaleFor(shape.headDim());
        for (int i = 0; i < q.getSize(); i++) {
            float value = (float) query.get(i);
            q.set(i, value);
            scaledQ.set(i, value * scale);
        }
        for (int row = 0; row < ridges.getSize(); row++) {
            ridges.set(row, (float) (ridge == null ? options.ridge() : ridge.get(row)));
        }
        for (int sequence = 0; sequence < shape.batch(); sequence++) {
            lengths.set(sequence, cache.length(sequence));
        }
    }

    private void store(LlaResult result) {
        for (int i = 0; i < o.getSize(); i++) {
            if (Float.isNaN(o.get(i))) {
                throw new DeviceException(deviceName + ": decoding " + shape
                        + " left output unwritten or NaN; nothing of this run can be used");
            }
        }
        copy(o, result.output());
        if (result.keepsState()) {
            copy(x, result.x());
            copy(kbar, result.kbar());
        }
        for (int row = 0; row < ridges.getSize(); row++) {
            boolean empty = cache.length(row / shape.heads()) == 0;
            result.logSumExp().set(row, empty ? Double.NEGATIVE_INFINITY : facts.get(row * FACTS + 3));
            result.residual()[row] = empty ? 0 : facts.get(row * FACTS + 4);
            result.iterations()[row] = 0;
        }
        result.setPairIterations(0);
    }

    private static void copy(FloatArray from, Tensor to) {
        MemorySegment.copy(from.getSegment(), 0, to.segment(), 0, to.byteSize());
    }

    @Override
    public KvCache cache() {
        return cache;
    }

    @Override
    public AttentionShape shape() {
        return shape;
    }

    @Override
    public LlaOptions options() {
        return options;
    }

    @Override
    public DecodeMethod lastMethod() {
        return DecodeMethod.COVARIANCE;
    }

    @Override
    public long workspaceBytes() {
        return (long) Float.BYTES * (topScore.getSize() + topKey.getSize() + sums.getSize() + sumZ.getSize()
                + centre.getSize() + a.getSize() + x.getSize() + kbar.getSize() + facts.getSize() + parts.getSize()
                + target.getSize() + stagedK32.getSize() + stagedV32.getSize())
                + Short.BYTES * (long) (stagedK16.getSize() + stagedV16.getSize());
    }

    @Override
    public void close() {
        if (plan != null) {
            try {
                plan.close();
            } catch (TornadoExecutionPlanException e) {
                throw new DeviceException(deviceName + ": cannot free the memory of a decode plan", e);
            } finally {
                plan = null;
                cache.closed(this);
            }
        }
    }
}
