package io.github.flashlla.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Measurement.Times;
import io.github.flashlla.record.RecordFile;
import io.github.flashlla.record.Records;
import io.github.flashlla.report.compare.Comparison.Clock;
import io.github.flashlla.report.compare.Comparison.Named;
import io.github.flashlla.report.compare.Comparison;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Tables for people: what adds up, what fits, what is marked. */
class TableLayoutTest {
    private static final Path RESULTS = Path.of(System.getProperty("flashlla.root", "."), "bench/results");

    private static BenchmarkRecord two() {
        return Records.record("two", List.of(Records.measurement("jvm", Records.workload(1024), Records.samples(10, 5, 1)),
                Records.measurement("opencl:0", Records.workload(1024), Records.samples(18, 5, 2)),
                Records.measurement("jvm", Records.workload(4096), Records.samples(100, 5, 3)),
                Records.measurement("opencl:0", Records.workload(4096), Records.samples(180, 5, 4))));
    }

    @Test
    void aTerminalSeesWhichDeviceIsFasterAndWhetherItIsRight() {
        String text = RecordRenderer.markdown(two(), new TableLayout(100, null));
        assertTrue(text.startsWith("ridge 1, causal, tol 1e-3, float32\n\n| device "), text);
        List<String> table = text.lines().filter(line -> line.startsWith("|")).toList();
        assertEquals(List.of("device", "workload", "wall time", "+-", "against first", "error", "status"), cells(table.getFirst()));
        assertEquals(6, table.size());
        table.forEach(line -> assertTrue(line.length() < 100, line));
        List<String> last = text.lines().toList();
        assertTrue(last.get(last.size() - 2).matches("opencl:0 is 1\\.8\\d times as slow as jvm \\[1\\.7\\d, 1\\.8\\d\\] in the geometric mean of 2 workloads"), text);
        assertEquals("all 4 answers are right", last.getLast());
    }

    @Test
    void aNarrowTerminalGetsFewerColumnsAndIsToldSo() {
        for (int width : new int[] {80, 60, 45}) {
            String text = RecordRenderer.markdown(two(), new TableLayout(width, null));
            text.lines().filter(line -> line.startsWith("|")).forEach(line -> assertTrue(line.length() <= width, line));
            assertTrue(text.contains("| device ") && text.contains(" wall time "), text);
            assertTrue(text.contains("Left out for want of room: +-") && text.contains("--columns all"), text);
        }
    }

    @Test
    void columnsAreChosenByHeadingOrName() {
        String some = RecordRenderer.markdown(two(), new TableLayout(60, List.of("Device", "first run", "p20_ns")));
        assertTrue(some.lines().anyMatch(line -> cells(line).equals(List.of("device", "first run", "p20_ns"))), some);
        String all = RecordRenderer.markdown(two(), new TableLayout(60, List.of("all")));
        assertTrue(all.contains("counted/peak"), all);
        InvalidInputException e = assertThrows(InvalidInputException.class, () -> RecordRenderer.markdown(two(), new TableLayout(null, List.of("speed"))));
        assertTrue(e.getMessage().startsWith("there is no column 'speed' here; there are "), e.getMessage());
    }

    @Test
    void aNameThatIsNearlyRightBringsTheNearest() {
        for (String name : List.of("wall", "Wal time", "walls", "time")) {
            InvalidInputException e = assertThrows(InvalidInputException.class, () -> RecordRenderer.markdown(two(), new TableLayout(null, List.of(name))));
            assertTrue(e.getMessage().contains("'" + name + "' here; the nearest are ") && e.getMessage().contains("'wall time'"), e.getMessage());
        }
        assertTrue(RecordRenderer.markdown(two(), new TableLayout(60, List.of("WALL TIME"))).contains("wall time"));
    }

    @Test
    void oneSampleHasNoSpread() {
        BenchmarkRecord one = Records.record("one", List.of(Records.measurement("jvm", Records.workload(1024), Records.samples(10, 1, 1))));
        String text = RecordRenderer.markdown(one, new TableLayout(100, null));
        List<String> row = cells(text.lines().filter(line -> line.startsWith("| jvm")).findFirst().orElseThrow());
        assertEquals("-", row.get(3), text);
    }

    /** Of every recorded row, in every table for people and under both clocks. */
    @Test
    void timesAddUpAndSharesAbovePeakAreMarked() throws IOException {
        List<Path> files;
        try (Stream<Path> tree = Files.walk(RESULTS)) {
            files = tree.filter(file -> file.toString().endsWith(".json")).sorted().toList();
        }
        int withParts = 0;
        int marked = 0;
        for (Path file : files) {
            BenchmarkRecord record = RecordFile.read(file, note -> { });
            for (Clock clock : Clock.values()) {
                List<Row> rows = Row.of(Comparison.of(List.of(new Named("a", record)), null, clock, null));
                for (Column.Table table : clock == Clock.KERNEL ? List.of(Column.Table.COMPARE, Column.Table.PAGE)
                        : List.of(Column.Table.BENCH, Column.Table.COMPARE, Column.Table.PAGE)) {
                    List<Column> columns = Column.of(table, rows);
                    for (Row row : rows) {
                        double wall = cell(columns, row, "wall time");
                        String kernels = text(columns, row, clock == Clock.KERNEL ? "kernel time" : "kernels");
                        if (!text(columns, row, "host").isEmpty()) {
                            double sum = nanos(kernels) + cell(columns, row, "copies") + cell(columns, row, "host");
                            assertEquals(1, sum / wall, 0.02, file + ": " + row.measurement());
                            withParts++;
                        }
                        String share = text(columns, row, "counted/peak");
                        if (!share.isEmpty() && Double.parseDouble(share.replaceFirst("%.*", "")) > 100) {
                            assertTrue(share.endsWith("% > peak"), share);
                            marked++;
                        }
                    }
                }
            }
        }
        assertTrue(withParts > 100 && marked > 10, withParts + " rows with parts, " + marked + " above the peak");
    }

    @Test
    void hostIsWhatKernelsAndCopiesLeave() {
        Times times = Times.of(1L, 2L, 0L, 1, true, new long[] {100, 110, 120}, new long[] {60, 61, 62}, new long[] {5, 5, 5}, new long[] {4, 4, 4});
        assertEquals(110 - 61 - 9, times.hostMedianNs());
        Measurement plain = Records.measurement("jvm", Records.workload(1024), Records.samples(10, 5, 1));
        assertEquals(null, plain.times().hostMedianNs());
    }

    private static List<String> cells(String line) {
        return Arrays.stream(line.split("\\|")).map(String::strip).filter(cell -> !cell.isEmpty()).toList();
    }

    private static String text(List<Column> columns, Row row, String title) {
        List<Column> found = new ArrayList<>(columns);
        found.removeIf(column -> !column.title().equals(title));
        return found.isEmpty() ? "" : found.getFirst().cell().apply(row);
    }

    private static double cell(List<Column> columns, Row row, String title) {
        return nanos(text(columns, row, title));
    }

    private static double nanos(String time) {
        if (time.isEmpty()) {
            return 0;
        }
        String[] parts = time.split(" ");
        return Double.parseDouble(parts[0]) * switch (parts[1]) {
            case "us" -> 1e3;
            case "ms" -> 1e6;
            case "s" -> 1e9;
            default -> 60e9;
        };
    }
}
