package io.github.flashlla;

import java.util.List;

/**
 * A source of devices, found by {@link java.util.ServiceLoader}.
 *
 * <p>A provider must load and answer {@link #discover()} on any machine; what it lacks there it reports as an absence.
 */
public interface DeviceProvider {

    /**
     * The backends of this provider's devices, such as {@code opencl}; used to name the responsible backend when a device
     * name is unknown.
     */
    List<String> backends();

    /** Its devices that can be opened here, and its backends without any; throws nothing for what this machine lacks. */
    Discovery discover();

    /** The same for someone who asks for a device that {@link #discover()} did not list: nothing is absent because it was so earlier. */
    default Discovery discoverAgain() {
        return discover();
    }

    /**
     * Opens a device that {@link #discover()} listed.
     *
     * @throws DeviceException if the device fails to open
     */
    Device open(String name);

    /** What was found, and what was not and why. */
    record Discovery(List<DeviceInfo> devices, List<Absence> absences) {
        public static Discovery of(DeviceInfo... devices) {
            return new Discovery(List.of(devices), List.of());
        }
    }

    /**
     * A backend that is not there.
     *
     * @param backend its name
     * @param reason what is missing, and how to get it, in one sentence
     */
    record Absence(String backend, String reason) {}
}
