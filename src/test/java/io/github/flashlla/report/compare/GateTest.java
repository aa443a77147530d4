package io.github.flashlla.report.compare;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flashlla.cli.FlashLla;
import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Environment;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.RecordFile;
import io.github.flashlla.record.Records;
import io.github.flashlla.record.Status;
import io.github.flashlla.record.Workload;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringReader;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code compare --fail-on-regression}, by its exit status and its words. */
class GateTest {
    private static final Workload SHORT = Records.workload(1024);

    @TempDir
    Path folder;

    @Test
    void aDeviceThatTheBaselineLacksIsNewAndFailsNothing() {
        Path base = write("base", Records.record("base", List.of(Records.measurement("jvm", SHORT, Records.samples(10, 5, 1)))));
        Path more = write("more", Records.record("more", List.of(Records.measurement("jvm", SHORT, Records.samples(10, 5, 2)),
                Records.measurement("opencl:0", SHORT, Records.samples(90, 5, 3)))));
        Run run = run(base, more, "--fail-on-regression", "50");
        assertEquals(0, run.status, run.err);
        assertTrue(run.out.lines().anyMatch(line -> line.contains("opencl:0") && line.contains("| new ")), run.out);
        assertTrue(run.out.contains("opencl:0: new on 1 workload, which base lacks"), run.out);
    }

    @Test
    void whatTheBaselineMeasuredMustBeThere() {
        Path base = write("base", Records.jvm("base", 1, 1));
        Path part = write("part", Records.record("part", Records.jvm("part", 1, 2).measurements().subList(0, 1)));
        Run run = run(base, part, "--fail-on-regression", "5");
        assertEquals(1, run.status, run.err);
        assertTrue(run.err.contains("missing: part lacks jvm, fwd 1x8x4096x64 ridge 1 causal, tol 1e-3 float32"), run.err);
        assertEquals(0, run(base, part, "--fail-on-regression", "5", "--allow-missing").status);
        assertEquals(0, run(base, part).status, "no gate was asked for");
        assertEquals(2, run(base, part, "--allow-missing").status);
    }

    @Test
    void oneRecordHasNothingToBeHeldAgainst() {
        Path one = write("one", Records.record("one", List.of(Records.measurement("jvm", SHORT, Records.samples(10, 5, 1)),
                Records.measurement("opencl:0", SHORT, Records.samples(90, 5, 3)))));
        Run run = run(one, "--fail-on-regression", "5");
        assertEquals(2, run.status, run.err);
        assertEquals(1, run.err.lines().count(), run.err);
        assertTrue(run.err.contains("there is one record"), run.err);
        Run device = run(one, one, "--baseline", "jvm", "--fail-on-regression", "5");
        assertEquals(2, device.status, device.err);
        assertTrue(device.err.contains("names the device jvm"), device.err);
    }

    @Test
    void otherMachinesAreNamedOnTop() {
        BenchmarkRecord here = Records.jvm("here", 1, 1);
        BenchmarkRecord copy = Records.jvm("there", 1, 2);
        BenchmarkRecord there = new BenchmarkRecord(1, "there", copy.created(), true, new Environment("Plan 9", "another processor", 8, null,
                "Java 25", null, "0.1.0", "abcdef-dirty"), copy.devices(), copy.measurements());
        Path a = write("here", here);
        Path b = write("there", there);
        Run run = run(a, b, "--fail-on-regression", "5");
        assertEquals(0, run.status, run.err);
        assertEquals(List.of("Note: The records are of different machines: processor a processor / another processor; hardware threads 2 / 8.",
                "Note: The records were made with different software: system Linux / Plan 9.",
                "Note: there was made from sources that no commit holds.", "Times and ratios: wall time."), run.out.lines().limit(4).toList());
        Run strict = run(a, b, "--same-machine");
        assertEquals(1, strict.status, strict.err);
        assertTrue(strict.err.contains("hardware threads 2 / 8"), strict.err);
        assertEquals(0, run(a, a, "--same-machine").status);
        Path c = write("third", new BenchmarkRecord(1, "third", copy.created(), true, there.environment(), copy.devices(), copy.measurements()));
        String one = run(a, b, c.toString()).out;
        assertTrue(one.contains("Note: there and third were made from sources that no commit holds."), one);
    }

