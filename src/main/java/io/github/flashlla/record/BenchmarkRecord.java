package io.github.flashlla.record;

import java.util.List;
import java.util.Optional;

/**
 * Everything that one run of the benchmark found.
 *
 * @param schemaVersion version of the schema that the record follows
 * @param name what comparisons call it
 * @param created when the run began, ISO 8601 in UTC
 * @param complete whether the run reached its end; false in what a crash or Ctrl-C left behind
 * @param environment where it ran
 * @param conditions how the run was started, and what else the machine did; null in older records
 * @param devices the devices that were opened
 * @param measurements in the order they were made
 */
public record BenchmarkRecord(
        @Limits(min = SCHEMA_VERSION, max = SCHEMA_VERSION) int schemaVersion,
        String name,
        @Limits(length = 40, pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z$") String created,
        boolean complete,
        Environment environment,
        @Limits(optional = true) Conditions conditions,
        List<DeviceFacts> devices,
        @Limits(length = 20_000) List<Measurement> measurements) {

    public static final int SCHEMA_VERSION = 1;

    /** Of unknown conditions. */
    public BenchmarkRecord(int schemaVersion, String name, String created, boolean complete, Environment environment, List<DeviceFacts> devices,
            List<Measurement> measurements) {
        this(schemaVersion, name, created, complete, environment, null, devices, measurements);
    }

    public Optional<DeviceFacts> device(String deviceName) {
        return devices.stream().filter(device -> device.name().equals(deviceName)).findFirst();
    }
}
