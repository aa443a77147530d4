package io.github.flashlla.report;

import com.samskivert.mustache.Mustache;
import com.samskivert.mustache.Template;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.io.OutputFile;
import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.Status;
import io.github.flashlla.report.Charts.Chart;
import io.github.flashlla.report.compare.Comparison.Group;
import io.github.flashlla.report.compare.Comparison.Line;
import io.github.flashlla.report.compare.Comparison;
import io.github.flashlla.report.compare.Summary;
import io.github.flashlla.report.compare.Warnings;
import io.github.flashlla.report.compare.TimeRatio.Verdict;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/** A comparison as one HTML file that refers to nothing outside itself. The template escapes every string. */
public final class ComparisonPage {
    private static final String TEMPLATE = "/report/comparison.mustache";

    private ComparisonPage() {}

    /** Writes the page; {@code notes} is told, one sentence each, what had to be left out. */
    public static void write(Path file, Comparison comparison, Consumer<String> notes) {
        write(file, "page", render(comparison, notes));
    }

    private static void write(Path file, String what, String content) {
        try (OutputFile output = OutputFile.create(file)) {
            Files.writeString(output.temporary(), content);
            output.commit();
        } catch (IOException e) {
            throw new InvalidInputException("the " + what + " " + file + " cannot be written (" + e.getMessage()
                    + "); name a file elsewhere");
        }
    }

