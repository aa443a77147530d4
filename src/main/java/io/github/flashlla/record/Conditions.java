package io.github.flashlla.record;

import java.util.List;

/**
 * How a run was started, and what else the machine was doing. Numbers that the system does not tell are null.
 *
 * @param argv the command line, program first
 * @param loadBefore mean number of processes that wanted to run, over the minute before the run
 * @param loadAfter the same at its end
 * @param otherBusyCores cores that other work kept busy as the run began
 * @param cpuLimit cores that the container allows
 * @param governor what sets the processor's clock, such as {@code performance}
 * @param cpuMhz mean clock of the hardware threads as the run began, in MHz
 */
public record Conditions(
        @Limits(optional = true, length = 1000) List<String> argv,
        @Limits(max = 1e6) Double loadBefore,
        @Limits(max = 1e6) Double loadAfter,
        @Limits(max = 1e6) Double otherBusyCores,
        @Limits(above = true, max = 1e6) Double cpuLimit,
        @Limits(optional = true) String governor,
        @Limits(max = 1e6) Double cpuMhz) {

    /** The same at the end of the run. */
    public Conditions ended(Double load) {
        return new Conditions(argv, loadBefore, load, otherBusyCores, cpuLimit, governor, cpuMhz);
    }
}
