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
 * @param workloads the columns: by pass, head dim, heads, mask and ridge, and then by length
 * @param rows those that compute LLA, fastest first; where ratios are against several baselines, first all rows that are against one of them, for
 *     ratios rank only what they are of; rows with an answer that is not there or not right come after the others
 * @param others those of other operators, in the same order
 */
record Pivot(List<Workload> workloads, List<Row> rows, List<Row> others) {

    /**
     * One device and way of solving.
     *
     * @param mean geometric mean of its ratios; null for the baseline, where there is none, and where they are against different baselines
     * @param baseline whether ratios are against it
     * @param against what its ratios are against, where the comparison has several baselines and these ratios one; else empty
     * @param cells by workload; one that was not measured is not there
     */
    record Row(String name, GeometricMean mean, boolean baseline, String against, Map<Workload, Line> cells) {
        private static Row of(String name, Map<Workload, Line> cells) {
            List<TimeRatio> ratios = cells.values().stream().map(Line::ratio).filter(Objects::nonNull).toList();
            List<String> against = cells.values().stream().map(Line::againstLabel).filter(Objects::nonNull).distinct().toList();
            return new Row(name, ratios.isEmpty() || against.size() > 1 ? null : GeometricMean.of(ratios), cells.values().stream().anyMatch(Line::baseline),
                    against.size() == 1 ? against.getFirst() : "", cells);
        }

        private String device() {
            return cells.values().iterator().next().series().device();
        }

        private boolean isInHalfPrecision() {
            return cells.values().iterator().next().measurement().method().precision() != null;
        }

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

    private static final List<String> PASSES = List.of("fwd", "fwd+bwd", "bwd", "decode", "naive");
    private static final Comparator<Workload> COLUMNS = Comparator.comparingInt((Workload w) -> PASSES.indexOf(w.mode()))
            .thenComparingInt(Workload::headDim).thenComparingInt(Workload::valueDim).thenComparingInt(Workload::batch).thenComparingInt(Workload::heads)
            .thenComparingInt(Workload::kvHeads).thenComparing(w -> !w.causal()).thenComparing(Comparator.comparingDouble(Workload::ridge).reversed())
            .thenComparingDouble(Workload::scale).thenComparingInt(Workload::keyLength).thenComparingInt(Workload::queryLength);

    static Pivot of(Comparison comparison) {
        Map<String, Map<Workload, Line>> byName = new LinkedHashMap<>();
        Function<Line, String> names = comparison.names();
        comparison.lines().forEach(line -> byName.computeIfAbsent(names.apply(line), name -> new LinkedHashMap<>()).put(line.measurement().workload(), line));
        List<Row> rows = new ArrayList<>();
        byName.forEach((name, cells) -> rows.add(Row.of(name, cells)));
        List<String> baselines = comparison.lines().stream().map(Line::againstLabel).filter(Objects::nonNull).distinct().toList();
        rows.sort(Comparator.comparing((Row row) -> !row.isRight()).thenComparing(row -> row.against().isEmpty() ? baselines.size() : baselines.indexOf(row.against()))
                .thenComparingDouble(Row::order).thenComparing(Row::device).thenComparing(Row::isInHalfPrecision).thenComparing(Row::name));
        return new Pivot(comparison.groups().stream().map(Comparison.Group::workload).sorted(COLUMNS).toList(), rows.stream().filter(Row::isLla).toList(),
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