    /**
     * Writes every chart as an SVG file of its own, with colours for light and dark.
     *
     * @param folder is made if it is not there; files are named by what they show, such as {@code time-against-length.svg}
     */
    public static void writeCharts(Path folder, Comparison comparison, Consumer<String> notes) {
        makeFolder(folder);
        try {
            Set<String> names = new HashSet<>();
            for (Chart chart : draw(comparison, notes)) {
                String name = chart.title().toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]+", "-");
                String unique = name;
                for (int n = 2; !names.add(unique); n++) {
                    unique = name + "-" + n;
                }
                Files.writeString(folder.resolve(unique + ".svg"), ChartStyle.standalone(chart.svg()));
            }
        } catch (IOException e) {
            throw noFolder(folder, e);
        }
    }

    /**
     * Makes the folder of {@link #writeCharts} where it is not there.
     *
     * @throws InvalidInputException if it cannot be one
     */
    public static void makeFolder(Path folder) {
        try {
            Files.createDirectories(folder);
        } catch (IOException e) {
            throw noFolder(folder, e);
        }
    }

    private static InvalidInputException noFolder(Path folder, IOException e) {
        return new InvalidInputException("the charts cannot be written to " + folder + (Files.isRegularFile(folder)
                ? ", which is a file; name a folder" : " (" + e.getMessage() + "); name a folder that is yours"));
    }

    /**
     * Writes one chart: time against length, of the workloads that most series measured.
     *
     * @throws InvalidInputException if no workload was measured at two lengths
     */
    public static void writePlot(Path file, Comparison comparison) {
        ChartFont.prepare();
        Chart plot = Charts.scaling(comparison).stream().max(Comparator.comparingInt(Chart::series))
                .orElseThrow(() -> new InvalidInputException("there is nothing to plot against length: no workload was measured at two lengths"));
        write(file, "plot", ChartStyle.standalone(plot.svg()));
    }

    static String render(Comparison comparison, Consumer<String> notes) {
        Map<String, Object> page = new LinkedHashMap<>();
        FirstScreen first = new FirstScreen(comparison);
        page.put("title", title(comparison));
        page.put("baseline", comparison.baseline());
        page.put("clock", comparison.clockWords());
        page.put("sources", comparison.records().stream().map(ComparisonPage::source).toList());
        List<String> headlines = new EqualError(comparison).headlines();
        List<String> summary = Summary.of(comparison);
        page.put("headlines", headlines.isEmpty() ? summary.subList(Math.max(0, summary.size() - 3), summary.size()) : headlines);
        page.put("summary", summary);
        page.put("warnings", Warnings.of(comparison));
        page.put("hasWarnings", !Warnings.of(comparison).isEmpty());
        page.put("pivot", first.pivot());
        page.put("equalError", first.equalError());
        page.put("hasEqualError", !first.equalError().isEmpty());
        page.put("targets", FirstScreen.targets());
        page.put("bars", first.bars());
        page.put("lacksEnergy", first.lacksEnergy());
        List<Column> columns = Column.of(Column.Table.PAGE, Row.of(comparison));
        page.put("columns", columns.stream().map(ComparisonPage::heading).toList());
        page.put("width", columns.size());
        RatioBar bar = new RatioBar(comparison.lines());
        page.put("groups", comparison.groups().stream().map(group -> group(group, columns, bar)).toList());
        List<Chart> charts = draw(comparison, notes);
        page.put("charts", charts);
        page.put("hasCharts", !charts.isEmpty());
        page.put("kernelClock", Row.of(comparison).stream().anyMatch(Row::hasOwnClock));
        List<String> failures = new ArrayList<>(comparison.missing().stream().map(Comparison.Missing::sentence).toList());
        comparison.failures().forEach(line -> failures.add(ComparisonMarkdown.failure(line)));
        page.put("failures", failures);
        page.put("hasFailures", !failures.isEmpty());
        page.put("records", comparison.records().stream().map(Comparison.Named::name).toList());
        List<List<String>> facts = EnvironmentTable.rows(comparison.records());
        page.put("same", facts.stream().filter(EnvironmentTable::isSame).map(row -> Map.of("fact", row.getFirst(), "value", row.get(1))).toList());
        List<Map<String, Object>> differing = facts.stream().filter(row -> !EnvironmentTable.isSame(row)).map(row -> environment(row, comparison)).toList();
        page.put("environments", differing);
        page.put("differs", !differing.isEmpty());
        page.put("reproduce", comparison.records().stream().map(Reproduce::of).toList());
        return template().execute(page);
    }

    /** A page without charts is better than none, where Java's graphics libraries are incomplete. */
    private static List<Chart> draw(Comparison comparison, Consumer<String> notes) {
        try {
            return Charts.of(comparison);
        } catch (LinkageError | InternalError | RuntimeException e) {
            notes.accept("the page has no charts, for they could not be drawn (" + e
                    + "); use a full Java runtime, or one from flashlla bundle");
            return List.of();
        }
    }

    /** The hardware that was measured: accelerators where there are any. */
    private static String title(Comparison comparison) {
        List<DeviceFacts> devices = comparison.records().stream().flatMap(named -> named.record().devices().stream()).toList();
        boolean accelerated = devices.stream().anyMatch(device -> !device.type().equals("cpu"));
        return String.join(", ", devices.stream().filter(device -> !accelerated || !device.type().equals("cpu")).map(DeviceFacts::hardware).distinct()
                .limit(3).toList());
    }

    /** What was measured, and where and when: one line for each record. */
    private static Map<String, Object> source(Comparison.Named named) {
        BenchmarkRecord record = named.record();
        String hardware = String.join(", ", record.devices().stream().map(DeviceFacts::hardware).distinct().toList());
        String commit = record.environment().commit();
        return Map.of("name", named.name(), "hardware", hardware, "made", record.created().substring(0, 10),
                "commit", commit == null ? "" : commit.substring(0, Math.min(12, commit.length())));
    }

    private static Map<String, Object> heading(Column column) {
        return Map.of("title", column.title(), "style", isNumber(column) ? "n" : "");
    }

    /** The way of solving stands beside the workload where all lines share it, else in each line. */
    private static Map<String, Object> group(Group group, List<Column> columns, RatioBar bar) {
        List<String> methods = group.lines().stream().map(line -> line.measurement().method().label()).distinct().toList();
        return Map.of("workload", group.workload().label(), "method", methods.size() == 1 ? methods.getFirst() : "",
                "lines", group.lines().stream().map(line -> Row.of(line, "", methods.size() == 1 ? "" : line.measurement().method().label()))
                        .map(row -> columns.stream().map(column -> cell(column, row, bar)).toList()).toList());
    }

    private static Map<String, Object> cell(Column column, Row row, RatioBar bar) {
        String kind = switch (column.style()) {
            case RATIO, VERDICT -> " " + kind(row.line());
            default -> "";
        };
        boolean drawn = column.style() == Column.Style.RATIO && row.line().ratio() != null;
        return Map.of("label", column.title(), "text", column.cell().apply(row), "note", column.note().apply(row),
                "head", column.style() == Column.Style.HEAD, "style", (isNumber(column) ? "n" : "words") + kind,
                "figure", drawn ? bar.svg(row.line().ratio()) : column.style() == Column.Style.TIME && row.measurement().times() != null
                        ? Marks.strip(row.clock().samples(row.measurement())) : "");
    }

    private static boolean isNumber(Column column) {
        return column.style() != Column.Style.HEAD && column.style() != Column.Style.VERDICT;
    }

    /** The style class of a line's verdict. */
    private static String kind(Line line) {
        if (line.measurement().status() != Status.OK) {
            return "bad";
        }
        if (line.ratio() == null) {
            return "plain";
        }
        Verdict verdict = line.ratio().verdict();
        return verdict == Verdict.SLOWER ? "slower" : verdict == Verdict.FASTER ? "faster" : "plain";
    }

    private static Map<String, Object> environment(List<String> row, Comparison comparison) {
        List<Map<String, String>> values = new ArrayList<>();
        IntStream.range(1, row.size()).forEach(i -> values.add(Map.of("record",
                comparison.records().get(i - 1).name(), "value", row.get(i))));
        return Map.of("fact", row.getFirst(), "values", values);
    }

    private static Template template() {
        try (InputStream text = ComparisonPage.class.getResourceAsStream(TEMPLATE)) {
            if (text == null) {
                throw new IllegalStateException("the program's own " + TEMPLATE + " is missing; build it again");
            }
            return Mustache.compiler().escapeHTML(true).emptyStringIsFalse(true).compile(new InputStreamReader(text, StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
