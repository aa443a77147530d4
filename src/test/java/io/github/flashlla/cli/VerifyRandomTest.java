package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code verify --random}'s command line. */
class VerifyRandomTest {
    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    @Test
    void countsItsProblemsAtTheEnd() {
        assertEquals(0, run("verify", "--device", "reference", "--random", "5", "--seed", "3"), out.toString() + err);
        assertTrue(out.toString().endsWith("reference: 5 problems: 5 right, 0 said to be inexact, 0 wrong, seed 3" + System.lineSeparator()),
                out.toString());
    }

    @ParameterizedTest
    @CsvSource({"--minutes 1,--minutes is for --random.", "--save x,--save is for --random.", "--random 0,'--random must be at least 1, not 0.'",
            "--random 1 --golden x,'--random and --golden exclude each other: random problems, or test vectors.'",
            "--random 1 --minutes 0,'--minutes must be above 0 and at most 1000000, not 0.0.'"})
    void refusesWhatDoesNotFit(String options, String sentence) {
        assertEquals(2, run(("verify " + options).split(" ")));
        assertTrue(err.toString().contains(sentence), err.toString());
    }

    private int run(String... args) {
        return FlashLla.execute(new PrintWriter(out), new PrintWriter(err), args);
    }
}
