package io.github.flashlla.tornado.device;

import io.github.flashlla.DeviceInfo;
import io.github.flashlla.tornadovm.DeviceProfile;
import java.util.Optional;

/**
 * What a device gives one work-group: what its driver tells, or less where the device's profile says so.
 *
 * @param localBytes of local memory; at most 0 if neither tells
 * @param threads at most 0 if the driver does not tell
 */
public record WorkGroupLimits(long localBytes, int threads) {

    public static WorkGroupLimits of(BackendDevice device) {
        return of(device.info(), device.maxGroupThreads());
    }

    public static WorkGroupLimits of(DeviceInfo device, int threads) {
        long deviceBytes = device.localMemoryBytes();
        return new WorkGroupLimits(DeviceProfile.of(device).localMemoryBytes()
                .map(most -> deviceBytes > 0 ? Math.min(most, deviceBytes) : most).orElse(deviceBytes), threads);
    }

    /** Why a work-group does not fit; empty where it does, or where a limit is not known. */
    public Optional<String> refusal(WorkGroupDemand demand) {
        if (localBytes > 0 && demand.localBytes() > localBytes) {
            return Optional.of("a work-group needs " + demand.localBytes() + " bytes of local memory, but has " + localBytes);
        }
        if (threads > 0 && demand.threads() > threads) {
            return Optional.of("a work-group needs " + demand.threads() + " threads, but has " + threads);
        }
        return Optional.empty();
    }
}
