package io.github.flashlla.tornado.plan;

import static uk.ac.manchester.tornado.api.enums.DataTransferMode.EVERY_EXECUTION;
import static uk.ac.manchester.tornado.api.enums.DataTransferMode.FIRST_EXECUTION;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DeviceException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.process.DriverLog;
import io.github.flashlla.spi.PartialDecode;
import io.github.flashlla.tornado.buffers.CacheRows;
import io.github.flashlla.tornado.buffers.DecodeArrays;
import io.github.flashlla.tornado.buffers.PagedArrays;
import io.github.flashlla.tornado.choice.KernelTable;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.DeviceMemory;
import io.github.flashlla.tornado.device.RootCause;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornado.kernels.decode.CovarianceDecodeTasks;
import io.github.flashlla.tornado.kernels.decode.CovarianceDecodeVariant;
import java.util.Arrays;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * Decoding over some of the keys, by the kernels of the covariance form:
 *
 * <pre>
 *   llaAppend     staged tokens -> append -> k, v
 *   llaGather     q, ridge, lengths -> scan -> covariance -> solve -> A, kbar, centre, facts; handOn keeps v
 *   llaWeigh      x, facts of the merged solve -> output -> merge -> o
 * </pre>
 *
 * <p>The first round's own solve is not used, but for A, which it makes; it takes microseconds.
 */
final class TornadoPartialDecode implements PartialDecode, TornadoKvCache.Reader {
    private static final AtomicInteger GRAPHS = new AtomicInteger();
    private static final int FACTS = 5;
    private static final int APPEND = 0;
    private static final int GATHER = 1;
    private static final int WEIGH = 2;

    private final TornadoKvCache cache;
    private final BackendDevice entry;
    private final String deviceName;
    private final AttentionShape shape;
    private final float scale;
    private final DriverLog driverLog = new DriverLog();
    private final TokensOnDevice tokens;
    private final DecodeArrays io;
    private final CovarianceDecodeTasks tasks;
    /** x and facts of the merged solve. */
    private final FloatArray solution;
    private final FloatArray scales;
    private final FloatArray handed = new FloatArray(1);
    private final DeviceMemory memory;
    private final long heldBytes;
    private TornadoExecutionPlan plan;

    TornadoPartialDecode(TornadoKvCache cache, BackendDevice entry, int heads, LlaOptions options) {
        this.cache = cache;
        this.entry = entry;
        this.deviceName = entry.info().name();
        this.shape = cache.shape().step(heads);
        this.scale = (float) options.scaleFor(shape.headDim());
        this.tokens = new TokensOnDevice(cache, entry);
        this.io = DecodeArrays.of(shape);
        VariantDevice traits = VariantDevice.of(entry);
        KernelTable.decode(DecodeMethod.COVARIANCE, traits, shape, options, cache.k().halves() ? DataType.FLOAT16 : DataType.FLOAT32);
        this.tasks = CovarianceDecodeVariant.tasks(traits, PagedArrays.of(cache.arrays(), shape.batch()), shape, options.window(), io);
        this.solution = new FloatArray(rows() * shape.headDim());
        this.scales = new FloatArray(rows() * FACTS);
        entry.requireAllocatable(Math.max(Math.max(cache.k().bytes(), cache.v().bytes()), tasks.largestBytes()), "decoding " + cache.shape(),
                "lower the capacity or the batch, or store FLOAT16");
        this.memory = entry.memory();
        this.heldBytes = cache.k().bytes() + cache.v().bytes() + workspaceBytes();
        memory.hold(cache.shape(), heldBytes);
        try {
            this.plan = build();
        } catch (RuntimeException | Error e) { // TornadoVM throws errors as well as exceptions
            memory.release(heldBytes);
            throw e;
        }
    }

    private int rows() {
        return shape.batch() * shape.heads();
    }

    private TornadoExecutionPlan build() {
        GridScheduler grids = new GridScheduler();
        CacheRows k = cache.k();
        CacheRows v = cache.v();
        int number = GRAPHS.incrementAndGet();
        Object[] scratch = Arrays.stream(tasks.scratch()).filter(array -> array != tasks.parts()).toArray();
        TaskGraph gather = new TaskGraph("llaGather" + number)
                .consumeFromDevice(tokens.graphName(), k.single, k.half, v.single, v.half)
                .transferToDevice(FIRST_EXECUTION, scratch)
                .transferToDevice(FIRST_EXECUTION, handed)
                .transferToDevice(EVERY_EXECUTION, io.lengths(), io.q(), io.scaledQ(), io.ridges())
                .transferToDevice(EVERY_EXECUTION, (Object[]) tasks.results());
        TaskAppender gathering = new TaskAppender(entry, gather, grids);
        tasks.appendSolve(gathering);
        tasks.appendHandOn(gathering, handed);
        gather = gather.transferToHost(EVERY_EXECUTION, tasks.facts(), tasks.a(), tasks.centre())
                .transferToHost(EVERY_EXECUTION, (Object[]) tasks.state())
                .persistOnDevice(io.lengths(), io.scaledQ(), tasks.centre()); // the cache is handed on as it came
        TaskGraph weigh = new TaskGraph("llaWeigh" + number)
                .consumeFromDevice("llaGather" + number, k.single, k.half, v.single, v.half, io.lengths(), io.scaledQ(), tasks.centre())
                .transferToDevice(FIRST_EXECUTION, tasks.parts(), tasks.pages(), tasks.sizes())
                .transferToDevice(EVERY_EXECUTION, solution, scales, io.o());
        tasks.appendOutput(new TaskAppender(entry, weigh, grids), solution, scales);
        weigh = weigh.transferToHost(EVERY_EXECUTION, io.o());
        return entry.configureShared(new TornadoExecutionPlan(tokens.graph(grids), gather.snapshot(), weigh.snapshot())).withGridScheduler(grids);
    }

