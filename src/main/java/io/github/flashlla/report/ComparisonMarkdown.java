package io.github.flashlla.report;

import io.github.flashlla.record.Measurement;
import io.github.flashlla.report.compare.Comparison.Line;
import io.github.flashlla.report.compare.Comparison.Named;
import io.github.flashlla.report.compare.Comparison;
import io.github.flashlla.report.compare.Summary;
import io.github.flashlla.report.compare.Warnings;
import io.github.flashlla.text.MarkdownTable;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/** A comparison for a terminal. */
public final class ComparisonMarkdown {
    private ComparisonMarkdown() {}

    public static String render(Comparison comparison, TableLayout layout) {
        StringBuilder text = new StringBuilder();
        Warnings.of(comparison).forEach(warning -> text.append("Note: ").append(MarkdownTable.inline(warning)).append('\n'));
        text.append("Times and ratios: ").append(MarkdownTable.inline(comparison.clockWords())).append(".\n\n");
        if (layout.isBrief()) {
            text.append(MarkdownTable.inline(String.join(", ", Row.common(comparison)))).append("\n\n");
        }
        text.append(layout.table(layout.isBrief() ? Row.brief(comparison) : Row.of(comparison), Column.Table.COMPARE, Column.Table.COMPARE_TERMINAL))
                .append('\n');
        Summary.of(comparison).forEach(sentence -> text.append(sentence).append('\n'));
        List<Line> failures = comparison.failures();
        if (!failures.isEmpty() || !comparison.missing().isEmpty()) {
            text.append('\n');
            comparison.missing().forEach(missing -> text.append("- ").append(MarkdownTable.inline(missing.sentence())).append('\n'));
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

    /** A line for every fact that differs, and one for those that do not. */
    private static String environments(List<Named> records) {
        StringBuilder text = new StringBuilder();
        List<String> same = new ArrayList<>();
        for (List<String> row : EnvironmentTable.rows(records)) {
            List<String> values = row.subList(1, row.size());
            if (EnvironmentTable.isSame(row)) {
                same.add(row.getFirst() + " " + values.getFirst());
            } else {
                List<String> named = IntStream.range(0, values.size()).filter(i -> !values.get(i).isEmpty())
                        .mapToObj(i -> records.get(i).name() + " " + values.get(i)).toList();
                text.append("- ").append(MarkdownTable.inline(row.getFirst() + ": " + String.join("; ", named))).append('\n');
            }
        }
        return (same.isEmpty() ? "" : MarkdownTable.inline("Environment: " + String.join("; ", same) + ".") + "\n") + text;
    }
}
