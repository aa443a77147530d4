package io.github.flashlla.report.compare;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Method;
import io.github.flashlla.record.RecordJson;
import io.github.flashlla.record.Status;
import io.github.flashlla.record.Workload;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.text.Printable;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;

/**
 * Several records side by side: per workload one line for every record, device and way of solving, each with its ratio
 * to the baseline's line.
 *
 * @param records the records, each under a name of its own
 * @param baseline what ratios are against
 * @param clock which times are compared
 * @param groups one per workload, in order of first appearance, lengths of a family in order
 */
public record Comparison(List<Named> records, String baseline, Clock clock, List<Group> groups) {

    private static final double MANY_ERRORS = 10;

    /** Which of a measurement's times is compared. */
    public enum Clock {
        /** Host time of a run, transfers included. */
        WALL,
        /** The device's own account of its kernels; host time where it has no clock, as one that computes where its data is. */
        KERNEL
    }

    /** A record and the name it goes by here. */
    public record Named(String name, BenchmarkRecord record) {}

    /**
     * One device of one record.
     *
     * @param label what tables and charts call it
     */
    public record Series(Named from, String device, String label) {}

    /** All lines of one workload. */
    public record Group(Workload workload, List<Line> lines) {}

    /**
     * One measurement.
     *
     * @param baseline whether the others' ratios are against it
     * @param ratio to the baseline; null for itself, and where one of the two was not measured
     * @param against the baseline's measurement; null where there is none for this line
     */
    public record Line(Series series, Measurement measurement, boolean baseline, TimeRatio ratio, Measurement against) {
        /** What to say of it in one or a few words. */
        public String verdict() {
            if (measurement.status() != Status.OK) {
                return measurement.status().word();
            }
            if (baseline) {
                return "baseline";
            }
            return ratio == null ? "not compared" : ratio.words() + reservation();
        }

        /** What the speed costs: another operator, or an answer ten times as far off. */
        private String reservation() {
            if (!measurement.method().operator().equals(against.method().operator())) {
                return " (another operator)";
            }
            double errors = measurement.accuracy().error() / against.accuracy().error();
            return errors >= MANY_ERRORS && Double.isFinite(errors) ? " (" + Numbers.digits(errors) + " times the error)" : "";
        }
    }

    /**
     * Lines that records up.
     *
     * @param baselineName a record's name or a device's name; null for the first record, or for the first device where
     *     there is one record
     * @param noise smallest difference to report, as a share; null for the usual difference between processes on such a
     * device
     * @throws InvalidInputException if the baseline is unknown, or a record has no workload that the baseline has
     */
    public static Comparison of(List<Named> records, String baselineName, Clock clock, Double noise) {
        List<Series> series = series(records);
        Baseline baseline = Baseline.find(records, series, baselineName);
        Map<Workload, List<Entry>> byWorkload = new LinkedHashMap<>();
        for (Series s : series) {
            for (Measurement m : s.from().record().measurements()) {
                if (m.device().equals(s.device())) {
                    byWorkload.computeIfAbsent(m.workload(), w -> new ArrayList<>()).add(new Entry(s, m));
                }
            }
        }
        if (byWorkload.isEmpty()) {
            throw new InvalidInputException("there is nothing to compare: the records hold no measurements");
        }
        List<Group> groups = new ArrayList<>();
        for (Map.Entry<Workload, List<Entry>> workload : byWorkload.entrySet()) {
            List<Line> lines = new ArrayList<>();
            for (Entry entry : workload.getValue()) {
                lines.add(line(entry, baseline.of(entry, workload.getValue()), clock, noise));
            }
            groups.add(new Group(workload.getKey(), lines));
        }
        Comparison comparison = new Comparison(records, baseline.name(), clock, inOrder(groups));
        comparison.requireCommonGround(baseline.name());
        return comparison;
    }

    /** Every line, in order. */
    public List<Line> lines() {
        return groups.stream().flatMap(group -> group.lines().stream()).toList();
    }

    /** Median of the time that is compared, in nanoseconds: the kernels' under {@link Clock#KERNEL} where the device has that. */
    public double medianNs(Line line) {
        Measurement.Times times = line.measurement().times();
        return clock == Clock.KERNEL ? times.computeNs() : times.medianNs();
    }

    /** Lines whose measurement is not ok. */
    public List<Line> failures() {
        return lines().stream().filter(line -> line.measurement().status() != Status.OK).toList();
    }

    /** Names of lines: the series', with what tells its ways of solving apart where it has several for a workload. */
    public Function<Line, String> names() {
        Map<Series, Set<Method>> methods = new HashMap<>();
        Set<Series> several = new HashSet<>();
        for (Group group : groups) {
            Set<Series> here = new HashSet<>();
            for (Line line : group.lines()) {
                methods.computeIfAbsent(line.series(), s -> new HashSet<>()).add(line.measurement().method());
                if (!here.add(line.series())) {
                    several.add(line.series());
                }
            }
        }
        return line -> {
            if (!several.contains(line.series())) {
                return line.series().label();
            }
            List<String> telling = line.measurement().method().parts().stream().filter(part -> !methods.get(line.series()).stream()
                    .allMatch(method -> method.parts().contains(part))).toList();
            return line.series().label() + ", " + String.join(" ", telling);
        };
    }

