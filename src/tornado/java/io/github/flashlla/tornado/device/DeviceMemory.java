package io.github.flashlla.tornado.device;

import io.github.flashlla.DeviceException;
import io.github.flashlla.text.Numbers;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicLong;
import uk.ac.manchester.tornado.api.exceptions.TornadoOutOfMemoryException;

/**
 * The memory of one device that TornadoVM may use, and what this JVM's plans hold of it. TornadoVM says how much it could not
 * allocate, but not how much was free, and says so in the midst of a run.
 */
public final class DeviceMemory {
    /** TornadoVM's own property; what it does not say is 4 GB. */
    static final String BUDGET = "tornado.device.memory";

    private final String device;
    private final long budget;
    private final AtomicLong held = new AtomicLong();
    private final List<Runnable> spare = new CopyOnWriteArrayList<>();

    /** @param deviceBytes all that the device has, or at most 0 if it does not tell */
    public DeviceMemory(String device, long deviceBytes) {
        this.device = device;
        long allowed = parse(System.getProperty(BUDGET, "4GB"));
        this.budget = deviceBytes > 0 ? Math.min(deviceBytes, allowed) : allowed;
    }

    long freeBytes() {
        return budget - held.get();
    }

    /**
     * Notes that a plan holds memory.
     *
     * @param what a shape, for the message
     * @throws DeviceException if there is less, with both numbers
     */
    public void hold(Object what, long bytes) {
        requireFree(what, bytes);
        held.addAndGet(bytes);
    }

    /** Has {@code giveBack} called when there is less than is asked for: to release what nobody needs. */
    public void onShortage(Runnable giveBack) {
        spare.add(giveBack);
    }

    public void removeOnShortage(Runnable giveBack) {
        spare.remove(giveBack);
    }

    public void requireFree(Object what, long bytes) {
        if (bytes > freeBytes()) {
            spare.forEach(Runnable::run);
        }
        if (bytes > freeBytes()) {
            throw shortage(what, bytes, null);
        }
    }

    public void release(long bytes) {
        held.addAndGet(-bytes);
    }

    /** The device's own refusal in numbers; null if the failure was of another kind. */
    public DeviceException refusal(Object what, long bytes, Throwable failure) {
        for (Throwable e = failure; e != null; e = e.getCause()) {
            if (e instanceof TornadoOutOfMemoryException) {
                return shortage(what, bytes, failure);
            }
        }
        return null;
    }

    private DeviceException shortage(Object what, long bytes, Throwable cause) {
        String own = cause == null ? "" : " TornadoVM says: " + RootCause.message(cause);
        return new DeviceException(device + " is short of memory: " + what + " needs " + Numbers.bytes(bytes) + ", and "
                + Numbers.bytes(freeBytes()) + " of the " + Numbers.bytes(budget) + " that TornadoVM may use (" + BUDGET
                + ") are not held by other plans; close some, use "
                + "fewer heads or a shorter sequence." + own, cause);
    }

    /** As TornadoVM reads it: a count of bytes, or of K, M, G, T, P or E in powers of 1024. */
    private static long parse(String size) {
        String text = size.endsWith("B") ? size.substring(0, size.length() - 1) : size;
        int prefix = text.isEmpty() ? -1 : "KMGTPE".indexOf(text.charAt(text.length() - 1));
        long count = Long.parseLong(prefix < 0 ? text : text.substring(0, text.length() - 1));
        return count << 10 * (prefix + 1);
    }
}
