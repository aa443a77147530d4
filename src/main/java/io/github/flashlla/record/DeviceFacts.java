package io.github.flashlla.record;

import io.github.flashlla.DeviceInfo;
import java.util.Locale;

/**
 * A device of a record.
 *
 * @param name name it was opened by; what measurements refer to
 * @param backend what it runs through, such as {@code jvm} or {@code opencl}
 * @param type {@code cpu}, {@code gpu} or {@code accelerator}
 * @param hardware the hardware's own name
 * @param vendor vendor or platform
 * @param driver driver or runtime with its version
 * @param memoryBytes memory that it can use; null where unknown
 * @param computeUnits cores or multiprocessors; null where unknown
 * @param state how it was set when it was opened; null where its driver does not tell, and in older records
 * @param ceilings what this device reaches on plain loops; null where that was not measured
 */
public record DeviceFacts(
        String name,
        String backend,
        @Limits(words = {"cpu", "gpu", "accelerator"}) String type,
        @Limits(length = 500) String hardware,
        @Limits(length = 500) String vendor,
        @Limits(length = 500) String driver,
        Long memoryBytes,
        @Limits(min = 1, max = 1e7) Integer computeUnits,
        @Limits(optional = true) DeviceState state,
        @Limits(optional = true) Ceilings ceilings) {

    /** Of unknown state. */
    public DeviceFacts(String name, String backend, String type, String hardware, String vendor, String driver, Long memoryBytes, Integer computeUnits,
            Ceilings ceilings) {
        this(name, backend, type, hardware, vendor, driver, memoryBytes, computeUnits, null, ceilings);
    }

    /** The same, set like this. */
    public DeviceFacts withState(DeviceState set) {
        return new DeviceFacts(name, backend, type, hardware, vendor, driver, memoryBytes, computeUnits, set, ceilings);
    }

    /**
     * Measured in the first process that opens the device, before the workloads.
     *
     * @param fmaTflops independent fused multiply-adds in float32, 10^12 flops per second
     * @param copyGbps a copy far larger than any cache, bytes read plus bytes written, 10^9 per second: the fastest of several loops;
     *     in records without matrixTflops, of one loop, an element a thread
     * @param matrixTflops products of float16 matrices with float32 sums on matrix units, 10^12 flops per second; null where the device
     *     has none that this program reaches, and in records made before it was measured
     */
    public record Ceilings(
            @Limits(min = 1e-9, max = 1e6) Double fmaTflops, @Limits(min = 1e-9, max = 1e9) Double copyGbps,
            @Limits(min = 1e-9, max = 1e6) Double matrixTflops) {
        public Ceilings(Double fmaTflops, Double copyGbps) {
            this(fmaTflops, copyGbps, null);
        }

        /** The most flops per second that a method's products can reach, 10^12; null where that was not measured. */
        public Double tflops(Method method) {
            return "float16".equals(method.precision()) && matrixTflops != null ? matrixTflops : fmaTflops;
        }
    }

    public static DeviceFacts of(DeviceInfo info, Ceilings ceilings) {
        return new DeviceFacts(info.name(), info.backend(), info.type().name().toLowerCase(Locale.ROOT), info.hardware(),
                info.vendor(), info.driver(), info.memoryBytes() < 0 ? null : info.memoryBytes(),
                info.computeUnits() < 0 ? null : info.computeUnits(), ceilings);
    }
}
