package io.github.flashlla.tornado.device;

import io.github.flashlla.tornado.kernels.tile.Nvrtc;
import io.github.flashlla.tornadovm.KernelCache.Kernel;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import uk.ac.manchester.tornado.api.common.SchedulableTask;
import uk.ac.manchester.tornado.api.common.TornadoDevice;

/**
 * The form in which one backend's compiled kernels are kept: source for OpenCL and PTX, whose drivers have caches of their own for what
 * they make of it; a binary for CUDA, whose compiler has none.
 *
 * <p>Built on classes of TornadoVM's drivers that are not its API, by their names.
 */
abstract class KernelForm {
    private static final String DRIVERS = "uk.ac.manchester.tornado.drivers.";

    final Object context;

    private KernelForm(TornadoDevice device) {
        this.context = device.getDeviceContext();
    }

    /** Null where kernels of the device's backend are not kept. */
    static KernelForm of(TornadoDevice device) {
        try {
            return switch (device.getTornadoVMBackend()) {
                case OPENCL -> new OpenCl(device);
                case PTX -> new Ptx(device);
                case CUDA -> new Cuda(device);
                default -> null;
            };
        } catch (ReflectiveOperationException | RuntimeException e) {
            return null;
        }
    }

    /** What of the driver's compiler the code depends on, beside what {@link io.github.flashlla.tornadovm.KernelCache} asks for itself. */
    List<String> facts() throws ReflectiveOperationException {
        return List.of();
    }

    /** What to keep of compiled code; null where it does not say. */
    abstract byte[] bytes(Object code) throws ReflectiveOperationException;

    /** Compiled code of what was kept. */
    abstract Object install(long plan, SchedulableTask task, Method kernel, Kernel kept) throws ReflectiveOperationException;

    /**
     * Compiles a task's kernel for another architecture than TornadoVM would.
     *
     * @throws IllegalStateException if it cannot be
     */
    Object compile(long plan, SchedulableTask task, Method kernel, String architecture) throws ReflectiveOperationException {
        throw new IllegalStateException("a kernel for " + architecture + " on a device that is not CUDA's");
    }

    /** The name of its entry point. */
    static String name(Object code) throws ReflectiveOperationException {
        return (String) code.getClass().getMethod("getName").invoke(code);
    }

    private static final class OpenCl extends KernelForm {
        private final Method install;

        OpenCl(TornadoDevice device) throws ReflectiveOperationException {
            super(device);
            this.install = context.getClass().getMethod("installCode", long.class,
                    Class.forName("uk.ac.manchester.tornado.runtime.tasks.meta.TaskDataContext"), String.class, String.class, byte[].class);
        }

        @Override
        byte[] bytes(Object code) throws ReflectiveOperationException {
            return (byte[]) code.getClass().getMethod("getCode").invoke(code);
        }

        @Override
        Object install(long plan, SchedulableTask task, Method kernel, Kernel kept) throws ReflectiveOperationException {
            return install.invoke(context, plan, task.meta(), task.getId(), kept.name(), kept.code());
        }
    }

    private static final class Ptx extends KernelForm {
        private final Method install;

        Ptx(TornadoDevice device) throws ReflectiveOperationException {
            super(device);
            this.install = context.getClass().getMethod("installCode", Class.forName("uk.ac.manchester.tornado.runtime.tasks.meta.TaskDataContext"),
                    long.class, String.class, byte[].class, String.class, boolean.class);
        }

        @Override
        byte[] bytes(Object code) throws ReflectiveOperationException {
            return ((String) code.getClass().getMethod("getGeneratedSourceCode").invoke(code)).getBytes(StandardCharsets.UTF_8);
        }

        @Override
        Object install(long plan, SchedulableTask task, Method kernel, Kernel kept) throws ReflectiveOperationException {
            return install.invoke(context, task.meta(), plan, kept.name(), kept.code(), kernel.getName(), false);
        }
    }

    /** TornadoVM's CUDA classes are named after OpenCL's. */
    private static final class Cuda extends KernelForm {
        /** Knows the compiler's classes, and so is loaded by its name alone. */
        private static final String SOURCE = "io.github.flashlla.tornado.device.CudaSource";
        private final Class<?> program = Class.forName(DRIVERS + "cuda.CUDAProgram");
        private final Method binaries = program.getDeclaredMethod("getBinaries", long.class, long.class, ByteBuffer.class);
        private final Field pointer = program.getDeclaredField("programPointer");
        private final Class<?> code = Class.forName(DRIVERS + "cuda.graal.CUDAInstalledCode");

        Cuda(TornadoDevice device) throws ReflectiveOperationException {
            super(device);
            binaries.setAccessible(true);
            pointer.setAccessible(true);
        }

        @Override
        List<String> facts() throws ReflectiveOperationException {
            return List.of("NVRTC " + program.getMethod("getNvrtcVersion").invoke(null));
        }

        @Override
        byte[] bytes(Object code) throws ReflectiveOperationException {
            Object built = code.getClass().getMethod("getProgram").invoke(code);
            long[] sizes = (long[]) program.getMethod("getBinarySizes").invoke(built);
            if (sizes.length != 1 || sizes[0] <= 0) {
                return null;
            }
            ByteBuffer binary = ByteBuffer.allocateDirect(Math.toIntExact(sizes[0]));
            binaries.invoke(null, pointer.getLong(built), 1L, binary);
            byte[] bytes = new byte[binary.capacity()];
            binary.get(bytes);
            return bytes;
        }

        @Override
        Object compile(long plan, SchedulableTask task, Method kernel, String architecture) throws ReflectiveOperationException {
            Kernel source = (Kernel) Class.forName(SOURCE).getMethod("of", SchedulableTask.class).invoke(null, task);
            byte[] binary = Nvrtc.find().orElseThrow(() -> new IllegalStateException("NVRTC is not here")).compile(
                    new String(source.code(), StandardCharsets.UTF_8), architecture);
            Object code = install(plan, task, kernel, new Kernel(source.name(), source.notes(), binary));
            if (code == null) {
                throw new IllegalStateException("the driver does not load the kernel " + source.name() + " for " + architecture);
            }
            return code;
        }

        @Override
        Object install(long plan, SchedulableTask task, Method kernel, Kernel kept) throws ReflectiveOperationException {
            Object built = context.getClass().getMethod("createProgramWithBinary", byte[].class, long[].class).invoke(context, kept.code(),
                    new long[] {kept.code().length});
            program.getMethod("build", String.class).invoke(built, "");
            Object status = program.getMethod("getStatus", long.class).invoke(built,
                    context.getClass().getMethod("getDeviceId").invoke(context));
            if (!status.toString().equals("CL_BUILD_SUCCESS")) {
                return null;
            }
            Object entry = program.getMethod("clCreateKernel", String.class).invoke(built, kept.name());
            return code.getConstructors()[0].newInstance(kept.name(), kept.code(), context, built, entry, false);
        }
    }

    /** Runs {@code install}; null where TornadoVM refuses what was kept. */
    final Object installed(long plan, SchedulableTask task, Method kernel, Kernel kept) {
        try {
            return install(plan, task, kernel, kept);
        } catch (ReflectiveOperationException | RuntimeException e) {
            return null;
        }
    }
}
