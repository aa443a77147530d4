package io.github.flashlla.report;

import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.Measurement.Times;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Status;
import io.github.flashlla.record.Workload;
import io.github.flashlla.report.DirectLabels.Label;
import io.github.flashlla.report.compare.Comparison.Group;
import io.github.flashlla.report.compare.Comparison.Line;
import io.github.flashlla.report.compare.Comparison;
import io.github.flashlla.text.Numbers;
import java.awt.Color;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries.XYSeriesRenderStyle;
import org.knowm.xchart.XYSeries;

/** The charts of a comparison, as SVG. Only measurements that are ok are drawn; a series has one colour in all of them. */
final class Charts {
    private static final int WIDTH = 720;
    private static final int HEIGHT = 360;

    /** Of one kind on a page; the tables hold the rest. */
    private static final int MAX_CHARTS = 8;

    /** The names' share of a chart's width. */
    private static final double LABEL_SHARE = 0.48;

    private final Comparison comparison;
    private final Function<Line, String> naming;
    private final List<String> names;

    private Charts(Comparison comparison) {
        this.comparison = comparison;
        this.naming = comparison.names();
        this.names = Pivot.of(comparison).names();
    }

    /**
     * One chart.
     *
     * @param svg an svg element, its text escaped
     * @param series how many there are to see
     */
    record Chart(String title, String caption, String svg, int series) {}

    static List<Chart> of(Comparison comparison) {
        ChartFont.prepare();
        Charts charts = new Charts(comparison);
        List<Chart> all = new ArrayList<>();
        all.addAll(charts.scaling());
        all.addAll(charts.efficiency());
        all.addAll(charts.pareto());
        all.addAll(charts.roofline());
        all.addAll(charts.workingSet());
        return all;
    }

    /** Time against length, per family of workloads with two lengths or more. */
    static List<Chart> scaling(Comparison comparison) {
        return new Charts(comparison).scaling();
    }

    private List<Chart> scaling() {
        Map<String, Map<String, TreeMap<Double, Line>>> families = new LinkedHashMap<>();
        for (Line line : drawn()) {
            Workload w = line.measurement().workload();
            families.computeIfAbsent(w.family(), f -> new LinkedHashMap<>())
                    .computeIfAbsent(naming.apply(line), n -> new TreeMap<>()).put(log2(w.keyLength()), line);
        }
        List<Chart> charts = new ArrayList<>();
        families.forEach((family, series) -> {
            if (charts.size() == MAX_CHARTS || series.values().stream().noneMatch(points -> points.size() > 1)) {
                return;
            }
            Map<String, TreeMap<Double, Double>> times = new LinkedHashMap<>();
            series.forEach((name, lines) -> lines.forEach((x, line) -> times.computeIfAbsent(name, n -> new TreeMap<>()).put(x, comparison.medianNs(line) / 1e6)));
            XYChart chart = xy("key length S", comparison.clock() == Comparison.Clock.KERNEL ? "kernel time, ms" : "wall time, ms");
            List<Label> labels = new ArrayList<>();
            times.forEach((name, points) -> {
                XYSeries drawn = chart.addSeries(name, array(points.keySet()), array(points.values()),
                        series.get(name).values().stream().mapToDouble(line -> Times.halfSpreadNs(comparison.clock().samples(line.measurement())) / 1e6).toArray());
                style(drawn, name);
                labels.add(new Label(points.lastKey(), points.lastEntry().getValue(),
                        name + (points.size() > 1 ? "  " + Growth.of(points).words() : ""), color(name)));
            });
            lengths(chart, times.values());
            chart.addAnnotation(new DirectLabels(labels));
            charts.add(new Chart("Time against length: " + family.replaceFirst(" .*", ""), family + "; both axes logarithmic; bars from the 20th to the 80th "
                    + "percentile; S^p is the growth, fitted to the logarithms by least squares, with its 95% interval where there are three lengths",
                    ChartStyle.svg(chart), series.size()));
        });
        return charts;
    }

