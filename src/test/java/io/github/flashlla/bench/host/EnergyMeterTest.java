package io.github.flashlla.bench.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.record.Energy;
import io.github.flashlla.record.Records;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EnergyMeterTest {
    @TempDir
    Path folder;

    @Test
    void packagesAreAddedAndCountersWrap() throws IOException {
        Path a = zone("intel-rapl:0", 10_000_000);
        zone("intel-rapl:1", 5_000_000);
        zone("intel-rapl:0:0", 999_000_000); // a part of the first package
        RaplMeter meter = RaplMeter.find(folder).orElseThrow();
        assertEquals(15, meter.joules(), 1e-9);
        Files.writeString(a.resolve("energy_uj"), "2000000\n"); // past its range of 100 J
        assertEquals(107, meter.joules(), 1e-9);
        Files.delete(a.resolve("energy_uj"));
        assertTrue(Double.isNaN(meter.joules()));
        assertTrue(RaplMeter.find(folder.resolve("none")).isEmpty());
    }

    @Test
    void joulesPerTokenAreOfEverySequence() {
        assertEquals(1e-3, new Energy(1.024, 70.0, "nvml").joulesPerToken(Records.workload(1024)), 1e-12);
    }

    private Path zone(String name, long microjoules) throws IOException {
        Path zone = Files.createDirectories(folder.resolve(name));
        Files.writeString(zone.resolve("energy_uj"), microjoules + "\n");
        Files.writeString(zone.resolve("max_energy_range_uj"), "100000000\n");
        return zone;
    }
}
