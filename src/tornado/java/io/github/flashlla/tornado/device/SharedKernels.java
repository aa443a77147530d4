package io.github.flashlla.tornado.device;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.tornado.kernels.tile.Architecture;
import io.github.flashlla.tornadovm.KernelCache;
import io.github.flashlla.tornadovm.KernelCache.Kernel;
import java.io.IOException;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Parameter;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.common.Access;
import uk.ac.manchester.tornado.api.common.SchedulableTask;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.memory.DeviceBufferState;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

/**
 * A device as TornadoVM's plans see it, which compiles a kernel once for all plans, and whose copies a run can depart from
 * ({@link #with}). TornadoVM compiles the tasks of every plan anew. What it compiles depends on the kernel, on the values of
 * arguments that are no arrays, and on the sizes of arrays where the kernel asks for them ({@link ArraySizes}): where all of
 * these are the same, so is the code, whatever the shape.
 *
 * <p>Code that an earlier process compiled is taken from {@link KernelCache}, and what this one compiles is kept there.
 *
 * <p>Compiled code keeps the arguments of the launch that is being prepared, so plans that share it must run in turn
 * ({@link BackendDevice#inTurn}). It stays until the JVM ends.
 *
 * <p>Built on classes of TornadoVM's runtime that are not its API, by their names. Where they are not as in 5.2.0, plans compile for
 * themselves.
 */
public final class SharedKernels implements InvocationHandler {
    /** Options of TornadoVM and its compiler; how much memory it may use is none of code's. */
    private static final Pattern OPTIONS = Pattern.compile("(tornado|jdk\\.graal)\\.(?!device\\.memory$).*");
    /**
     * Where a thread of its own may compile each kernel. PoCL lost a file of its cache where two did, other drivers for OpenCL were not tried
     * enough, and PTX's takes code from the threads alone that have used the device.
     */
    private static final Set<String> SIDE_BY_SIDE = Set.of("cuda");
    /** Of kernels that are kept for each device; further ones are compiled for their plan alone. */
    private static final int MOST = 256;
    /** Which argument of {@code streamIn} says where on the host to begin, in bytes from the array's begin. */
    private static final int HOST_OFFSET = 3;
    /** TornadoVM's number of no event. */
    private static final Integer NO_EVENT = -1;
    /** TornadoVM counts plans from 0; code is kept with the plan that it was compiled for, and none is closed that has these numbers. */
    private static final AtomicLong OWNERS = new AtomicLong(Long.MIN_VALUE / 2);
    private static final Map<TornadoDevice, SharedKernels> DEVICES = new ConcurrentHashMap<>();

    private final TornadoDevice device;
    private final KernelRuntime runtime;
    private final TornadoDevice shared;
    /** Null where it is not known. */
    private final KernelForm form;
    /** These two are null where kernels are not kept. */
    private final KernelCache cache;
    private final KeptSketches sketches;
    private final Map<List<Object>, Compiled> compiled = new ConcurrentHashMap<>();
    private final AtomicLong compilations = new AtomicLong();
    /** Kernels that are compiled side by side. */
    private final int atOnce;
    /** What TornadoVM has asked for of a graph that is being compiled; null at other times. */
    private volatile Map<List<Object>, LateCode> late;
    /** Null where arrays are sent as a whole. */
    private final PartSender parts;
    /** Null where TornadoVM's profiler has to tell times. */
    private volatile RunClock clock;
    /** Of the run that goes on; null between runs. */
    private volatile Transfers transfers;
    private volatile long readNanos;
    private volatile long partNanos;
    /** As an object: TornadoVM asks for it many times in a run, and looks up what an array has on the device by it. */
    private final Integer hash;

    /** @param access TornadoVM's note of how a kernel uses each argument */
    private record Compiled(Object code, Access[] access) {

        void tell(SchedulableTask task) {
            System.arraycopy(access, 0, task.getArgumentsAccess(), 0, access.length);
        }
    }

