package io.github.flashlla.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Records;
import io.github.flashlla.report.Charts.Chart;
import io.github.flashlla.report.compare.Comparison;
import io.github.flashlla.report.compare.Comparison.Clock;
import io.github.flashlla.report.compare.Comparison.Named;
import java.util.List;
import org.junit.jupiter.api.Test;

class ScalingTest {

    private static Measurement took(String device, long ms) {
        return Records.measurement(device, Records.workload(4096), new long[] {ms * 1_000_000, ms * 1_000_000, ms * 1_000_000});
    }

    private static Double efficiency(Measurement whole, Measurement... parts) {
        return Scaling.efficiency(Records.record("r", List.of(parts)), whole);
    }

    @Test
    void aRateIsHeldAgainstTheSumOfItsParts() {
        assertEquals(0.95, efficiency(took("a+b", 20), took("a", 38), took("b", 38)), 1e-9);
        assertEquals(1, efficiency(took("a+b", 20), took("a", 30), took("b", 60)), 1e-9);
        assertEquals(0.5, efficiency(took("a+a", 20), took("a", 10)), 1e-9, "one device, shared");
        assertNull(efficiency(took("a+b", 20), took("a", 38)));
        assertNull(efficiency(took("a", 20), took("a", 20)));
    }

    @Test
    void theChartIsThereWhereADeviceIsCombined() {
        BenchmarkRecord alone = Records.record("r", List.of(took("a", 30), took("b", 60)));
        assertTrue(charts(alone).stream().noneMatch(chart -> chart.title().startsWith("Efficiency")));
        BenchmarkRecord combined = Records.record("r", List.of(took("a", 30), took("b", 60), took("a+b", 25)));
        List<Chart> charts = charts(combined).stream().filter(chart -> chart.title().startsWith("Efficiency")).toList();
        assertEquals(1, charts.size());
        assertEquals(1, charts.getFirst().series());
    }

    private static List<Chart> charts(BenchmarkRecord record) {
        return Charts.of(Comparison.of(List.of(new Named("r", record)), null, Clock.WALL, null));
    }
}
