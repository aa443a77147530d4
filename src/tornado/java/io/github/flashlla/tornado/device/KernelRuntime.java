package io.github.flashlla.tornado.device;

import java.lang.reflect.Field;
import java.lang.reflect.Method;
import uk.ac.manchester.tornado.api.common.SchedulableTask;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.enums.TornadoVMBackendType;
import uk.ac.manchester.tornado.api.runtime.TaskContextInterface;

/** What TornadoVM's API lacks, by the names of its runtime's classes. */
record KernelRuntime(Class<?> deviceType, Method install, Method kernel, Method flags, Field schedule, Method isValid) {
    private static final String PACKAGE = "uk.ac.manchester.tornado.runtime.";

    /** Null where these are others. */
    static KernelRuntime find() {
        try {
            Class<?> deviceType = Class.forName(PACKAGE + "common.TornadoXPUDevice");
            Class<?> meta = Class.forName(PACKAGE + "tasks.meta.TaskDataContext");
            Field schedule = meta.getDeclaredField("scheduleMetaData");
            schedule.setAccessible(true);
            return new KernelRuntime(deviceType, deviceType.getMethod("installCode", long.class, SchedulableTask.class),
                    Class.forName(PACKAGE + "tasks.CompilableTask").getMethod("getMethod"),
                    meta.getMethod("getCompilerFlags", TornadoVMBackendType.class), schedule,
                    Class.forName(PACKAGE + "common.TornadoInstalledCode").getMethod("isValid"));
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
