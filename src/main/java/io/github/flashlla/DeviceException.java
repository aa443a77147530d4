package io.github.flashlla;

/** A device that cannot be opened, or that failed while computing; the message names the device and its own words. */
public class DeviceException extends RuntimeException {
    public DeviceException(String message) {
        super(message);
    }

    public DeviceException(String message, Throwable cause) {
        super(message, cause);
    }
}
