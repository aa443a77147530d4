package io.github.flashlla.tornado.device;

import io.github.flashlla.tornadovm.KernelCache;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import uk.ac.manchester.tornado.api.common.Access;

/**
 * What TornadoVM learns from a kernel's sketch, its first form in the compiler, kept from process to process. A sketch is made
 * whenever a task is added to a graph, and takes a cold JVM longer than anything else. A plan whose kernels' code is kept needs
 * of it only how each argument is used.
 *
 * <p>Only plans inside {@link #during} are given less than a whole sketch. To everyone else, and to the compiler, the sketch is
 * made when it is asked for.
 *
 * <p>Built on classes of TornadoVM's runtime that are not its API, by their names.
 */
final class KeptSketches {
    private static final String KEY = "sketches";
    private static final ThreadLocal<Boolean> ENOUGH = ThreadLocal.withInitial(() -> false);

    private final KernelCache cache;
    private final int backend;
    private final int device;
    private final Sketcher sketcher;
    /** Those that were read, and those of this process. */
    private final Map<String, Kept> kept = new HashMap<>();

    /**
     * One kernel's.
     *
     * @param kernel class, method and descriptor
     * @param readsSizes as {@link ArraySizes#areReadBy}
     * @param writesIndex TornadoVM's note of how the kernel uses its loop's index
     * @param access how it uses each argument
     */
    private record Kept(String kernel, boolean readsSizes, boolean writesIndex, List<Access> access) {

        String line() {
            return kernel + " " + readsSizes + " " + writesIndex + " " + String.join(",", access.stream().map(Access::name).toList());
        }

        static Kept of(String line) {
            String[] words = line.split(" ");
            return new Kept(words[0], Boolean.parseBoolean(words[1]), Boolean.parseBoolean(words[2]),
                    words.length < 4 ? List.of() : Arrays.stream(words[3].split(",")).map(Access::valueOf).toList());
        }
    }

    private KeptSketches(KernelCache cache, int backend, int device, Sketcher sketcher) {
        this.cache = cache;
        this.backend = backend;
        this.device = device;
        this.sketcher = sketcher;
    }

    /**
     * Gives TornadoVM what was kept for a device.
     *
     * @param backend TornadoVM's index of the device's backend
     * @param device its index there
     * @return null where TornadoVM's classes are others than those known here
     */
    static KeptSketches of(KernelCache cache, int backend, int device) {
        try {
            KeptSketches sketches = new KeptSketches(cache, backend, device, Sketcher.find());
            sketches.offer();
            return sketches;
        } catch (ReflectiveOperationException | RuntimeException e) {
            return null;
        }
    }

    /** Runs work that adds, compiles or runs tasks, for which what was kept of a sketch is enough. */
    static <T> T during(Callable<T> work) throws Exception {
        return with(true, work);
    }

    /** Runs the compiler, which needs whole sketches. */
    static <T> T whole(Callable<T> work) throws Exception {
        return with(false, work);
    }

    private static <T> T with(boolean enough, Callable<T> work) throws Exception {
        boolean before = ENOUGH.get();
        ENOUGH.set(enough);
        try {
            return work.call();
        } finally {
            ENOUGH.set(before);
        }
    }

    private void offer() {
        for (Kept known : read()) {
            kept.put(known.kernel(), known);
            try {
                Method kernel = KernelCode.method(known.kernel());
                ArraySizes.remember(kernel, known.readsSizes());
                sketcher.put(kernel, backend, device, known.access().toArray(Access[]::new), known.writesIndex());
            } catch (ReflectiveOperationException | LinkageError e) {
                // sketched as ever
            }
        }
    }

    private List<Kept> read() {
        Optional<KernelCache.Kernel> file = cache.read(KEY);
        try {
            return file.map(KernelCache.Kernel::notes).orElse(List.of()).stream().map(Kept::of).toList();
        } catch (RuntimeException e) {
            return List.of();
        }
    }

    /** Keeps what TornadoVM has found out of a kernel that it has compiled. */
    synchronized void keep(Method kernel) {
        String name = KernelCode.name(kernel);
        if (kept.containsKey(name)) {
            return;
        }
        try {
            Object sketch = sketcher.lookup(kernel, backend, device);
            kept.put(name, new Kept(name, ArraySizes.areReadBy(kernel), sketcher.writesIndex(sketch), List.of(sketcher.access(sketch))));
            for (Kept other : read()) { // what another process has written meanwhile
                kept.putIfAbsent(other.kernel(), other);
            }
            cache.write(KEY, new KernelCache.Kernel(KEY, kept.values().stream().map(Kept::line).sorted().toList(), new byte[0]));
        } catch (ReflectiveOperationException | RuntimeException e) {
            // the next process sketches it again
        }
    }

