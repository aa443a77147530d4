package io.github.flashlla.tornado;

import io.github.flashlla.Device.Ceilings;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.tornado.kernels.CeilingKernels;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.WorkerGrid1D;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.enums.ProfilerMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Runs {@link CeilingKernels} on a device, by the device's own clock. */
final class DeviceCeilings {
    private static final AtomicInteger GRAPHS = new AtomicInteger();
    private static final int GROUP = 256;
    private static final int RUNS = 6;

    /** Enough threads to fill a compute unit many times over; a GPU holds about 2048 at once, a CPU works them off. */
    private static final int GPU_THREADS_PER_UNIT = 1 << 14;
    private static final int CPU_THREADS_PER_UNIT = 1 << 12;

    /** Beyond the last cache: 256 MiB on a GPU, 64 MiB on a CPU. */
    private static final int GPU_COPY_ELEMENTS = 1 << 26;
    private static final int CPU_COPY_ELEMENTS = 1 << 24;

    private DeviceCeilings() {}

    /** Empty where a loop does not run, which is for the plans to complain about. */
    static Optional<Ceilings> measure(TornadoRuntimeDevices.Entry entry) {
        DeviceInfo info = entry.info();
        boolean gpu = info.type() == DeviceInfo.Type.GPU;
        try {
            int threads = Math.max(1, info.computeUnits()) * (gpu ? GPU_THREADS_PER_UNIT : CPU_THREADS_PER_UNIT);
            FloatArray factors = FloatArray.fromElements(1.0001f, 1e-7f);
            double fmaNanos = bestNanos(entry, "multiplyAdd", factors, new FloatArray(threads));
            int elements = gpu ? GPU_COPY_ELEMENTS : CPU_COPY_ELEMENTS;
            while (elements > 1 << 20 && 16L * elements > info.memoryBytes()) {
                elements /= 2;
            }
            FloatArray from = new FloatArray(elements);
            from.init(1);
            double copyNanos = bestNanos(entry, "copy", from, new FloatArray(elements));
            return fmaNanos > 0 && copyNanos > 0
                    ? Optional.of(new Ceilings(CeilingKernels.THREAD_FLOPS * (double) threads / fmaNanos * 1e9,
                            2.0 * Float.BYTES * elements / copyNanos * 1e9))
                    : Optional.empty();
        } catch (Exception | LinkageError | InternalError e) {
            return Optional.empty();
        }
    }

    /** Least kernel time of a few runs; 0 if the kernel did not write its last element. */
    private static double bestNanos(TornadoRuntimeDevices.Entry entry, String task, FloatArray in, FloatArray out)
            throws Exception {
        String name = "ceiling" + GRAPHS.incrementAndGet();
        System.setProperty(name + "." + task + ".device", entry.backendIndex() + ":" + entry.deviceIndex());
        out.init(Float.NaN);
        TaskGraph graph = new TaskGraph(name).transferToDevice(DataTransferMode.FIRST_EXECUTION, in, out);
        if (task.equals("copy")) {
            graph.task(task, CeilingKernels::copy, new KernelContext(), in, out);
        } else {
            graph.task(task, CeilingKernels::multiplyAdd, new KernelContext(), in, out);
        }
        graph.transferToHost(DataTransferMode.UNDER_DEMAND, out);
        WorkerGrid1D grid = new WorkerGrid1D(out.getSize());
        grid.setLocalWork(entry.maxGroupThreads() > 0 ? Math.min(GROUP, entry.maxGroupThreads()) : GROUP, 1, 1);
        try (TornadoExecutionPlan plan = new TornadoExecutionPlan(graph.snapshot())) {
            plan.withGridScheduler(new GridScheduler(name + "." + task, grid)).withDevice(entry.device())
                    .withProfiler(ProfilerMode.SILENT);
            long best = Long.MAX_VALUE;
            TornadoExecutionResult result = null;
            for (int run = 0; run < RUNS; run++) {
                result = plan.execute();
                best = Math.min(best, result.getProfilerResult().getDeviceKernelTime());
            }
            result.transferToHost(out);
            return Float.isFinite(out.get(out.getSize() - 1)) ? best : 0;
        }
    }
}
