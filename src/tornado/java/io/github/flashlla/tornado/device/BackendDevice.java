package io.github.flashlla.tornado.device;

import io.github.flashlla.DeviceInfo;
import java.util.concurrent.Callable;
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
                return work.call();
            } finally {
                device.getDeviceContext().setResetToFalse();
            }
        }
    }
}
