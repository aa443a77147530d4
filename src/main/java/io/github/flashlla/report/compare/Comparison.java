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
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Several records side by side: per workload one line for every record, device and way of solving, each with its ratio
 * to the baseline's line.
 *
 * @param records the records, each under a name of its own
 * @param baseline what ratios are against
 * @param baselineRecord the record that is the baseline; null if a device is
 * @param clock which times are compared
 * @param noise smallest difference to report, as a share; null for the usual one of each device
 * @param groups one per workload, in order of first appearance, lengths of a family in order
 * @param missing what the baseline record measured and another record did not
 */
public record Comparison(List<Named> records, String baseline, Named baselineRecord, Clock clock, Double noise, List<Group> groups, List<Missing> missing) {

    private static final double MANY_ERRORS = 10;
    /** Characters of a timestamp that are its date. */
    private static final int DAY = 10;
    /** From here on the difference between processes is measured, not assumed. */
    private static final int MANY_PROCESSES = 3;

    /** Which of a measurement's times is compared. */
    public enum Clock {
        /** Host time of a run, transfers included. */
        WALL,
        /** The device's own account of its kernels; host time where it has no clock, as one that computes where its data is. */
        KERNEL;

        /** The samples that this clock compares. */
        public long[] samples(Measurement m) {
            return isKernelTimeOf(m) ? m.times().kernelNs() : m.times().wallNs();
        }

        /** Whether this clock compares kernel times of the measurement. */
        public boolean isKernelTimeOf(Measurement m) {
            return this == KERNEL && m.times().kernelNs() != null;
        }

        /** Median of those samples, in nanoseconds. */
        public double medianNs(Measurement m) {
            return isKernelTimeOf(m) ? m.times().kernelMedianNs() : m.times().medianNs();
        }
    }

    /** How a line stands to the baseline. */
    public enum Relation {
        BASELINE, COMPARED,
        /** The baseline record has no measurement of this device and workload, solved in this way. */
        NEW,
        /** The baseline device did not measure this workload. */
        NOT_COMPARED
    }

    /** A record and the name it goes by here. */
    public record Named(String name, BenchmarkRecord record) {}

    /**
     * One device of one record.
     *
     * @param label what tables and charts call it
     */
    public record Series(Named from, String device, String label) {
        /** What its times depend on besides the work: machine, driver, software, commit and day. Times of two of these are not of one thing. */
        public List<Object> circumstances() {
            BenchmarkRecord record = from.record();
            DeviceFacts facts = record.device(device).orElseThrow();
            return List.of(record.environment(), facts.hardware(), facts.driver(), record.created().substring(0, DAY));
        }
    }

    /** All lines of one workload. */
    public record Group(Workload workload, List<Line> lines) {}

    /**
     * A measurement of the baseline record that another record lacks.
     *
     * @param from the record that lacks it
     * @param was the baseline's, which was ok
     */
    public record Missing(Named from, Measurement was) {
        public String sentence() {
            return "missing: " + from.name() + " lacks " + was.device() + ", " + was.workload().label() + ", " + was.method().label();
        }
    }

    /**
     * One measurement.
     *
     * @param relation how it stands to the baseline
     * @param ratio to the baseline; null for itself, and where one of the two was not measured
     * @param against the baseline's measurement; null where there is none for this line
     * @param againstLabel what that line's series is called, if lines of this comparison are against several; else null
     * @param clock which times the ratio is of
     */
    public record Line(Series series, Measurement measurement, Relation relation, TimeRatio ratio, Measurement against, String againstLabel, Clock clock) {
        /** Whether the others' ratios are against it. */
        public boolean baseline() {
            return relation == Relation.BASELINE;
        }

        /** What to say of it in one or a few words. */
        public String verdict() {
            if (measurement.status() != Status.OK) {
                return measurement.status().word();
            }
            return ratio != null ? ratio.words() + (againstLabel == null ? "" : " against " + againstLabel) + reservation() : switch (relation) {
                case BASELINE -> "baseline";
                case NEW -> "new";
                case COMPARED -> "not compared: the baseline is " + against.status().word();
                case NOT_COMPARED -> "not compared";
            };
        }

        /** The verdict in one word for a program, such as {@code slower}, {@code new}, {@code wrong}. */
        public String code() {
            return measurement.status() != Status.OK ? measurement.status().label()
                    : ratio != null ? ratio.verdict().name().toLowerCase(Locale.ROOT)
                    : relation == Relation.COMPARED ? "not_compared" : relation.name().toLowerCase(Locale.ROOT);
        }

