package io.github.flashlla.verify;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.verify.Verification.Outcome;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.junit.jupiter.api.Test;

class VerificationTest {

    /** As JVMs side by side run them: nothing is left out, done twice, or another problem than in one JVM. */
    @Test
    void partsTogetherAreTheWhole() {
        try (Device device = Devices.open("jvm")) {
            List<Outcome> whole = Verification.run(device, List.of(), 7, _ -> { });
            List<Outcome> parts = new ArrayList<>();
            for (int part = 0; part < 3; part++) {
                parts.addAll(Verification.run(device, List.of(), 7, part, 3, _ -> { }));
            }
            List<String> names = Verification.names(List.of());
            parts.sort(Comparator.comparingInt(outcome -> names.indexOf(outcome.name())));
            assertEquals(whole.stream().map(VerificationTest::problem).toList(), parts.stream().map(VerificationTest::problem).toList());
            assertEquals(names, whole.stream().map(Outcome::name).distinct().toList());
            assertEquals(List.of(), whole.stream().filter(outcome -> !outcome.ok()).toList());
        }
    }

    /** In JVMs of their own all parts begin at once, and each compiles what its cases need. */
    @Test
    void casesOfEqualHeadDimsAreInOnePart() {
        List<String> decodes = new ArrayList<>();
        try (Device device = Devices.open("jvm")) {
            for (int part = 0; part < 8; part++) {
                List<Outcome> outcomes = Verification.run(device, List.of(), 7, part, 8, _ -> { });
                assertTrue(outcomes.stream().map(Outcome::name).distinct().count() <= 3, outcomes.toString());
                outcomes.stream().filter(outcome -> outcome.pass().equals("decode")).map(outcome -> outcome.shape().headDim()).distinct()
                        .map(dim -> "decode " + dim).forEach(decodes::add);
            }
        }
        assertEquals(decodes.stream().distinct().toList(), decodes, "two parts compile the same");
    }

    private static String problem(Outcome outcome) {
        return outcome.name() + " " + outcome.pass() + " " + outcome.shape() + " " + outcome.iterations();
    }
}
