package io.github.flashlla.cli;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.io.OutputFile;
import io.github.flashlla.report.ComparisonMarkdown;
import io.github.flashlla.report.ComparisonPage;
import io.github.flashlla.report.RecordRenderer;
import io.github.flashlla.report.compare.Comparison.Clock;
import io.github.flashlla.report.compare.Comparison.Named;
import io.github.flashlla.report.compare.Comparison;
import io.github.flashlla.report.compare.Gate;
import io.github.flashlla.report.compare.RecordNames;
import io.github.flashlla.report.compare.Warnings;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code compare}: benchmark records side by side, and whether something got slower. */
@Command(name = "compare", sortOptions = false, abbreviateSynopsis = true,
        description = {
            "Compare benchmark records, of this machine or others: two runs of the same devices, or devices with each other.",
            "Ratios are of times, with 95%% intervals from the samples (Hodges-Lehmann, Mann-Whitney). Reports 'no "
                    + "difference' unless the change is statistically significant, larger than run-to-run noise "
                    + "(--noise), and visible in the fastest fifth of the runs."},
        footerHeading = "%nExamples:%n",
        footer = {
            "  flashlla compare before.json after.json --fail-on-regression 5",
            "  flashlla compare cpu.json gpu.json --html report.html --plot time.svg",
            "  flashlla compare all-devices.json --baseline jvm",
            "  flashlla compare bench/results/h200/*.json --clock kernel"})
public final class CompareCommand implements Callable<Integer> {

    enum Format { md, csv, json }

    @Parameters(arity = "1..*", paramLabel = "RECORD", description = "Records, as bench --record or --format json writes them")
    private List<Path> files;

    @Option(names = "--format", paramLabel = "FORM",
            description = "Form of the result: ${COMPLETION-CANDIDATES} (default: md); csv and json hold a line for every measurement")
    private Format format;

    @Mixin
    private ResultOptions result;

    @Mixin
    private TableOptions table;

    @Option(names = "--html", paramLabel = "FILE",
            description = "Also write a page with tables and charts, in one file that any browser shows")
    private Path html;

    @Option(names = "--plot", paramLabel = "FILE",
            description = "Also write the chart of time against length as an SVG file, of the workloads that most devices ran")
    private Path plot;

    @Option(names = "--charts", paramLabel = "FOLDER", description = "Also write every chart as an SVG file into this folder")
    private Path charts;

    @Option(names = "--baseline", paramLabel = "NAME",
            description = "What ratios are against. A record (its name or its file's): each device is compared with itself there, solved in the same "
                    + "way. A device: others are compared with it (default: the first record if all have measurements of the same device in "
                    + "common with it, else the device that measured most workloads; of one record the first device)")
    private String baseline;

    @Option(names = "--fail-on-regression", paramLabel = "PCT",
            description = "Hold every record against the baseline record. Exit with 3 if something is more than this many percent slower, beyond "
                    + "chance, and with 1 if something is missing or no longer right. What is new never fails")
    private Double regressionPercent;

    @Option(names = "--allow-missing", description = "With --fail-on-regression: let pass what the baseline measured and another record did not")
    private boolean allowMissing;

    @Option(names = "--same-machine", description = "Exit with 1 if the records are of different machines; without it, a note says so")
    private boolean sameMachine;

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
        if (regressionPercent != null && files.size() < 2) {
            throw new InvalidInputException("--fail-on-regression needs a baseline record and another one, but there is one record; "
                    + "name the earlier one first");
        }
        if (regressionPercent == null && allowMissing) {
            throw new InvalidInputException("--allow-missing is for --fail-on-regression");
        }
        Format form = result.format(format, Format.md);
        table.requireTable(form == Format.md);
        Map<String, Path> outputs = new LinkedHashMap<>();
        result.addTo(outputs);
        outputs.put("--html", html);
        outputs.put("--plot", plot);
        files.forEach(file -> OutputFile.requireDistinct(outputs, Map.of("RECORD", file)));
        outputs.values().stream().filter(Objects::nonNull).forEach(OutputFile::requireWritable);
        if (plot != null && !plot.toString().toLowerCase(Locale.ROOT).endsWith(".svg")) {
            throw new InvalidInputException("--plot writes SVG, not what " + plot + " is named for; name a file that ends in .svg");
        }
        PrintWriter err = spec.commandLine().getErr();
        List<Named> records = RecordNames.read(files, err::println);
        String against = RecordNames.resolve(baseline == null && regressionPercent != null ? records.getFirst().name() : baseline, files, records);
        Comparison comparison = Comparison.of(records, against, clock, noisePercent == null ? null : Double.valueOf(noisePercent / 100));
        if (regressionPercent != null && comparison.baselineRecord() == null) {
            throw new InvalidInputException("--fail-on-regression holds records against a record, but --baseline names the device "
                    + baseline + "; name a record");
        }
        if (charts != null) {
            ComparisonPage.makeFolder(charts);
        }
        result.print(switch (form) {
            case md -> ComparisonMarkdown.render(comparison, table.layout(result.isOnTerminal()));
            case csv -> RecordRenderer.csv(comparison);
            case json -> RecordRenderer.json(comparison);
        });
        if (form != Format.md) {
            Warnings.of(comparison).forEach(warning -> err.println("note: " + warning));
        }
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
        int status = sameMachine && !Warnings.machine(records).isEmpty() ? CommandLine.ExitCode.SOFTWARE : CommandLine.ExitCode.OK;
        if (status != 0) {
            err.println("flashlla: --same-machine: the records are of different machines: " + String.join("; ", Warnings.machine(records)) + ".");
        }
        return status != 0 || regressionPercent == null ? status : gate(Gate.of(comparison, regressionPercent / 100, allowMissing), err);
    }

    /** Tells why the gate is closed; a failure weighs more than a regression. */
    private static int gate(Gate gate, PrintWriter err) {
        gate.failures().forEach(err::println);
        gate.regressions().forEach(err::println);
        err.flush();
        return !gate.failures().isEmpty() ? CommandLine.ExitCode.SOFTWARE : gate.regressions().isEmpty() ? 0 : FlashLla.REGRESSION;
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
