package io.github.flashlla.spi;

/** Whether a device is open, which its plans and caches check. */
public final class DeviceState {
    private final String device;
    private volatile boolean closed;

    public DeviceState(String device) {
        this.device = device;
    }

    String device() {
        return device;
    }

    public boolean isOpen() {
        return !closed;
    }

    /** @throws IllegalStateException if the device is closed */
    public void requireOpen() {
        if (closed) {
            throw new IllegalStateException(device + ": the device is closed; open it anew");
        }
    }

    public void close() {
        closed = true;
    }
}
