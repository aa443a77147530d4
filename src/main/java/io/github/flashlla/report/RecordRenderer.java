package io.github.flashlla.report;

import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Status;
import io.github.flashlla.text.MarkdownTable;
import io.github.flashlla.text.Numbers;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVPrinter;

/** One record as text. */
public final class RecordRenderer {
    private RecordRenderer() {}

    /** A table, then the failures, then the devices. */
    public static String markdown(BenchmarkRecord record) {
        StringBuilder text = new StringBuilder();
        List<Row> rows = Row.of(record);
        List<Column> columns = Column.of(Column.Table.BENCH, rows);
        MarkdownTable table = new MarkdownTable(columns.stream().map(Column::title).toArray(String[]::new));
        for (Row row : rows) {
            table.add(columns.stream().map(column -> column.cell().apply(row)).toList());
        }
        text.append(table);
        if (!record.complete()) {
            text.append("\nThe run was cut short: what had not ended is missing.\n");
        }
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
        StringBuilder text = new StringBuilder();
        List<Column> columns = Column.ofCsv();
        try (CSVPrinter csv = new CSVPrinter(text, CSVFormat.DEFAULT.builder().setRecordSeparator('\n')
                .setHeader(columns.stream().map(Column::key).toArray(String[]::new)).get())) {
            for (Row row : Row.of(record)) {
                csv.printRecord(columns.stream().map(column -> column.value().apply(row)));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return text.toString();
    }
}
