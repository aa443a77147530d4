package io.github.flashlla.experiment;

import io.github.flashlla.experiment.Finding.Check;
import io.github.flashlla.experiment.Finding.Table;
import io.github.flashlla.report.CurveChart;
import io.github.flashlla.text.MarkdownTable;
import io.github.flashlla.text.Numbers;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/** A record as a page of markdown and figures. */
final class ExperimentReport {
    /** Lines with more points than this are drawn as means of neighbours, since single positions scatter more than methods differ. */
    private static final int MOST_POINTS = 200;
    private static final int NEIGHBOURS = 16;

    private ExperimentReport() {}

    /** @param withFigures whether the figures' files are beside the page */
    static String markdown(Experiment experiment, ExperimentRecord record, boolean withFigures) {
        StringBuilder text = new StringBuilder("# " + record.experiment() + "\n\n");
        text.append(experiment.question()).append("\n\n").append(record.finding().sentence()).append("\n\n");
        MarkdownTable checks = new MarkdownTable("what must hold", "measured", "holds");
        for (Check check : record.finding().checks()) {
            checks.add(check.claim(), check.measured(), check.holds() ? "yes" : "NO");
        }
        text.append(checks);
        for (Table table : record.finding().tables()) {
            MarkdownTable rows = new MarkdownTable(table.header().toArray(String[]::new));
            table.rows().forEach(rows::add);
            text.append('\n').append(table.title()).append(":\n\n").append(rows);
        }
        if (withFigures) {
            for (Panel panel : experiment.panels(record.quick())) {
                text.append("\n![").append(panel.id()).append("](").append(panel.id()).append(".svg)\n\n").append(panel.caption()).append('\n');
            }
        }
        text.append("\nSet-up: ").append(record.setUp()).append("\n\n");
        text.append("Run: ").append(record.device()).append(" (").append(record.hardware()).append("), seeds ")
                .append(record.seeds().stream().map(seed -> Long.toString(seed.seed())).collect(Collectors.joining(", "))).append(", ")
                .append(Numbers.time(record.seeds().stream().mapToDouble(SeedResult::seconds).sum() * 1e9)).append(", commit ")
                .append(record.environment().commit() == null ? "unknown" : record.environment().commit()).append(", ").append(record.created()).append('\n');
        return text.toString();
    }

    static String figure(Panel panel, List<SeedResult> seeds) {
        Set<String> methods = new LinkedHashSet<>();
        seeds.forEach(seed -> seed.curves().stream().filter(curve -> curve.panel().equals(panel.id())).forEach(curve -> methods.add(curve.method())));
        List<CurveChart.Line> lines = methods.stream().map(method -> line(panel, method, seeds)).toList();
        return CurveChart.svg(panel.xTitle(), panel.yTitle(), panel.logX(), panel.logY(), lines);
    }

    private static CurveChart.Line line(Panel panel, String method, List<SeedResult> seeds) {
        List<double[]> ys = new ArrayList<>();
        double[] x = null;
        for (SeedResult seed : seeds) {
            Curve curve = seed.curve(panel.id(), method);
            x = coarse(curve.x());
            ys.add(coarse(curve.y()));
        }
        double[] mean = new double[x.length];
        double[] low = new double[x.length];
        double[] high = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            int at = i;
            double[] column = ys.stream().mapToDouble(y -> y[at]).toArray();
            mean[i] = Arrays.stream(column).average().orElseThrow();
            low[i] = Arrays.stream(column).min().orElseThrow();
            high[i] = Arrays.stream(column).max().orElseThrow();
        }
        return new CurveChart.Line(method, x, mean, low, high);
    }

    private static double[] coarse(double[] values) {
        if (values.length <= MOST_POINTS) {
            return values;
        }
        double[] means = new double[(values.length + NEIGHBOURS - 1) / NEIGHBOURS];
        for (int i = 0; i < means.length; i++) {
            means[i] = Arrays.stream(values, i * NEIGHBOURS, Math.min(values.length, (i + 1) * NEIGHBOURS)).average().orElseThrow();
        }
        return means;
    }
}