    private void run(int graph) {
        try {
            if (graph == GATHER) {
                tokens.update(() -> plan.withGraph(APPEND).execute());
            }
            entry.inTurn((Callable<?>) () -> plan.withGraph(graph).execute());
        } catch (Throwable t) { // TornadoVM throws errors as well as exceptions
            driverLog.check(deviceName);
            throw new DeviceException(deviceName + " failed to decode a part of " + shape + ": " + RootCause.message(t), t);
        }
        driverLog.check(deviceName);
    }

    /** All tokens are counted, since there is no window. */
    @Override
    public void gather(Tensor q, Tensor ridge, int[] seen, Found found) {
        cache.exclusively(() -> gather(q, ridge, found));
    }

    private void gather(Tensor q, Tensor ridge, Found found) {
        int dim = shape.headDim();
        for (int i = 0; i < io.q().getSize(); i++) {
            float value = (float) q.get(i);
            io.q().set(i, value);
            io.scaledQ().set(i, value * scale);
        }
        for (int row = 0; row < rows(); row++) {
            io.ridges().set(row, (float) ridge.get(row));
        }
        for (int sequence = 0; sequence < shape.batch(); sequence++) {
            io.lengths().set(sequence, cache.length(sequence));
        }
        tasks.facts().init(Float.NaN); // so that what the device fails to write is seen
        run(GATHER);
        for (int row = 0; row < rows(); row++) {
            if (cache.length(row / shape.heads()) == 0) {
                found.clear(row);
                continue;
            }
            found.logSumExp()[row] = requireNumber(tasks.logSumExp(row));
            float[] kbar = new float[dim];
            tasks.kbar(row, kbar);
            for (int i = 0; i < dim; i++) {
                found.kbar()[row * dim + i] = kbar[i];
                for (int j = 0; j < dim; j++) {
                    found.a()[(row * dim + i) * dim + j] = tasks.covariance(row, i, j);
                }
            }
        }
    }

    private float requireNumber(float value) {
        if (Float.isNaN(value)) {
            throw new DeviceException(deviceName + ": decoding a part of " + shape + " left numbers unwritten or NaN; nothing of this run can be used");
        }
        return value;
    }

    @Override
    public void output(double[] x, double[] kbar, double[] o) {
        cache.exclusively(() -> weigh(x, kbar, o));
    }

    private void weigh(double[] x, double[] kbar, double[] o) {
        int dim = shape.headDim();
        for (int row = 0; row < rows(); row++) {
            double shift = 1;
            for (int d = row * dim; d < (row + 1) * dim; d++) {
                solution.set(d, (float) x[d]);
                shift += (kbar[d] - tasks.centre().get(d)) * x[d];
            }
            scales.set(row * FACTS, tasks.facts().get(row * FACTS));
            scales.set(row * FACTS + 1, tasks.facts().get(row * FACTS + 1));
            scales.set(row * FACTS + 2, (float) shift);
        }
        io.o().init(Float.NaN);
        run(WEIGH);
        for (int i = 0; i < o.length; i++) {
            o[i] = cache.length(i / shape.valueDim() / shape.heads()) == 0 ? 0 : requireNumber(io.o().get(i));
        }
    }

    @Override
    public void forget(int sequence, int length) {
        tokens.forget(sequence, length);
    }

    @Override
    public long workspaceBytes() {
        return tokens.bytes() + tasks.bytes() + (long) Float.BYTES * (solution.getSize() + scales.getSize());
    }

    @Override
    public void close() {
        TornadoExecutionPlan closing = plan;
        if (closing == null) {
            return;
        }
        plan = null;
        memory.release(heldBytes);
        cache.closed(this);
        try {
            entry.inTurn(() -> {
                closing.withGraph(APPEND).freeDeviceMemory();
                closing.withGraph(GATHER).freeDeviceMemory();
                closing.withGraph(WEIGH).freeDeviceMemory();
                return null;
            });
        } catch (Exception e) {
            throw new DeviceException(deviceName + ": cannot free the memory of a decode plan: " + e.getMessage(), e);
        }
    }
}
