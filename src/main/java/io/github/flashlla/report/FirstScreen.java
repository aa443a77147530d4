package io.github.flashlla.report;

import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Status;
import io.github.flashlla.record.Workload;
import io.github.flashlla.report.compare.Comparison.Line;
import io.github.flashlla.report.compare.Comparison;
import io.github.flashlla.report.compare.GeometricMean;
import io.github.flashlla.report.compare.TimeRatio;
import io.github.flashlla.report.compare.TimeRatio.Verdict;
import io.github.flashlla.text.Numbers;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Pattern;

/** What the page's template shows before anything else: which device, by how much, and whether it is right. */
final class FirstScreen {
    /** A hyphen at which browsers end no line: it is in the midst of a number. */
    private static final char UNBREAKABLE = '\u2011';
    /** Where the sizes of a workload may break, which are wider than its column's times: 1x16x and 16384x64. */
    private static final Pattern SIZES = Pattern.compile("(?<=\\dx)(?=\\d+x\\d+( |$))");

    private final Comparison comparison;
    private final Pivot pivot;
    private final List<String> names;
    private final List<String> common;

    FirstScreen(Comparison comparison) {
        this.comparison = comparison;
        this.pivot = Pivot.of(comparison);
        this.names = pivot.names();
        this.common = Row.common(comparison);
    }

    /** The pivot's columns and rows, for the template. */
    Map<String, Object> pivot() {
        List<Map<String, Object>> blocks = new ArrayList<>();
        block(blocks, "", pivot.rows());
        block(blocks, "Other operators", pivot.others());
        return Map.of("workloads", pivot.workloads().stream().map(this::label).map(SIZES::split).map(List::of).toList(),
                "blocks", blocks, "width", pivot.workloads().size() + 2,
                "common", String.join(", ", common));
    }

    /** Time at equal error, for the template; no entries where no workload was solved in two ways. */
    List<Map<String, Object>> equalError() {
        EqualError equal = new EqualError(comparison);
        return equal.tables().stream().map(table -> Map.<String, Object>of("workload", table.workload().label(), "rows",
                table.devices().entrySet().stream().map(device -> {
                    List<Map<String, Object>> cells = new ArrayList<>();
                    for (int n = 0; n < device.getValue().size(); n++) {
                        List<String> text = equal.text(device.getValue().get(n));
                        cells.add(Map.of("label", target(n), "time", text.getFirst(), "note", text.getLast(), "kind", device.getValue().get(n).met() ? "" : "soft"));
                    }
                    return Map.<String, Object>of("device", device.getKey(), "cells", cells);
                }).toList())).toList();
    }

    static List<String> targets() {
        List<String> targets = new ArrayList<>();
        for (int n = 0; n < EqualError.TARGETS.size(); n++) {
            targets.add(target(n));
        }
        return targets;
    }

    private static String target(int n) {
        return "error to " + Numbers.error(EqualError.TARGETS.get(n));
    }

    /** Bars of what a first call costs, and of what a device holds, for the template. */
    List<Map<String, Object>> bars() {
        List<Map<String, Object>> all = new ArrayList<>();
        bars(all, "Cold start", List.of("preparing the shape", "compilation", "rest of the first run", "a warm run"), m -> {
            Measurement.Times t = m.times();
            if (t.firstRunNs() == null) {
                return null;
            }
            double plan = t.planNs() == null ? 0 : t.planNs();
            double compile = t.compileNs() == null ? 0 : t.compileNs();
            boolean compiledWithPlan = compile <= plan; // else what compiles it is the first run
            return List.of(compiledWithPlan ? plan - compile : plan, compile, Math.max(0, t.firstRunNs() - (compiledWithPlan ? 0 : compile)), t.medianNs());
        }, Numbers::time);
        bars(all, "Memory", List.of("q, k, v and o", "what the device holds beyond them"), m -> m.memory() == null || m.memory().workspaceBytes() == null ? null
                : List.of((double) m.memory().tensorBytes(), (double) m.memory().workspaceBytes()), Numbers::bytes);
        bars(all, "Energy", List.of("at rest for as long as the run takes", "more than that"), m -> {
            if (m.energy() == null) {
                return null;
            }
            double idle = m.energy().idleWatts() == null ? 0 : Math.min(m.energy().joulesPerRun(), m.energy().idleWatts() * m.times().medianNs() / 1e9);
            return List.of(idle, m.energy().joulesPerRun() - idle);
        }, joules -> Numbers.digits(joules) + " J");
        return all;
    }

    /** Whether a device that ran did not tell its energy. */
    boolean lacksEnergy() {
        return comparison.lines().stream().anyMatch(line -> line.measurement().times() != null && line.measurement().energy() == null);
    }

    private interface Parts {
        List<Double> of(Measurement measurement);
    }

    private interface Words {
        String of(double value);
    }

