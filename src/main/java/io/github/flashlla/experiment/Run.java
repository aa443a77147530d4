package io.github.flashlla.experiment;

import io.github.flashlla.Device;
import java.nio.file.Path;

/**
 * What one seed of an experiment runs with.
 *
 * @param device where LLA runs
 * @param folder for checkpoints; or null
 * @param progress told how far it is
 */
public record Run(Device device, long seed, boolean quick, Path folder, Progress progress) {}
