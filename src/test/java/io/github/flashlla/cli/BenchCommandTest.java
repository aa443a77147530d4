package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.RecordFile;
import io.github.flashlla.record.Status;
import io.github.flashlla.report.RecordRenderer;
import io.github.flashlla.report.TableLayout;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringReader;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(600)
class BenchCommandTest {
    @TempDir
    Path folder;

    @Test
    void everyFormSaysTheSame() throws IOException {
        Path file = folder.resolve("record.json");
        Path page = folder.resolve("page.html");
        Run run = run("--device", "jvm", "--seq", "32,64", "--heads", "2", "--kv-heads", "1", "--head-dim", "16", "-r", "3",
                "--warm-up", "0.05", "--format", "jsonl", "--name", "mine", "--record", file.toString(), "--html", page.toString());
        assertEquals(0, run.status, run.err);
        BenchmarkRecord record = RecordFile.read(file, note -> { });
        assertTrue(record.complete());
        assertEquals("mine", record.name());
        assertEquals(List.of(32, 64), record.measurements().stream().map(m -> m.workload().keyLength()).toList());
        for (Measurement m : record.measurements()) {
            assertEquals(Status.OK, m.status(), m.message());
            assertEquals(3, m.times().wallNs().length);
            assertEquals(1, m.workload().kvHeads());
            assertTrue(m.rates().shareOfFma() > 0 && m.rates().shareOfCopy() > 0);
            assertTrue(m.solve().maxIterations() > 0);
            assertTrue(m.memory().tensorBytes() > 0);
        }

        assertEquals(2, run.out.lines().count());
        Path lines = Files.writeString(folder.resolve("lines.jsonl"), run.out);
        assertEquals(record.measurements().stream().map(m -> m.times().medianNs()).toList(),
                RecordFile.read(lines, note -> { }).measurements().stream().map(m -> m.times().medianNs()).toList());

        List<CSVRecord> csv = CSVFormat.DEFAULT.builder().setHeader().setSkipHeaderRecord(true).get()
                .parse(new StringReader(RecordRenderer.csv(record))).getRecords();
        assertEquals("64", csv.get(1).get("key_length"));
        assertEquals(record.measurements().get(1).times().medianNs(), Double.parseDouble(csv.get(1).get("median_ns")));
        assertEquals(3, csv.get(0).get("wall_ns").split(" ").length);

        assertTrue(RecordRenderer.markdown(record, TableLayout.WIDE).contains("| jvm "));
        assertTrue(Files.readString(page).contains("<svg"));
    }

    @Test
    void aValueThatIsListedTwiceIsMeasuredOnce() {
        Path file = folder.resolve("record.json");
        Run run = run("--device", "jvm", "--seq", "16,16", "--ridge", "1,1.0", "--heads", "1", "--head-dim", "8", "-r", "1", "--warm-up", "0.05",
                "--record", file.toString());
        assertEquals(0, run.status, run.err);
        assertEquals(1, RecordFile.read(file, note -> { }).measurements().size());
    }

    @Test
    void emptyElementsAndWrongNumbersAreNamedAsTyped() {
        for (String list : List.of("16,", "16,,32", ",16")) {
            Run run = run("--device", "jvm", "--seq", list);
            assertEquals(2, run.status, run.err);
            assertTrue(run.err.startsWith("flashlla: --"), run.err);
            assertTrue(run.err.contains(" " + list + " is a list with an empty element"), run.err);
        }
        assertTrue(run("--seq=").err.startsWith("flashlla: --seq is empty; name a value"), () -> run("--seq=").err);
        for (String wrong : List.of("--seq 1e3", "--context 1e3", "--ridge x", "--mode x", "-r x", "--format x", "--record \0")) {
            String[] words = wrong.split(" ");
            Run run = run("--device", "jvm", words[0], words[1]);
            assertEquals(2, run.status, run.err);
            assertEquals(1, run.err.lines().count(), run.err);
            assertTrue(run.err.contains("'" + words[0] + "'"), run.err);
            assertTrue(!run.err.contains("java") && !run.err.contains("Exception"), run.err);
        }
    }

    @Test
    void aRecordThatCannotBeWrittenAnyMoreCostsNoResults() throws IOException {
        Path place = Files.createDirectory(folder.resolve("place"));
        Path file = place.resolve("record.json");
        Thread spoiler = deleteOnce(file, file, place);
        Run run = run("--device", "jvm", "--seq", "16,32", "--heads", "1", "--head-dim", "8", "-r", "3", "--warm-up", "0.5", "--record",
                file.toString());
        assertTrue(!spoiler.isAlive());
        assertEquals(1, run.status, run.err);
        assertTrue(run.out.contains("1x1x16x8") && run.out.contains("1x1x32x8"), run.out);
    }

