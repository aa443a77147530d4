package io.github.flashlla.tornado;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.Device;
import io.github.flashlla.experiment.ExperimentProgress;
import io.github.flashlla.experiment.ExperimentRun;
import io.github.flashlla.tornado.support.TestDevice;
import java.util.List;
import org.junit.jupiter.api.Test;

/** An experiment on one TornadoVM device: its curve is the float64 reference's to 1% at every position. */
class ExperimentOnDevice {

    @Test
    void testTimeRegressionHolds() {
        TestDevice.assumeQuickCompiler();
        ExperimentRun run = new ExperimentRun("test-time-regression", true, null);
        try (Device device = TestDevice.open(); ExperimentProgress progress = new ExperimentProgress(System.err)) {
            ExperimentRun.Result result = run.run(device, List.of(1L), progress);
            assertTrue(result.holds(), result.markdown());
        }
    }
}
