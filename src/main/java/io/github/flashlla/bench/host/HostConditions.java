package io.github.flashlla.bench.host;

import io.github.flashlla.record.Conditions;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalDouble;
import java.util.stream.Stream;

/** What the machine does while a benchmark runs. */
public final class HostConditions {
    private HostConditions() {}

    /**
     * Now, as the run begins.
     *
     * @param argv its command line; null where it is not known
     */
    public static Conditions begin(List<String> argv) {
        OptionalDouble busy = HostLoad.busyCores();
        return new Conditions(argv, load(), null, busy.isPresent() ? busy.getAsDouble() : null, cpuLimit(),
                line(Path.of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")), mhz());
    }

    /** Mean number of processes that want to run, over the last minute; null where the system does not tell. */
    public static Double load() {
        double load = ManagementFactory.getOperatingSystemMXBean().getSystemLoadAverage();
        return load < 0 ? null : load;
    }

    private static Double cpuLimit() {
        String limit = line(Path.of("/sys/fs/cgroup/cpu.max"));
        if (limit == null || !limit.matches("[0-9]+ [1-9][0-9]*")) {
            return null;
        }
        String[] parts = limit.split(" ");
        return Double.parseDouble(parts[0]) / Double.parseDouble(parts[1]);
    }

    private static Double mhz() {
        try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
            OptionalDouble mean = lines.filter(line -> line.startsWith("cpu MHz")).mapToDouble(line -> Double.parseDouble(line.replaceFirst(".*:\\s*", ""))).average();
            return mean.isPresent() ? mean.getAsDouble() : null;
        } catch (IOException | NumberFormatException e) {
            return null;
        }
    }

    private static String line(Path file) {
        try {
            String text = Files.readString(file).strip();
            return text.isEmpty() ? null : text;
        } catch (IOException e) {
            return null;
        }
    }
}
