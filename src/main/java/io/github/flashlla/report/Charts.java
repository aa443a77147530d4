package io.github.flashlla.report;

import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Status;
import io.github.flashlla.record.Workload;
import io.github.flashlla.report.compare.Comparison.Clock;
import io.github.flashlla.report.compare.Comparison.Line;
import io.github.flashlla.report.compare.Comparison;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries.XYSeriesRenderStyle;

/** The charts of a comparison, as SVG. Only measurements that are ok are drawn. */
final class Charts {
    private static final int WIDTH = 480;

    /** Without the legend, which takes {@link #LEGEND_ROW} for every series below it. */
    private static final int HEIGHT = 310;

    private static final int LEGEND_ROW = 22;

    /** More bars than this in one chart cannot be told apart. */
    private static final int MAX_BARS = 36;

    /** More letters than this do not fit under the bars side by side. */
    private static final int LABEL_ROOM = 48;

    /** Of one kind on a page; the tables hold the rest. */
    private static final int MAX_CHARTS = 12;

    private Charts() {}

    /**
     * One chart.
     *
     * @param svg an svg element, its text escaped
     * @param series how many there are to see
     */
    record Chart(String title, String caption, String svg, int series) {}

    static List<Chart> of(Comparison comparison) {
        ChartFont.prepare();
        List<Chart> charts = new ArrayList<>();
        charts.addAll(scaling(comparison));
        charts.addAll(workingSet(comparison));
        charts.addAll(accuracy(comparison));
        charts.addAll(bars(comparison, "Share of the fused multiply-add ceiling",
                "Counted flops per second over what the same device reached on a loop of independent fused multiply-adds "
                        + "in float32, in the same process. Above 100% where it keeps what the count computes anew in every pass.", "% of ceiling",
                m -> m.rates().shareOfFma() == null ? null : m.rates().shareOfFma() * 100));
        charts.addAll(bars(comparison, "Share of the copy ceiling",
                "Every input and output moved once, over what the same device reached on a large copy. Low where "
                        + "arithmetic is the limit.", "% of ceiling",
                m -> m.rates().shareOfCopy() == null ? null : m.rates().shareOfCopy() * 100));
        charts.addAll(bars(comparison, "Memory", "q, k, v and o, and what the device holds beyond them.", "MiB",
                m -> m.memory() == null || m.memory().workspaceBytes() == null ? null
                        : (m.memory().tensorBytes() + m.memory().workspaceBytes()) / 1048576.0));
        return charts;
    }

    /** Time against length, per family of workloads with two lengths or more. */
    static List<Chart> scaling(Comparison comparison) {
        Map<String, Map<String, TreeMap<Double, Double>>> families = new LinkedHashMap<>();
        Function<Line, String> naming = comparison.names();
        for (Line line : drawn(comparison)) {
            Workload w = line.measurement().workload();
            families.computeIfAbsent(w.family(), f -> new LinkedHashMap<>())
                    .computeIfAbsent(naming.apply(line), n -> new TreeMap<>())
                    .put(Math.log(w.keyLength()) / Math.log(2), comparison.medianNs(line) / 1e6);
        }
        boolean kernels = comparison.clock() == Clock.KERNEL;
        List<Chart> charts = new ArrayList<>();
        families.forEach((family, series) -> {
            if (charts.size() == MAX_CHARTS || series.values().stream().noneMatch(points -> points.size() > 1)) {
                return;
            }
            XYChart chart = xy("key length S", kernels ? "kernel time, ms" : "median time, ms", series.size());
            boolean decode = family.startsWith("decode");
            series.forEach((name, points) -> chart.addSeries(name, array(points.keySet()), array(points.values())));
            guide(chart, series.values(), decode ? 1 : 2);
            ChartStyle.lengths(chart, series.values().stream().flatMap(p -> p.keySet().stream()).toList());
            ChartStyle.logarithmic(chart, false, series.values().stream().flatMap(p -> p.values().stream()).toList());
            charts.add(new Chart("Time against length", family + "; both axes logarithmic"
                    + (kernels ? "; wall time where a device has no clock of its own" : "")
                    + "; dashed: growth as " + (decode ? "S" : "S\u00b2"), ChartStyle.svg(chart), series.size()));
        });
        return charts;
    }

    /** A line of growth with a power of the length through the slowest series' last point, as far as there are others. */
    private static void guide(XYChart chart, Collection<TreeMap<Double, Double>> series, int power) {
        TreeMap<Double, Double> slowest = series.stream().max(Comparator.comparingDouble(points -> points.lastEntry().getValue()))
                .orElseThrow();
        double to = slowest.lastKey();
        double end = slowest.lastEntry().getValue();
        double least = series.stream().flatMap(points -> points.values().stream()).min(Double::compare).orElseThrow();
        double from = Math.max(series.stream().mapToDouble(TreeMap::firstKey).min().orElseThrow(),
                to - Math.log(end / least) / Math.log(2) / power);
        if (from < to) {
            ChartStyle.guide(chart.addSeries("growth", new double[] {from, to},
                    new double[] {end * Math.pow(2, power * (from - to)), end}));
        }
    }