    /** Efficiency of combined devices against the number of their parts, a series for each workload of a record; the worst where several have as many. */
    private List<Chart> efficiency() {
        Map<String, TreeMap<Double, Double>> series = new LinkedHashMap<>();
        boolean several = drawn().stream().map(line -> line.series().from()).distinct().count() > 1;
        for (Line line : drawn()) {
            Double share = Scaling.efficiency(line.series().from().record(), line.measurement());
            if (share != null) {
                List<String> words = new ArrayList<>(line.measurement().workload().parts().subList(0, 2));
                words.add(line.measurement().method().label());
                if (several) {
                    words.add("(" + line.series().from().name() + ")");
                }
                series.computeIfAbsent(String.join(" ", words), name -> new TreeMap<>(Map.of(log2(1), 100.0)))
                        .merge(log2(Scaling.parts(line.measurement().device()).size()), 100 * share, Math::min);
            }
        }
        if (series.isEmpty()) {
            return List.of();
        }
        XYChart chart = xy("devices that work as one", "efficiency, %");
        List<Label> labels = new ArrayList<>();
        series.forEach((name, points) -> {
            int number = labels.size();
            ChartStyle.dress(chart.addSeries(name, array(points.keySet()), array(points.values())), number);
            labels.add(new Label(points.lastKey(), points.lastEntry().getValue(), name, ChartStyle.series(number)));
        });
        ChartStyle.lengths(chart, series.values().stream().flatMap(points -> points.keySet().stream()).toList());
        roomForLabels(chart, false, 0, series.values().stream().mapToDouble(TreeMap::lastKey).max().orElseThrow());
        double most = series.values().stream().flatMap(points -> points.values().stream()).mapToDouble(share -> share).max().orElseThrow();
        chart.getStyler().setYAxisMin(0.0).setYAxisMax(Math.max(110, 1.1 * most));
        chart.addAnnotation(new DirectLabels(labels));
        return List.of(new Chart("Efficiency of devices that work as one",
                "The combined device's rate over the sum of its parts' rates, each measured alone in the same record; "
                + "a device that is there twice counts once. 100% is no loss", ChartStyle.svg(chart), series.size()));
    }

    /** Time against error for each workload, LLA only: what lies on the line is beaten in neither. */
    private List<Chart> pareto() {
        List<Chart> charts = new ArrayList<>();
        for (Group group : comparison.groups()) {
            List<Line> lines = group.lines().stream().filter(line -> line.measurement().status() == Status.OK
                    && line.measurement().method().operator().equals("lla") && line.measurement().accuracy().error() > 0).toList();
            if (charts.size() == MAX_CHARTS || lines.size() < 3) {
                continue;
            }
            XYChart chart = xy("relative error against float64", comparison.clock() == Comparison.Clock.KERNEL ? "kernel time, ms" : "wall time, ms");
            chart.getStyler().setDefaultSeriesRenderStyle(XYSeriesRenderStyle.Scatter);
            List<Label> labels = new ArrayList<>();
            for (Line line : lines) {
                String name = naming.apply(line);
                double error = line.measurement().accuracy().error();
                double ms = comparison.medianNs(line) / 1e6;
                style(chart.addSeries(name, new double[] {error}, new double[] {ms}), name);
                labels.add(new Label(error, ms, name, color(name)));
            }
            front(chart, lines);
            double least = lines.stream().mapToDouble(line -> line.measurement().accuracy().error()).min().orElseThrow();
            double most = lines.stream().mapToDouble(line -> line.measurement().accuracy().error()).max().orElseThrow();
            ChartStyle.logarithmic(chart, true, List.of(least, most));
            roomForLabels(chart, true, Math.log10(least / 1.6), Math.log10(most * 1.6));
            ChartStyle.logarithmic(chart, false, lines.stream().map(line -> comparison.medianNs(line) / 1e6).toList());
            chart.addAnnotation(new DirectLabels(labels));
            charts.add(new Chart("Time against error: " + String.join(" ", group.workload().parts().subList(0, 2)), group.workload().label()
                    + "; both axes logarithmic; further down is faster, further left more exact; the dashed line joins what nothing beats in both",
                    ChartStyle.svg(chart), lines.size()));
        }
        return charts;
    }