    /**
     * Lines that got worse than the baseline: slower by more than {@code share} beyond chance, or no longer right.
     *
     * @param share such as 0.05
     */
    public List<Line> regressions(double share) {
        return lines().stream().filter(line -> !line.baseline() && line.against() != null
                && line.against().status() == Status.OK
                && (line.measurement().status() != Status.OK
                        || line.ratio() != null && line.ratio().verdict() == TimeRatio.Verdict.SLOWER
                                && line.ratio().estimate() > 1 + share)).toList();
    }

    /** A sentence for each record that lacks workloads of the baseline, since a missing workload cannot be seen to regress. */
    public List<String> gaps() {
        Set<Workload> base = baselineWorkloads();
        List<String> sentences = new ArrayList<>();
        for (Named named : records) {
            long there = named.record().measurements().stream().map(Measurement::workload).filter(base::contains).distinct().count();
            if (there < base.size()) {
                sentences.add(named.name() + " holds " + there + " of the " + base.size() + " workloads of the baseline " + baseline);
            }
        }
        return sentences;
    }

    private Set<Workload> baselineWorkloads() {
        Set<Workload> base = new LinkedHashSet<>();
        lines().stream().filter(Line::baseline).forEach(line -> base.add(line.measurement().workload()));
        return base;
    }

    private static Line line(Entry entry, Measurement against, Clock clock, Double noise) {
        Measurement m = entry.measurement();
        boolean self = against == m;
        boolean both = against != null && !self && m.status() == Status.OK && against.status() == Status.OK;
        return new Line(entry.series(), m, self, both ? ratio(against, m, clock, noise == null ? usualNoise(entry) : noise) : null, against);
    }

    private static double usualNoise(Entry entry) {
        return entry.series().from().record().device(entry.series().device()).filter(device -> device.type().equals("cpu"))
                .map(device -> TimeRatio.CPU_NOISE).orElse(TimeRatio.DEFAULT_NOISE);
    }

    private static TimeRatio ratio(Measurement base, Measurement m, Clock clock, double noise) {
        return TimeRatio.of(samples(base, clock), samples(m, clock), noise);
    }

    private static long[] samples(Measurement m, Clock clock) {
        return clock == Clock.KERNEL && m.times().kernelNs() != null ? m.times().kernelNs() : m.times().wallNs();
    }

    /** A record whose measurements all miss the baseline's workloads does not belong here. */
    private void requireCommonGround(String baselineName) {
        Set<Workload> base = baselineWorkloads();
        if (base.isEmpty()) {
            throw new InvalidInputException("the baseline " + baselineName + " holds no measurements to compare with");
        }
        for (Named named : records) {
            List<Measurement> own = named.record().measurements();
            if (own.isEmpty()) {
                throw new InvalidInputException(named.name() + " holds no measurements: its run ended before the first one");
            }
            if (own.stream().map(Measurement::workload).noneMatch(base::contains)) {
                throw new InvalidInputException(named.name() + " cannot be compared with the baseline " + baselineName
                        + ": they have no workload in common; the first ones differ in "
                        + difference(base.iterator().next(), own.getFirst().workload()));
            }
        }
    }

    private static String difference(Workload a, Workload b) {
        Set<String> keys = new TreeSet<>();
        Map<?, ?> left = RecordJson.COMPACT.convertValue(a, Map.class);
        Map<?, ?> right = RecordJson.COMPACT.convertValue(b, Map.class);
        left.forEach((key, value) -> {
            if (!value.equals(right.get(key))) {
                keys.add(key + " (" + value + " and " + right.get(key) + ")");
            }
        });
        return String.join(", ", keys);
    }

    /** A series goes by its device's name if no other record has that device, else by the record's and the device's. */
    private static List<Series> series(List<Named> records) {
        List<String> devices = records.stream().flatMap(named -> named.record().devices().stream()).map(DeviceFacts::name).toList();
        Set<String> distinct = new LinkedHashSet<>(devices);
        List<Series> series = new ArrayList<>();
        for (Named named : records) {
            for (DeviceFacts device : named.record().devices()) {
                String name = Printable.text(device.name());
                series.add(new Series(named, device.name(), distinct.size() == devices.size() ? name
                        : distinct.size() == 1 ? named.name() : named.name() + "/" + name));
            }
        }
        return series;
    }

    /** Families as they first appear; within one, by length. */
    private static List<Group> inOrder(List<Group> groups) {
        List<String> families = groups.stream().map(group -> group.workload().family()).distinct().toList();
        return groups.stream().sorted(Comparator
                .comparingInt((Group group) -> families.indexOf(group.workload().family()))
                .thenComparingInt(group -> group.workload().keyLength())
                .thenComparingInt(group -> group.workload().queryLength())).toList();
    }

    record Entry(Series series, Measurement measurement) {}
}
