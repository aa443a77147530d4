package io.github.flashlla.report;

import io.github.flashlla.record.Measurement;
import io.github.flashlla.report.compare.Comparison.Line;
import io.github.flashlla.report.compare.Comparison.Named;
import io.github.flashlla.report.compare.Comparison;
import io.github.flashlla.report.compare.Summary;
import io.github.flashlla.text.MarkdownTable;
import java.util.List;

/** A comparison for a terminal. */
public final class ComparisonMarkdown {
    private ComparisonMarkdown() {}

    public static String render(Comparison comparison) {
        StringBuilder text = new StringBuilder();
        List<Row> rows = Row.of(comparison);
        List<Column> columns = Column.of(Column.Table.COMPARE, rows);
        MarkdownTable table = new MarkdownTable(columns.stream().map(Column::title).toArray(String[]::new));
        for (Row row : rows) {
            table.add(columns.stream().map(column -> column.cell().apply(row)).toList());
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