    /** The page comes last: what was measured is printed and kept by then. */
    @Test
    void aPageThatCannotBeWrittenCostsNoResults() throws Exception {
        Path place = Files.createDirectory(folder.resolve("place"));
        Path page = place.resolve("page.html");
        Path record = folder.resolve("record.json");
        Thread spoiler = deleteOnce(record, place);
        Run run = run("--device", "jvm", "--seq", "16,32", "--heads", "1", "--head-dim", "8", "-r", "3", "--warm-up", "0.5", "--record",
                record.toString(), "--html", page.toString());
        spoiler.join();
        assertEquals(1, run.status, run.err);
        assertTrue(run.out.contains("1x1x16x8") && run.out.contains("1x1x32x8"), run.out);
        assertEquals(2, RecordFile.read(record, note -> { }).measurements().size());
        String last = run.err.lines().toList().getLast();
        assertTrue(last.startsWith("flashlla: " + page) && last.contains("compare"), run.err);
    }

    /** Deletes files and folders as soon as {@code sign} is there. */
    private static Thread deleteOnce(Path sign, Path... doomed) {
        return Thread.ofPlatform().start(() -> {
            for (int i = 0; i < 3000 && !Files.exists(sign); i++) {
                java.util.concurrent.locks.LockSupport.parkNanos(10_000_000);
            }
            try {
                for (Path path : doomed) {
                    Files.deleteIfExists(path);
                }
            } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        });
    }

    @Test
    void sizesThatCannotBeAreRefusedAtOnce() {
        long began = System.nanoTime();
        Run run = run("--device", "jvm", "--mode", "decode", "--context", "2000000000", "--heads", "512", "-r", "1", "--format", "csv");
        assertEquals(2, run.status, run.err);
        assertTrue(run.err.contains("TiB of host memory"), run.err);
        assertEquals("", run.out);
        assertTrue(System.nanoTime() - began < 30e9);
        Run oneOfTwo = run("--device", "jvm", "--mode", "decode", "--context", "64,2000000000", "--heads", "512", "-r", "1", "--warm-up", "0.1", "--format", "csv");
        assertEquals(1, oneOfTwo.status, oneOfTwo.err);
        assertTrue(oneOfTwo.out.contains("refused") && oneOfTwo.out.contains("TiB of host memory"), oneOfTwo.out);
    }

    /** Nothing is measured first. */
    @Test
    void unknownColumnsAreRefusedBeforeTheRun() {
        Run run = run("--device", "jvm", "--seq", "16", "--columns", "foo", "--record", folder.resolve("none.json").toString());
        assertEquals(2, run.status, run.err);
        assertTrue(run.err.contains("there is no column 'foo'"), run.err);
        List<String> names = List.of(run.err.strip().replaceFirst("\\.$", "").replaceFirst("(?s).*there are ", "").split(", "));
        assertEquals(names.stream().distinct().toList(), names);
        assertTrue(Files.notExists(folder.resolve("none.json")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"--seq 0", "--device nobody", "--tol 2", "-r 0", "--time-limit -1", "--heads 8 --kv-heads 3",
        "--suite none.yaml", "--suite none.yaml --seq 5", "--record no/such/folder/file.json", "--html no/such/page.html", "--html /proc/page.html",
        "--record /dev/null", "--record a.json --html ./a.json", "--ridge 0", "--dtype int4", "--mode sideways", "--precond ilu", "--causal maybe",
        "--device jvm --precision float16", "--device jvm --mode decode --context 64 --precision float16", "--device jvm --mode decode --dtype bfloat16",
        "--device jvm --operator softmax --mode bwd", "--device reference --operator softmax", "--device reference --mode naive",
        "--seq 64 --query-seq 65", "--head-dim 257", "--max-iter 0", "--warm-up -1", "--format xml", "--name= --seq 16"})
    void badUsageIsOneSentence(String args) {
        Run run = run(args.split(" "));
        assertEquals(2, run.status, run.err);
        assertEquals(1, run.err.strip().lines().count(), run.err);
        assertEquals("", run.out);
    }

    /** What another workload of the same run can do is measured; the rest has rows that say why not. */
    @Test
    void aDeviceThatCanDoSomeIsNotRefused() {
        Run run = run("--device", "jvm", "--seq", "16", "--heads", "1", "--head-dim", "8", "--precision", "float32,float16", "-r", "1", "--warm-up", "0.1",
                "--format", "csv");
        assertEquals(1, run.status, run.err);
        assertTrue(run.out.contains(",ok,") && run.out.contains("refused") && run.out.contains("does not compute products in float16"), run.out);
    }

    private record Run(int status, String out, String err) {}

    private static Run run(String... args) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int status = FlashLla.execute(new PrintWriter(out), new PrintWriter(err),
                Stream.concat(Stream.of("bench"), Stream.of(args)).toArray(String[]::new));
        return new Run(status, out.toString(), err.toString());
    }
}
