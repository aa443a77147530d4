package io.github.flashlla.record;

/**
 * How a device was set when it was opened; null is what its driver does not tell.
 *
 * @param driverVersion of the driver, not of the program that runs on it
 * @param powerLimitWatts what it may take
 * @param clockMhz its multiprocessors' clock as they were at rest
 * @param maxClockMhz the highest that they may reach
 * @param memoryClockMhz its memory's
 * @param temperatureC in degrees Celsius
 * @param ecc whether its memory corrects errors
 */
public record DeviceState(
        @Limits(optional = true) String driverVersion,
        @Limits(max = 1e6) Double powerLimitWatts,
        @Limits(max = 1e6) Integer clockMhz,
        @Limits(max = 1e6) Integer maxClockMhz,
        @Limits(max = 1e6) Integer memoryClockMhz,
        @Limits(max = 1000) Integer temperatureC,
        Boolean ecc) {}
