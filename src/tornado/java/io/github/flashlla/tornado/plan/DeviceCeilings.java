package io.github.flashlla.tornado.plan;

import io.github.flashlla.Device.Ceilings;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.graph.TaskAppender;
import io.github.flashlla.tornado.kernels.CeilingKernels;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.common.TornadoFunctions.Task3;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.enums.ProfilerMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Runs {@link CeilingKernels} on a device, by the device's own clock. */
public final class DeviceCeilings {
    private static final AtomicInteger GRAPHS = new AtomicInteger();
    private static final int GROUP = 256;

    /** Runs go on until this many in a row were no better: on a CPU other work may hold up any of them. */
    private static final int PATIENCE = 40;
    private static final int MAX_RUNS = 200;

    /** Enough threads to fill a GPU's compute unit many times over: it holds about 2048 at once. */
    private static final int GPU_THREADS_PER_UNIT = 1 << 14;

    /** On a CPU each is a long loop: a run of some milliseconds, in which a busy machine may well leave it the cores. */
    private static final int CPU_THREADS_PER_UNIT = 64;

    /** Beyond the last cache: 1 GiB on a GPU, so that starting and ending a run is a small share of it, 64 MiB on a CPU. */
    private static final int GPU_COPY_ELEMENTS = 1 << 28;
    private static final int CPU_COPY_ELEMENTS = 1 << 24;

    /** Two groups of eight warps. */
    private static final int MATRIX_THREADS_PER_UNIT = 2 * GROUP;

    private DeviceCeilings() {}

    /** Empty where a loop does not run, which is for the plans to complain about. */
    static Optional<Ceilings> measure(BackendDevice entry) {
        int units = Math.max(1, entry.info().computeUnits());
        boolean gpu = entry.info().type() == DeviceInfo.Type.GPU;
        try {
            double flops = gpu ? multiplyAdds(entry, CeilingKernels::multiplyAdd, units * GPU_THREADS_PER_UNIT, GROUP)
                    * CeilingKernels.THREAD_FLOPS
                    : multiplyAdds(entry, CeilingKernels::multiplyAddLanes, units * CPU_THREADS_PER_UNIT, 1)
                            * CeilingKernels.LANES_THREAD_FLOPS;
            CopyArrays arrays = gpu ? new CopyArrays(CeilingKernels.COPY_FIRST, elements(entry, GPU_COPY_ELEMENTS))
                    : new CopyArrays(0, elements(entry, CPU_COPY_ELEMENTS));
            double bytes = gpu ? Math.max(attempt(() -> copiedBytes(entry, arrays, 4, GROUP, CeilingKernels::copyFour)),
                            attempt(() -> copiedBytes(entry, arrays, 8, GROUP, CeilingKernels::copyEight)))
                    : copiedBytes(entry, arrays, CeilingKernels.COPY_SHARE, 1, CeilingKernels::copyShare);
            return flops > 0 && bytes > 0 ? Optional.of(new Ceilings(flops, bytes, matrixFlops(entry, units))) : Optional.empty();
        } catch (Exception | LinkageError | InternalError e) {
            return Optional.empty();
        }
    }

    /** Threads that run to their end per second. */
    private static double multiplyAdds(BackendDevice entry, Task3<KernelContext, FloatArray, FloatArray> kernel,
            int threads, int group) throws Exception {
        FloatArray factors = FloatArray.fromElements(1.0001f, 1e-7f);
        FloatArray out = new FloatArray(threads);
        out.init(Float.NaN);
        return threads * bestPerSecond(entry, kernel, factors, out, threads, group, () -> Float.isFinite(out.get(threads - 1)));
    }

    /** What all copy loops share, in which {@code elements} are copied from the first on: they take longer to fill than to copy. */
    private record CopyArrays(int first, int elements, FloatArray from, FloatArray to) {

        CopyArrays(int first, int elements) {
            this(first, elements, new FloatArray(first + elements), new FloatArray(first + elements));
            from.getSegment().fill((byte) 1);
        }

