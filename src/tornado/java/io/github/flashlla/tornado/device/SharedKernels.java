package io.github.flashlla.tornado.device;

import java.lang.reflect.Field;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.common.Access;
import uk.ac.manchester.tornado.api.common.SchedulableTask;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.enums.TornadoVMBackendType;
import uk.ac.manchester.tornado.api.runtime.TaskContextInterface;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

/**
 * A device as TornadoVM's plans see it, which compiles a kernel once for all plans. TornadoVM compiles the tasks of every plan anew.
 * What it compiles depends on the kernel, on the values of arguments that are no arrays, and on the sizes of arrays where the
 * kernel asks for them ({@link ArraySizes}): where all of these are the same, so is the code, whatever the shape.
 *
 * <p>Compiled code keeps the arguments of the launch that is being prepared, so plans that share it must run in turn
 * ({@link BackendDevice#inTurn}). It stays until the JVM ends.
 *
 * <p>Built on classes of TornadoVM's runtime that are not its API, by their names. Where they are not as in 5.2.0, plans compile for
 * themselves.
 */
public final class SharedKernels implements InvocationHandler {
    private static final String RUNTIME = "uk.ac.manchester.tornado.runtime.";
    /** Of kernels that are kept for each device; further ones are compiled for their plan alone. */
    private static final int MOST = 256;
    /** TornadoVM counts plans from 0; code is kept with the plan that it was compiled for, and none is closed that has these numbers. */
    private static final AtomicLong OWNERS = new AtomicLong(Long.MIN_VALUE / 2);
    private static final Map<TornadoDevice, SharedKernels> DEVICES = new ConcurrentHashMap<>();

    private final TornadoDevice device;
    private final Runtime runtime;
    private final TornadoDevice shared;
    private final Map<List<Object>, Compiled> compiled = new HashMap<>();
    private final AtomicLong compilations = new AtomicLong();
    /** As an object: TornadoVM asks for it many times in a run, and looks up what an array has on the device by it. */
    private final Integer hash;

    /** @param access TornadoVM's note of how a kernel uses each argument */
    private record Compiled(Object code, Access[] access) {}

    private SharedKernels(TornadoDevice device) {
        this.device = device;
        this.hash = device.hashCode();
        this.runtime = Boolean.getBoolean("tornado.virtual.device") ? null : Runtime.find(); // such a device has no plans to share
        this.shared = runtime == null ? device : (TornadoDevice) Proxy.newProxyInstance(SharedKernels.class.getClassLoader(),
                new Class<?>[] {runtime.deviceType}, this);
    }

    public static SharedKernels of(TornadoDevice device) {
        return DEVICES.computeIfAbsent(device, SharedKernels::new);
    }

    /** The device to give to a plan. */
    TornadoDevice device() {
        return shared;
    }

    /** Kernels compiled so far, for whatever plan. */
    public long compilations() {
        return compilations.get();
    }

    @Override
    public Object invoke(Object proxy, Method method, Object[] arguments) throws Throwable {
        try {
            return switch (method.getName()) {
                case "installCode" -> install((Long) arguments[0], (SchedulableTask) arguments[1]);
                case "getCodeFromCache" -> cached((Long) arguments[0], (SchedulableTask) arguments[1], method);
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
        if (known != null && (Boolean) runtime.isValid.invoke(known.code)) {
            System.arraycopy(known.access, 0, task.getArgumentsAccess(), 0, known.access.length);
            return known.code;
        }
        boolean keep = key != null && (known != null || compiled.size() < MOST);
        compilations.incrementAndGet();
        Object code;
        runtime.setDevice(task, device); // some compilers cast it to their own class
        try {
            code = runtime.install.invoke(device, keep ? OWNERS.incrementAndGet() : plan, task);
        } finally {
            runtime.setDevice(task, shared);
        }
        if (keep && code != null) {
            compiled.put(key, new Compiled(code, task.getArgumentsAccess().clone()));
        }
        return code;
    }

    private synchronized Object cached(long plan, SchedulableTask task, Method method) throws ReflectiveOperationException {
        List<Object> key = key(task);
        Compiled known = key == null ? null : compiled.get(key);
        return known == null ? method.invoke(device, plan, task) : known.code;
    }

    /** What a task's code depends on; null where that is not known. */
    private List<Object> key(SchedulableTask task) throws ReflectiveOperationException {
        if (!runtime.kernel.getDeclaringClass().isInstance(task)) {
            return null;
        }
        Method kernel = (Method) runtime.kernel.invoke(task);
        boolean sizes = ArraySizes.areReadBy(kernel);
        boolean launchedByGrid = false;
        List<Object> key = new ArrayList<>(List.of(kernel, runtime.flags.invoke(task.meta(), device.getTornadoVMBackend())));
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

    /** What the API lacks. */
    private record Runtime(Class<?> deviceType, Method install, Method kernel, Method flags, Field schedule, Method isValid) {

        /** Null where these are others. */
        static Runtime find() {
            try {
                Class<?> deviceType = Class.forName(RUNTIME + "common.TornadoXPUDevice");
                Class<?> meta = Class.forName(RUNTIME + "tasks.meta.TaskDataContext");
                Field schedule = meta.getDeclaredField("scheduleMetaData");
                schedule.setAccessible(true);
                return new Runtime(deviceType, deviceType.getMethod("installCode", long.class, SchedulableTask.class),
                        Class.forName(RUNTIME + "tasks.CompilableTask").getMethod("getMethod"),
                        meta.getMethod("getCompilerFlags", TornadoVMBackendType.class), schedule,
                        Class.forName(RUNTIME + "common.TornadoInstalledCode").getMethod("isValid"));
            } catch (ReflectiveOperationException | RuntimeException e) {
                return null;
            }
        }

        /** A task is of a graph, whose device counts where it was set. */
        void setDevice(SchedulableTask task, TornadoDevice device) throws ReflectiveOperationException {
            ((TaskContextInterface) schedule.get(task.meta())).setDevice(device);
            task.meta().setDevice(device);
        }
    }
}
