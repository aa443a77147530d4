package io.github.flashlla.tornado.device;

import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.tornadovm.DeviceProfile;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

/**
 * A device and TornadoVM's own indexes of it.
 *
 * @param maxGroupThreads threads of the largest work-group, or -1 for a virtual device, which tells no limits
 * @param memory what this JVM's plans hold of its memory
 */
public record BackendDevice(DeviceInfo info, TornadoDevice device, int backendIndex, int deviceIndex, int maxGroupThreads,
        DeviceMemory memory) {

    /**
     * Compiles, runs or closes a plan, one at a time on this device. When any plan on a device is closed, TornadoVM marks
     * the device as reset and then refuses to run every plan that was compiled in advance, as if it had been theirs; the
     * mark is taken off here.
     */
    public <T> T inTurn(Callable<T> work) throws Exception {
        synchronized (memory) {
            device.getDeviceContext().setResetToFalse();
            try {
                return KeptSketches.during(work);
            } finally {
                device.getDeviceContext().setResetToFalse();
            }
        }
    }

    /** The same for work that compiles a graph of a plan {@link #configureShared configured to share}. */
    public <T> T compiling(Callable<T> work) throws Exception {
        return inTurn(() -> SharedKernels.of(this).compiling(work));
    }

    /** The same for a run of a plan {@link #configureShared configured to share}, with its copies as {@code transfers} has them. */
    public <T> T inTurn(Transfers transfers, Callable<T> run) throws Exception {
        return inTurn(() -> SharedKernels.of(this).with(transfers, run));
    }

    /**
     * Builds the task graphs of a plan that will be {@link #configureShared configured to share} its kernels: less of them is compiled
     * where kernels are kept.
     */
    public <T> T building(Supplier<T> graphs) {
        SharedKernels.of(this);
        try {
            return KeptSketches.during(graphs::get);
        } catch (RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new IllegalStateException(e); // a supplier throws no others
        }
    }

    /** Has a plan run on this device, and compile its kernels as the device's profile in tornado-config says. */
    public TornadoExecutionPlan configure(TornadoExecutionPlan plan) {
        return configure(plan, device);
    }

    /** The same for a plan that runs {@link #inTurn} alone: kernels that another such plan has compiled are taken from it. */
    public TornadoExecutionPlan configureShared(TornadoExecutionPlan plan) {
        return building(() -> configure(plan, SharedKernels.of(this).device()));
    }

    /** Whether TornadoVM's profiler, which keeps a log of every run, has to tell the times of runs: a plan then has to run with it. */
    public boolean isProfiled() {
        return !SharedKernels.of(this).hasClock();
    }

    /** Whether inputs are best sent from the caller's memory: CUDA and PTX pin TornadoVM's arrays, and copy from these several times as fast. */
    public boolean sendsInPlace() {
        return info.backend().equals("opencl") && SharedKernels.of(this).takesTransfers();
    }

    private TornadoExecutionPlan configure(TornadoExecutionPlan plan, TornadoDevice as) {
        plan.withDevice(as);
        DeviceProfile.of(info).compilerFlags().ifPresent(flags -> plan.withCompilerFlags(device.getTornadoVMBackend(), flags));
        return plan;
    }

    /**
     * Refuses an array that the device does not allocate at once, before any is: some drivers fail silently.
     *
     * @throws DeviceException with the sizes and what to do
     */
    public void requireAllocatable(long bytes, Object what, String remedy) {
        long most = device.getMaxAllocMemory();
        if (most > 0 && bytes > most) {
            throw new DeviceException(info.name() + " allocates at most " + Numbers.bytes(most) + " at once, but " + what
                    + " needs an array of " + Numbers.bytes(bytes) + "; " + remedy + ".");
        }
    }
}
