package io.github.flashlla.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.RecordJson;
import io.github.flashlla.record.Status;
import io.github.flashlla.report.compare.Comparison.Named;
import io.github.flashlla.report.compare.Comparison;
import io.github.flashlla.report.compare.Summary;
import io.github.flashlla.report.compare.Warnings;
import io.github.flashlla.text.MarkdownTable;
import io.github.flashlla.text.Numbers;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVPrinter;

/** Records and comparisons as text for a terminal and for programs. */
public final class RecordRenderer {
    private RecordRenderer() {}

    /** A table, then which device is faster, in words, then the failures, then the devices. */
    public static String markdown(BenchmarkRecord record, TableLayout layout) {
        return markdown(record, layout, List.of());
    }

    /**
     * The same, and time at equal error.
     *
     * @param targets errors to keep to
     */
    public static String markdown(BenchmarkRecord record, TableLayout layout, List<Double> targets) {
        StringBuilder text = new StringBuilder();
        Comparison comparison = record.measurements().isEmpty() ? null
                : Comparison.of(List.of(new Named(record.name(), record)), null, Comparison.Clock.WALL, null);
        if (comparison != null && layout.isBrief()) {
            text.append(MarkdownTable.inline(String.join(", ", Row.common(comparison)))).append("\n\n");
        }
        text.append(layout.table(comparison == null ? List.of() : layout.isBrief() ? Row.brief(comparison) : Row.of(comparison),
                Column.Table.BENCH, Column.Table.BENCH_TERMINAL));
        List<Measurement> bad = record.measurements().stream().filter(m -> m.status() != Status.OK).toList();
        if (!bad.isEmpty()) {
            text.append('\n');
        }
        for (Measurement m : bad) {
            text.append("- ").append(m.status().word()).append(": ").append(MarkdownTable.inline(m.device() + ", "
                    + m.workload().label() + ", " + m.method().label() + ": " + m.message())).append('\n');
        }
        text.append('\n');
        for (DeviceFacts device : record.devices()) {
            text.append(MarkdownTable.inline(device(device))).append('\n');
        }
        if (comparison != null && !targets.isEmpty()) {
            text.append('\n').append(new EqualError(comparison, targets).markdown());
        }
        if (comparison != null) {
            text.append('\n');
            Warnings.of(comparison).forEach(warning -> text.append("Note: ").append(MarkdownTable.inline(warning)).append('\n'));
            Summary.of(comparison).forEach(sentence -> text.append(MarkdownTable.inline(sentence)).append('\n'));
        }
        return text.toString();
    }

    /** A device on one line. */
    public static String device(DeviceFacts device) {
        String text = device.name() + ": " + device.hardware() + ", " + device.driver();
        DeviceFacts.Ceilings ceilings = device.ceilings();
        if (ceilings != null) {
            text += "; measured ceilings "
                    + (ceilings.fmaTflops() == null ? "" : Numbers.rate(ceilings.fmaTflops()) + " FMA")
                    + (ceilings.matrixTflops() == null ? "" : ", " + Numbers.rate(ceilings.matrixTflops()) + " float16 matrix products")
                    + (ceilings.fmaTflops() == null || ceilings.copyGbps() == null ? "" : ", ")
                    + (ceilings.copyGbps() == null ? "" : Numbers.digits(ceilings.copyGbps()) + " GB/s copy");
        }
        return text;
    }

    /** A line per measurement; samples are separated by spaces within their cell. */
    public static String csv(BenchmarkRecord record) {
        return csv(Column.of(Column.Table.CSV), Row.of(record));
    }

    /** A line per measurement of a comparison, and per measurement that is missing from a record; samples are in the records. */
    public static String csv(Comparison comparison) {
        return csv(Column.of(Column.Table.COMPARE_CSV), rows(comparison));
    }

    /** What {@link #csv(Comparison)} holds, and beside it what ratios are of and what to know before them. */
    public static String json(Comparison comparison) {
        Map<String, Object> tree = new LinkedHashMap<>();
        tree.put("baseline", comparison.baseline());
        tree.put("clock", comparison.clock().name().toLowerCase(Locale.ROOT));
        tree.put("warnings", Warnings.of(comparison));
        List<Column> columns = Column.of(Column.Table.COMPARE_CSV);
        tree.put("lines", rows(comparison).stream().map(row -> {
            Map<String, Object> line = new LinkedHashMap<>();
            columns.forEach(column -> {
                Object value = column.value().apply(row);
                if (value != null) {
                    line.put(column.key(), value);
                }
            });
            return line;
        }).toList());
        tree.put("summary", Summary.of(comparison));
        try {
            return RecordJson.PRETTY.writeValueAsString(tree) + "\n";
        } catch (JsonProcessingException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static List<Row> rows(Comparison comparison) {
        return Stream.concat(Row.of(comparison).stream(), comparison.missing().stream().map(Row::of)).toList();
    }

    private static String csv(List<Column> columns, List<Row> rows) {
        StringBuilder text = new StringBuilder();
        try (CSVPrinter csv = new CSVPrinter(text, CSVFormat.DEFAULT.builder().setRecordSeparator('\n')
                .setHeader(columns.stream().map(Column::key).toArray(String[]::new)).get())) {
            for (Row row : rows) {
                csv.printRecord(columns.stream().map(column -> column.value().apply(row)));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return text.toString();
    }
}
