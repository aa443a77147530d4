package io.github.flashlla.report.compare;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.cli.FlashLla;
import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.Environment;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Method;
import io.github.flashlla.record.RecordFile;
import io.github.flashlla.record.Records;
import io.github.flashlla.record.Status;
import io.github.flashlla.report.ComparisonMarkdown;
import io.github.flashlla.report.TableLayout;
import io.github.flashlla.report.compare.Comparison.Clock;
import io.github.flashlla.report.compare.Comparison.Line;
import io.github.flashlla.report.compare.Comparison.Named;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ComparisonTest {
    private static final String SCRIPT = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>";

    @TempDir
    Path folder;

    @Test
    void twoRecordsOfOneDeviceDoNotDiffer() {
        Comparison comparison = compare(null, Records.jvm("a", 1, 1), Records.jvm("b", 1, 2));
        assertEquals(List.of("baseline", "no difference", "baseline", "no difference"),
                comparison.lines().stream().map(Line::verdict).toList());
        assertEquals(new Gate(List.of(), List.of()), Gate.of(comparison, 0.05, false));
        assertTrue(ComparisonMarkdown.render(comparison, TableLayout.WIDE).contains("b against a: no difference on 2 workloads"));
    }

    @Test
    void commandFailsOnTenPercentMore() {
        Path a = write("a", Records.jvm("a", 1, 1));
        Path slow = write("slow", Records.jvm("slow", 1.1, 1));
        Run plain = run(a, slow);
        assertEquals(0, plain.status, plain.err);
        assertTrue(plain.out.contains("1.10x slower"), plain.out);
        Run gated = run(a, slow, "--fail-on-regression", "5");
        assertEquals(3, gated.status, gated.err);
        assertTrue(gated.err.contains("slower: slow, "), gated.err);
        assertEquals(0, run(a, slow, "--fail-on-regression", "15").status);
        assertEquals(0, run(a, slow, "--fail-on-regression", "5", "--baseline", "slow").status, "faster is no regression");
    }

    @Test
    void outputsDoNotFallOnRecords() throws java.io.IOException {
        Path a = write("a", Records.jvm("a", 1, 1));
        Path b = write("b", Records.jvm("b", 1, 2));
        String before = Files.readString(b);
        Run onRecord = run(a, b, "--html", folder.resolve("./b.json").toString());
        assertEquals(2, onRecord.status);
        assertTrue(onRecord.err.contains("both an input"), onRecord.err);
        Run chartsOnFile = run(a, b, "--charts", b.toString());
        assertEquals(2, chartsOnFile.status);
        assertTrue(chartsOnFile.err.contains("which is a file; name a folder"), chartsOnFile.err);
        assertEquals("", chartsOnFile.out, "refused after the work");
        Run picture = run(a, b, "--plot", folder.resolve("time.png").toString());
        assertEquals(2, picture.status);
        assertTrue(picture.err.contains("name a file that ends in .svg"), picture.err);
        assertEquals(before, Files.readString(b));
    }

    @Test
    void whatIsNoLongerRightIsARegression() {
        BenchmarkRecord before = Records.jvm("before", 1, 1);
        List<Measurement> broken = new ArrayList<>(before.measurements());
        broken.set(0, Measurement.missing("jvm", Records.workload(1024), Records.method(), Status.CRASHED, "signal 9"));
        Comparison comparison = compare(null, before, Records.record("after", broken));
        assertEquals(1, Gate.of(comparison, 0.05, false).failures().size());
        assertTrue(Gate.of(comparison, 0.05, false).failures().getFirst().startsWith("crashed: after, fwd 1x8x1024x64"));
        assertEquals(1, comparison.failures().size());
        assertTrue(ComparisonMarkdown.render(comparison, TableLayout.WIDE).contains("CRASHED: after, fwd 1x8x1024x64"));
    }

    @Test
    void devicesOfOneRecordAreComparedWithTheFirstOrTheNamed() {
        BenchmarkRecord record = Records.record("all", List.of(
                Records.measurement("jvm", Records.workload(1024), Records.samples(100, 5, 1)),
                Records.measurement("opencl:0", Records.workload(1024), Records.samples(25, 5, 1)),
                Measurement.missing("ptx:0", Records.workload(1024), Records.method(), Status.FAILED, "no driver")));
        List<Line> lines = compare(null, record).lines();
        assertEquals(List.of("baseline", "4.00x faster", "FAILED"), lines.stream().map(Line::verdict).toList());
        assertEquals("jvm", compare(null, record).baseline());
        assertEquals("baseline", compare("opencl:0", record).lines().get(1).verdict());
    }

    @Test
    void otherDeviceInTheOtherRecordIsComparedToo() {
        BenchmarkRecord gpu = Records.record("gpu", List.of(
                Records.measurement("cuda:0", Records.workload(1024), Records.samples(1, 5, 2))));
        Comparison comparison = compare(null, Records.jvm("cpu", 1, 1), gpu);
        assertEquals(List.of("jvm", "cuda:0"), comparison.lines().stream().map(comparison.names()).distinct().toList());
        assertTrue(comparison.lines().get(1).verdict().endsWith("x faster"));
    }

    @Test
    void kernelClockComparesKernelsWithWhatComputesWhereItsDataIs() {
        Measurement jvm = Records.measurement("jvm", Records.workload(1024), Records.samples(100, 5, 1));
        Measurement gpu = Records.measurement("cuda:0", Records.workload(1024), Records.samples(50, 5, 2));
        Measurement.Times t = gpu.times();
        Measurement timed = new Measurement(gpu.device(), gpu.workload(), gpu.method(), gpu.status(), null, Measurement.Times.of(t.planNs(),
                t.firstRunNs(), t.compileNs(), t.warmUpRuns(), true, t.wallNs(), Records.samples(10, 5, 3), null, null), gpu.rates(),
                gpu.accuracy(), gpu.solve(), null, gpu.memory());
        List<Named> records = List.of(new Named("all", Records.record("all", List.of(jvm, timed))));
        assertEquals(0.5, Comparison.of(records, "jvm", Clock.WALL, null).lines().get(1).ratio().estimate(), 0.05);
        Comparison kernels = Comparison.of(records, "jvm", Clock.KERNEL, null);
        assertEquals(0.1, kernels.lines().get(1).ratio().estimate(), 0.01);
        assertTrue(kernels.lines().get(1).verdict().endsWith("x faster (kernels against wall)"), kernels.lines().get(1).verdict());
        assertEquals("kernel time; jvm has no clock of its own and is compared by wall time", kernels.clockWords());
        String table = ComparisonMarkdown.render(kernels, TableLayout.WIDE);
        String header = table.lines().filter(line -> line.startsWith("| series")).findFirst().orElseThrow();
        assertTrue(header.indexOf("kernel time") < header.indexOf("wall time"), "the first time is the one compared: " + header);
        assertTrue(table.contains("ms wall |"), "a time of another clock says so: " + table);
    }

    @Test
    void waysOfSolvingAreToldApartByWhatDiffers() {
        List<Measurement> measurements = new ArrayList<>();
        for (double tolerance : new double[] {1e-3, 1e-1}) {
            Measurement m = Records.measurement("jvm", Records.workload(1024), Records.samples(tolerance < 0.01 ? 100 : 50, 5, 1));
            measurements.add(new Measurement(m.device(), m.workload(), new Method("lla", tolerance, 64, "none", "float32", null, null), m.status(),
                    null, m.times(), m.rates(), new Measurement.AccuracyCheck(tolerance / 4, 1, 48), m.solve(), null, m.memory()));
        }
        BenchmarkRecord record = Records.record("a", measurements);
        Comparison comparison = compare(null, record, Records.record("b", List.of(measurements.getFirst())));
        assertEquals(List.of("a, tol 1e-3", "a, tol 0.1", "b"), comparison.lines().stream().map(comparison.names()).toList());
        Measurement rough = measurements.getLast();
        assertEquals("2.00x faster (100 times the error)", new Line(comparison.lines().getFirst().series(), rough, Comparison.Relation.COMPARED,
                TimeRatio.of(measurements.getFirst().times().wallNs(), rough.times().wallNs(), 0.02), measurements.getFirst(), null, Clock.WALL).verdict());
    }

    /** Each GPU's ratio is against the host beside it: neither may be read, or ranked, as if it were against the other's. */
    @Test
    void ratiosAgainstSeveralBaselinesNameThem() {
        Path a = write("a", Records.record("a", List.of(Records.measurement("jvm", Records.workload(1024), Records.samples(100, 5, 1)),
                Records.measurement("cuda:0", Records.workload(1024), Records.samples(25, 5, 1)))));
        BenchmarkRecord plain = Records.record("b", List.of(Records.measurement("jvm", Records.workload(1024), Records.samples(400, 5, 1)),
                Records.measurement("ptx:0", Records.workload(1024), Records.samples(50, 5, 1))));
        Path b = write("b", new BenchmarkRecord(1, "b", plain.created(), true, new Environment("Linux", "another processor", 2, null, "Java 25", null, "0.1.0",
                "abcdef"), plain.devices(), plain.measurements()));
        Path html = folder.resolve("page.html");
        Run run = run(a, b, "--baseline", "jvm", "--html", html.toString());
        assertTrue(run.out.contains("cuda:0 is 4.00 times as fast as a/jvm [") && run.out.contains("ptx:0 is 8.00 times as fast as b/jvm [")
                && run.out.contains("b/jvm is 4.00 times as slow as a/jvm ["), run.out);
        assertTrue(run.out.contains("8.00x faster against b/jvm"), run.out);
        String page = read(html);
        assertTrue(page.contains("as b/jvm</small>"), "no baseline beside the mean");
        assertTrue(page.indexOf("</span>cuda:0</th>") < page.indexOf("</span>ptx:0</th>"), "ratios against a/jvm come before those against b/jvm");
    }

    @Test
    void timesThatMovedAndMeansThatSayNothingAreNotCalledFaster() {
        List<Measurement> fast = new ArrayList<>();
        List<Measurement> slow = new ArrayList<>();
        for (int length : new int[] {1024, 4096}) {
            slow.add(Records.measurement("jvm", Records.workload(length), Records.samples(100, 5, length)));
            fast.add(Records.measurement("jvm", Records.workload(length), Records.samples(length == 1024 ? 120 : 83.8, 5, length + 1)));
        }
        String even = run(write("slow", Records.record("slow", slow)), write("fast", Records.record("fast", fast))).out;
        assertTrue(even.contains("fast against slow: no certain difference in the geometric mean of 2 workloads (slower on 1, faster on 1), "), even);
        String moved = run(folder.resolve("slow.json"), write("fast", Records.record("fast", List.of(unsettled(fast.getFirst()), fast.getLast())))).out;
        assertTrue(moved.contains("; times were unsettled on 1\n"), moved);
    }

    private static Measurement unsettled(Measurement m) {
        Measurement.Times t = m.times();
        return new Measurement(m.device(), m.workload(), m.method(), m.status(), null, Measurement.Times.of(t.planNs(), t.firstRunNs(), t.compileNs(),
                t.warmUpRuns(), false, t.wallNs(), null, null, null), m.rates(), m.accuracy(), m.solve(), null, m.memory());
    }

    @Test
    void unknownBaselineAndForeignWorkloadsAreRefused() {
        InvalidInputException unknown = assertThrows(InvalidInputException.class,
                () -> compare("nobody", Records.jvm("a", 1, 1), Records.jvm("b", 1, 2)));
        assertTrue(unknown.getMessage().contains("nobody") && unknown.getMessage().contains("a, b"), unknown.getMessage());
        BenchmarkRecord foreign = Records.record("foreign", List.of(
                Records.measurement("jvm", Records.workload(999), Records.samples(1, 5, 2))));
        InvalidInputException e = assertThrows(InvalidInputException.class,
                () -> compare(null, Records.jvm("a", 1, 1), foreign));
        assertTrue(e.getMessage().contains("no workload in common") && e.getMessage().contains("key_length (1024 and 999)"),
                e.getMessage());
    }

    /** As a shell's pattern names the records of a folder. */
    @Test
    void recordsOfDifferentWorkloadsComeInAnyOrder() {
        BenchmarkRecord decode = Records.record("decode", List.of(Records.measurement("cuda:0", Records.workload(999), Records.samples(1, 5, 2)),
                Records.measurement("opencl:0", Records.workload(999), Records.samples(2, 5, 2))));
        BenchmarkRecord host = Records.record("host", List.of(Records.measurement("jvm", Records.workload(1024), Records.samples(100, 5, 2)),
                Records.measurement("jvm", Records.workload(2048), Records.samples(400, 5, 2))));
        BenchmarkRecord gpu = Records.record("gpu", List.of(Records.measurement("cuda:0", Records.workload(1024), Records.samples(1, 5, 2)),
                Records.measurement("cuda:0", Records.workload(2048), Records.samples(4, 5, 2))));
        BenchmarkRecord lonely = Records.record("lonely", List.of(Records.measurement("cuda:0", Records.workload(7), Records.samples(1, 5, 2))));
        for (List<BenchmarkRecord> order : List.of(List.of(host, decode, gpu), List.of(decode, gpu, host), List.of(gpu, host, decode))) {
            Comparison comparison = compare(null, order.toArray(BenchmarkRecord[]::new));
            assertEquals("cuda:0", comparison.baseline());
            assertEquals(3, comparison.lines().stream().filter(line -> line.ratio() != null).count());
            assertFalse(Warnings.of(comparison).stream().anyMatch(warning -> warning.startsWith("Nothing")), Warnings.of(comparison).toString());
        }
        assertTrue(Warnings.of(compare(null, host, lonely, gpu)).contains("Nothing of lonely is compared: the others did not measure the same."));
    }

    @Test
    void onePlatformHasTwoNames() {
        BenchmarkRecord plain = Records.jvm("a", 1, 1);
        Environment e = plain.environment();
        List<BenchmarkRecord> both = List.of("Linux 6.1 amd64", "Linux 6.1 x86_64").stream().map(os -> new BenchmarkRecord(1, os, plain.created(), true,
                new Environment(os, e.cpu(), e.cores(), null, e.runtime(), null, e.version(), null), plain.devices(), plain.measurements())).toList();
        assertEquals(List.of(), Warnings.of(compare(null, both.getFirst(), both.getLast())).stream().filter(warning -> warning.contains("system")).toList());
    }

    @Test
    void pageEscapesEveryString() {
        BenchmarkRecord plain = Records.jvm(SCRIPT, 1, 1);
        List<Measurement> measurements = new ArrayList<>(plain.measurements());
        measurements.add(Measurement.missing(SCRIPT, Records.workload(1024), Records.method(), Status.FAILED, SCRIPT));
        BenchmarkRecord hostile = new BenchmarkRecord(1, SCRIPT, plain.created(), true,
                new Environment(SCRIPT, SCRIPT, 2, null, SCRIPT, SCRIPT, SCRIPT, SCRIPT),
                List.of(plain.devices().getFirst(), new DeviceFacts(SCRIPT, SCRIPT, "cpu", SCRIPT, SCRIPT, SCRIPT, null,
                        null, null)), measurements);
        Path file = write("hostile", hostile);
        Path html = folder.resolve("page.html");
        Run run = run(file, write("b", Records.jvm("b", 1, 2)), "--html", html.toString());
        assertEquals(0, run.status, run.err);
        String page = read(html);
        assertFalse(page.contains("<script"), "a script came through");
        assertFalse(page.contains("<img"), "an element came through");
        assertTrue(page.contains("&lt;script&gt;"));
        assertTrue(page.contains("<svg"), run.err);
        String outsideText = page.replaceAll("<text[^>]*>[^<]*", ""); // where an equals sign is no attribute's
        assertFalse(outsideText.replace("http://www.w3.org/2000/svg", "").matches("(?s).*(https?:|url\\(http|src=|@import).*"),
                "the page refers to something outside itself");
    }

    @Test
    void pageShowsChartsTablesAndEnvironment() {
        Path html = folder.resolve("page.html");
        assertEquals(0, run(write("a", Records.jvm("a", 1, 1)), write("b", Records.jvm("b", 1.1, 1)), "--html",
                html.toString()).status);
        String page = read(html);
        for (String part : List.of("Time against length: fwd", "Roofline", "Cold start", "Memory", "Environment", "Reproduce", "git checkout abcdef", "1.10x slower",
                "1.10 times as slow", "S^", "prefers-color-scheme", "<svg class=\"strip\"")) {
            assertTrue(page.contains(part), part);
        }
        assertFalse(page.contains("rgb(4,5,1"), "a marker colour was not given its meaning");
    }

    @Test
    void plotIsOneChartThatStandsAlone() {
        Path plot = folder.resolve("time.svg");
        Run run = run(write("a", Records.jvm("a", 1, 1)), write("b", Records.jvm("b", 1, 2)), "--plot", plot.toString());
        assertEquals(0, run.status, run.err);
        String svg = read(plot);
        assertTrue(svg.startsWith("<svg") && svg.contains("</svg") && svg.contains("--s1:"), svg.substring(0, 80));
        assertEquals(2, run(folder.resolve("a.json"), folder.resolve("b.json"), "--plot", plot.toString(), "--html",
                plot.toString()).status, "two outputs in one file");
        Path single = write("c", Records.record("c", List.of(
                Records.measurement("jvm", Records.workload(1024), Records.samples(1, 5, 2)))));
        Run nothing = run(single, single, "--plot", folder.resolve("none.svg").toString());
        assertEquals(2, nothing.status);
        assertTrue(nothing.err.contains("two lengths"), nothing.err);
        assertFalse(Files.exists(folder.resolve("none.svg")));
    }

    private static Comparison compare(String baseline, BenchmarkRecord... records) {
        return Comparison.of(List.of(records).stream().map(record -> new Named(record.name(), record)).toList(), baseline,
                Clock.WALL, TimeRatio.DEFAULT_NOISE);
    }

    private Path write(String stem, BenchmarkRecord record) {
        Path file = folder.resolve(stem + ".json");
        RecordFile.write(file, record);
        return file;
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    private record Run(int status, String out, String err) {}

    private static Run run(Path a, Path b, String... more) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        List<String> args = new ArrayList<>(List.of("compare", a.toString(), b.toString()));
        args.addAll(List.of(more));
        int status = FlashLla.execute(new PrintWriter(out), new PrintWriter(err), args.toArray(String[]::new));
        return new Run(status, out.toString(), err.toString());
    }
}
