package io.github.flashlla.verify;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.verify.Verification.Outcome;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class VerificationTest {
    private static final int PARTS = 8;
    private static final int SEED = 7;
    private static Device device;
    private static List<List<Outcome>> parts;

    @BeforeAll
    static void run() {
        device = Devices.open("jvm");
        parts = IntStream.range(0, PARTS).mapToObj(part -> Verification.run(device, List.of(), SEED, part, PARTS, _ -> { })).toList();
    }

    @AfterAll
    static void close() {
        device.close();
    }

    /** As JVMs side by side run them: nothing is left out, done twice, or another problem than in one JVM. */
    @Test
    void partsTogetherAreTheWhole() {
        List<Outcome> whole = Verification.run(device, List.of(), SEED, _ -> { });
        List<String> names = Verification.names(List.of());
        List<Outcome> together = parts.stream().flatMap(List::stream).sorted(Comparator.comparingInt(outcome -> names.indexOf(outcome.name()))).toList();
        assertEquals(whole.stream().map(VerificationTest::problem).toList(), together.stream().map(VerificationTest::problem).toList());
        assertEquals(names, whole.stream().map(Outcome::name).distinct().toList());
        assertEquals(List.of(), whole.stream().filter(outcome -> !outcome.ok()).toList());
    }

    /** In JVMs of their own all parts begin at once, and each compiles what its cases need. */
    @Test
    void casesOfEqualHeadDimsAreInOnePart() {
        List<String> decodes = new ArrayList<>();
        for (List<Outcome> outcomes : parts) {
            assertTrue(outcomes.stream().map(Outcome::name).distinct().count() <= 3, outcomes.toString());
            outcomes.stream().filter(outcome -> outcome.pass().equals("decode")).map(outcome -> outcome.shape().headDim()).distinct()
                    .map(dim -> "decode " + dim).forEach(decodes::add);
        }
        assertEquals(decodes.stream().distinct().toList(), decodes, "two parts compile the same");
    }

    private static String problem(Outcome outcome) {
        return outcome.name() + " " + outcome.pass() + " " + outcome.shape() + " " + outcome.iterations();
    }
}
