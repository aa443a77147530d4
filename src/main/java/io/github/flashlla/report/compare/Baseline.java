package io.github.flashlla.report.compare;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.report.compare.Comparison.Entry;
import io.github.flashlla.report.compare.Comparison.Named;
import io.github.flashlla.report.compare.Comparison.Series;
import io.github.flashlla.text.Printable;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.BiPredicate;

/**
 * Which line of a workload another line is compared with. Of a record: the line of the same device that was solved in the same way, and
 * no other. Of a device: that device's line, solved in the same way or the only one there is.
 */
final class Baseline {
    private final String name;
    /** The record that is the baseline; null if a device is. */
    private final Named record;
    /** Whether a series may be the baseline of another; from the closest relation to the loosest. */
    private final List<BiPredicate<Series, Series>> relations;

    private Baseline(String name, Named record, List<BiPredicate<Series, Series>> relations) {
        this.name = name;
        this.record = record;
        this.relations = relations;
    }

    /**
     * Without a name, the first record where every other one measured something that it did too, on the same device in the same way;
     * else, of one record, its first device; of several the device that measured most workloads, of equals the first: records may come in any order, as a
     * shell's pattern has them.
     *
     * @param wanted a series' label, a record's name or a device's name; null for the usual one
     */
    static Baseline find(List<Named> records, List<Series> series, String wanted) {
        if (series.isEmpty()) {
            throw new InvalidInputException("there is nothing to compare: the records hold no devices");
        }
        if (wanted == null) {
            return records.size() > 1 && haveCommonGround(records) ? ofRecord(records.getFirst()) : ofDevice(records, busiest(records, series));
        }
        for (Named named : records) {
            if (named.name().equals(wanted) || named.record().name().equals(wanted)) {
                return ofRecord(named);
            }
        }
        if (series.stream().anyMatch(s -> s.device().equals(wanted))) {
            return ofDevice(records, wanted);
        }
        for (Series s : series) {
            if (s.label().equals(wanted)) {
                return new Baseline(wanted, null, List.of((candidate, of) -> candidate == s));
            }
        }
        List<String> known = new ArrayList<>(records.stream().map(Named::name).toList());
        series.stream().map(Series::label).filter(label -> !known.contains(label)).forEach(known::add);
        throw new InvalidInputException("there is no baseline '" + Printable.text(wanted) + "'; there are "
                + String.join(", ", known));
    }

    private static String busiest(List<Named> records, List<Series> series) {
        if (records.size() == 1) {
            return series.getFirst().device();
        }
        String busiest = null;
        long most = -1;
        for (String device : series.stream().map(Series::device).distinct().toList()) {
            long workloads = records.stream().flatMap(named -> named.record().measurements().stream()).filter(m -> m.device().equals(device))
                    .map(Measurement::workload).distinct().count();
            if (workloads > most) {
                busiest = device;
                most = workloads;
            }
        }
        return busiest;
    }

    private static boolean haveCommonGround(List<Named> records) {
        Set<List<Object>> first = pairs(records.getFirst());
        return records.stream().skip(1).allMatch(named -> pairs(named).stream().anyMatch(first::contains));
    }

    private static Set<List<Object>> pairs(Named named) {
        Set<List<Object>> pairs = new HashSet<>();
        named.record().measurements().forEach(m -> pairs.add(List.of(m.device(), m.workload(), m.method())));
        return pairs;
    }

    private static Baseline ofRecord(Named named) {
        return new Baseline(named.name(), named, List.of((candidate, of) -> candidate.from() == named && candidate.device().equals(of.device())));
    }

    /** The device's own lines of later records are compared with the first record's. */
    private static Baseline ofDevice(List<Named> records, String device) {
        return new Baseline(device, null, List.of(
                (candidate, of) -> candidate.device().equals(device) && candidate.from() == (of.device().equals(device) ? records.getFirst() : of.from()),
                (candidate, of) -> candidate.device().equals(device)));
    }

    String name() {
        return name;
    }

    /** The record that is the baseline; null if a device is. */
    Named record() {
        return record;
    }

    /** What {@code entry} is compared with; itself if it is the baseline; null if there is none. */
    Entry of(Entry entry, List<Entry> sameWorkload) {
        for (BiPredicate<Series, Series> relation : relations) {
            List<Entry> candidates = sameWorkload.stream()
                    .filter(candidate -> relation.test(candidate.series(), entry.series())).toList();
            if (candidates.isEmpty()) {
                continue;
            }
            for (Entry candidate : candidates) {
                if (Objects.equals(candidate.measurement().method(), entry.measurement().method())) {
                    return candidate;
                }
            }
            if (record == null && candidates.size() == 1) {
                return candidates.getFirst();
            }
        }
        return null;
    }
}
