package io.github.flashlla;

import java.util.List;

/**
 * What is known of a device without running anything on it.
 *
 * @param name name to open it by, such as {@code jvm}, {@code reference} or {@code opencl:0}
 * @param backend what it runs through: {@code jvm}, {@code reference}, {@code opencl}, {@code ptx}, {@code spirv}, {@code cuda}
 * @param type kind of hardware
 * @param hardware the hardware's own name
 * @param vendor vendor or platform
 * @param driver driver or runtime with its version
 * @param memoryBytes memory that the device can use, or -1
 * @param localMemoryBytes work-group local memory, or -1
 * @param computeUnits cores or multiprocessors, or -1
 * @param precisions element types that it computes products of
 */
public record DeviceInfo(
        String name,
        String backend,
        Type type,
        String hardware,
        String vendor,
        String driver,
        long memoryBytes,
        long localMemoryBytes,
        int computeUnits,
        List<DataType> precisions) {

    public enum Type {
        CPU, GPU, ACCELERATOR
    }
}
