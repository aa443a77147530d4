package io.github.flashlla.tornado.device;

/**
 * What one work-group of a kernel takes of a device.
 *
 * @param localBytes of local memory
 */
public record WorkGroupDemand(int threads, long localBytes) {}