    @Test
    void slowerIsThreeAndBrokenIsOne() {
        BenchmarkRecord before = Records.jvm("before", 1, 1);
        Path a = write("before", before);
        BenchmarkRecord slow = Records.jvm("after", 1.3, 2);
        Run slower = run(a, write("after", slow), "--fail-on-regression", "5");
        assertEquals(3, slower.status, slower.err);
        assertEquals(2, slower.err.lines().filter(line -> line.startsWith("slower: after, fwd")).count(), slower.err);
        for (Status status : List.of(Status.WRONG, Status.CRASHED, Status.REFUSED)) {
            List<Measurement> broken = new ArrayList<>(slow.measurements());
            broken.set(0, Measurement.missing("jvm", SHORT, Records.method(), status, "signal 9"));
            Run run = run(a, write("broken", Records.record("after", broken)), "--fail-on-regression", "5");
            assertEquals(1, run.status, run.err);
            assertTrue(run.err.contains(status.label() + ": after, fwd 1x8x1024x64") && run.err.contains("signal 9"), run.err);
        }
    }

    @Test
    void aDeviceIsComparedWithItselfAlone() {
        Path a = write("a", Records.record("a", List.of(Records.measurement("jvm", SHORT, Records.samples(10, 5, 1)),
                Records.measurement("opencl:0", SHORT, Records.samples(90, 5, 3)))));
        Path b = write("b", Records.record("b", List.of(Records.measurement("jvm", SHORT, Records.samples(10, 5, 4)),
                Records.measurement("opencl:0", SHORT, Records.samples(91, 5, 5)))));
        assertEquals(0, run(a, b, "--fail-on-regression", "5").status);
        Run devices = run(a, b, "--baseline", "jvm");
        List<String> lines = devices.out.lines().filter(line -> line.contains("| fwd ")).toList();
        assertTrue(lines.get(0).contains("| baseline ") && lines.get(1).contains("x slower"), devices.out);
        assertTrue(lines.get(2).contains("| no difference ") && lines.get(3).contains("x slower"), "b/jvm is held against a/jvm: " + devices.out);
    }

    @Test
    void programsReadTheVerdicts() throws IOException {
        Path a = write("a", Records.jvm("a", 1, 1));
        BenchmarkRecord after = Records.jvm("b", 1.3, 2);
        Path b = write("b", Records.record("b", List.of(after.measurements().getFirst(),
                Records.measurement("opencl:0", SHORT, Records.samples(90, 5, 3)))));
        Path file = folder.resolve("c.json");
        Run json = run(a, b, "--format", "json", "-o", file.toString());
        assertEquals(0, json.status, json.err);
        assertEquals("", json.out);
        JsonNode tree = new ObjectMapper().readTree(file.toFile());
        assertEquals("a", tree.get("baseline").asText());
        assertEquals("wall", tree.get("clock").asText());
        List<String> verdicts = tree.get("lines").findValuesAsText("verdict");
        assertEquals(List.of("baseline", "slower", "new", "baseline", "missing"), verdicts);
        assertEquals(1.3, tree.get("lines").get(1).get("ratio").asDouble(), 0.03);
        assertTrue(tree.get("lines").get(1).get("ratio_low").asDouble() < 1.3);
        List<CSVRecord> csv = CSVFormat.DEFAULT.builder().setHeader().setSkipHeaderRecord(true).get()
                .parse(new StringReader(run(a, b, "--format", "csv").out)).getRecords();
        assertEquals(verdicts, csv.stream().map(line -> line.get("verdict")).toList());
        assertEquals("", csv.getLast().get("median_ns"));
        assertEquals("b", csv.getLast().get("record"));
        Run old = run(a, b, "-o", "csv");
        assertEquals(0, old.status);
        assertTrue(old.err.startsWith("note: -o csv is read as --format csv"), old.err);
        assertTrue(old.out.startsWith("record,"), old.out);
        assertTrue(!Files.exists(Path.of("csv")));
    }

    private Path write(String stem, BenchmarkRecord record) {
        Path file = folder.resolve(stem + ".json");
        RecordFile.write(file, record);
        return file;
    }

    private record Run(int status, String out, String err) {}

    private static Run run(Object... words) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int status = FlashLla.execute(new PrintWriter(out), new PrintWriter(err),
                Stream.concat(Stream.of("compare"), Stream.of(words)).map(Object::toString).toArray(String[]::new));
        return new Run(status, out.toString(), err.toString());
    }
}