    private SharedKernels(BackendDevice entry) {
        this.device = entry.device();
        this.hash = device.hashCode();
        this.runtime = Boolean.getBoolean("tornado.virtual.device") ? null : KernelRuntime.find(); // such a device has no plans to share
        this.shared = runtime == null ? device : (TornadoDevice) Proxy.newProxyInstance(SharedKernels.class.getClassLoader(),
                new Class<?>[] {runtime.deviceType()}, this);
        this.clock = runtime == null ? null : RunClock.of(device, entry.info().backend(), runtime.deviceType());
        this.atOnce = SIDE_BY_SIDE.contains(entry.info().backend()) && entry.info().type() == DeviceInfo.Type.GPU
                ? Runtime.getRuntime().availableProcessors() : 1;
        this.parts = runtime == null ? null : PartSender.of(device, entry.info().backend());
        this.form = runtime == null ? null : KernelForm.of(device);
        this.cache = form == null ? null : cache(entry, form).orElse(null);
        this.sketches = cache == null ? null : KeptSketches.of(cache, entry.backendIndex(), entry.deviceIndex());
    }

    public static SharedKernels of(BackendDevice device) {
        return DEVICES.computeIfAbsent(device.device(), _ -> new SharedKernels(device));
    }

    /** What a kernel's code depends on beside itself: the device, TornadoVM's options, this project's code. */
    private static Optional<KernelCache> cache(BackendDevice entry, KernelForm form) {
        try {
            List<String> facts = new ArrayList<>(List.of(entry.info().backend(), entry.info().hardware(), entry.info().vendor(),
                    entry.info().driver(), entry.device().getPlatformName()));
            facts.addAll(form.facts());
            facts.addAll(KernelCode.checksums());
            System.getProperties().stringPropertyNames().stream().filter(name -> OPTIONS.matcher(name).matches()).sorted()
                    .forEach(name -> facts.add(name + "=" + System.getProperty(name)));
            return KernelCache.of(facts);
        } catch (IOException | ReflectiveOperationException | RuntimeException e) {
            return Optional.empty();
        }
    }

    /** The device to give to a plan. */
    TornadoDevice device() {
        return shared;
    }

    /** Does a run, with its copies as {@code given} has them. */
    <T> T with(Transfers given, Callable<T> run) throws Exception {
        if (runtime == null) { // nobody asks for them
            given.filled().join();
        }
        RunClock now = clock;
        transfers = given;
        readNanos = 0;
        partNanos = 0;
        try {
            T result = run.call();
            given.measured(new Transfers.Measured(now == null ? null : now.stop(), readNanos, partNanos));
            return result;
        } finally {
            transfers = null;
            if (now != null) {
                now.reset();
            }
        }
    }

    /** Whether a run can have arrays sent from elsewhere. */
    boolean takesTransfers() {
        return runtime != null;
    }

    /** Whether runs are timed without TornadoVM's profiler. */
    boolean hasClock() {
        return clock != null;
    }

    /** Has TornadoVM's profiler time later runs. */
    void distrustClock() {
        clock = null;
    }

    /** TornadoVM's first call for a run. */
    private Object begin(Method method, Object[] arguments) throws ReflectiveOperationException {
        Object result = method.invoke(device, arguments);
        RunClock now = clock;
        if (now != null && transfers != null) {
            now.start((Long) arguments[0]);
        }
        return result;
    }

    /**
     * Copies an array to the device, if it is to be, as far as it is full. There is no other way for an array of each run: TornadoVM makes this call
     * before every task that reads it, on the thread that runs the plan, and the device reads the host's array after that alone. It has read all
     * arrays when a run returns, for TornadoVM then waits for the device; so no array is filled while it reads it.
     */
    private Object send(Method method, Object[] arguments) throws ReflectiveOperationException {
        Transfers now = transfers;
        if (now == null) {
            return method.invoke(device, arguments);
        }
        if (!now.sends(arguments[1])) {
            return null;
        }
        Transfers.Filling filling = now.filling(arguments[1]);
        if (filling != null) {
            TornadoNativeArray array = (TornadoNativeArray) arguments[1];
            if (parts != null) {
                parts.send((Long) arguments[0], array, (DeviceBufferState) arguments[4], filling);
                return null;
            }
            filling.await(array.getSize());
        }
        Object[] moved = arguments.clone();
        moved[HOST_OFFSET] = (Long) arguments[HOST_OFFSET] + now.distance(arguments[1]); // the driver adds it to the array's address
        return method.invoke(device, moved);
    }

