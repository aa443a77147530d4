package io.github.flashlla.record;

import io.github.flashlla.DeviceInfo;
import java.util.Locale;

/**
 * A device of a record.
 *
 * @param name name it was opened by; what measurements refer to
 * @param type {@code cpu}, {@code gpu} or {@code accelerator}
 * @param memoryBytes memory that it can use; null where unknown
 * @param computeUnits cores or multiprocessors; null where unknown
 * @param ceilings what this device reaches on plain loops; null where that was not measured
 */
public record DeviceFacts(
        String name,
        String backend,
        String type,
        String hardware,
        String vendor,
        String driver,
        Long memoryBytes,
        Integer computeUnits,
        Ceilings ceilings) {

    /**
     * Measured in the same process as the workloads.
     *
     * @param fmaTflops independent fused multiply-adds in float32, 10^12 flops per second
     * @param copyGbps a copy far larger than any cache, bytes read plus bytes written, 10^9 per second
     */
    public record Ceilings(Double fmaTflops, Double copyGbps) {}

    public static DeviceFacts of(DeviceInfo info, Ceilings ceilings) {
        return new DeviceFacts(info.name(), info.backend(), info.type().name().toLowerCase(Locale.ROOT), info.hardware(),
                info.vendor(), info.driver(), info.memoryBytes() < 0 ? null : info.memoryBytes(),
                info.computeUnits() < 0 ? null : info.computeUnits(), ceilings);
    }
}
