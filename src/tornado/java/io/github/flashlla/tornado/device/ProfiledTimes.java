package io.github.flashlla.tornado.device;

import io.github.flashlla.DeviceException;
import io.github.flashlla.Timing;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.TornadoProfilerResult;

/** What a run of a plan took. */
public final class ProfiledTimes {
    private ProfiledTimes() {}

    /**
     * By the device's clock, or where that is not read without TornadoVM's profiler, by this one's results, which are live views of the last
     * run and so copied at once. Through SPIR-V on PoCL, the time of a copy now and then holds the kernel that ran before it; no copy takes
     * longer than what the kernels leave of the run.
     *
     * @param transfers of the run, which ran {@link BackendDevice#inTurn(Transfers, java.util.concurrent.Callable) in turn}; other plans may
     *     run by now
     * @param result of the run
     * @param wallNanos host time of the run
     * @param compiledNanos run-time compilation before the run that is to be told with it
     * @throws DeviceException if no kernel ran
     */
    public static Timing of(BackendDevice entry, Transfers transfers, TornadoExecutionResult result, long wallNanos, long compiledNanos) {
        Transfers.Measured measured = transfers.measured();
        RunClock.Times clock = measured.clock();
        RunClock.Times times = clock == null ? profiled(measured, result.getProfilerResult()) : clock;
        if (times.launches() == 0) {
            throw new DeviceException(entry.info().name() + " returned without running its kernels (kernel time 0); run flashlla doctor.");
        }
        if (times.kernels() <= 0) { // another plan of this process ran without a clock meanwhile, or TornadoVM's events are not as in 5.2.0
            SharedKernels.of(entry).distrustClock();
            return new Timing(wallNanos, -1, -1, -1, compiledNanos);
        }
        long compiled = clock == null ? compiledNanos + result.getProfilerResult().getCompileTime() : compiledNanos;
        long most = Math.max(0, wallNanos - times.kernels());
        return new Timing(wallNanos, times.kernels(), Math.min(times.copiesIn(), most), Math.min(times.copiesOut(), most), compiled);
    }

    /** The host's time of copies from the device counts where TornadoVM does not time them: the kernels have ended before. */
    private static RunClock.Times profiled(Transfers.Measured measured, TornadoProfilerResult profile) {
        long whole = profile.getDeviceReadTime() > 0 ? profile.getDeviceReadTime() : measured.readNanos();
        long kernels = profile.getDeviceKernelTime();
        return new RunClock.Times(kernels > 0 ? 1 : 0, kernels, profile.getDeviceWriteTime(), whole + measured.partNanos());
    }
}
