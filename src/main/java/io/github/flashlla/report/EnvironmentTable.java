package io.github.flashlla.report;

import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.DeviceState;
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
        add(rows, records, "system", record -> record.environment().system());
        add(rows, records, "runtime", record -> record.environment().runtime());
        add(rows, records, "TornadoVM", record -> record.environment().tornadovm());
        add(rows, records, "load before and after", record -> record.conditions() == null || record.conditions().loadBefore() == null ? null
                : Numbers.digits(record.conditions().loadBefore()) + (record.conditions().loadAfter() == null ? "" : ", "
                        + Numbers.digits(record.conditions().loadAfter())));
        add(rows, records, "container's limit", record -> record.conditions() == null || record.conditions().cpuLimit() == null ? null
                : Numbers.digits(record.conditions().cpuLimit()) + " cores");
        add(rows, records, "governor", record -> record.conditions() == null ? null : record.conditions().governor());
        add(rows, records, "processor clock", record -> record.conditions() == null || record.conditions().cpuMhz() == null ? null
                : Numbers.digits(record.conditions().cpuMhz()) + " MHz");
        List<String> devices = records.stream().flatMap(named -> named.record().devices().stream())
                .map(DeviceFacts::name).distinct().toList();
        for (String device : devices) {
            add(rows, records, "device " + device, record -> record.device(device)
                    .map(facts -> RecordRenderer.device(facts).substring(device.length() + 2)).orElse(null));
        }
        for (String device : devices) {
            add(rows, records, "state of " + device, record -> record.device(device).map(DeviceFacts::state).map(EnvironmentTable::state).orElse(null));
        }
        return rows;
    }

    private static String state(DeviceState state) {
        List<String> parts = new ArrayList<>();
        part(parts, "driver ", state.driverVersion(), "");
        part(parts, "power limit ", state.powerLimitWatts() == null ? null : Numbers.digits(state.powerLimitWatts()), " W");
        part(parts, "clock ", state.clockMhz(), " MHz");
        part(parts, "at most ", state.maxClockMhz(), " MHz");
        part(parts, "memory ", state.memoryClockMhz(), " MHz");
        part(parts, "", state.temperatureC(), " \u00b0C");
        part(parts, "error correction ", state.ecc() == null ? null : state.ecc() ? "on" : "off", "");
        return String.join(", ", parts);
    }

    private static void part(List<String> parts, String before, Object value, String after) {
        if (value != null) {
            parts.add(before + value + after);
        }
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
