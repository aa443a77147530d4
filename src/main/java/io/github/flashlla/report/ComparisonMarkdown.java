package io.github.flashlla.report;

import io.github.flashlla.record.Measurement;
import io.github.flashlla.report.compare.Comparison.Line;
import io.github.flashlla.report.compare.Comparison.Named;
import io.github.flashlla.report.compare.Comparison;
import io.github.flashlla.report.compare.Summary;
import io.github.flashlla.text.MarkdownTable;
import io.github.flashlla.text.Numbers;
import java.util.List;

/** A comparison for a terminal. */
public final class ComparisonMarkdown {
    private ComparisonMarkdown() {}

    public static String render(Comparison comparison) {
        StringBuilder text = new StringBuilder();
        MarkdownTable table = new MarkdownTable("workload", "series", "solve", "time", "+-", "kernels",
                "ratio [95%]", "verdict", "rate", "of FMA", "error", "memory");
        for (Line line : comparison.lines()) {
            table.add(cells(line));
        }
        text.append(table).append('\n');
        Summary.of(comparison).forEach(sentence -> text.append(sentence).append('\n'));
        List<Line> failures = comparison.failures();
        if (!failures.isEmpty()) {
            text.append('\n');
            failures.forEach(line -> text.append("- ").append(failure(line)).append('\n'));
        }
        text.append('\n').append(environments(comparison.records()));
        return text.toString();
    }

    static String failure(Line line) {
        Measurement m = line.measurement();
        return MarkdownTable.inline(m.status().word() + ": " + line.series().label() + ", "
                + m.workload().label() + ", " + m.method().label() + ": " + m.message());
    }

    private static List<String> cells(Line line) {
        Measurement m = line.measurement();
        Measurement.Times t = m.times();
        Measurement.Rates r = m.rates();
        return List.of(m.workload().label(), line.series().label(), m.method().label(),
                t == null ? "" : Numbers.time(t.medianNs()),
                t == null ? "" : t.spreadWords(),
                t == null || t.kernelMedianNs() == null ? "" : Numbers.time(t.kernelMedianNs()),
                line.ratio() == null ? "" : line.ratio().numbers(),
                line.verdict(),
                r == null ? "" : Numbers.rate(r.tflops()),
                r == null || r.shareOfFma() == null ? "" : Numbers.percent(r.shareOfFma()),
                m.accuracy() == null ? "" : Numbers.error(m.accuracy().error()),
                m.memory() == null || m.memory().workspaceBytes() == null ? ""
                        : Numbers.bytes(m.memory().tensorBytes() + m.memory().workspaceBytes()));
    }

    private static String environments(List<Named> records) {
        String[] header = new String[records.size() + 1];
        header[0] = "environment";
        for (int i = 0; i < records.size(); i++) {
            header[i + 1] = MarkdownTable.inline(records.get(i).name());
        }
        MarkdownTable table = new MarkdownTable(header);
        EnvironmentTable.rows(records).forEach(table::add);
        return table.toString();
    }
}