    private void front(XYChart chart, List<Line> lines) {
        List<Line> sorted = lines.stream().sorted(Comparator.comparingDouble(line -> line.measurement().accuracy().error())).toList();
        List<double[]> steps = new ArrayList<>();
        double fastest = Double.MAX_VALUE;
        for (Line line : sorted) {
            double ms = comparison.medianNs(line) / 1e6;
            if (ms < fastest) {
                fastest = ms;
                steps.add(new double[] {line.measurement().accuracy().error(), ms});
            }
        }
        if (steps.size() > 1) {
            XYSeries series = chart.addSeries("not beaten", steps.stream().mapToDouble(p -> p[0]).toArray(), steps.stream().mapToDouble(p -> p[1]).toArray());
            series.setXYSeriesRenderStyle(XYSeriesRenderStyle.Line);
            ChartStyle.guide(series);
        }
    }

    /** Counted flops per second against counted flops per byte, below what each device's measured ceilings allow. */
    private List<Chart> roofline() {
        List<Line> lines = drawn().stream().filter(line -> ceilings(line) != null && ceilings(line).fmaTflops() != null
                && ceilings(line).copyGbps() != null).toList();
        if (lines.isEmpty()) {
            return List.of();
        }
        XYChart chart = xy("counted flops per byte", "counted TFLOP/s");
        List<Label> labels = new ArrayList<>();
        double most = lines.stream().mapToDouble(line -> intensity(line.measurement())).max().orElseThrow();
        double least = lines.stream().mapToDouble(line -> Math.min(intensity(line.measurement()), ridge(ceilings(line)))).min().orElseThrow() / 4;
        List<Double> rates = new ArrayList<>();
        Map<String, Line> devices = new LinkedHashMap<>();
        lines.forEach(line -> devices.putIfAbsent(line.series().label(), line));
        devices.forEach((device, line) -> {
            roof(chart, device, "float32", line, ceilings(line).fmaTflops(), least, most, labels, rates);
            if (ceilings(line).matrixTflops() != null) {
                roof(chart, device, "float16 matrix products", line, ceilings(line).matrixTflops(), least, most, labels, rates);
            }
        });
        Map<String, List<Line>> byName = new LinkedHashMap<>();
        lines.forEach(line -> byName.computeIfAbsent(naming.apply(line), n -> new ArrayList<>()).add(line));
        byName.forEach((name, own) -> {
            XYSeries series = chart.addSeries(name, own.stream().mapToDouble(line -> intensity(line.measurement())).toArray(),
                    own.stream().mapToDouble(line -> line.measurement().rates().tflops()).toArray());
            series.setXYSeriesRenderStyle(XYSeriesRenderStyle.Scatter);
            style(series, name);
            Line last = own.stream().max(Comparator.comparingDouble(line -> intensity(line.measurement()))).orElseThrow();
            labels.add(new Label(intensity(last.measurement()), last.measurement().rates().tflops(), name, color(name)));
            own.forEach(line -> rates.add(line.measurement().rates().tflops()));
        });
        ChartStyle.logarithmic(chart, true, List.of(least, most));
        roomForLabels(chart, true, Math.log10(least / 1.6), Math.log10(most * 1.6));
        ChartStyle.logarithmic(chart, false, rates);
        chart.addAnnotation(new DirectLabels(labels));
        return List.of(new Chart("Roofline", "Counted work, against the copy rate and the product rate that each device reached on plain loops in the same "
                + "run (dashed); both axes logarithmic. A point above its roof does less than is counted, or on other units. Other implementations count differently "
                + "and are left out", ChartStyle.svg(chart), byName.size()));
    }

    private void roof(XYChart chart, String device, String precision, Line line, double tflops, double from, double to, List<Label> labels, List<Double> rates) {
        double copy = ceilings(line).copyGbps() / 1e3;
        double ridge = tflops / copy;
        double[] x = ridge > from && ridge < to ? new double[] {from, ridge, to} : new double[] {from, to};
        double[] y = new double[x.length];
        for (int n = 0; n < x.length; n++) {
            y[n] = Math.min(tflops, copy * x[n]);
            rates.add(y[n]);
        }
        XYSeries series = chart.addSeries(device + " roof " + precision, x, y);
        series.setXYSeriesRenderStyle(XYSeriesRenderStyle.Line);
        ChartStyle.guide(series);
        series.setLineColor(color(naming.apply(line)));
        labels.add(new Label(to, y[y.length - 1], device + " " + precision + " " + Numbers.rate(tflops), color(naming.apply(line))));
    }

    private static double ridge(DeviceFacts.Ceilings ceilings) {
        return ceilings.fmaTflops() * 1e3 / ceilings.copyGbps();
    }

