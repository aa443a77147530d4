package io.github.flashlla.tornado.device;

import io.github.flashlla.DeviceException;
import io.github.flashlla.Timing;
import uk.ac.manchester.tornado.api.TornadoProfilerResult;

/** What TornadoVM's profiler says of a run. */
public final class ProfiledTimes {
    private ProfiledTimes() {}

    /**
     * The profiler's results, which are live views of the last run and so copied at once. Through SPIR-V on PoCL, the time of a
     * copy now and then holds the kernel that ran before it; no copy takes longer than what the kernels leave of the run.
     *
     * @param wallNanos host time of the run
     * @param readNanos host time of its copies from the device, which count where TornadoVM does not time them, as on CUDA: the kernels have
     *     ended before
     * @param compiledNanos run-time compilation before the run that is to be told with it
     * @throws DeviceException if no kernel ran
     */
    public static Timing of(String device, TornadoProfilerResult profile, long wallNanos, long readNanos, long compiledNanos) {
        long kernels = profile.getDeviceKernelTime();
        if (kernels <= 0) {
            throw new DeviceException(device + " returned without running its kernels (kernel time 0); run flashlla doctor.");
        }
        long most = Math.max(0, wallNanos - kernels);
        long read = profile.getDeviceReadTime() > 0 ? profile.getDeviceReadTime() : readNanos;
        return new Timing(wallNanos, kernels, Math.min(profile.getDeviceWriteTime(), most), Math.min(read, most), compiledNanos + profile.getCompileTime());
    }
}
