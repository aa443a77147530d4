package io.github.flashlla.tornado.device;

import io.github.flashlla.tornado.kernels.forward.TileSolve;
import io.github.flashlla.tornado.kernels.tile.Architecture;
import io.github.flashlla.tornado.kernels.tile.Nvrtc;
import io.github.flashlla.tornado.kernels.tile.TileOperations;
import io.github.flashlla.tornado.kernels.tile.WarpGroupKernels;
import io.github.flashlla.tornadovm.KernelCache.Kernel;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.common.SchedulableTask;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.runtime.TornadoRuntimeProvider;

/**
 * On a virtual device, compiles kernels as {@link SharedKernels} does those that have an {@link Architecture}: a line for each with how it uses its
 * arguments, and the size of its machine code, or {@code -1} where there is no NVRTC. The last line is {@code done}.
 */
public final class ArchitectureSource {
    /** In front of what {@link TileSolve#solve} is compiled for without and with warp groups. */
    static final String SOLVE = "solve: ";

    private ArchitectureSource() {}

    public static void main(String[] args) throws Exception {
        TornadoDevice device = TornadoRuntimeProvider.getTornadoRuntime().getBackend(0).getDevice(0);
        TileOperations.unavailable("cuda:0").ifPresent(why -> {
            throw new IllegalStateException(why);
        });
        KernelRuntime runtime = KernelRuntime.find();
        TornadoDevice compiling = (TornadoDevice) Proxy.newProxyInstance(ArchitectureSource.class.getClassLoader(), new Class<?>[] {runtime.deviceType()},
                (Object proxy, Method method, Object[] arguments) -> {
                    if (method.getName().equals("installCode")) {
                        compile(runtime, device, (SchedulableTask) arguments[1]);
                        return null;
                    }
                    if (method.getName().equals("equals")) {
                        return arguments[0] == proxy || device.equals(arguments[0]);
                    }
                    try {
                        return method.invoke(device, arguments);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
        for (Method kernel : TileSolve.class.getMethods()) {
            if (kernel.getName().equals("solve")) {
                System.out.println(SOLVE + architecture(kernel, 0) + " " + architecture(kernel, 1));
            }
        }
        GridScheduler grids = new GridScheduler();
        try (TornadoExecutionPlan plan = new TornadoExecutionPlan(WarpGroupKernels.allOperations(grids).snapshot())) {
            plan.withDevice(compiling).withGridScheduler(grids).withPreCompilation();
        }
        System.out.println("done");
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    /** With this for the kernel's last argument. */
    private static String architecture(Method kernel, int warpGroup) {
        Object[] arguments = new Object[kernel.getParameterCount()];
        Arrays.fill(arguments, 64);
        arguments[arguments.length - 1] = warpGroup;
        return SharedKernels.architecture(kernel, arguments).map(Architecture::value).orElse("none");
    }

    private static void compile(KernelRuntime runtime, TornadoDevice device, SchedulableTask task) throws ReflectiveOperationException {
        runtime.setDevice(task, device);
        Method kernel = (Method) runtime.kernel().invoke(task);
        Kernel source = (Kernel) Class.forName("io.github.flashlla.tornado.device.CudaSource").getMethod("of", SchedulableTask.class).invoke(null, task);
        String architecture = SharedKernels.architecture(kernel, task.getArguments()).orElseThrow().value();
        int size = Nvrtc.find().map(nvrtc -> nvrtc.compile(new String(source.code(), StandardCharsets.UTF_8), architecture).length).orElse(-1);
        System.out.println("//// " + source.name() + " " + architecture + " " + source.notes() + " " + size);
    }
}
