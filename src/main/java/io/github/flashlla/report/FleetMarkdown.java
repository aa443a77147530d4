package io.github.flashlla.report;

import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Status;
import io.github.flashlla.text.MarkdownTable;
import io.github.flashlla.text.Numbers;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Records of several hosts as one report: the hosts, then workloads against devices. */
public final class FleetMarkdown {
    private FleetMarkdown() {}

    /**
     * A host.
     *
     * @param record null if there is none
     * @param state how its run ended, in a word
     * @param reason why not well; else empty
     */
    public record Entry(String host, BenchmarkRecord record, String state, String reason) {}

    /** A device of a host: a column. */
    private record Place(String host, String device) {}

    public static String of(List<Entry> entries) {
        StringBuilder text = new StringBuilder(hosts(entries).toString());
        Set<Place> places = new LinkedHashSet<>();
        Map<List<String>, Map<Place, String>> rows = new LinkedHashMap<>();
        for (Entry entry : entries) {
            for (Measurement m : entry.record == null ? List.<Measurement>of() : entry.record.measurements()) {
                Place place = new Place(entry.host, m.device());
                places.add(place);
                rows.computeIfAbsent(List.of(m.workload().label(), m.method().label()), row -> new LinkedHashMap<>()).put(place, cell(entry.record, m));
            }
        }
        if (rows.isEmpty()) {
            return text.toString();
        }
        List<String> header = new ArrayList<>(List.of("workload", "solve"));
        places.forEach(place -> header.add(place.host + " " + place.device));
        MarkdownTable pivot = new MarkdownTable(header.toArray(String[]::new));
        rows.forEach((row, cells) -> {
            List<String> line = new ArrayList<>(row);
            places.forEach(place -> line.add(cells.getOrDefault(place, "")));
            pivot.add(line);
        });
        return text.append('\n').append(pivot).toString();
    }

    private static MarkdownTable hosts(List<Entry> entries) {
        MarkdownTable hosts = new MarkdownTable("host", "run", "measured", "machine", "devices", "reason");
        for (Entry entry : entries) {
            BenchmarkRecord record = entry.record;
            hosts.add(entry.host, entry.state, record == null ? "0" : Integer.toString(record.measurements().size()),
                    record == null ? "" : record.environment().cpu(),
                    record == null ? "" : String.join(", ", record.devices().stream().map(device -> device.name() + ": " + device.hardware()).toList()),
                    entry.reason);
        }
        return hosts;
    }

    /** The time, and for a combined device its efficiency. */
    private static String cell(BenchmarkRecord record, Measurement m) {
        if (m.status() != Status.OK) {
            return m.status().word();
        }
        Double efficiency = Scaling.efficiency(record, m);
        return Numbers.time(m.times().medianNs()) + (efficiency == null ? "" : " (" + Numbers.percent(efficiency) + ")");
    }
}