    /** Measured working set against length, a line per mode and device, where there are two lengths or more. */
    private static List<Chart> workingSet(Comparison comparison) {
        Map<String, Map<String, TreeMap<Double, Double>>> problems = new LinkedHashMap<>();
        Function<Line, String> naming = comparison.names();
        for (Line line : drawn(comparison)) {
            Measurement m = line.measurement();
            if (m.memory() != null && m.memory().workingSetBytes() != null && m.memory().workingSetBytes() > 0) {
                Workload w = m.workload();
                String problem = w.batch() + "x" + w.heads() + "xSx" + w.headDim() + (w.kvHeads() != w.heads()
                        ? " Hkv=" + w.kvHeads() : "");
                problems.computeIfAbsent(problem, p -> new LinkedHashMap<>())
                        .computeIfAbsent(w.mode() + ", " + naming.apply(line), n -> new TreeMap<>())
                        .put(Math.log(w.keyLength()) / Math.log(2), m.memory().workingSetBytes() / 1048576.0);
            }
        }
        List<Chart> charts = new ArrayList<>();
        problems.forEach((problem, series) -> {
            if (charts.size() == MAX_CHARTS || series.size() < 2 || series.values().stream().noneMatch(points -> points.size() > 1)) {
                return; // modes are what it compares
            }
            XYChart chart = xy("key length S", "working set, MiB", series.size());
            series.forEach((name, points) -> chart.addSeries(name, array(points.keySet()), array(points.values())));
            ChartStyle.lengths(chart, series.values().stream().flatMap(p -> p.keySet().stream()).toList());
            ChartStyle.logarithmic(chart, false, series.values().stream().flatMap(p -> p.values().stream()).toList());
            charts.add(new Chart("Working set against length", problem + ": what the Java heap held beyond q, k, v and o "
                    + "after a run, measured; both axes logarithmic", ChartStyle.svg(chart), series.size()));
        });
        return charts;
    }

    /** Speed against error, one chart for all workloads. */
    private static List<Chart> accuracy(Comparison comparison) {
        Map<String, List<double[]>> series = new LinkedHashMap<>();
        for (Line line : drawn(comparison)) {
            Measurement m = line.measurement();
            if (m.accuracy().error() > 0) {
                series.computeIfAbsent(line.series().label(), n -> new ArrayList<>())
                        .add(new double[] {m.accuracy().error(), m.rates().tflops() * 1000});
            }
        }
        if (series.isEmpty()) {
            return List.of();
        }
        XYChart chart = xy("relative error against float64", "GFLOP/s", series.size());
        chart.getStyler().setDefaultSeriesRenderStyle(XYSeriesRenderStyle.Scatter);
        series.forEach((name, points) -> chart.addSeries(name, points.stream().mapToDouble(p -> p[0]).toArray(),
                points.stream().mapToDouble(p -> p[1]).toArray()));
        ChartStyle.logarithmic(chart, true, series.values().stream().flatMap(List::stream).map(p -> p[0]).toList());
        ChartStyle.logarithmic(chart, false, series.values().stream().flatMap(List::stream).map(p -> p[1]).toList());
        return List.of(new Chart("Speed against accuracy", "Every measurement: further up is faster, further left is more "
                + "accurate.", ChartStyle.svg(chart), series.size()));
    }

    private static List<Chart> bars(Comparison comparison, String title, String caption, String unit,
            Function<Measurement, Double> value) {
        Function<Line, String> naming = comparison.names();
        Map<Workload, Map<String, Double>> values = new LinkedHashMap<>();
        Set<String> names = new LinkedHashSet<>();
        for (Line line : drawn(comparison)) {
            Double height = value.apply(line.measurement());
            if (height != null) {
                names.add(naming.apply(line));
                values.computeIfAbsent(line.measurement().workload(), w -> new HashMap<>()).put(naming.apply(line), height);
            }
        }
        List<Workload> workloads = List.copyOf(values.keySet());
        List<Chart> charts = new ArrayList<>();
        int perChart = Math.max(1, MAX_BARS / Math.max(1, names.size()));
        for (int from = 0; from < workloads.size() && charts.size() < MAX_CHARTS; from += perChart) {
            List<Workload> some = workloads.subList(from, Math.min(workloads.size(), from + perChart));
            List<String> labels = labels(some);
            boolean tilted = labels.stream().mapToInt(String::length).sum() > LABEL_ROOM;
            CategoryChart chart = new CategoryChartBuilder().width(WIDTH)
                    .height(HEIGHT + names.size() * LEGEND_ROW + (tilted ? 60 : 0)).yAxisTitle(unit).build();
            for (String series : names) {
                chart.addSeries(series, labels,
                        some.stream().map(workload -> values.get(workload).getOrDefault(series, 0.0)).toList());
            }
            chart.getStyler().setAvailableSpaceFill(0.7).setYAxisDecimalPattern("#0.###");
            chart.getStyler().setYAxisMin(0.0).setXAxisLabelRotation(tilted ? 40 : 0);
            charts.add(new Chart(title, caption, ChartStyle.svg(chart), names.size()));
        }
        return charts;
    }

    /** Of each workload, what it does not share with all the others. */
    private static List<String> labels(List<Workload> workloads) {
        List<List<String>> parts = workloads.stream().map(Workload::parts).toList();
        return parts.stream().map(own -> {
            List<String> telling = own.stream().filter(part -> !parts.stream().allMatch(p -> p.contains(part))).toList();
            return String.join(" ", telling.isEmpty() ? List.of("S=" + workloads.getFirst().keyLength()) : telling);
        }).toList();
    }

    private static List<Line> drawn(Comparison comparison) {
        return comparison.lines().stream().filter(line -> line.measurement().status() == Status.OK).toList();
    }

    private static XYChart xy(String x, String y, int series) {
        return new XYChartBuilder().width(WIDTH).height(HEIGHT + series * LEGEND_ROW).xAxisTitle(x).yAxisTitle(y).build();
    }

    private static double[] array(Collection<Double> values) {
        return values.stream().mapToDouble(Double::doubleValue).toArray();
    }
}
