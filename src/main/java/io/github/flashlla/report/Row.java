package io.github.flashlla.report;

import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.report.compare.Comparison;
import io.github.flashlla.report.compare.Comparison.Line;
import java.util.List;

/**
 * A row of a table: one measurement.
 *
 * @param line its place in a comparison; null outside of one
 * @param ownMethod how it was solved, if its neighbours were solved in another way; else empty
 */
record Row(BenchmarkRecord record, Measurement measurement, Line line, String ownMethod) {

    static List<Row> of(BenchmarkRecord record) {
        return record.measurements().stream().map(measurement -> new Row(record, measurement, null, "")).toList();
    }

    static List<Row> of(Comparison comparison) {
        return comparison.lines().stream().map(line -> of(line, "")).toList();
    }

    static Row of(Line line, String ownMethod) {
        return new Row(line.series().from().record(), line.measurement(), line, ownMethod);
    }

    /** Whether the device told the kernels' time. */
    boolean hasOwnClock() {
        return measurement.times() != null && measurement.times().kernelMedianNs() != null;
    }
}
