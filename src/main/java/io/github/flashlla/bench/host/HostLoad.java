package io.github.flashlla.bench.host;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;

/** What else keeps this machine busy: measurements beside other work scatter, and are slower than they need be. */
public final class HostLoad {
    private static final int LOOK_MILLIS = 300;

    /** Of one core; a desktop at rest takes less. */
    private static final double QUIET = 0.3;

    private HostLoad() {}

    /** Cores that other work keeps busy; looks for a moment, in which this process rests. */
    static OptionalDouble busyCores() {
        if (!(ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system)) {
            return OptionalDouble.empty();
        }
        system.getCpuLoad(); // starts the interval that the next call measures
        try {
            Thread.sleep(LOOK_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return OptionalDouble.empty();
        }
        return OptionalDouble.of(Math.max(0, system.getCpuLoad() * system.getAvailableProcessors()));
    }

    /**
     * A sentence about other work, if there is enough of it to matter.
     *
     * @param busy cores that it keeps busy; null where that is not known
     */
    public static Optional<String> complaint(Double busy) {
        return busy == null || busy < QUIET ? Optional.empty() : Optional.of(String.format(Locale.ROOT,
                "other work keeps %.1f of %d cores busy: times will scatter, and comparisons see less", busy, Runtime.getRuntime().availableProcessors()));
    }
}
