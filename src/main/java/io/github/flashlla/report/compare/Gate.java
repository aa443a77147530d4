package io.github.flashlla.report.compare;

import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Status;
import io.github.flashlla.report.compare.Comparison.Line;
import io.github.flashlla.report.compare.Comparison.Missing;
import java.util.ArrayList;
import java.util.List;

/**
 * Whether records are as good as the baseline record: for a script that has to say yes or no. A measurement that the baseline lacks never
 * fails it.
 *
 * @param failures a sentence for everything that is no longer right: missing, wrong, crashed, and other ways to fail
 * @param regressions a sentence for everything that is slower by more than the share that was allowed, beyond chance
 */
public record Gate(List<String> failures, List<String> regressions) {

    /** @param share by which a time may grow, such as 0.05 */
    public static Gate of(Comparison comparison, double share, boolean allowMissing) {
        List<String> failures = new ArrayList<>();
        List<String> regressions = new ArrayList<>();
        for (Line line : comparison.lines()) {
            if (line.baseline() || line.against() == null || line.against().status() != Status.OK) {
                continue;
            }
            Measurement m = line.measurement();
            if (m.status() != Status.OK) {
                failures.add(line.code() + ": " + place(line.series().label(), m) + ": was ok; " + m.message());
            } else if (line.ratio().verdict() == TimeRatio.Verdict.SLOWER && line.ratio().estimate() > 1 + share) {
                regressions.add("slower: " + place(line.series().label(), m) + ": " + line.verdict() + ", ratio " + line.ratio().numbers());
            }
        }
        for (Missing missing : allowMissing ? List.<Missing>of() : comparison.missing()) {
            failures.add(missing.sentence());
        }
        return new Gate(List.copyOf(failures), List.copyOf(regressions));
    }

    private static String place(String label, Measurement m) {
        return label + ", " + m.workload().label() + ", " + m.method().label();
    }
}
