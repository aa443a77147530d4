package io.github.flashlla.tornado.support;

/** TornadoVM's CUDA device that is not there. */
public final class VirtualCuda {
    private VirtualCuda() {}

    /** Takes out the phase that refuses matrix units on a device that is not there. */
    public static void allowMatrixUnits() throws ReflectiveOperationException {
        Class<?> implementation = Class.forName("uk.ac.manchester.tornado.drivers.cuda.CUDABackendImpl");
        Class<?> core = Class.forName("uk.ac.manchester.tornado.runtime.TornadoCoreRuntime");
        Object runtime = core.getMethod("getTornadoRuntime").invoke(null);
        Object backend = runtime.getClass().getMethod("getBackend", Class.class).invoke(runtime, implementation);
        Object compiler = call(call(backend, "getDefaultBackend"), "getTornadoSuites");
        Object low = call(call(compiler, "getSuites"), "getLowTier");
        low.getClass().getMethod("removeSubTypePhases", Class.class)
                .invoke(low, Class.forName("uk.ac.manchester.tornado.drivers.cuda.graal.phases.CUDATensorCoreSupportPhase"));
    }

    private static Object call(Object on, String method) throws ReflectiveOperationException {
        return on.getClass().getMethod(method).invoke(on);
    }
}
