package io.github.flashlla.report;

import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Status;
import io.github.flashlla.record.Workload;
import io.github.flashlla.report.compare.Comparison.Clock;
import io.github.flashlla.report.compare.Comparison.Group;
import io.github.flashlla.report.compare.Comparison.Line;
import io.github.flashlla.report.compare.Comparison.Series;
import io.github.flashlla.report.compare.Comparison;
import io.github.flashlla.report.compare.TimeRatio;
import io.github.flashlla.report.compare.TimeRatio.Verdict;
import io.github.flashlla.text.MarkdownTable;
import io.github.flashlla.text.Numbers;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** What a given error costs on each device: the cheapest of the settings that were measured and meet it. */
final class EqualError {
    /** What the paper's authors' kernels meet, and what half the rounding of float16 allows. */
    static final List<Double> TARGETS = List.of(1.2e-2, 5e-3);

    private final Comparison comparison;
    private final List<Double> targets;
    /** Measurements of a workload from which on it has a table. */
    private final int least;

    /** Where there is something to choose from. */
    EqualError(Comparison comparison) {
        this(comparison, TARGETS, 2);
    }

    /** Of what was measured for these targets. */
    EqualError(Comparison comparison, List<Double> targets) {
        this(comparison, targets, 1);
    }

    private EqualError(Comparison comparison, List<Double> targets, int least) {
        this.comparison = comparison;
        this.targets = targets;
        this.least = least;
    }

    /** A row for each workload and device, a column for each target. */
    String markdown() {
        List<String> header = new ArrayList<>(List.of("workload", "device"));
        targets.forEach(target -> header.add("error to " + Numbers.error(target)));
        MarkdownTable table = new MarkdownTable(header.toArray(String[]::new));
        for (Table workload : tables()) {
            workload.devices().forEach((device, cells) -> {
                List<String> row = new ArrayList<>(List.of(workload.workload().label(), device));
                cells.forEach(cell -> row.add(String.join(": ", text(cell))));
                table.add(row);
            });
        }
        return table.isEmpty() ? "" : table.toString();
    }

    /**
     * One device on one workload.
     *
     * @param line the cheapest measurement within the target; the one of least error if none is; null if none ran
     * @param met whether it is within the target
     */
    record Cell(Line line, boolean met) {}

    /** A workload's devices, each with a cell for every target; the fastest at the first target first. */
    record Table(Workload workload, Map<String, List<Cell>> devices) {}

    /** Tables of the workloads that were solved as LLA, by at least as many settings and devices as a table needs. */
    List<Table> tables() {
        List<Table> tables = new ArrayList<>();
        for (Group group : comparison.groups()) {
            Map<String, List<Line>> byDevice = new LinkedHashMap<>();
            for (Line line : group.lines()) {
                if (line.measurement().method().operator().equals("lla") && line.measurement().accuracy() != null
                        && line.measurement().accuracy().error() != null) {
                    byDevice.computeIfAbsent(name(line), d -> new ArrayList<>()).add(line);
                }
            }
            if (byDevice.values().stream().mapToInt(List::size).sum() >= least) {
                Map<String, List<Cell>> cells = new LinkedHashMap<>();
                byDevice.entrySet().stream().map(entry -> Map.entry(entry.getKey(), targets.stream().map(target -> cell(entry.getValue(), target)).toList()))
                        .sorted(Comparator.comparingDouble(entry -> order(entry.getValue())))
                        .forEach(entry -> cells.put(entry.getKey(), entry.getValue()));
                tables.add(new Table(group.workload(), cells));
            }
        }
        return tables;
    }

    /**
     * The answer in a sentence for each target: the fastest device on the longest forward pass, and how the others compare. Devices that differ
     * from the fastest by no more than chance share the first place.
     */
    List<String> headlines() {
        Optional<Table> longest = tables().stream().filter(table -> table.devices().size() > 1)
                .max(Comparator.comparing((Table table) -> table.workload().mode().equals("fwd")).thenComparing(table -> table.workload().keyLength()));
        List<String> sentences = new ArrayList<>();
        for (int n = 0; n < targets.size() && longest.isPresent(); n++) {
            int target = n;
            List<Cell> cells = longest.get().devices().values().stream().map(all -> all.get(target)).toList();
            sentences.add(longest.get().workload().label() + " to an error of " + Numbers.error(targets.get(n)) + ": " + headline(cells) + ".");
        }
        return sentences;
    }

