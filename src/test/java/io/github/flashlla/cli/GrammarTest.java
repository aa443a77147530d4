package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.RecordFile;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** One spelling for one thing, in every command. */
@Timeout(600)
class GrammarTest {
    @TempDir
    Path folder;

    @Test
    void lengthsAreNumbersThousandsAndDoublings() {
        assertEquals(List.of(1000, 1024, 4096, 8192, 16384, 1, 2, 4), Lengths.all(new CommandLine(new Lists())
                .parseArgs("--n", "1000,1k,4k..16384,1..4").commandSpec().<List<Lengths>>findOption("--n").getValue()));
        for (String wrong : List.of("1e3", "1..", "..4", "3..5", "0..8", "8..4", "1m", "99999999k", "-1", "1..2..4")) {
            Run run = run("bench", "--seq", wrong);
            assertEquals(2, run.status, wrong);
            assertTrue(run.err.contains("'--seq'") && run.err.contains("'" + wrong + "' ") && !run.err.contains("Exception"), run.err);
        }
    }

    static final class Lists {
        @CommandLine.Option(names = "--n", split = ",", converter = Lengths.Converter.class)
        private List<Lengths> n;
    }

    @Test
    void namesOfOtherToolsAndOldSpellingsWork() {
        Path file = folder.resolve("record.json");
        Run run = run("bench", "--device", "reference", "--seq", "8..16", "--heads", "1", "--head-dim", "8", "--dtype", "fp16", "--causal", "--no-causal", "-r",
                "1", "--warm-up", "0", "--record", file.toString());
        assertEquals(0, run.status, run.err);
        BenchmarkRecord record = RecordFile.read(file, note -> { });
        assertEquals(List.of("8 true", "8 false", "16 true", "16 false"), record.measurements().stream()
                .map(m -> m.workload().keyLength() + " " + m.workload().causal()).toList());
        assertEquals("float16", record.measurements().getFirst().method().dataType());
        Run old = run("bench", "--device", "reference", "--seq", "8", "--heads", "1", "--head-dim", "8", "--causal=false", "-r", "1", "--warm-up", "0",
                "-o", "csv");
        assertEquals(0, old.status, old.err);
        assertTrue(old.err.contains("note: --causal=false is read as --no-causal") && old.err.contains("note: -o csv is read as --format csv"), old.err);
        assertTrue(old.out.startsWith("record,") && old.out.contains(",false,"), old.out);
        Run type = run("bench", "--precision", "bf16");
        assertEquals(2, type.status);
        assertTrue(type.err.contains("'bf16' is not one of float32, float16") && !type.err.contains("bfloat16"), type.err);
    }

    @Test
    void suitesGoByName() {
        Run unknown = run("bench", "--suite", "nobody");
        assertEquals(2, unknown.status);
        assertTrue(unknown.err.contains("there is no suite 'nobody'; there are decode, gpu, quick, "), unknown.err);
        Run known = run("bench", "--suite", "quick", "--device", "nobody");
        assertEquals(2, known.status);
        assertTrue(known.err.contains("no device matches 'nobody'"), known.err);
        assertTrue(run("bench", "--suite", "quick", "--no-causal").err.contains("--no-causal cannot be combined with --suite"));
    }

    @Test
    void keysOfJsonAreInSnakeCase() throws IOException {
        Path file = folder.resolve("devices.json");
        assertEquals(0, run("devices", "--format", "json", "-o", file.toString()).status);
        requireSnakeCase(new ObjectMapper().readTree(file.toFile()));
        Run choices = run("devices", "--kernels", "1x8x1024x64", "--as", file.toString());
        assertEquals(0, choices.status, choices.err);
        Path checks = folder.resolve("checks.json");
        Run verify = run("verify", "--device", "jvm", "--format", "json", "-o", checks.toString());
        assertEquals(0, verify.status, verify.err);
        assertEquals("", verify.out);
        JsonNode device = new ObjectMapper().readTree(checks.toFile()).get("devices").get(0);
        requireSnakeCase(device);
        assertEquals(device.get("checks").size(), device.get("passed").asInt());
        Set<String> passes = new HashSet<>(device.get("checks").findValuesAsText("pass"));
        assertTrue(passes.containsAll(List.of("forward", "backward", "decode")), passes.toString());
        Path stats = folder.resolve("stats.json");
        Path data = Path.of(System.getProperty("flashlla.root", "."), "bench/data/attention");
        Run run = run("run", "--q", data.resolve("q.npy").toString(), "--k", data.resolve("k.npy").toString(), "--v", data.resolve("v.npy").toString(),
                "-o", folder.resolve("o.npy").toString(), "--causal", "--stats", stats.toString());
        assertEquals(0, run.status, run.err);
        assertTrue(Files.exists(folder.resolve("o.npy")));
        JsonNode tree = new ObjectMapper().readTree(stats.toFile());
        requireSnakeCase(tree);
        assertTrue(tree.get("shape").has("kv_heads"), tree.toString());
        assertEquals(2, run("run", "--q", "q.npy", "--k", "k.npy", "--v", "v.npy", "-o", "o.npy", "--causal", "--no-causal").status);
    }

    private static void requireSnakeCase(JsonNode node) {
        node.fieldNames().forEachRemaining(name -> assertTrue(name.matches("[a-z][a-z0-9_]*"), name));
        node.forEach(GrammarTest::requireSnakeCase);
    }

    @Test
    void everyCommandSpellsItsFormAndItsFileAlike() {
        for (CommandLine command : FlashLla.commandLine().getSubcommands().values()) {
            for (CommandLine.Model.OptionSpec option : command.getCommandSpec().options()) {
                Set<String> names = Set.of(option.names());
                assertFalse(names.contains("--output") && !names.contains("-o"), command.getCommandName());
                assertFalse(names.contains("-o") && !names.contains("--output") && !names.contains("--out"), command.getCommandName());
                assertFalse(names.contains("--causal") && option.arity().min() != 0, command.getCommandName() + " wants a value for --causal");
            }
        }
    }

    private record Run(int status, String out, String err) {}

    private static Run run(String... args) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int status = FlashLla.execute(new PrintWriter(out), new PrintWriter(err), Stream.of(args).toArray(String[]::new));
        return new Run(status, out.toString(), err.toString());
    }
}
