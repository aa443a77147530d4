package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

class FleetOptionsTest {

    /** What a host is sent reads there as it was typed here. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"--cold | --cold", "--cold=false | ''", "--no-causal --cold | --no-causal --cold", "--causal | --causal=true",
        "--causal --no-causal | --causal=true --no-causal", "--causal=false,true | --causal=false,true", "-r 3 --seq 1k,2k | --repetitions=3 --context=1k,2k",
        "--ridge 1 --cold --seq 64 | --ridge=1 --cold --context=64"})
    void optionsAreSentAsTheyWereTyped(String typed, String sent) {
        List<String> words = words(typed.split(" "));
        assertEquals(Stream.of(sent.split(" ")).filter(word -> !word.isEmpty()).toList(), words);
        assertEquals(words, words(words.toArray(String[]::new)));
    }

    private static List<String> words(String... typed) {
        return new CommandLine(new BenchCommand()).setCaseInsensitiveEnumValuesAllowed(true).parseArgs(typed).matchedOptionsSet()
                .stream().flatMap(FleetOptions::words).toList();
    }

    @Test
    void mistakesNameTheOption() {
        assertEquals("flashlla: --launch 'sh -c' has no {}, which stands for the command to run there.", refusal("--launch", "sh -c"));
        assertTrue(refusal("--launch", "sh -c {}", "--columns", "device").contains("--columns are one machine's"));
    }

    private static String refusal(String... typed) {
        StringWriter err = new StringWriter();
        assertEquals(2, FlashLla.execute(new PrintWriter(new StringWriter()), new PrintWriter(err),
                Stream.concat(Stream.of("bench"), Stream.of(typed)).toArray(String[]::new)), err::toString);
        return err.toString().strip();
    }
}
