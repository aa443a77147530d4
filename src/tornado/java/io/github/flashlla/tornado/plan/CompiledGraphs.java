package io.github.flashlla.tornado.plan;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.Timing;
import io.github.flashlla.process.DriverLog;
import io.github.flashlla.spi.ExclusiveUse;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.DeviceMemory;
import io.github.flashlla.tornado.device.RootCause;
import io.github.flashlla.tornado.device.Transfers;
import java.util.function.Supplier;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;

/**
 * The task graphs of one plan for one shape: built, compiled, run and freed in turn with the device's other plans, with the device's
 * memory accounted for. After a failure the plan is abandoned and its memory given back.
 */
final class CompiledGraphs {
    private final ExclusiveUse use;
    private final BackendDevice entry;
    private final String device;
    private final AttentionShape shape;
    private final DeviceMemory memory;
    private final DriverLog driverLog = new DriverLog();
    private final RunTimes times;
    private final long began = System.nanoTime();
    private TornadoExecutionPlan plan;
    private TornadoExecutionResult last;
    private long heldBytes;
    private long compileNanos;

    /** @param bytes of device memory that the graphs' arrays take, as long as {@link #hold} adds none */
    CompiledGraphs(ExclusiveUse use, BackendDevice entry, AttentionShape shape, long bytes) {
        this.use = use;
        this.entry = entry;
        this.device = entry.info().name();
        this.shape = shape;
        this.memory = entry.memory();
        this.times = new RunTimes(entry);
        hold(bytes);
    }

    /** Notes further arrays. */
    void hold(long bytes) {
        memory.hold(shape, bytes);
        heldBytes += bytes;
    }

    /** What {@code graphs} makes, with failures of TornadoVM told as this plan's. */
    <T> T build(Supplier<T> graphs) {
        try {
            return entry.building(graphs);
        } catch (InvalidInputException e) {
            release();
            throw e;
        } catch (Throwable e) { // TornadoVM throws errors as well as exceptions
            throw failure("could not build its task graphs", e);
        }
    }

    /** Takes over the plan of what {@link #build} made, and compiles its first graph. */
    void start(TornadoExecutionPlan built, GridScheduler grids) {
        entry.configureShared(built).withGridScheduler(grids);
        plan = built;
        compile(0);
        compileNanos = System.nanoTime() - began;
    }

    /** Compiles a further graph. */
    void compile(int graph) {
        long start = System.nanoTime();
        try {
            entry.compiling(() -> plan.withGraph(graph).withPreCompilation());
            driverLog.check(device);
        } catch (Throwable e) { // TornadoVM throws errors as well as exceptions
            throw failure("could not compile its kernels", e);
        }
        compileNanos += System.nanoTime() - start;
    }

    /**
     * Runs one graph; the wall time is left to the caller ({@link #since}).
     *
     * @param transfers what is not sent, what is still filled, what is taken in parts
     */
    Timing execute(int graph, Transfers transfers) {
        times.prepare(plan);
        long start = System.nanoTime();
        try {
            last = entry.inTurn(transfers, () -> plan.withGraph(graph).execute());
        } catch (Throwable e) {
            throw failure("failed", e);
        }
        driverLog.check(device);
        Timing timing = times.of(transfers, last, System.nanoTime() - start, compileNanos);
        compileNanos = 0;
        return timing;
    }

    /** The same timing with the wall time since {@code start}. */
    static Timing since(long start, Timing timing) {
        return new Timing(System.nanoTime() - start, timing.kernelNanos(), timing.copyInNanos(), timing.copyOutNanos(),
                timing.compileNanos());
    }

    /** Copies back what the graph of the last run does only where it is asked to. */
    void fetch(Object... arrays) {
        try {
            entry.inTurn(() -> last.transferToHost(arrays));
        } catch (Throwable e) {
            throw failure("could not read its solutions", e);
        }
        driverLog.check(device);
    }

    private DeviceException failure(String what, Throwable e) {
        use.abandon();
        release();
        DeviceException shortage = memory.refusal(shape, heldBytes, e);
        try {
            if (plan != null) {
                plan.withAllGraphs();
                entry.inTurn(plan::freeDeviceMemory);
            }
        } catch (Throwable unfreed) { // TornadoVM gives up at the first array that was not allocated
            e.addSuppressed(unfreed);
        }
        if (shortage != null) {
            return shortage;
        }
        driverLog.check(device);
        return new DeviceException(device + " " + what + " for " + shape + ": " + RootCause.message(e), e);
    }

    private void release() {
        memory.release(heldBytes);
    }

    /** Gives all memory back. */
    void free() {
        release();
        try {
            entry.inTurn(() -> {
                plan.withAllGraphs();
                plan.close();
                return null;
            });
        } catch (Exception e) {
            throw new DeviceException(device + " could not free its memory: " + e.getMessage(), e);
        }
    }
}
