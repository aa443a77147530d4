package io.github.flashlla.experiment;

import io.github.flashlla.record.Environment;
import java.util.List;

/**
 * Everything that an experiment measured.
 *
 * @param created UTC, when the record was written
 * @param device name of the device that LLA ran on
 * @param hardware what that device is
 * @param complete false while seeds are missing
 * @param finding null while seeds are missing
 */
public record ExperimentRecord(
        int schemaVersion,
        String experiment,
        String created,
        boolean complete,
        boolean quick,
        String device,
        String hardware,
        String setUp,
        Environment environment,
        List<SeedResult> seeds,
        Finding finding) {

    public static final int VERSION = 1;

    /** Whether the same command made it, on whatever machine and commit. */
    boolean isSameCommand(ExperimentRecord other) {
        return experiment.equals(other.experiment) && quick == other.quick && device.equals(other.device);
    }

    /** Whether these seeds can stand beside those of the other run. */
    boolean isSameRun(ExperimentRecord other) {
        return schemaVersion == other.schemaVersion && experiment.equals(other.experiment) && quick == other.quick
                && device.equals(other.device) && hardware.equals(other.hardware) && setUp.equals(other.setUp)
                && environment.equals(other.environment);
    }
}
