package io.github.flashlla.spark;

import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.combined.CombinedDevices;
import io.github.flashlla.tornadovm.Backend;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.TaskContext;
import org.apache.spark.resource.ResourceInformation;

/** The device of a task: each is opened once in an executor, and stays open until the executor ends. */
final class TaskDevice {
    /** Stands for the GPU that Spark gave the task, else for {@code jvm}. */
    static final String ASSIGNED = "assigned";
    private static final String GPU = "gpu";
    private static final Map<String, Device> OPEN = new ConcurrentHashMap<>();

    private TaskDevice() {}

    static Device of(String wanted) {
        return OPEN.computeIfAbsent(wanted.equals(ASSIGNED) ? assigned() : wanted, TaskDevice::open);
    }

    private static String assigned() {
        TaskContext task = TaskContext.get();
        ResourceInformation gpu = task == null ? null : task.resourcesJMap().get(GPU);
        return gpu == null ? "jvm" : Backend.CUDA.id() + ":" + gpu.addresses()[0];
    }

    /** TornadoVM's flags cannot be an executor's: its devices run in a process of their own. */
    private static Device open(String name) {
        return Backend.of(name) == null ? Devices.open(name) : new CombinedDevices().open(List.of(Devices.select(List.of(name)).getFirst()));
    }
}
