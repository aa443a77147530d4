package io.github.flashlla.tornado.device;

import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.Map;
import uk.ac.manchester.tornado.api.common.Event;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

/**
 * How long a run's kernels and copies took by the device's clock, read when the run has ended. TornadoVM notes start and end of each in a ring
 * of events, one a plan. Its profiler reads these as well, but waits for every single kernel and copy before it starts the next, and keeps a log.
 *
 * <p>Built on fields of TornadoVM 5.2.0's drivers, by their names. Those of OpenCL and CUDA have the same; PTX's events have no times without
 * the profiler.
 */
final class RunClock {
    private static final String DRIVERS = "uk.ac.manchester.tornado.drivers.";
    /** Length of a ring; no graph of this project has half as many copies and kernels. */
    private static final int RING = Integer.getInteger("tornado.eventpool.size", 1024);

    private final TornadoDevice device;
    private final Method event;
    private final Map<?, ?> rings;
    /** Of a ring: where the next event goes. */
    private final Field next;
    /** CUDA's switch, which TornadoVM sets at the start of every run, and to off where there is no profiler; null for OpenCL. */
    private final Method timing;
    private long plan = -1;
    private int first;

    /**
     * Nanoseconds of one run.
     *
     * @param launches kernels that were started
     * @param kernels all together; 0 where nobody measured them
     */
    record Times(int launches, long kernels, long copiesIn, long copiesOut) {}

    private RunClock(TornadoDevice device, String driver, String prefix, Method event) throws ReflectiveOperationException {
        this.device = device;
        this.event = event;
        Object context = device.getDeviceContext();
        Field field = context.getClass().getDeclaredField("oclEventPool");
        field.setAccessible(true);
        this.rings = (Map<?, ?>) field.get(context);
        this.next = Class.forName(DRIVERS + driver + prefix + "EventPool").getDeclaredField("eventIndex");
        next.setAccessible(true);
        this.timing = driver.equals("cuda.") ? Class.forName(DRIVERS + "cuda.CUDACommandQueue").getDeclaredMethod("nativeEnableTiming", boolean.class)
                : null;
        if (timing != null) {
            timing.setAccessible(true);
        }
    }

    /**
     * Null where the profiler has to be used.
     *
     * @param deviceType TornadoVM's interface of devices that run kernels
     */
    static RunClock of(TornadoDevice device, String backend, Class<?> deviceType) {
        String prefix = backend.equals("cuda") ? "CUDA" : backend.equals("opencl") ? "OCL" : null;
        if (prefix == null || !Boolean.parseBoolean(System.getProperty("tornado.opencl.profiling.enable", "true"))) {
            return null;
        }
        try {
            return new RunClock(device, backend + ".", prefix, deviceType.getMethod("resolveEvent", long.class, int.class));
        } catch (ReflectiveOperationException | RuntimeException e) {
            return null;
        }
    }

    /** Counts from here on, in a run that TornadoVM has just begun. */
    void start(long plan) throws ReflectiveOperationException {
        this.plan = plan;
        first = next();
        if (timing != null) {
            timing.invoke(null, true);
        }
    }

    /** Forgets what was counted. */
    void reset() {
        plan = -1;
    }

    /** What was counted since {@link #start}, once TornadoVM has waited for the run; all 0 without one. */
    Times stop() throws ReflectiveOperationException {
        int launches = 0;
        long kernels = 0;
        long in = 0;
        long out = 0;
        int last = plan < 0 ? first : next();
        for (int at = first; at != last; at = at + 1 < RING ? at + 1 : 0) {
            Event event = (Event) this.event.invoke(device, plan, at);
            String name = event.getName();
            if (name.startsWith("kernel")) {
                launches++;
                kernels += event.getElapsedTime();
            } else if (name.startsWith("writeToDevice")) {
                in += event.getElapsedTime();
            } else if (name.startsWith("readFromDevice")) {
                out += event.getElapsedTime();
            }
        }
        reset();
        return new Times(launches, kernels, in, out);
    }

    private int next() throws ReflectiveOperationException {
        Object ring = rings.get(plan);
        return ring == null ? 0 : next.getInt(ring);
    }
}
