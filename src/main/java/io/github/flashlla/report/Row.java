package io.github.flashlla.report;

import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.report.compare.Comparison;
import io.github.flashlla.report.compare.Comparison.Line;
import io.github.flashlla.report.compare.Comparison.Missing;
import java.util.List;

/**
 * A row of a table: one measurement.
 *
 * @param name what the record is called here
 * @param line its place in a comparison; null outside of one, and for what is missing from a record
 * @param ownMethod how it was solved, if its neighbours were solved in another way; else empty
 */
record Row(String name, BenchmarkRecord record, Measurement measurement, Line line, String ownMethod) {

    static List<Row> of(BenchmarkRecord record) {
        return record.measurements().stream().map(measurement -> new Row(record.name(), record, measurement, null, "")).toList();
    }

    static List<Row> of(Comparison comparison) {
        return comparison.lines().stream().map(line -> of(line, "")).toList();
    }

    static Row of(Line line, String ownMethod) {
        return new Row(line.series().from().name(), line.series().from().record(), line.measurement(), line, ownMethod);
    }

    /** What the baseline record measured and this one did not: a row without status, times or anything that a run finds. */
    static Row of(Missing missing) {
        Measurement was = missing.was();
        return new Row(missing.from().name(), missing.from().record(), new Measurement(was.device(), was.workload(), was.method(), null, null, null,
                null, null, null, null, null), null, "");
    }

    /** The verdict in a word for a program. */
    String verdict() {
        return line == null ? "missing" : line.code();
    }

    /** Whether the device told the kernels' time. */
    boolean hasOwnClock() {
        return measurement.times() != null && measurement.times().kernelMedianNs() != null;
    }
}