    private void bars(List<Map<String, Object>> all, String title, List<String> parts, Parts of, Words words) {
        List<Map<String, Object>> groups = new ArrayList<>();
        for (Comparison.Group group : comparison.groups()) {
            Map<Line, List<Double>> values = new LinkedHashMap<>();
            group.lines().stream().filter(line -> line.measurement().status() == Status.OK).forEach(line -> {
                List<Double> value = of.of(line.measurement());
                if (value != null) {
                    values.put(line, value);
                }
            });
            double longest = values.values().stream().mapToDouble(FirstScreen::sum).max().orElse(0);
            if (longest > 0) {
                groups.add(Map.of("workload", label(group.workload()), "rows", values.entrySet().stream().map(entry -> Map.of(
                        "name", name(entry.getKey()), "total", words.of(sum(entry.getValue())), "bar", Marks.bar(entry.getValue(), longest),
                        "parts", String.join(" + ", entry.getValue().stream().filter(part -> part > 0).map(words::of).toList()))).toList()));
            }
        }
        if (!groups.isEmpty()) {
            List<Map<String, Object>> key = new ArrayList<>();
            for (int n = 0; n < parts.size(); n++) {
                key.add(Map.of("style", "p" + n, "text", parts.get(n)));
            }
            all.add(Map.of("title", title, "key", key, "groups", groups));
        }
    }

    private static double sum(List<Double> parts) {
        return parts.stream().mapToDouble(part -> part).sum();
    }

    private void block(List<Map<String, Object>> blocks, String title, List<Pivot.Row> rows) {
        if (rows.isEmpty()) {
            return;
        }
        Map<Workload, Line> best = pivot.best(comparison);
        blocks.add(Map.of("title", title, "rows", rows.stream().map(row -> Map.of("name", row.name(), "color", "s" + names.indexOf(row.name()) % ChartStyle.COLORS,
                "mean", mean(row), "interval", interval(row), "cells", pivot.workloads().stream().map(workload ->
                        cell(workload, row.cells().get(workload), best.get(workload))).toList())).toList()));
    }

    private static String mean(Pivot.Row row) {
        boolean several = row.cells().values().stream().map(Line::againstLabel).filter(Objects::nonNull).distinct().count() > 1;
        return row.mean() != null ? row.mean().factor() : several ? "of several baselines" : row.baseline() ? "baseline" : ""; // some lack the baseline's workload
    }

    private static String interval(Pivot.Row row) {
        GeometricMean mean = row.mean();
        return mean == null ? "" : (mean.interval() + (row.against().isEmpty() ? "" : " as " + row.against())
                + (mean.count() > 1 ? " on " + mean.count() + " workloads" : "")).strip();
    }

    private Map<String, Object> cell(Workload workload, Line line, Line best) {
        String label = label(workload);
        if (line == null) {
            return Map.of("label", label, "time", "", "note", "", "kind", "");
        }
        Measurement m = line.measurement();
        if (m.status() != Status.OK) {
            return Map.of("label", label, "time", m.status().word(), "note", m.accuracy() == null ? "" : "error " + Numbers.error(m.accuracy().error()),
                    "kind", "bad");
        }
        String note = (line.ratio() == null ? "" : factor(line) + ", ") + "ok, error " + Numbers.error(m.accuracy().error()).replace('-', UNBREAKABLE)
                + (m.times().settled() ? "" : ", unsettled");
        boolean other = comparison.clock() == Comparison.Clock.KERNEL && !comparison.clock().isKernelTimeOf(m);
        return Map.of("label", label, "time", Numbers.time(comparison.medianNs(line)) + (other ? " wall" : ""), "note", note,
                "kind", isLla(line) && (line == best || comparison.ratio(line, best).verdict() == Verdict.SAME) ? "best" : "");
    }

    private static boolean isLla(Line line) {
        return line.measurement().method().operator().equals("lla");
    }

    /** {@code x25} for 25 times as fast as the baseline, {@code x0.2} for a fifth; with a word where that is not certain. */
    private static String factor(Line line) {
        TimeRatio ratio = line.ratio();
        String of = line.againstLabel() == null ? "" : " of " + line.againstLabel();
        return ratio.verdict() == Verdict.SAME ? "no difference" + (of.isEmpty() ? "" : " to " + line.againstLabel())
                : number(ratio) + of + (ratio.verdict() == Verdict.TOO_FEW_SAMPLES ? " by too few samples" : "");
    }

    private static String number(TimeRatio ratio) {
        return "x" + (1 / ratio.estimate() >= 1 ? Numbers.digits(1 / ratio.estimate()) : String.format(Locale.ROOT, "%.2g", 1 / ratio.estimate()));
    }

    private String name(Line line) {
        return comparison.names().apply(line);
    }

    /** The workload, less what all have in common. */
    private String label(Workload workload) {
        return String.join(" ", workload.parts().stream().filter(part -> !common.contains(part)).toList());
    }
}
