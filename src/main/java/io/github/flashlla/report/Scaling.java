package io.github.flashlla.report;

import io.github.flashlla.DeviceCombiner;
import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Status;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

/** What a combined device makes of its parts. */
final class Scaling {
    private Scaling() {}

    /**
     * Its rate over the sum of its parts' rates, each measured alone in the same record; a part that is there twice is one device,
     * shared. Null where the device is not combined, or a part was not measured.
     */
    static Double efficiency(BenchmarkRecord record, Measurement whole) {
        List<String> parts = parts(whole.device());
        if (parts.size() < 2 || whole.times() == null) {
            return null;
        }
        double rates = 0;
        for (String part : parts.stream().distinct().toList()) {
            Optional<Measurement> alone = record.measurements().stream().filter(m -> m.status() == Status.OK && m.device().equals(part)
                    && m.workload().equals(whole.workload()) && m.method().equals(whole.method())).findFirst();
            if (alone.isEmpty()) {
                return null;
            }
            rates += 1 / alone.get().times().medianNs();
        }
        return 1 / whole.times().medianNs() / rates;
    }

    /** Names of a device's parts; its own where it is not combined. */
    static List<String> parts(String device) {
        return List.of(device.split(Pattern.quote(DeviceCombiner.JOINER)));
    }
}
