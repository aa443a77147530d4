package io.github.flashlla.tornado.device;

import io.github.flashlla.tornadovm.KernelCache.Kernel;
import java.util.Arrays;
import jdk.vm.ci.meta.ResolvedJavaMethod;
import uk.ac.manchester.tornado.api.common.Access;
import uk.ac.manchester.tornado.api.common.SchedulableTask;
import uk.ac.manchester.tornado.drivers.cuda.CUDABackendImpl;
import uk.ac.manchester.tornado.drivers.cuda.graal.CUDAProviders;
import uk.ac.manchester.tornado.drivers.cuda.graal.backend.CUDABackend;
import uk.ac.manchester.tornado.drivers.cuda.graal.compiler.CUDACompilationResult;
import uk.ac.manchester.tornado.drivers.cuda.graal.compiler.CUDACompiler;
import uk.ac.manchester.tornado.runtime.TornadoCoreRuntime;
import uk.ac.manchester.tornado.runtime.common.RuntimeUtilities;
import uk.ac.manchester.tornado.runtime.sketcher.Sketch;
import uk.ac.manchester.tornado.runtime.sketcher.TornadoSketcher;
import uk.ac.manchester.tornado.runtime.tasks.CompilableTask;
import uk.ac.manchester.tornado.runtime.tasks.meta.TaskDataContext;

/**
 * The first half of what TornadoVM's CUDA backend does to compile a task: CUDA C, which it then has NVRTC compile for the device's plain architecture.
 * Compiled against one version of TornadoVM, and loaded by name.
 */
public final class CudaSource {
    private CudaSource() {}

    /** A task's kernel: its CUDA C, its name there, and how it uses each argument, which the task is told, too. */
    public static Kernel of(SchedulableTask task) {
        CompilableTask executable = (CompilableTask) task;
        TaskDataContext meta = executable.meta();
        ResolvedJavaMethod method = TornadoCoreRuntime.getTornadoRuntime().resolveMethod(executable.getMethod());
        Sketch sketch = TornadoSketcher.lookup(method, meta.getBackendIndex(), meta.getDeviceIndex());
        Access[] access = sketch.getArgumentsAccess();
        System.arraycopy(access, 0, meta.getArgumentsAccess(), 0, access.length);
        CUDABackend backend = TornadoCoreRuntime.getTornadoRuntime().getBackend(CUDABackendImpl.class).getBackend(0, meta.getDeviceIndex());
        CUDACompilationResult result = CUDACompiler.compileSketchForDevice(sketch, executable, (CUDAProviders) backend.getProviders(), backend,
                executable.getProfiler());
        if (meta.isPrintKernelEnabled()) {
            RuntimeUtilities.dumpKernel(result.getTargetCode());
        }
        return new Kernel(result.getName(), Arrays.stream(access).map(Access::name).toList(), Arrays.copyOf(result.getTargetCode(),
                result.getTargetCodeSize()));
    }
}