        /** What the speed costs, or how far the two times can be compared: another operator, clock, or an answer ten times as far off. */
        private String reservation() {
            if (!measurement.method().operator().equals(against.method().operator())) {
                return " (another operator)";
            }
            if (clock.isKernelTimeOf(measurement) != clock.isKernelTimeOf(against)) {
                return clock.isKernelTimeOf(measurement) ? " (kernels against wall)" : clock == Clock.KERNEL ? " (wall against kernels)" : "";
            }
            double errors = measurement.accuracy().error() / against.accuracy().error();
            return errors >= MANY_ERRORS && Double.isFinite(errors) ? " (" + Numbers.digits(errors) + " times the error)" : "";
        }
    }

    /**
     * Lines that records up.
     *
     * @param baselineName a record's name or a device's name; null for the first record where every other has something in common
     *     with it, else for the device that measured most workloads, of one record the first
     * @param noise smallest difference to report, as a share; null for the usual difference between processes on such a
     * device
     * @throws InvalidInputException if the baseline is unknown, or records have no workload in common
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
        Map<Entry, Entry> against = new IdentityHashMap<>();
        byWorkload.values().forEach(entries -> entries.forEach(entry -> against.put(entry, baseline.of(entry, entries))));
        boolean several = baseline.record() == null
                && against.values().stream().filter(Objects::nonNull).map(entry -> entry.series().label()).distinct().count() > 1;
        List<Group> groups = new ArrayList<>();
        byWorkload.forEach((workload, entries) -> groups.add(new Group(workload, entries.stream()
                .map(entry -> line(entry, against.get(entry), baseline.record() != null, several, clock, noise)).toList())));
        Comparison comparison = new Comparison(records, baseline.name(), baseline.record(), clock, noise, inOrder(groups),
                baseline.record() == null ? List.of() : missing(baseline.record(), records));
        comparison.requireCommonGround();
        return comparison;
    }

    private static List<Missing> missing(Named baseline, List<Named> records) {
        List<Missing> missing = new ArrayList<>();
        for (Named named : records) {
            Set<List<Object>> there = new HashSet<>();
            named.record().measurements().forEach(m -> there.add(List.of(m.device(), m.workload(), m.method())));
            baseline.record().measurements().stream()
                    .filter(m -> m.status() == Status.OK && !there.contains(List.of(m.device(), m.workload(), m.method())))
                    .forEach(m -> missing.add(new Missing(named, m)));
        }
        return missing;
    }

    /** Every line, in order. */
    public List<Line> lines() {
        return groups.stream().flatMap(group -> group.lines().stream()).toList();
    }

    /** Median of the time that is compared, in nanoseconds: the kernels' under {@link Clock#KERNEL} where the device has that. */
    public double medianNs(Line line) {
        return clock.medianNs(line.measurement());
    }

    /** Which clock's times are compared, in words. */
    public String clockWords() {
        if (clock == Clock.WALL) {
            return "wall time";
        }
        List<String> without = lines().stream().filter(line -> line.measurement().times() != null && !clock.isKernelTimeOf(line.measurement()))
                .map(line -> Printable.text(line.series().device())).distinct().toList();
        return "kernel time" + (without.isEmpty() ? "" : "; " + String.join(", ", without)
                + (without.size() == 1 ? " has no clock of its own and is" : " have no clock of their own and are") + " compared by wall time");
    }

    /** Lines whose measurement is not ok. */
    public List<Line> failures() {
        return lines().stream().filter(line -> line.measurement().status() != Status.OK).toList();
    }

    /** Names of lines: the series', with what tells its ways of solving apart where it has several for a workload. */
    public Function<Line, String> names() {
        Map<String, Set<Method>> methods = new HashMap<>();
        Set<String> several = new HashSet<>();
        for (Group group : groups) {
            Set<String> here = new HashSet<>();
            for (Line line : group.lines()) {
                methods.computeIfAbsent(line.series().label(), s -> new HashSet<>()).add(line.measurement().method());
                if (!here.add(line.series().label())) {
                    several.add(line.series().label());
                }
            }
        }
        return line -> {
            String label = line.series().label();
            if (!several.contains(label)) {
                return label;
            }
            List<String> telling = line.measurement().method().parts().stream().filter(part -> !methods.get(label).stream()
                    .allMatch(method -> method.parts().contains(part))).toList();
            return label + ", " + String.join(" ", telling);
        };
    }

