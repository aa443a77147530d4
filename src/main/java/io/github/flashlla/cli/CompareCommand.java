package io.github.flashlla.cli;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.io.OutputFile;
import io.github.flashlla.report.ComparisonMarkdown;
import io.github.flashlla.report.ComparisonPage;
import io.github.flashlla.report.compare.Comparison.Clock;
import io.github.flashlla.report.compare.Comparison.Line;
import io.github.flashlla.report.compare.Comparison.Named;
import io.github.flashlla.report.compare.Comparison;
import io.github.flashlla.report.compare.RecordNames;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code compare}: benchmark records side by side, and whether something got slower. */
@Command(name = "compare", sortOptions = false, abbreviateSynopsis = true,
        description = {
            "Compare benchmark records, of this machine or others.",
            "Ratios are of times, with 95%% intervals from the samples (Hodges-Lehmann, Mann-Whitney). Reports 'no "
                    + "difference' unless the change is statistically significant, larger than run-to-run noise "
                    + "(--noise), and visible in the fastest fifth of the runs."},
        footerHeading = "%nExamples:%n",
        footer = {
            "  flashlla compare before.json after.json --fail-on-regression 5",
            "  flashlla compare cpu.json gpu.json --html report.html --plot time.svg",
            "  flashlla compare all-devices.json --baseline jvm"})
public final class CompareCommand implements Callable<Integer> {

    @Parameters(arity = "1..*", paramLabel = "RECORD", description = "Records, as bench --record or -o json writes them")
    private List<Path> files;

    @Option(names = "--html", paramLabel = "FILE",
            description = "Also write a page with tables and charts, in one file that any browser shows")
    private Path html;

    @Option(names = "--plot", paramLabel = "FILE",
            description = "Also write the chart of time against length as an SVG file, of the workloads that most devices ran")
    private Path plot;

    @Option(names = "--charts", paramLabel = "FOLDER", description = "Also write every chart as an SVG file into this folder")
    private Path charts;

    @Option(names = "--baseline", paramLabel = "NAME",
            description = "What ratios are against: a record (its name or its file's) or a device (default: the first "
                    + "record, or the first device of a single record)")
    private String baseline;

    @Option(names = "--fail-on-regression", paramLabel = "PCT",
            description = "Exit with 1 if something is more than this many percent slower than the baseline, beyond "
                    + "chance, or no longer right")
    private Double regressionPercent;

    @Option(names = "--noise", paramLabel = "PCT",
            description = "Smallest difference to report, in percent (default: 9 on a CPU, where each process compiles "
                    + "a little differently, and 2 elsewhere)")
    private Double noisePercent;

    @Option(names = "--clock", paramLabel = "CLOCK", defaultValue = "wall", completionCandidates = Clocks.class,
            description = "Time to compare: wall (of the host, transfers included) or kernel (by the device's clock; wall "
                    + "where it has none, as jvm) (default: ${DEFAULT-VALUE})")
    private Clock clock;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        if (noisePercent != null) {
            requirePercent("--noise", noisePercent);
        }
        if (regressionPercent != null) {
            requirePercent("--fail-on-regression", regressionPercent);
        }
        Map<String, Path> outputs = new LinkedHashMap<>();
        outputs.put("--html", html);
        outputs.put("--plot", plot);
        files.forEach(file -> OutputFile.requireDistinct(outputs, Map.of("RECORD", file)));
        outputs.values().stream().filter(Objects::nonNull).forEach(OutputFile::requireWritable);
        PrintWriter err = spec.commandLine().getErr();
        List<Named> records = RecordNames.read(files, err::println);
        Comparison comparison = Comparison.of(records, RecordNames.resolve(baseline, files, records), clock,
                noisePercent == null ? null : Double.valueOf(noisePercent / 100));
        spec.commandLine().getOut().print(ComparisonMarkdown.render(comparison));
        spec.commandLine().getOut().flush();
        if (html != null) {
            ComparisonPage.write(html, comparison, err::println);
            err.println("wrote " + html);
        }
        if (plot != null) {
            ComparisonPage.writePlot(plot, comparison);
            err.println("wrote " + plot);
        }
        if (charts != null) {
            ComparisonPage.writeCharts(charts, comparison, err::println);
        }
        err.flush();
        if (regressionPercent == null) {
            return 0;
        }
        comparison.gaps().forEach(gap -> err.println("note: " + gap));
        return gate(comparison.regressions(regressionPercent / 100), err);
    }

    private int gate(List<Line> regressions, PrintWriter err) {
        for (Line line : regressions) {
            err.println("regression: " + line.series().label() + ", " + line.measurement().workload().label() + ", "
                    + line.measurement().method().label() + ": " + (line.ratio() == null
                            ? "was ok, now " + line.measurement().status().label() : line.ratio().words()
                                    + ", ratio " + line.ratio().numbers()));
        }
        err.flush();
        return regressions.isEmpty() ? 0 : 1;
    }

    static final class Clocks extends LowerCase {
        Clocks() {
            super(Clock.class);
        }
    }

    private static void requirePercent(String option, double percent) {
        if (!(percent >= 0 && percent <= 10_000)) {
            throw new InvalidInputException(option + " is a percentage of 0 or more, not " + percent);
        }
    }
}
