package io.github.flashlla.combined;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.Problems;
import io.github.flashlla.verify.Verification;
import io.github.flashlla.verify.Verification.Outcome;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Two devices of different kinds and speeds as one. */
@Timeout(900)
class CombinedOpenClIT {

    @Test
    void holdsOnTheTestVectors() {
        assumeTrue(Devices.list().stream().anyMatch(info -> info.name().equals("opencl:0")), "the device opencl:0 is not here");
        try (Device device = Devices.openAll(List.of("jvm", "opencl:0"))) {
            List<Outcome> outcomes = Verification.run(device, Problems.golden(), 3, outcome -> { });
            assertEquals(List.of(), outcomes.stream().filter(outcome -> !outcome.ok()).toList());
            assertEquals(0, outcomes.stream().filter(outcome -> outcome.failure() != null).count());
        }
    }
}
