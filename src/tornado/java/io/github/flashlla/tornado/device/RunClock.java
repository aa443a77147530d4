package io.github.flashlla.tornado.device;

import java.lang.reflect.Method;
import java.util.Set;
import uk.ac.manchester.tornado.api.common.Event;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

/**
 * How long a run's kernels and copies took by the device's clock, read when the run has ended. TornadoVM notes start and end of each in a ring
 * of events. Its profiler reads these as well, but waits for every single kernel and copy before it starts the next, and keeps a log.
 *
 * <p>Of backends whose events have times without the profiler: PTX's have none, and SPIR-V's ring is another.
 */
final class RunClock {
    private static final Set<String> BACKENDS = Set.of("cuda", "opencl");
    /** Length of the ring; no graph of this project has half as many copies and kernels. */
    private static final int RING = Integer.getInteger("tornado.eventpool.size", 1024);

    private final TornadoDevice device;
    private final Method mark;
    private final Method event;
    private long plan;
    private int first = -1;

    /**
     * Nanoseconds of one run.
     *
     * @param kernels that have run
     */
    record Times(long kernels, long copiesIn, long copiesOut) {}

    private RunClock(TornadoDevice device, Method mark, Method event) {
        this.device = device;
        this.mark = mark;
        this.event = event;
    }

    /**
     * Null where the profiler has to be used.
     *
     * @param deviceType TornadoVM's interface of devices that run kernels
     */
    static RunClock of(TornadoDevice device, String backend, Class<?> deviceType) {
        if (!BACKENDS.contains(backend) || !Boolean.parseBoolean(System.getProperty("tornado.opencl.profiling.enable", "true"))) {
            return null;
        }
        try {
            return new RunClock(device, deviceType.getMethod("enqueueMarker", long.class), deviceType.getMethod("resolveEvent", long.class, int.class));
        } catch (NoSuchMethodException e) {
            return null;
        }
    }

    /** Counts from here on. */
    void start(long plan) throws ReflectiveOperationException {
        this.plan = plan;
        first = (Integer) mark.invoke(device, plan);
    }

    /** Forgets what was counted. */
    void reset() {
        first = -1;
    }

    /** What was counted since {@link #start}, once TornadoVM has waited for the run; all 0 without one. */
    Times stop() throws ReflectiveOperationException {
        if (first < 0) {
            return new Times(0, 0, 0);
        }
        int last = (Integer) mark.invoke(device, plan);
        long kernels = 0;
        long in = 0;
        long out = 0;
        for (int at = after(first); at != last; at = after(at)) {
            Event event = event(at);
            String name = event.getName();
            if (name.startsWith("kernel")) {
                kernels += event.getElapsedTime();
            } else if (name.startsWith("writeToDevice")) {
                in += event.getElapsedTime();
            } else if (name.startsWith("readFromDevice")) {
                out += event.getElapsedTime();
            }
        }
        reset();
        return new Times(kernels, in, out);
    }

    private static int after(int at) {
        return at + 1 < RING ? at + 1 : 0;
    }

    private Event event(int number) throws ReflectiveOperationException {
        return (Event) event.invoke(device, plan, number);
    }
}