    private String headline(List<Cell> cells) {
        List<Line> met = cells.stream().filter(Cell::met).map(Cell::line).sorted(Comparator.comparingDouble(comparison::medianNs)).toList();
        if (met.isEmpty()) {
            return "no device gets there";
        }
        Line best = met.getFirst();
        List<Line> even = met.stream().filter(line -> line != best && comparison.ratio(line, best).verdict() != Verdict.SLOWER).toList();
        List<Line> rest = met.stream().filter(line -> line != best && !even.contains(line)).toList();
        StringBuilder text = new StringBuilder(words(best));
        if (even.isEmpty()) {
            text.append(met.size() > 1 ? " is the fastest, " : " takes ").append(time(best));
        } else {
            text.append(" takes ").append(time(best));
            for (Line line : even) {
                TimeRatio ratio = comparison.ratio(line, best);
                text.append("; ").append(words(line)).append(" takes ").append(time(line)).append(ratio.verdict() == Verdict.TOO_FEW_SAMPLES
                        ? ": too few samples to tell which is faster" : ", no difference beyond chance (" + ratio.numbers() + ")");
            }
        }
        rest.stream().filter(line -> isPeer(line) != isPeer(best)).findFirst()
                .or(() -> rest.stream().filter(line -> even.isEmpty() && !line.series().device().equals(best.series().device())).findFirst())
                .or(() -> rest.stream().filter(line -> even.isEmpty()).findFirst())
                .ifPresent(line -> text.append("; ").append(words(line)).append(" takes ").append(time(line)).append(", ")
                        .append(comparison.ratio(line, best).numbers()).append(" times as long"));
        cells.stream().filter(cell -> !cell.met() && isPeer(cell.line()) != isPeer(best)).forEach(cell -> text.append("; ").append(name(cell.line()))
                .append(" does not get there (its best is ").append(error(cell.line()))
                .append(cell.line().measurement().times() == null ? "" : " in " + Numbers.time(comparison.medianNs(cell.line()))).append(')'));
        return text.toString();
    }

    /** {@code 27 ms at error 1.8e-3}, with a word where that is of another clock than the comparison's, or where times still moved. */
    private String time(Line line) {
        Measurement m = line.measurement();
        return Numbers.time(comparison.medianNs(line)) + (comparison.clock() == Clock.KERNEL && !comparison.clock().isKernelTimeOf(m) ? " wall" : "")
                + (m.times().settled() ? "" : " (unsettled)") + " at " + error(line);
    }

    /** A cell in words: time, and below it how it was solved and how far off it is. */
    List<String> text(Cell cell) {
        Measurement m = cell.line().measurement();
        String how = String.join(" ", m.method().parts()) + ", " + error(cell.line());
        return cell.met() ? List.of(Numbers.time(comparison.medianNs(cell.line())), how)
                : List.of("not reached", "best: " + how + (m.times() == null ? "" : " in " + Numbers.time(comparison.medianNs(cell.line()))));
    }

    private Cell cell(List<Line> lines, double target) {
        return lines.stream().filter(line -> line.measurement().status() == Status.OK && line.measurement().accuracy().error() <= target)
                .min(Comparator.comparingDouble(comparison::medianNs)).map(line -> new Cell(line, true))
                .orElseGet(() -> new Cell(lines.stream().min(Comparator.comparingDouble(line -> line.measurement().accuracy().error())).orElseThrow(), false));
    }

    private double order(List<Cell> cells) {
        return cells.getFirst().met() ? comparison.medianNs(cells.getFirst().line()) : Double.MAX_VALUE;
    }

    /** The device, whose records are asked together for its cheapest setting; with its record's name where these were not made in the same circumstances. */
    private String name(Line line) {
        String device = line.series().device();
        boolean alike = comparison.lines().stream().map(Line::series).filter(series -> series.device().equals(device))
                .map(Series::circumstances).distinct().count() == 1;
        return alike ? device : line.series().label();
    }

    private String words(Line line) {
        return name(line) + " (" + String.join(" ", line.measurement().method().parts()) + ")";
    }

    private static String error(Line line) {
        return "error " + Numbers.error(line.measurement().accuracy().error());
    }

    private static boolean isPeer(Line line) {
        return line.series().from().record().environment().isOfPeers();
    }
}
