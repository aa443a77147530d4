package io.github.flashlla.record;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.cli.FlashLla;
import io.github.flashlla.record.RecordJson;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** Records of any provenance: read whole, or refused in a sentence. */
class RecordFileTest {
    @TempDir
    Path folder;

    @Test
    void whatIsWrittenIsRead() {
        BenchmarkRecord record = Records.jvm("one", 1, 1);
        Path file = folder.resolve("one.json");
        RecordFile.write(file, record);
        List<String> notes = new ArrayList<>();
        assertEquals(RecordJson.text(record), RecordJson.text(RecordFile.read(file, notes::add)));
        assertEquals(List.of(), notes);
    }

    @Test
    void jsonLinesAreARecordToo() throws IOException {
        BenchmarkRecord record = Records.jvm("lines", 1, 1);
        StringBuilder lines = new StringBuilder();
        record.measurements().forEach(m -> lines.append(RecordJson.line(record, m)));
        BenchmarkRecord read = read(lines.toString());
        assertEquals(record.devices(), read.devices());
        assertEquals(2, read.measurements().size());
    }

    @Test
    void nothingIsLeftBesideTheFile() throws IOException {
        RecordFile.write(folder.resolve("one.json"), Records.jvm("one", 1, 1));
        RecordFile.write(folder.resolve("one.json"), Records.jvm("two", 1, 1));
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(List.of(folder.resolve("one.json")), files.toList());
        }
        assertEquals("two", RecordFile.read(folder.resolve("one.json"), note -> { }).name());
    }

    @Test
    void samplesOutweighAStaleMedian() throws IOException {
        List<String> notes = new ArrayList<>();
        BenchmarkRecord read = read(edited(root -> {
            ArrayNode wall = (ArrayNode) first(root).get("times").get("wall_ns");
            for (int i = 0; i < wall.size(); i++) {
                wall.set(i, wall.get(i).longValue() * 11 / 10);
            }
        }), notes::add);
        double before = Records.jvm("base", 1, 1).measurements().getFirst().times().medianNs();
        assertEquals(1.1, read.measurements().getFirst().times().medianNs() / before, 1e-6);
        assertEquals(1, notes.size());
    }

    @TestFactory
    Stream<DynamicTest> refused() {
        Map<String, String> bad = new TreeMap<>();
        bad.put("empty", "");
        bad.put("not JSON", "hello");
        bad.put("a list", "[1, 2]");
        bad.put("another document", "{\"a\": 1}");
        bad.put("truncated", text().substring(0, text().length() / 2));
        bad.put("truncated by one brace", text().strip().substring(0, text().strip().length() - 1));
        bad.put("two documents", text() + text());
        bad.put("deep nesting", "{\"schema_version\": 1, \"name\": " + "[".repeat(100_000));
        bad.put("long number", text().replaceFirst("\"median_ns\" : [0-9.]+", "\"median_ns\" : " + "9".repeat(100_000)));
        bad.put("number beyond every range", text().replaceFirst("\"median_ns\" : [0-9.E]+", "\"median_ns\" : 1e999999"));
        bad.put("not a number", text().replaceFirst("\"median_ns\" : [0-9.E]+", "\"median_ns\" : NaN"));
        bad.put("duplicate key", text().replaceFirst("\\{", "{ \"name\": \"x\", "));
        bad.put("next version", edited(root -> root.put("schema_version", 2)));
        bad.put("version as text", edited(root -> root.put("schema_version", "1")));
        bad.put("unknown key", edited(root -> root.put("extra", 1)));
        bad.put("missing environment", edited(root -> root.remove("environment")));
        bad.put("wrong kind", edited(root -> first(root).put("device", 5)));
        bad.put("huge length", edited(root -> workload(root).put("key_length", 1e300)));
        bad.put("length beyond int", edited(root -> workload(root).put("key_length", 5_000_000_000L)));
        bad.put("zero head dim", edited(root -> workload(root).put("head_dim", 0)));
        bad.put("heads that do not divide", edited(root -> workload(root).put("kv_heads", 3)));
        bad.put("negative sample", edited(root -> samples(root).set(0, -5)));
        bad.put("sample beyond long", edited(root -> samples(root).set(0, new java.math.BigInteger("9".repeat(30)))));
        bad.put("fractional sample", edited(root -> samples(root).set(0, 1.5)));
        bad.put("no samples", edited(root -> samples(root).removeAll()));
        bad.put("forged median", edited(root -> ((ObjectNode) first(root).get("times")).put("median_ns", 1.0)));
        bad.put("forged rate", edited(root -> ((ObjectNode) first(root).get("rates")).put("tflops", 99.0)));
        bad.put("forged flops", edited(root -> ((ObjectNode) first(root).get("rates")).put("flops", 1e20)));
        bad.put("ok without accuracy", edited(root -> first(root).remove("accuracy")));
        bad.put("ok with a missed bar", edited(root -> ((ObjectNode) first(root).get("accuracy")).put("error", 0.5)));
        bad.put("ok without a finite error", edited(root -> ((ObjectNode) first(root).get("accuracy")).remove("error")));
        bad.put("wrong with times", edited(root -> first(root).put("status", "wrong").put("message", "off")));
        bad.put("ceiling that makes a share infinite", edited(root -> ((ObjectNode) root.get("devices").get(0).get("ceilings"))
                .put("fma_tflops", 1e-308)));
        bad.put("unknown status", edited(root -> first(root).put("status", "great")));
        bad.put("unknown device", edited(root -> first(root).put("device", "\u001b[2Jghost")));
        bad.put("measured twice", edited(root -> ((ArrayNode) root.get("measurements")).add(first(root).deepCopy())));
        bad.put("kernel samples of another count", edited(root -> ((ObjectNode) first(root).get("times"))
                .putArray("kernel_ns").add(5)));
        return bad.entrySet().stream().map(entry -> DynamicTest.dynamicTest(entry.getKey(), () -> {
            InvalidInputException e = assertThrows(InvalidInputException.class, () -> read(entry.getValue()));
            assertEquals(1, e.getMessage().lines().count(), e.getMessage());
            assertTrue(e.getMessage().contains("record.json"), e.getMessage());
            assertFalse(e.getMessage().matches(".*(Feature|Constraints|fasterxml).*"), "words of the program's own: " + e.getMessage());
            assertTrue(e.getMessage().length() < 700 && !e.getMessage().contains("\u001b"), e.getMessage());
            Path html = folder.resolve("page.html");
            StringWriter out = new StringWriter();
            StringWriter err = new StringWriter();
            assertEquals(2, FlashLla.execute(new PrintWriter(out), new PrintWriter(err), "compare", folder.resolve("record.json").toString(),
                    "--html", html.toString()));
            assertEquals(1, err.toString().lines().count(), err.toString());
            assertEquals("", out.toString());
            assertFalse(Files.exists(html));
        }));
    }

    @Test
    void markOfUtf8IsNoPartOfTheText() throws IOException {
        assertEquals("base", read("\uFEFF" + text()).name());
    }

    @Test
    void notTextAndNotAFile() throws IOException {
        Path binary = Files.write(folder.resolve("binary.json"), new byte[] {(byte) 0xff, (byte) 0xfe, 0, 1});
        assertThrows(InvalidInputException.class, () -> RecordFile.read(binary, note -> { }));
        assertThrows(InvalidInputException.class, () -> RecordFile.read(folder, note -> { }));
        assertThrows(InvalidInputException.class, () -> RecordFile.read(folder.resolve("none.json"), note -> { }));
        assertThrows(InvalidInputException.class,
                () -> RecordFile.write(folder.resolve("no/such/one.json"), Records.jvm("one", 1, 1)));
    }

    private static String text() {
        return RecordJson.text(Records.jvm("base", 1, 1));
    }

    private static String edited(Consumer<ObjectNode> edit) {
        try {
            ObjectNode root = (ObjectNode) RecordJson.COMPACT.readTree(text());
            edit.accept(root);
            return RecordJson.COMPACT.writeValueAsString(root);
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    private static ObjectNode first(JsonNode root) {
        return (ObjectNode) root.get("measurements").get(0);
    }

    private static ObjectNode workload(JsonNode root) {
        return (ObjectNode) first(root).get("workload");
    }

    private static ArrayNode samples(JsonNode root) {
        return (ArrayNode) first(root).get("times").get("wall_ns");
    }

    private BenchmarkRecord read(String text) throws IOException {
        return read(text, note -> { });
    }

    private BenchmarkRecord read(String text, Consumer<String> notes) throws IOException {
        return RecordFile.read(Files.writeString(folder.resolve("record.json"), text, StandardCharsets.UTF_8), notes);
    }
}
