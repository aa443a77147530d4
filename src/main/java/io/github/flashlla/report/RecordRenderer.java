package io.github.flashlla.report;

import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Method;
import io.github.flashlla.record.Status;
import io.github.flashlla.record.Workload;
import io.github.flashlla.text.MarkdownTable;
import io.github.flashlla.text.Numbers;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVPrinter;

/** One record as text. */
public final class RecordRenderer {
    private RecordRenderer() {}

    /** A table for people, then what went wrong, then the devices. */
    public static String markdown(BenchmarkRecord record) {
        StringBuilder text = new StringBuilder();
        boolean kernelClock = record.measurements().stream()
                .anyMatch(m -> m.times() != null && m.times().kernelMedianNs() != null);
        List<String> header = new ArrayList<>(List.of("device", "workload", "solve", "time", "+-"));
        if (kernelClock) {
            header.addAll(List.of("kernels", "transfers", "compile"));
        }
        header.addAll(List.of("first run", "rate", "of FMA", "of copy", "error", "iterations", "memory", "status"));
        MarkdownTable table = new MarkdownTable(header.toArray(String[]::new));
        for (Measurement m : record.measurements()) {
            table.add(row(m, kernelClock));
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
                    + (ceilings.fmaTflops() == null || ceilings.copyGbps() == null ? "" : ", ")
                    + (ceilings.copyGbps() == null ? "" : Numbers.digits(ceilings.copyGbps()) + " GB/s copy");
        }
        return text;
    }

    private static List<String> row(Measurement m, boolean kernelClock) {
        List<String> cells = new ArrayList<>(List.of(m.device(), m.workload().label(), m.method().label()));
        Measurement.Times t = m.times();
        cells.add(t == null ? "" : Numbers.time(t.medianNs()));
        cells.add(t == null ? "" : t.spreadWords());
        if (kernelClock) {
            cells.add(t == null || t.kernelMedianNs() == null ? "" : Numbers.time(t.kernelMedianNs()));
            cells.add(t == null || t.kernelMedianNs() == null || t.transferMedianNs() == null ? "" : Numbers.time(t.transferMedianNs()));
            cells.add(t == null || t.kernelMedianNs() == null || t.compileNs() == null ? "" : Numbers.time(t.compileNs()));
        }
        cells.add(t == null || t.firstRunNs() == null ? "" : Numbers.time(t.firstRunNs()));
        Measurement.Rates r = m.rates();
        cells.add(r == null ? "" : Numbers.rate(r.tflops()));
        cells.add(r == null || r.shareOfFma() == null ? "" : Numbers.percent(r.shareOfFma()));
        cells.add(r == null || r.shareOfCopy() == null ? "" : Numbers.percent(r.shareOfCopy()));
        cells.add(m.accuracy() == null ? "" : Numbers.error(m.accuracy().error()));
        cells.add(m.solve() == null ? "" : m.solve().minIterations() + "/" + Numbers.digits(m.solve().meanIterations())
                + "/" + m.solve().maxIterations());
        cells.add(m.memory() == null || m.memory().workspaceBytes() == null ? ""
                : Numbers.bytes(m.memory().tensorBytes()) + " + " + Numbers.bytes(m.memory().workspaceBytes())
                        + (m.memory().workingSetBytes() == null ? ""
                                : ", measured " + Numbers.bytes(m.memory().workingSetBytes())));
        cells.add(m.status().word());
        return cells;
    }

    /** A line per measurement; samples are separated by spaces within their cell. */
    public static String csv(BenchmarkRecord record) {
        StringBuilder text = new StringBuilder();
        try (CSVPrinter csv = new CSVPrinter(text, CSVFormat.DEFAULT.builder().setRecordSeparator('\n').setHeader(
                "record", "created", "commit", "device", "hardware", "driver", "mode", "batch", "heads", "kv_heads",
                "query_length", "key_length", "head_dim", "value_dim", "causal", "ridge", "scale", "operator",
                "tolerance", "max_iterations", "preconditioner", "data_type", "precision", "status", "median_ns", "p20_ns", "p80_ns",
                "kernel_median_ns", "first_run_ns", "compile_ns", "plan_ns", "tflops", "gbps", "share_of_fma", "share_of_copy",
                "error", "error_bar", "min_iterations", "mean_iterations", "max_iterations_run", "workspace_bytes",
                "working_set_bytes", "host_peak_bytes", "wall_ns", "kernel_ns",
                "copy_in_ns", "copy_out_ns", "message").get())) {
            for (Measurement m : record.measurements()) {
                csv.printRecord(csvCells(record, m));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return text.toString();
    }

    private static List<Object> csvCells(BenchmarkRecord record, Measurement m) {
        Workload w = m.workload();
        Method how = m.method();
        Measurement.Times t = m.times();
        Measurement.Rates r = m.rates();
        DeviceFacts device = record.device(m.device()).orElse(null);
        return Arrays.asList(record.name(), record.created(), record.environment().commit(), m.device(),
                device == null ? null : device.hardware(), device == null ? null : device.driver(), w.mode(), w.batch(),
                w.heads(), w.kvHeads(), w.queryLength(), w.keyLength(), w.headDim(), w.valueDim(), w.causal(), w.ridge(),
                w.scale(), how.operator(), how.tolerance(), how.maxIterations(), how.preconditioner(), how.dataType(), how.precision(),
                m.status().label(), t == null ? null : t.medianNs(), t == null ? null : t.p20Ns(),
                t == null ? null : t.p80Ns(), t == null ? null : t.kernelMedianNs(), t == null ? null : t.firstRunNs(),
                t == null ? null : t.compileNs(), t == null ? null : t.planNs(), r == null ? null : r.tflops(), r == null ? null : r.gbps(),
                r == null ? null : r.shareOfFma(), r == null ? null : r.shareOfCopy(),
                m.accuracy() == null ? null : m.accuracy().error(), m.accuracy() == null ? null : m.accuracy().bar(),
                m.solve() == null ? null : m.solve().minIterations(),
                m.solve() == null ? null : m.solve().meanIterations(),
                m.solve() == null ? null : m.solve().maxIterations(),
                m.memory() == null ? null : m.memory().workspaceBytes(),
                m.memory() == null ? null : m.memory().workingSetBytes(),
                m.memory() == null ? null : m.memory().hostPeakBytes(), t == null ? null : samples(t.wallNs()),
                t == null ? null : samples(t.kernelNs()), t == null ? null : samples(t.copyInNs()),
                t == null ? null : samples(t.copyOutNs()), m.message());
    }

    private static String samples(long[] values) {
        if (values == null) {
            return null;
        }
        return Arrays.stream(values).mapToObj(Long::toString).collect(Collectors.joining(" "));
    }
}