    private static Line line(Entry entry, Entry against, boolean ofRecord, boolean several, Clock clock, Double noise) {
        Measurement m = entry.measurement();
        boolean both = against != null && against != entry && m.status() == Status.OK && against.measurement().status() == Status.OK;
        return new Line(entry.series(), m, against == entry ? Relation.BASELINE : against != null ? Relation.COMPARED
                : ofRecord ? Relation.NEW : Relation.NOT_COMPARED, both ? ratio(entry, against, clock, noise) : null,
                against == null ? null : against.measurement(), several && against != null ? against.series().label() : null, clock);
    }

    /** How many times as long one line took as another, both of them ok, and whether that is more than chance. */
    public TimeRatio ratio(Line line, Line against) {
        return ratio(new Entry(line.series(), line.measurement()), new Entry(against.series(), against.measurement()), clock, noise);
    }

    /** Over processes where both sides have several, else over runs. */
    private static TimeRatio ratio(Entry entry, Entry against, Clock clock, Double noise) {
        Measurement m = entry.measurement();
        Measurement was = against.measurement();
        double[] base = was.times().processMedians(clock.samples(was));
        double[] own = m.times().processMedians(clock.samples(m));
        return Math.min(base.length, own.length) >= MANY_PROCESSES ? TimeRatio.ofProcesses(base, own, noise == null ? 0 : noise)
                : TimeRatio.of(clock.samples(was), clock.samples(m), noise == null ? Math.max(usualNoise(entry), usualNoise(against)) : noise);
    }

    private static double usualNoise(Entry entry) {
        return entry.series().from().record().device(entry.series().device()).filter(device -> device.type().equals("cpu"))
                .map(device -> TimeRatio.CPU_NOISE).orElse(TimeRatio.DEFAULT_NOISE);
    }

    /**
     * A record whose measurements all miss the baseline record's workloads does not belong here. Where a device is the baseline, records may be of different
     * workloads, as those of a folder are, but something must be compared.
     */
    private void requireCommonGround() {
        if (lines().stream().noneMatch(Line::baseline)) {
            throw new InvalidInputException("the baseline " + baseline + " holds no measurements to compare with");
        }
        for (Named named : records) {
            if (named.record().measurements().isEmpty()) {
                throw new InvalidInputException(named.name() + " holds no measurements, since its run ended before the first one; leave it out");
            }
        }
        if (baselineRecord == null && lines().stream().anyMatch(line -> line.relation() == Relation.COMPARED)) {
            return;
        }
        Named first = baselineRecord == null ? records.getFirst() : baselineRecord;
        Set<Workload> base = workloads(first);
        for (Named named : records) {
            if (workloads(named).stream().noneMatch(base::contains)) {
                throw new InvalidInputException(named.name() + " cannot be compared with " + first.name() + ": they have no workload in common; the first ones differ in "
                        + difference(base.iterator().next(), workloads(named).iterator().next()));
            }
        }
    }

    private static Set<Workload> workloads(Named named) {
        return named.record().measurements().stream().map(Measurement::workload).collect(Collectors.toCollection(LinkedHashSet::new));
    }

    /** Records of which nothing is compared, neither within them nor with another. */
    List<Named> alone() {
        return lines().stream().noneMatch(line -> line.relation() == Relation.COMPARED) ? List.of() : records.stream().filter(named -> lines().stream()
                .noneMatch(line -> line.relation() == Relation.COMPARED && (line.series().from() == named || workloads(named).contains(line.measurement().workload())))).toList();
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

    /**
     * A series goes by its device's name if records that have the device measured different things on it, in the same circumstances
     * ({@link Series#circumstances}); else by the record's, and the device's where there are several.
     */
    private static List<Series> series(List<Named> records) {
        long devices = records.stream().flatMap(named -> named.record().devices().stream()).map(DeviceFacts::name).distinct().count();
        List<Series> series = new ArrayList<>();
        for (Named named : records) {
            for (DeviceFacts device : named.record().devices()) {
                String name = Printable.text(device.name());
                series.add(new Series(named, device.name(), isOne(records, device.name()) ? name
                        : devices == 1 ? named.name() : named.name() + "/" + name));
            }
        }
        return series;
    }

    private static boolean isOne(List<Named> records, String device) {
        Set<Object> circumstances = new HashSet<>();
        Set<List<Object>> seen = new HashSet<>();
        for (Named named : records) {
            named.record().device(device).ifPresent(facts -> circumstances.add(new Series(named, device, null).circumstances()));
            for (Measurement m : named.record().measurements()) {
                if (m.device().equals(device) && !seen.add(List.of(m.workload(), m.method()))) {
                    return false;
                }
            }
        }
        return circumstances.size() == 1;
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
