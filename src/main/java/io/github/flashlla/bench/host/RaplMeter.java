package io.github.flashlla.bench.host;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** The energy counters of a processor's packages (RAPL), which Linux shows to whoever may read them. */
final class RaplMeter implements EnergyMeter {
    private static final Path FOLDER = Path.of("/sys/class/powercap");

    private final List<Path> packages;
    private final long[] last;
    private final long[] wraps;

    private RaplMeter(List<Path> packages) {
        this.packages = packages;
        this.last = new long[packages.size()];
        this.wraps = new long[packages.size()];
    }

    static Optional<RaplMeter> find() {
        return find(FOLDER);
    }

    static Optional<RaplMeter> find(Path folder) {
        List<Path> packages = new ArrayList<>();
        try (Stream<Path> zones = Files.list(folder)) {
            zones.filter(zone -> zone.getFileName().toString().matches("intel-rapl:[0-9]+") && Files.isReadable(zone.resolve("energy_uj"))).sorted()
                    .forEach(packages::add);
        } catch (IOException e) {
            return Optional.empty();
        }
        return packages.isEmpty() ? Optional.empty() : Optional.of(new RaplMeter(packages));
    }

    @Override
    public double joules() {
        double sum = 0;
        try {
            for (int n = 0; n < packages.size(); n++) {
                long now = number(packages.get(n).resolve("energy_uj"));
                if (now < last[n]) {
                    wraps[n] += number(packages.get(n).resolve("max_energy_range_uj"));
                }
                last[n] = now;
                sum += (wraps[n] + now) / 1e6;
            }
        } catch (IOException | NumberFormatException e) {
            return Double.NaN;
        }
        return sum;
    }

    private static long number(Path file) throws IOException {
        return Long.parseLong(Files.readString(file).strip());
    }

    @Override
    public String source() {
        return "rapl";
    }
}