        void poison() {
            to.getSegment().fill((byte) -1); // NaN in every element
        }

        /** Whether every element arrived; a loop that skipped some has moved fewer bytes than it is credited with. */
        boolean copied() {
            return copied(to).mismatch(copied(from)) < 0;
        }

        private MemorySegment copied(FloatArray array) {
            return array.getSegment().asSlice((long) first * Float.BYTES, (long) elements * Float.BYTES);
        }
    }

    /** Flops per second of matrix units in float16; 0 where TornadoVM's backend reaches none. */
    private static double matrixFlops(BackendDevice entry, int units) {
        if (!entry.info().backend().equals("cuda")) {
            return 0;
        }
        int threads = units * MATRIX_THREADS_PER_UNIT;
        FloatArray one = FloatArray.fromElements(1, 0);
        FloatArray out = new FloatArray(threads * 32);
        out.init(Float.NaN);
        float sum = 16f * CeilingKernels.MATRIX_STEPS;
        return threads / 32.0 * CeilingKernels.MATRIX_WARP_FLOPS * attempt(() -> bestPerSecond(entry, CeilingKernels::matrixProducts, one, out,
                threads, GROUP, () -> holds(out, sum)));
    }

    /** Bytes read and written per second; each thread moves {@code share} elements. */
    private static double copiedBytes(BackendDevice entry, CopyArrays arrays, int share, int group,
            Task3<KernelContext, FloatArray, FloatArray> kernel) throws Exception {
        arrays.poison();
        return 2.0 * Float.BYTES * arrays.elements()
                * bestPerSecond(entry, kernel, arrays.from(), arrays.to(), arrays.elements() / share, group, arrays::copied);
    }

    private static int elements(BackendDevice entry, int most) {
        int elements = most;
        while (elements > 1 << 20 && 16L * elements > entry.info().memoryBytes()) {
            elements /= 2;
        }
        return elements;
    }

    /** Whether every element is this one; a loop that skipped some has moved fewer bytes than it is credited with. */
    private static boolean holds(FloatArray array, float value) {
        for (int i = 0; i < array.getSize(); i++) {
            if (array.get(i) != value) {
                return false;
            }
        }
        return true;
    }

    /** 0 where a driver does not take the loop; there are others. */
    private static double attempt(Callable<Double> loop) {
        try {
            return loop.call();
        } catch (Exception | LinkageError | InternalError e) {
            return 0;
        }
    }

    /** Runs per second of the kernel at its fastest; 0 if its answer is wrong. */
    private static double bestPerSecond(BackendDevice entry, Task3<KernelContext, FloatArray, FloatArray> kernel,
            FloatArray in, FloatArray out, int threads, int group, BooleanSupplier right) throws Exception {
        String name = "ceiling" + GRAPHS.incrementAndGet();
        TaskGraph graph = new TaskGraph(name).transferToDevice(DataTransferMode.FIRST_EXECUTION, in, out);
        GridScheduler grids = new GridScheduler();
        int local = entry.maxGroupThreads() > 0 ? Math.min(group, entry.maxGroupThreads()) : group;
        new TaskAppender(entry, graph, grids).task("loop", TaskAppender.groups(threads / local, local),
                added -> added.task("loop", kernel, new KernelContext(), in, out));
        graph.transferToHost(DataTransferMode.UNDER_DEMAND, out);
        try (TornadoExecutionPlan plan = new TornadoExecutionPlan(graph.snapshot())) {
            entry.configure(plan).withGridScheduler(grids).withProfiler(ProfilerMode.SILENT);
            long best = Long.MAX_VALUE;
            int since = 0;
            TornadoExecutionResult result = null;
            for (int run = 0; run < MAX_RUNS && since < PATIENCE; run++) {
                result = plan.execute();
                long nanos = result.getProfilerResult().getDeviceKernelTime();
                since = nanos < 0.99 * best ? 0 : since + 1;
                best = Math.min(best, nanos);
            }
            result.transferToHost(out);
            return best > 0 && right.getAsBoolean() ? 1e9 / best : 0;
        }
    }
}
