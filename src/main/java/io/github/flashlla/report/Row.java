package io.github.flashlla.report;

import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.report.compare.Comparison;
import io.github.flashlla.report.compare.Comparison.Clock;
import io.github.flashlla.report.compare.Comparison.Line;
import io.github.flashlla.report.compare.Comparison.Missing;
import java.util.ArrayList;
import java.util.List;

/**
 * A row of a table: one measurement.
 *
 * @param name what the record is called here
 * @param line its place in a comparison; null outside of one, and for what is missing from a record
 * @param workloadLabel what the row says of its workload
 * @param methodLabel what it says of how that was solved; empty where that stands elsewhere
 */
record Row(String name, BenchmarkRecord record, Measurement measurement, Line line, String workloadLabel, String methodLabel) {
    /** Mode and shape, which every row says. */
    private static final int OWN_PARTS = 2;

    static List<Row> of(BenchmarkRecord record) {
        return record.measurements().stream().map(m -> new Row(record.name(), record, m, null, m.workload().label(), m.method().label())).toList();
    }

    static List<Row> of(Comparison comparison) {
        return comparison.lines().stream().map(line -> of(line, line.measurement().workload().label(), line.measurement().method().label())).toList();
    }

    /** Rows that say of their workloads and methods only what {@link #common} does not. */
    static List<Row> brief(Comparison comparison) {
        List<String> common = common(comparison);
        return comparison.lines().stream().map(line -> of(line, String.join(" ", left(line.measurement().workload().parts(), common)),
                String.join(" ", left(line.measurement().method().parts(), common)))).toList();
    }

    /** What every line's workload and method say, mode and shape aside. */
    static List<String> common(Comparison comparison) {
        List<Measurement> all = comparison.lines().stream().map(Line::measurement).toList();
        List<String> common = new ArrayList<>(all.getFirst().workload().parts().subList(OWN_PARTS, all.getFirst().workload().parts().size()));
        common.removeIf(part -> !all.stream().allMatch(m -> m.workload().parts().contains(part)));
        List<String> method = new ArrayList<>(all.getFirst().method().parts());
        method.removeIf(part -> !all.stream().allMatch(m -> m.method().parts().contains(part)));
        common.addAll(method);
        return common;
    }

    private static List<String> left(List<String> parts, List<String> common) {
        return parts.stream().filter(part -> !common.contains(part)).toList();
    }

    static Row of(Line line, String workloadLabel, String methodLabel) {
        return new Row(line.series().from().name(), line.series().from().record(), line.measurement(), line, workloadLabel, methodLabel);
    }

    /** What the baseline record measured and this one did not: a row without status, times or anything that a run finds. */
    static Row of(Missing missing) {
        Measurement was = missing.was();
        return new Row(missing.from().name(), missing.from().record(), new Measurement(was.device(), was.workload(), was.method(), null, null, null,
                null, null, null, null, null), null,
                was.workload().label(), was.method().label());
    }

    /** The verdict in a word for a program. */
    String verdict() {
        return line == null ? "missing" : line.code();
    }

    /** The clock whose times this table is about. */
    Clock clock() {
        return line == null ? Clock.WALL : line.clock();
    }

    /** Whether the device told the kernels' time. */
    boolean hasOwnClock() {
        return measurement.times() != null && measurement.times().kernelMedianNs() != null;
    }
}
