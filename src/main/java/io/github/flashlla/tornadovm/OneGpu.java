package io.github.flashlla.tornadovm;

import io.github.flashlla.process.JavaCommand;
import java.util.List;

/**
 * Shows a JVM one GPU of NVIDIA's. TornadoVM 5.2.0 computes on the first GPU that it sees, whichever device a plan names: on two H200,
 * {@code cuda:1} took as long as {@code cuda:0}, and both at once twice as long, while the second GPU drew idle power.
 */
public final class OneGpu {
    /** The variable by which NVIDIA's drivers show a process some GPUs only. */
    static final String VISIBLE = "CUDA_VISIBLE_DEVICES";
    /** System property: the number of the first device that this JVM sees. */
    private static final String FIRST = "flashlla.first.gpu";

    private OneGpu() {}

    /** The same command, which sees this device only and calls it by its name; as it is for a first GPU and other backends. */
    static JavaCommand of(String device, JavaCommand command) {
        return of(device, command, System.getenv(VISIBLE));
    }

    /** @param visible which GPUs are shown to this JVM; null for all */
    static JavaCommand of(String device, JavaCommand command, String visible) {
        Backend backend = Backend.of(device);
        int number = number(device);
        if (backend != Backend.CUDA && backend != Backend.PTX || number == 0) {
            return command;
        }
        String[] shown = visible == null || visible.isBlank() ? new String[0] : visible.split(",");
        String one = number < shown.length ? shown[number].strip() : Integer.toString(number);
        return command.with(VISIBLE, one).with(List.of("-D" + FIRST + "=" + number));
    }

    /** The number of the first device of a backend in this JVM, as users count. */
    public static int first(String backend) {
        return backend.equals(Backend.CUDA.id()) || backend.equals(Backend.PTX.id()) ? Integer.getInteger(FIRST, 0) : 0;
    }

    /** A device's index among those that TornadoVM's backend has in this JVM. */
    public static int index(String device) {
        return number(device) - first(Backend.of(device).id());
    }

    private static int number(String device) {
        return device.contains(":") ? Integer.parseInt(device.substring(device.indexOf(':') + 1)) : 0;
    }
}
