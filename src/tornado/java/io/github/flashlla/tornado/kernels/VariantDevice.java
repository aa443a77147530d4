package io.github.flashlla.tornado.kernels;

import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.WorkGroupLimits;

/** What variants are chosen by: a device's description, which may be a recorded one, and what it gives a work-group. */
public record VariantDevice(DeviceInfo info, WorkGroupLimits limits) {

    public static VariantDevice of(BackendDevice device) {
        return new VariantDevice(device.info(), WorkGroupLimits.of(device));
    }

    /** A device that may not be here, so that TornadoVM cannot be asked for its largest work-group. */
    public static VariantDevice of(DeviceInfo info) {
        return new VariantDevice(info, WorkGroupLimits.of(info, -1));
    }

    public boolean isCpu() {
        return info.type() == DeviceInfo.Type.CPU;
    }

    public boolean hasMatrixUnits() {
        return info.precisions().contains(DataType.FLOAT16);
    }

    /** Never 0, which virtual devices tell. */
    public int computeUnits() {
        return Math.max(1, info.computeUnits());
    }
}