    private static double intensity(Measurement m) {
        return m.rates().flops() / m.rates().bytes();
    }

    private static DeviceFacts.Ceilings ceilings(Line line) {
        return line.series().from().record().device(line.series().device()).map(DeviceFacts::ceilings).orElse(null);
    }

    /** Measured working set against length, a line per mode and device, where there are two lengths or more. */
    private List<Chart> workingSet() {
        Map<String, Map<String, TreeMap<Double, Double>>> problems = new LinkedHashMap<>();
        for (Line line : drawn()) {
            Measurement m = line.measurement();
            if (m.memory() != null && m.memory().workingSetBytes() != null && m.memory().workingSetBytes() > 0) {
                Workload w = m.workload();
                String problem = w.batch() + "x" + w.heads() + "xSx" + w.headDim() + (w.kvHeads() != w.heads()
                        ? " Hkv=" + w.kvHeads() : "");
                problems.computeIfAbsent(problem, p -> new LinkedHashMap<>())
                        .computeIfAbsent(w.mode() + ", " + naming.apply(line), n -> new TreeMap<>())
                        .put(log2(w.keyLength()), m.memory().workingSetBytes() / 1048576.0);
            }
        }
        List<Chart> charts = new ArrayList<>();
        problems.forEach((problem, series) -> {
            if (charts.size() == MAX_CHARTS || series.size() < 2 || series.values().stream().noneMatch(points -> points.size() > 1)) {
                return; // modes are what it compares
            }
            XYChart chart = xy("key length S", "working set, MiB");
            List<Label> labels = new ArrayList<>();
            List<String> own = List.copyOf(series.keySet());
            series.forEach((name, points) -> {
                ChartStyle.dress(chart.addSeries(name, array(points.keySet()), array(points.values())), own.indexOf(name));
                labels.add(new Label(points.lastKey(), points.lastEntry().getValue(), name + (points.size() > 1 ? "  " + Growth.of(points).words() : ""),
                        ChartStyle.series(own.indexOf(name))));
            });
            lengths(chart, series.values());
            chart.addAnnotation(new DirectLabels(labels));
            charts.add(new Chart("Working set against length", problem + ": what the Java heap held beyond q, k, v and o "
                    + "after a run, measured; both axes logarithmic", ChartStyle.svg(chart), series.size()));
        });
        return charts;
    }

    /** Axes of lengths, and of times or sizes, that leave room for names. */
    private static void lengths(XYChart chart, Collection<TreeMap<Double, Double>> series) {
        List<Double> xs = series.stream().flatMap(p -> p.keySet().stream()).toList();
        ChartStyle.lengths(chart, xs);
        double least = xs.stream().mapToDouble(x -> x).min().orElseThrow();
        double most = xs.stream().mapToDouble(x -> x).max().orElseThrow();
        roomForLabels(chart, false, least - 0.3, most);
        ChartStyle.logarithmic(chart, false, series.stream().flatMap(p -> p.values().stream()).toList());
    }

    /** Lets an x axis go on beyond its values for as long as names are. */
    private static void roomForLabels(XYChart chart, boolean logarithmic, double from, double to) {
        double end = to + Math.max(0.5, to - from) * LABEL_SHARE / (1 - LABEL_SHARE);
        // lengths are labelled at whole powers of two, which an axis has only if it begins and ends at one
        chart.getStyler().setXAxisMin(logarithmic ? Math.pow(10, from) : Math.floor(from)).setXAxisMax(logarithmic ? Math.pow(10, end) : Math.ceil(end));
    }

    private List<Line> drawn() {
        return comparison.lines().stream().filter(line -> line.measurement().status() == Status.OK).toList();
    }

    private void style(XYSeries series, String name) {
        ChartStyle.dress(series, names.indexOf(name));
    }

    private Color color(String name) {
        return ChartStyle.series(names.indexOf(name));
    }

    private static XYChart xy(String x, String y) {
        XYChart chart = new XYChartBuilder().width(WIDTH).height(HEIGHT).xAxisTitle(x).yAxisTitle(y).build();
        chart.getStyler().setLegendVisible(false);
        return chart;
    }

    private static double log2(double length) {
        return Math.log(length) / Math.log(2);
    }

    private static double[] array(Collection<Double> values) {
        return values.stream().mapToDouble(Double::doubleValue).toArray();
    }
}
