package io.github.flashlla.report;

import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.report.compare.Comparison.Named;
import io.github.flashlla.text.Numbers;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/** Where records were made, side by side. */
final class EnvironmentTable {
    private EnvironmentTable() {}

    /** A row per fact: its name, then each record's. Facts that no record knows are left out. */
    static List<List<String>> rows(List<Named> records) {
        List<List<String>> rows = new ArrayList<>();
        add(rows, records, "made", BenchmarkRecord::created);
        add(rows, records, "complete", record -> record.complete() ? "yes" : "no, the run was cut short");
        add(rows, records, "commit", record -> record.environment().commit());
        add(rows, records, "version", record -> record.environment().version());
        add(rows, records, "processor", record -> record.environment().cpu());
        add(rows, records, "hardware threads", record -> Integer.toString(record.environment().cores()));
        add(rows, records, "memory", record -> record.environment().memoryBytes() == null ? null
                : Numbers.bytes(record.environment().memoryBytes()));
        add(rows, records, "system", record -> record.environment().os());
        add(rows, records, "runtime", record -> record.environment().runtime());
        add(rows, records, "TornadoVM", record -> record.environment().tornadovm());
        List<String> devices = records.stream().flatMap(named -> named.record().devices().stream())
                .map(DeviceFacts::name).distinct().toList();
        for (String device : devices) {
            add(rows, records, "device " + device, record -> record.device(device)
                    .map(facts -> RecordRenderer.device(facts).substring(device.length() + 2)).orElse(null));
        }
        return rows;
    }

    /** Whether all records say the same. */
    static boolean isSame(List<String> row) {
        return row.stream().skip(1).distinct().count() == 1;
    }

    private static void add(List<List<String>> rows, List<Named> records, String name,
            Function<BenchmarkRecord, String> fact) {
        List<String> row = new ArrayList<>();
        row.add(name);
        records.forEach(named -> {
            String value = fact.apply(named.record());
            row.add(value == null ? "" : value);
        });
        if (row.stream().skip(1).anyMatch(value -> !value.isEmpty())) {
            rows.add(row);
        }
    }
}
