package io.github.flashlla.report.compare;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.report.compare.Comparison.Entry;
import io.github.flashlla.report.compare.Comparison.Named;
import io.github.flashlla.report.compare.Comparison.Series;
import io.github.flashlla.text.Printable;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.BiPredicate;

/**
 * Which line of a workload another line is compared with: the same device in the baseline record, or the baseline device in
 * the same record. It is the line that was solved in the same way, or the only one there is.
 */
final class Baseline {
    private final String name;
    /** Whether a series may be the baseline of another; from the closest relation to the loosest. */
    private final List<BiPredicate<Series, Series>> relations;

    private Baseline(String name, List<BiPredicate<Series, Series>> relations) {
        this.name = name;
        this.relations = relations;
    }

    /** @param wanted a series' label, a record's name or a device's name; null for the first */
    static Baseline find(List<Named> records, List<Series> series, String wanted) {
        if (series.isEmpty()) {
            throw new InvalidInputException("there is nothing to compare: the records hold no devices");
        }
        if (wanted == null) {
            return records.size() > 1 ? ofRecord(records.getFirst()) : ofDevice(series.getFirst().device());
        }
        for (Series s : series) {
            if (s.label().equals(wanted)) {
                return new Baseline(wanted, List.of((candidate, of) -> candidate == s));
            }
        }
        for (Named named : records) {
            if (named.name().equals(wanted) || named.record().name().equals(wanted)) {
                return ofRecord(named);
            }
        }
        if (series.stream().anyMatch(s -> s.device().equals(wanted))) {
            return ofDevice(wanted);
        }
        List<String> known = new ArrayList<>(records.stream().map(Named::name).toList());
        series.stream().map(Series::label).filter(label -> !known.contains(label)).forEach(known::add);
        throw new InvalidInputException("there is no baseline '" + Printable.text(wanted) + "'; there are "
                + String.join(", ", known));
    }

    private static Baseline ofRecord(Named named) {
        boolean single = named.record().devices().size() == 1;
        return new Baseline(named.name(), List.of(
                (candidate, of) -> candidate.from() == named && candidate.device().equals(of.device()),
                (candidate, of) -> candidate.from() == named && single));
    }

    private static Baseline ofDevice(String device) {
        return new Baseline(device, List.of(
                (candidate, of) -> candidate.from() == of.from() && candidate.device().equals(device),
                (candidate, of) -> candidate.device().equals(device)));
    }

    String name() {
        return name;
    }

    /** The measurement that {@code entry} is compared with; itself if it is the baseline; null if there is none. */
    Measurement of(Entry entry, List<Entry> sameWorkload) {
        for (BiPredicate<Series, Series> relation : relations) {
            List<Entry> candidates = sameWorkload.stream()
                    .filter(candidate -> relation.test(candidate.series(), entry.series())).toList();
            if (candidates.isEmpty()) {
                continue;
            }
            for (Entry candidate : candidates) {
                if (Objects.equals(candidate.measurement().method(), entry.measurement().method())) {
                    return candidate.measurement();
                }
            }
            if (candidates.size() == 1) {
                return candidates.getFirst().measurement();
            }
        }
        return null;
    }
}
