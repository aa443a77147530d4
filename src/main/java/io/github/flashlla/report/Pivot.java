package io.github.flashlla.report;

import io.github.flashlla.record.Status;
import io.github.flashlla.record.Workload;
import io.github.flashlla.report.compare.Comparison.Line;
import io.github.flashlla.report.compare.Comparison;
import io.github.flashlla.report.compare.GeometricMean;
import io.github.flashlla.report.compare.TimeRatio;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;

/**
 * A comparison with devices and ways of solving down, workloads across.
 *
 * @param workloads the columns, those that most rows measured first
 * @param rows those that compute LLA, fastest first; rows with an answer that is not there or not right come after the others
 * @param others those of other operators, in the same order
 */
record Pivot(List<Workload> workloads, List<Row> rows, List<Row> others) {

    /**
     * One device and way of solving.
     *
     * @param mean geometric mean of its ratios; null for the baseline, and where there is none
     * @param baseline whether ratios are against it
     * @param cells by workload; one that was not measured is not there
     */
    record Row(String name, GeometricMean mean, boolean baseline, Map<Workload, Line> cells) {
        private boolean isRight() {
            return cells.values().stream().allMatch(line -> line.measurement().status() == Status.OK);
        }

        private double order() {
            return baseline ? 1 : mean == null ? Double.MAX_VALUE : mean.estimate();
        }

        private boolean isLla() {
            return cells.values().iterator().next().measurement().method().operator().equals("lla");
        }
    }

    static Pivot of(Comparison comparison) {
        Map<String, Map<Workload, Line>> byName = new LinkedHashMap<>();
        Function<Line, String> names = comparison.names();
        comparison.lines().forEach(line -> byName.computeIfAbsent(names.apply(line), name -> new LinkedHashMap<>()).put(line.measurement().workload(), line));
        List<Row> rows = new ArrayList<>();
        byName.forEach((name, cells) -> {
            List<TimeRatio> ratios = cells.values().stream().map(Line::ratio).filter(Objects::nonNull).toList();
            rows.add(new Row(name, ratios.isEmpty() ? null : GeometricMean.of(ratios), cells.values().stream().anyMatch(Line::baseline), cells));
        });
        rows.sort(Comparator.comparing((Row row) -> !row.isRight()).thenComparingDouble(Row::order));
        return new Pivot(comparison.groups().stream().sorted(Comparator.comparingInt((Comparison.Group group) -> -group.lines().size()))
                .map(Comparison.Group::workload).toList(), rows.stream().filter(Row::isLla).toList(),
                rows.stream().filter(row -> !row.isLla()).toList());
    }

    /** The fastest right LLA line of each workload. */
    Map<Workload, Line> best(Comparison comparison) {
        Map<Workload, Line> best = new HashMap<>();
        for (Row row : rows) {
            row.cells().forEach((workload, line) -> {
                if (line.measurement().status() == Status.OK && (!best.containsKey(workload)
                        || comparison.medianNs(line) < comparison.medianNs(best.get(workload)))) {
                    best.put(workload, line);
                }
            });
        }
        return best;
    }

    /** Every row's name, in order: what gives it its colour everywhere on the page. */
    List<String> names() {
        List<String> names = new ArrayList<>(rows.stream().map(Row::name).toList());
        others.forEach(row -> names.add(row.name()));
        return names;
    }
}
