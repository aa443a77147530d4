package io.github.flashlla.report.compare;

import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Conditions;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.report.compare.Comparison.Named;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.text.Printable;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Function;

/** What a reader of a comparison must know before the numbers: a sentence each. */
public final class Warnings {
    /** Cores; less is what a desktop does at rest. */
    private static final double BUSY = 0.3;

    private Warnings() {}

    public static List<String> of(Comparison comparison) {
        List<Named> records = comparison.records();
        List<String> warnings = new ArrayList<>();
        differences("The records are of different machines: ", machine(records), warnings);
        differences("The records were made with different software: ", software(records), warnings);
        names(records, record -> !record.complete(), " cut short: what had not ended is missing.", warnings);
        names(records, record -> record.environment().commit() != null && record.environment().commit().endsWith("-dirty"),
                " made from sources that no commit holds.", warnings);
        List<String> alone = comparison.alone().stream().map(named -> Printable.text(named.name())).toList();
        if (!alone.isEmpty()) {
            warnings.add("Nothing of " + String.join(", ", alone) + " is compared: the others did not measure the same.");
        }
        busy(records, warnings);
        long timed = comparison.lines().stream().filter(line -> line.measurement().times() != null).count();
        long unsettled = comparison.lines().stream().map(line -> line.measurement().times())
                .filter(times -> times != null && !times.settled()).count();
        if (unsettled > 0) {
            warnings.add((timed == 1 ? "The time is" : unsettled + " of " + timed + " times " + (unsettled == 1 ? "is" : "are")) + " unsettled: run times still moved when the warm-up limit was reached; "
                    + "measure again with a larger --warm-up.");
        }
        return warnings;
    }

    private static void busy(List<Named> records, List<String> warnings) {
        Map<String, List<String>> names = new LinkedHashMap<>();
        for (Named named : records) {
            Conditions conditions = named.record().conditions();
            if (conditions != null && conditions.otherBusyCores() != null && conditions.otherBusyCores() > BUSY) {
                names.computeIfAbsent(Numbers.digits(conditions.otherBusyCores()) + " of " + named.record().environment().cores() + " cores busy.",
                        cores -> new ArrayList<>()).add(Printable.text(named.name()));
            }
        }
        names.forEach((cores, busy) -> warnings.add(subject(busy) + " measured while other work kept " + cores));
    }

    /** {@code a was}, {@code a and b were}, {@code a, b and c were}. */
    private static String subject(List<String> names) {
        return names.size() == 1 ? names.getFirst() + " was"
                : String.join(", ", names.subList(0, names.size() - 1)) + " and " + names.getLast() + " were";
    }

    /** What tells the records' machines apart, a phrase each; empty if they are of one machine. */
    public static List<String> machine(List<Named> records) {
        List<String> differences = new ArrayList<>();
        fact(differences, records, "processor", record -> record.environment().cpu());
        fact(differences, records, "hardware threads", record -> Integer.toString(record.environment().cores()));
        fact(differences, records, "memory", record -> record.environment().memoryBytes() == null ? null
                : Numbers.bytes(record.environment().memoryBytes()));
        devices(differences, records, "", DeviceFacts::hardware);
        return differences;
    }

    private static List<String> software(List<Named> records) {
        List<String> differences = new ArrayList<>();
        fact(differences, records, "system", record -> record.environment().system());
        fact(differences, records, "runtime", record -> record.environment().isOfPeers() ? null : record.environment().runtime());
        fact(differences, records, "TornadoVM", record -> record.environment().tornadovm());
        devices(differences, records, "driver of ", DeviceFacts::driver);
        return differences;
    }

    private static void differences(String beginning, List<String> differences, List<String> warnings) {
        if (!differences.isEmpty()) {
            warnings.add(beginning + String.join("; ", differences) + ".");
        }
    }

    private static void devices(List<String> differences, List<Named> records, String what, Function<DeviceFacts, String> fact) {
        records.stream().flatMap(named -> named.record().devices().stream()).map(DeviceFacts::name).distinct()
                .forEach(device -> fact(differences, records, what + Printable.text(device),
                        record -> record.device(device).map(fact).orElse(null)));
    }

    private static void fact(List<String> differences, List<Named> records, String name, Function<BenchmarkRecord, String> fact) {
        Set<String> values = new LinkedHashSet<>(records.stream().map(Named::record).map(fact).filter(Objects::nonNull)
                .map(Printable::text).toList());
        if (values.size() > 1) {
            differences.add(name + " " + String.join(" / ", values));
        }
    }

    private static void names(List<Named> records, Function<BenchmarkRecord, Boolean> odd, String what, List<String> warnings) {
        List<String> names = records.stream().filter(named -> odd.apply(named.record())).map(named -> Printable.text(named.name())).toList();
        if (!names.isEmpty()) {
            warnings.add(subject(names) + what);
        }
    }
}
