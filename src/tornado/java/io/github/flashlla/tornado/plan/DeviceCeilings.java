package io.github.flashlla.tornado.plan;

import io.github.flashlla.Device.Ceilings;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.kernels.CeilingKernels;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.WorkerGrid1D;
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

    /** Beyond the last cache: 256 MiB on a GPU, 64 MiB on a CPU. */
    private static final int GPU_COPY_ELEMENTS = 1 << 26;
    private static final int CPU_COPY_ELEMENTS = 1 << 24;

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
            double bytes = gpu ? copiedBytes(entry, CeilingKernels::copy, GPU_COPY_ELEMENTS, 1, GROUP)
                    : copiedBytes(entry, CeilingKernels::copyShare, CPU_COPY_ELEMENTS, CeilingKernels.COPY_SHARE, 1);
            return flops > 0 && bytes > 0 ? Optional.of(new Ceilings(flops, bytes)) : Optional.empty();
        } catch (Exception | LinkageError | InternalError e) {
            return Optional.empty();
        }
    }

    /** Threads that run to their end per second. */
    private static double multiplyAdds(BackendDevice entry, Task3<KernelContext, FloatArray, FloatArray> kernel,
            int threads, int group) throws Exception {
        FloatArray factors = FloatArray.fromElements(1.0001f, 1e-7f);
        return threads * bestPerSecond(entry, kernel, factors, new FloatArray(threads), threads, group);
    }

    /** Bytes read and written per second; each thread moves {@code share} elements. */
    private static double copiedBytes(BackendDevice entry, Task3<KernelContext, FloatArray, FloatArray> kernel,
            int mostElements, int share, int group) throws Exception {
        int elements = mostElements;
        while (elements > 1 << 20 && 16L * elements > entry.info().memoryBytes()) {
            elements /= 2;
        }
        FloatArray from = new FloatArray(elements);
        from.init(1);
        return 2.0 * Float.BYTES * elements
                * bestPerSecond(entry, kernel, from, new FloatArray(elements), elements / share, group);
    }

    /** Runs per second of the kernel at its fastest; 0 if it did not write its last element. */
    private static double bestPerSecond(BackendDevice entry, Task3<KernelContext, FloatArray, FloatArray> kernel,
            FloatArray in, FloatArray out, int threads, int group) throws Exception {
        String name = "ceiling" + GRAPHS.incrementAndGet();
        System.setProperty(name + ".loop.device", entry.backendIndex() + ":" + entry.deviceIndex());
        out.init(Float.NaN);
        TaskGraph graph = new TaskGraph(name).transferToDevice(DataTransferMode.FIRST_EXECUTION, in, out)
                .task("loop", kernel, new KernelContext(), in, out).transferToHost(DataTransferMode.UNDER_DEMAND, out);
        WorkerGrid1D grid = new WorkerGrid1D(threads);
        grid.setLocalWork(entry.maxGroupThreads() > 0 ? Math.min(group, entry.maxGroupThreads()) : group, 1, 1);
        try (TornadoExecutionPlan plan = new TornadoExecutionPlan(graph.snapshot())) {
            plan.withGridScheduler(new GridScheduler(name + ".loop", grid)).withDevice(entry.device())
                    .withProfiler(ProfilerMode.SILENT);
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
            return best > 0 && Float.isFinite(out.get(out.getSize() - 1)) ? 1e9 / best : 0;
        }
    }
}
