package io.github.flashlla.experiment;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flashlla.cli.FlashLla;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The command experiment: its results, its files, and what it says to mistakes. */
class ExperimentCommandTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String NAME = "test-time-regression";

    @TempDir
    private Path folder;

    private record Run(int status, String out, String err) {}

    private static Run run(String... args) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int status = FlashLla.execute(new PrintWriter(out), new PrintWriter(err), Stream.concat(Stream.of("experiment"), Stream.of(args)).toArray(String[]::new));
        return new Run(status, out.toString(), err.toString());
    }

    @Test
    void quickTestTimeRegressionHoldsAndIsWritten() throws IOException {
        Path output = folder.resolve("new/folder");
        Run run = run(NAME, "--quick", "--output", output.toString());
        assertEquals(0, run.status, run.out + run.err);
        assertFalse(run.out.contains("| NO "), run.out);
        try (Stream<Path> files = Files.list(output)) {
            assertEquals(List.of("README.md", "error-by-position.svg", "record.json"), files.map(file -> file.getFileName().toString()).sorted().toList());
        }
        JsonNode record = JSON.readTree(output.resolve("record.json").toFile());
        assertTrue(record.get("complete").asBoolean());
        assertEquals("jvm", record.get("device").asText());
        assertEquals(2, record.get("seeds").size());
        for (JsonNode seed : record.get("seeds")) {
            assertEquals(6, seed.get("curves").size());
            for (JsonNode curve : seed.get("curves")) {
                assertEquals(1023, curve.get("y").size(), curve.get("method").asText());
            }
        }
        assertTrue(Files.readString(output.resolve("error-by-position.svg")).startsWith("<svg"));
        assertTrue(Files.readString(output.resolve("README.md")).contains("error-by-position.svg"));
    }

    @Test
    void takesUpWhatAnInterruptedRunLeft() throws IOException {
        assertEquals(0, run(NAME, "--quick", "-o", folder.toString()).status);
        ObjectNode record = (ObjectNode) JSON.readTree(folder.resolve("record.json").toFile());
        ((ArrayNode) record.get("seeds")).remove(1);
        ((ObjectNode) record.get("seeds").get(0)).put("seconds", 123.456); // its mark
        record.put("complete", false).remove("finding");
        JSON.writeValue(folder.resolve(ExperimentRun.UNFINISHED).toFile(), record);

        assertEquals(0, run(NAME, "--quick", "-o", folder.toString()).status);
        JsonNode again = JSON.readTree(folder.resolve("record.json").toFile());
        assertEquals(123.456, again.get("seeds").get(0).get("seconds").asDouble());
        assertNotEquals(123.456, again.get("seeds").get(1).get("seconds").asDouble());
        assertFalse(Files.exists(folder.resolve(ExperimentRun.UNFINISHED)));

        record.put("set_up", "another"); // neither taken up nor lost
        JSON.writeValue(folder.resolve(ExperimentRun.UNFINISHED).toFile(), record);
        Run other = run(NAME, "--quick", "-o", folder.toString());
        assertEquals(2, other.status, other.err);
        assertTrue(other.err.contains(ExperimentRun.UNFINISHED + " is of another run"), other.err);
        assertTrue(other.err.contains(" on jvm, of another commit or machine; delete it"), other.err);
        assertTrue(Files.exists(folder.resolve(ExperimentRun.UNFINISHED)));
    }

    @Test
    void aRecordOfAnotherCommandIsNotReplaced() throws IOException {
        assertEquals(0, run(NAME, "--quick", "--seed", "1", "-o", folder.toString()).status);
        byte[] before = Files.readAllBytes(folder.resolve("record.json"));
        Run full = run(NAME, "-o", folder.toString());
        assertEquals(2, full.status, full.err);
        assertTrue(full.err.contains("record.json is of another run, " + NAME + " --quick on jvm"), full.err);
        Run another = run(NAME, "--quick", "--seed", "2", "-o", folder.toString());
        assertEquals(2, another.status, another.err);
        assertTrue(another.err.contains("record.json is of seeds 1, which this run would lose"), another.err);
        assertArrayEquals(before, Files.readAllBytes(folder.resolve("record.json")));
        Files.writeString(folder.resolve("record.json"), "{");
        assertEquals(2, run(NAME, "--quick", "-o", folder.toString()).status);
    }

    @Test
    void aSeedGivesTheSameCurvesAgain() throws IOException {
        run(NAME, "--quick", "--seed", "5", "-o", folder.resolve("a").toString());
        run(NAME, "--quick", "--seed", "5", "-o", folder.resolve("b").toString());
        assertEquals(JSON.readTree(folder.resolve("a/record.json").toFile()).get("seeds").get(0).get("curves"),
                JSON.readTree(folder.resolve("b/record.json").toFile()).get("seeds").get(0).get("curves"));
    }

    @Test
    void listsWhatThereIs() {
        Run run = run("list");
        assertEquals(0, run.status);
        Experiments.questions().forEach((name, question) -> assertTrue(run.out.contains(name) && run.out.contains(question), run.out));
    }

    static List<List<String>> mistakes() {
        return List.of(List.of("nonsense"), List.of(NAME, "--device", "nonsense"), List.of(NAME, "--seeds", "1,1"), List.of(NAME, "--device", "jvm,reference"),
                List.of(NAME, "-o", "pom.xml"), List.of(NAME, "--seed", "x"), List.of("list", "--quick"), List.of("list", "-o", "x", "--device", "jvm"),
                 List.of(NAME, "-o", "/proc/nowhere"), List.of());
    }

    @ParameterizedTest
    @MethodSource("mistakes")
    void aMistakeIsToldInOneSentence(List<String> args) {
        Run run = run(args.toArray(String[]::new));
        assertEquals(2, run.status, run.err);
        assertEquals("", run.out);
        assertEquals(1, run.err.lines().count(), run.err);
        assertTrue(run.err.startsWith("flashlla: ") && !run.err.contains("mistake in the program"), run.err);
    }
}
