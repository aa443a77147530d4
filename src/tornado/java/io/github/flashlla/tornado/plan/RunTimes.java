package io.github.flashlla.tornado.plan;

import io.github.flashlla.Timing;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.ProfiledTimes;
import io.github.flashlla.tornado.device.Transfers;
import io.github.flashlla.tornadovm.DeviceProfile;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.enums.ProfilerMode;

/** How the runs of a plan are timed: with TornadoVM's profiler where it has to, for as many runs as the device's profile allows. */
final class RunTimes {
    private final BackendDevice entry;
    private final int profiledRuns;
    private int runs;
    private boolean profiling;

    RunTimes(BackendDevice entry) {
        this.entry = entry;
        this.profiledRuns = DeviceProfile.of(entry.info()).profiledRuns();
    }

    /** Before a run. */
    void prepare(TornadoExecutionPlan plan) {
        boolean wanted = entry.isProfiled() && runs < profiledRuns; // the profiler keeps a log of every run
        if (wanted != profiling) {
            profiling = wanted;
            if (wanted) {
                plan.withProfiler(ProfilerMode.SILENT);
            } else {
                plan.withoutProfiler();
            }
        }
    }

    /**
     * After it.
     *
     * @param transfers that it ran with
     * @param result of it
     * @param wallNanos host time of the run
     * @param compiledNanos run-time compilation that is to be told with it
     */
    Timing of(Transfers transfers, TornadoExecutionResult result, long wallNanos, long compiledNanos) {
        boolean timed = profiling || !entry.isProfiled();
        runs++;
        return timed ? ProfiledTimes.of(entry, transfers, result, wallNanos, compiledNanos) : new Timing(wallNanos, -1, -1, -1, compiledNanos);
    }
}