    private Object read(Method method, Object[] arguments) throws ReflectiveOperationException {
        Transfers now = transfers;
        Transfers.Receiver receiver = now == null ? null : now.receiver(arguments[1]);
        long start = System.nanoTime();
        if (receiver == null) {
            Object event = method.invoke(device, arguments);
            readNanos += System.nanoTime() - start;
            return event;
        }
        TornadoNativeArray array = (TornadoNativeArray) arguments[1];
        DeviceBufferState state = (DeviceBufferState) arguments[3];
        long header = TornadoNativeArray.ARRAY_HEADER;
        int elementBytes = PartSender.elementBytes(array);
        int each = PartSender.PART_BYTES / elementBytes;
        try {
            for (long from = 0; from < array.getSize(); from += each) { // long: the last step may go beyond an int
                int to = (int) Math.min(array.getSize(), from + each);
                state.setPartialCopySize((to - from) * elementBytes);
                method.invoke(device, arguments[0], array, header + from * elementBytes, state, arguments[4]);
                partNanos += System.nanoTime() - start;
                receiver.read((int) from, to);
                start = System.nanoTime();
            }
        } finally {
            state.setPartialCopySize(0);
        }
        return NO_EVENT;
    }

    /** Kernels compiled so far, for whatever plan, or taken from an earlier process. */
    public long compilations() {
        return compilations.get();
    }