    /** TornadoVM's sketcher, by reflection. */
    private record Sketcher(Object runtime, Method resolve, Map<Object, Object> sketches, Constructor<?> entry, Method matches, Constructor<?> sketch,
            Constructor<?> request, Constructor<?> maker, Method lookup, Method access, Method writesIndex, ExecutorService executor) {
        private static final String RUNTIME = "uk.ac.manchester.tornado.runtime.";
        private static final String PACKAGE = RUNTIME + "sketcher.";

        @SuppressWarnings("unchecked")
        static Sketcher find() throws ReflectiveOperationException {
            Class<?> core = Class.forName(RUNTIME + "TornadoCoreRuntime");
            Class<?> sketcher = Class.forName(PACKAGE + "TornadoSketcher");
            Class<?> entry = Class.forName(PACKAGE + "TornadoSketcher$TornadoSketcherCacheEntry");
            Class<?> request = Class.forName(PACKAGE + "SketchRequest");
            Class<?> sketch = Class.forName(PACKAGE + "Sketch");
            Field cache = sketcher.getDeclaredField("cache");
            cache.setAccessible(true);
            Constructor<?> maker = Class.forName(PACKAGE + "TornadoSketcher$TornadoSketcherCallable").getDeclaredConstructor(request);
            maker.setAccessible(true);
            Constructor<?> newEntry = entry.getDeclaredConstructor(int.class, int.class, Future.class);
            newEntry.setAccessible(true);
            Constructor<?> newSketch = sketch.getDeclaredConstructors()[0];
            newSketch.setAccessible(true);
            Method matches = entry.getDeclaredMethod("matchesDriverAndDevice", int.class, int.class);
            matches.setAccessible(true);
            Object runtime = core.getMethod("getTornadoRuntime").invoke(null);
            Method resolve = core.getMethod("resolveMethod", Method.class);
            return new Sketcher(runtime, resolve, (Map<Object, Object>) cache.get(null), newEntry, matches, newSketch,
                    request.getDeclaredConstructors()[0], maker, sketcher.getMethod("lookup", resolve.getReturnType(), int.class, int.class),
                    sketch.getMethod("getArgumentsAccess"), sketch.getMethod("getBatchWriteThreadIndex"),
                    (ExecutorService) core.getMethod("getTornadoExecutor").invoke(null));
        }

        /** Puts what is known in place of a sketch, if TornadoVM has none. */
        @SuppressWarnings("unchecked")
        void put(Method kernel, int backend, int device, Access[] known, boolean writes) throws ReflectiveOperationException {
            Object method = resolve.invoke(runtime, kernel);
            List<Object> entries = (List<Object>) sketches.computeIfAbsent(method, _ -> Collections.synchronizedList(new ArrayList<>()));
            synchronized (entries) {
                for (Object other : entries) {
                    if ((Boolean) matches.invoke(other, backend, device)) {
                        return;
                    }
                }
                Object part = sketch.newInstance(null, known, writes);
                entries.add(entry.newInstance(backend, device, new Known(part, () -> make(method, backend, device))));
            }
        }

        private Object make(Object method, int backend, int device) throws Exception {
            Object vm = runtime.getClass().getMethod("getBackend", int.class).invoke(runtime, backend);
            Class<?> backendType = Class.forName(RUNTIME + "TornadoAcceleratorBackend");
            Object suites = backendType.getMethod("getSuitesProvider").invoke(vm);
            Class<?> suitesType = backendType.getMethod("getSuitesProvider").getReturnType();
            Object made = maker.newInstance(request.newInstance(method, backendType.getMethod("getProviders").invoke(vm),
                    suitesType.getMethod("getGraphBuilderSuite").invoke(suites), suitesType.getMethod("getSketchTier").invoke(suites),
                    backend, device));
            return executor.submit((Callable<?>) made).get();
        }

        Object lookup(Method kernel, int backend, int device) throws ReflectiveOperationException {
            return lookup.invoke(null, resolve.invoke(runtime, kernel), backend, device);
        }

        Access[] access(Object sketch) throws ReflectiveOperationException {
            return (Access[]) access.invoke(sketch);
        }

        boolean writesIndex(Object sketch) throws ReflectiveOperationException {
            return (Boolean) writesIndex.invoke(sketch);
        }
    }

    /** A sketch in part, and the whole of it for those who need it. */
    private static final class Known implements Future<Object> {
        /** TornadoVM keeps what it finds out of a sketch in a static field: two at a time would take each other's. */
        private static final Object MAKING = new Object();

        private final Object part;
        private final Callable<Object> maker;
        private Object whole;

        Known(Object part, Callable<Object> maker) {
            this.part = part;
            this.maker = maker;
        }

        @Override
        public Object get() throws ExecutionException {
            if (ENOUGH.get()) {
                return part;
            }
            synchronized (this) {
                if (whole == null) {
                    try {
                        synchronized (MAKING) {
                            whole = maker.call();
                        }
                    } catch (ExecutionException e) {
                        throw e;
                    } catch (InvocationTargetException e) {
                        throw new ExecutionException(e.getCause());
                    } catch (Exception e) {
                        throw new ExecutionException(e);
                    }
                }
                return whole;
            }
        }

        @Override
        public Object get(long timeout, TimeUnit unit) throws ExecutionException {
            return get();
        }

        @Override
        public boolean isDone() {
            return true;
        }

        @Override
        public boolean cancel(boolean mayInterrupt) {
            return false;
        }

        @Override
        public boolean isCancelled() {
            return false;
        }
    }
}