    @Override
    public Object invoke(Object proxy, Method method, Object[] arguments) throws Throwable {
        try {
            return switch (method.getName()) {
                case "installCode" -> install((Long) arguments[0], (SchedulableTask) arguments[1]);
                case "getCodeFromCache" -> cached((Long) arguments[0], (SchedulableTask) arguments[1], method);
                case "setIntraPlanConcurrency" -> begin(method, arguments);
                case "streamIn" -> send(method, arguments);
                case "streamOutBlocking" -> read(method, arguments);
                case "hashCode" -> hash;
                case "equals" -> arguments[0] == proxy || device.equals(arguments[0]);
                default -> method.invoke(device, arguments);
            };
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    private synchronized Object install(long plan, SchedulableTask task) throws ReflectiveOperationException {
        List<Object> key = key(task);
        Compiled known = key == null ? null : compiled.get(key);
        if (known != null && (Boolean) runtime.isValid().invoke(known.code)) {
            known.tell(task);
            return known.code;
        }
        boolean share = key != null && (known != null || compiled.size() < MOST);
        if (share && late != null) {
            return late.computeIfAbsent(key, _ -> new LateCode(runtime.isValid().getDeclaringClass())).of(task);
        }
        runtime.setDevice(task, device); // some compilers cast it to their own class
        try {
            if (share) {
                return installShared(task, key).code;
            }
            compilations.incrementAndGet();
            return compile(plan, task);
        } finally {
            runtime.setDevice(task, shared);
        }
    }

    /** Compiles a graph, which {@code work} has TornadoVM do: kernels that are not there yet are compiled side by side when it has asked for all. */
    <T> T compiling(Callable<T> work) throws Exception {
        if (runtime == null) {
            return work.call();
        }
        Map<List<Object>, LateCode> asked = new LinkedHashMap<>();
        T result;
        late = asked;
        try {
            result = work.call();
        } finally {
            late = null;
        }
        for (LateCode code : asked.values()) {
            for (SchedulableTask task : code.tasks()) {
                runtime.setDevice(task, device);
            }
        }
        try {
            LateCode.compile(asked.entrySet().stream().<Callable<Void>>map(one -> () -> {
                Compiled done = installShared(one.getValue().tasks().getFirst(), one.getKey());
                one.getValue().tasks().forEach(done::tell);
                one.getValue().set(done.code);
                return null;
            }).toList(), atOnce);
        } catch (InvocationTargetException e) {
            switch (e.getCause()) {
                case Exception thrown -> throw thrown;
                case Error thrown -> throw thrown;
                default -> throw e;
            }
        } finally {
            for (LateCode code : asked.values()) {
                for (SchedulableTask task : code.tasks()) {
                    runtime.setDevice(task, shared);
                }
            }
        }
        return result;
    }

    private Compiled installShared(SchedulableTask task, List<Object> key) throws ReflectiveOperationException {
        Method kernel = (Method) key.getFirst();
        boolean keep = sketches != null && KernelCode.holds(kernel);
        compilations.incrementAndGet();
        long owner = OWNERS.incrementAndGet();
        Object code = keep ? kept(owner, task, kernel, key) : null;
        if (code == null) {
            code = compile(owner, task);
            if (keep && code != null) {
                keep(code, task, kernel, key);
            }
        }
        Compiled done = new Compiled(code, task.getArgumentsAccess().clone());
        if (code != null) {
            compiled.put(key, done);
        }
        return done;
    }

    private Object compile(long owner, SchedulableTask task) throws ReflectiveOperationException {
        Method kernel = method(task);
        Optional<Architecture> other = kernel == null ? Optional.empty() : architecture(kernel, task.getArguments());
        try {
            return KeptSketches.whole(() -> other.isEmpty() ? runtime.install().invoke(device, owner, task)
                    : form.compile(owner, task, kernel, other.get().value()));
        } catch (ReflectiveOperationException | RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new IllegalStateException(e); // a call by reflection throws no others
        }
    }

    /** Code of an earlier process; null where there is none. */
    private Object kept(long owner, SchedulableTask task, Method kernel, List<Object> key) {
        Kernel kept = cache.read(words(kernel, key)).orElse(null);
        Access[] access = task.getArgumentsAccess();
        if (kept == null || kept.notes().size() != access.length) {
            return null;
        }
        try {
            Access[] known = kept.notes().stream().map(Access::valueOf).toArray(Access[]::new);
            Object code = form.installed(owner, task, kernel, kept);
            if (code == null || !(Boolean) runtime.isValid().invoke(code)) {
                return null;
            }
            System.arraycopy(known, 0, access, 0, known.length);
            return code;
        } catch (ReflectiveOperationException | RuntimeException e) {
            return null;
        }
    }

    private void keep(Object code, SchedulableTask task, Method kernel, List<Object> key) {
        try {
            byte[] bytes = form.bytes(code);
            if (bytes != null && bytes.length > 0) {
                cache.write(words(kernel, key), new Kernel(KernelForm.name(code), Arrays.stream(task.getArgumentsAccess()).map(Access::name).toList(),
                        bytes));
                sketches.keep(kernel);
            }
        } catch (ReflectiveOperationException | RuntimeException e) {
            // the next process compiles it again
        }
    }

    /** The same key in another process. */
    private static String words(Method kernel, List<Object> key) {
        return KernelCode.name(kernel) + key.stream().skip(1).map(part -> part instanceof Number number
                ? number.getClass().getSimpleName() + " " + number : part.toString()).collect(Collectors.joining("\n", "\n", ""));
    }

    private synchronized Object cached(long plan, SchedulableTask task, Method method) throws ReflectiveOperationException {
        List<Object> key = key(task);
        Compiled known = key == null ? null : compiled.get(key);
        return known == null ? method.invoke(device, plan, task) : known.code;
    }

    /** Of the kernel itself, or of one of its numbers that is not 0. */
    static Optional<Architecture> architecture(Method kernel, Object[] arguments) {
        Optional<Architecture> found = Optional.ofNullable(kernel.getAnnotation(Architecture.class));
        Parameter[] parameters = kernel.getParameters();
        for (int i = 0; i < parameters.length && found.isEmpty(); i++) {
            if (arguments[i] instanceof Integer number && number != 0) {
                found = Optional.ofNullable(parameters[i].getAnnotation(Architecture.class));
            }
        }
        return found;
    }

    /** Null for a task that is not compiled from Java. */
    private Method method(SchedulableTask task) throws ReflectiveOperationException {
        return runtime.kernel().getDeclaringClass().isInstance(task) ? (Method) runtime.kernel().invoke(task) : null;
    }

    /** What a task's code depends on; null where that is not known. */
    private List<Object> key(SchedulableTask task) throws ReflectiveOperationException {
        Method kernel = method(task);
        if (kernel == null) {
            return null;
        }
        boolean sizes = ArraySizes.areReadBy(kernel);
        boolean launchedByGrid = false;
        List<Object> key = new ArrayList<>(List.of(kernel, runtime.flags().invoke(task.meta(), device.getTornadoVMBackend())));
        for (Object argument : task.getArguments()) {
            switch (argument) {
                case KernelContext _ -> launchedByGrid = true;
                case TornadoNativeArray array -> key.add(sizes ? List.of(array.getClass(), array.getSize()) : array.getClass());
                case Number number -> key.add(number);
                default -> {
                    return null;
                }
            }
        }
        return launchedByGrid ? key : null; // others are compiled for the size of their loops
    }
}
