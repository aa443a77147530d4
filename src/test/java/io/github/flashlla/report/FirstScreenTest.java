package io.github.flashlla.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.Environment;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Measurement.AccuracyCheck;
import io.github.flashlla.record.Method;
import io.github.flashlla.record.Records;
import io.github.flashlla.record.Status;
import io.github.flashlla.record.Workload;
import io.github.flashlla.report.compare.Comparison.Clock;
import io.github.flashlla.report.compare.Comparison.Named;
import io.github.flashlla.report.compare.Comparison;
import io.github.flashlla.report.compare.GeometricMean;
import io.github.flashlla.report.compare.TimeRatio;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** What a reader of the page's first screen is told. */
class FirstScreenTest {
    private static final Workload LONG = Records.workload(16384);

    private static Measurement measured(String device, Workload workload, Method method, double ms, double error) {
        Measurement m = Records.measurement(device, workload, Records.samples(ms, 5, Math.round(ms * 1000)));
        return new Measurement(device, workload, method, Status.OK, null, m.times(), m.rates(), new AccuracyCheck(error, 1, 48), m.solve(), null, m.memory());
    }

    private static Method tol(double tolerance) {
        return new Method("lla", tolerance, 64, "none", "float32", null, null);
    }

    private static Method capped(int iterations) {
        return new Method("lla", null, iterations, "none", "bfloat16", null, null);
    }

    /** Two of our devices, and a peer that is fast but never exact. */
    private static Comparison comparison() {
        BenchmarkRecord ours = Records.record("ours", List.of(measured("jvm", LONG, tol(1e-3), 3000, 2e-4), measured("cuda:0", LONG, tol(1e-3), 32, 3e-4),
                measured("cuda:0", LONG, tol(1e-2), 27, 1.8e-3), measured("cuda:0", LONG, tol(1e-1), 22, 2.4e-2),
                new Measurement("ptx:0", LONG, tol(1e-3), Status.WRONG, "off", null, null, new AccuracyCheck(0.5, 0.1, 48), null, null, null)));
        BenchmarkRecord plain = Records.record("peers", List.of(measured("triton", LONG, capped(8), 23, 1.1e-2), measured("triton", LONG, capped(32), 75, 1.05e-2)));
        BenchmarkRecord peers = new BenchmarkRecord(1, "peers", plain.created(), true, new Environment("Linux", "a processor", 2, null, "Python", null, "peers",
                null), plain.devices(), plain.measurements());
        return Comparison.of(List.of(new Named("ours", ours), new Named("peers", peers)), "jvm", Clock.WALL, null);
    }

    @Test
    void aDeviceOfTwoRecordsIsComparedWithOthersAndNotWithItself() {
        BenchmarkRecord first = Records.record("first", List.of(measured("cuda:0", LONG, tol(1e-3), 32, 3e-4), measured("jvm", LONG, tol(1e-3), 3000, 2e-4)));
        BenchmarkRecord second = Records.record("second", List.of(measured("cuda:0", LONG, tol(1e-3), 33, 3e-4), measured("cuda:0", LONG, tol(1e-2), 27, 1.8e-3)));
        String line = new EqualError(Comparison.of(List.of(new Named("first", first), new Named("second", second)), "jvm", Clock.WALL, null)).headlines().getFirst();
        assertTrue(line.contains(": cuda:0 (tol 0.01 float32) is the fastest, 27.") && line.contains("; jvm (tol 1e-3 float32) takes 3.0"), line);
    }

    /** The cheapest setting is chosen among times that can be compared: not among those of another commit, driver or day. */
    @Test
    void recordsOfOtherCircumstancesAreNotMergedIntoOneDevice() {
        BenchmarkRecord old = Records.record("old", List.of(measured("cuda:0", LONG, tol(1e-2), 27, 1.8e-3), measured("jvm", LONG, tol(1e-3), 3000, 2e-4)));
        BenchmarkRecord plain = Records.record("new", List.of(measured("cuda:0", LONG, tol(1e-3), 35, 3e-4)));
        Environment e = plain.environment();
        Environment commit = new Environment(e.os(), e.cpu(), e.cores(), e.memoryBytes(), e.runtime(), e.tornadovm(), e.version(), "fedcba");
        DeviceFacts d = plain.devices().getFirst();
        DeviceFacts driver = new DeviceFacts(d.name(), d.backend(), d.type(), d.hardware(), d.vendor(), "a later driver", null, 2, d.ceilings());
        for (BenchmarkRecord other : List.of(new BenchmarkRecord(1, "new", plain.created(), true, commit, plain.devices(), plain.measurements()),
                new BenchmarkRecord(1, "new", plain.created(), true, e, List.of(driver), plain.measurements()),
                new BenchmarkRecord(1, "new", "2026-01-03T03:04:05Z", true, e, plain.devices(), plain.measurements()))) {
            Comparison comparison = Comparison.of(List.of(new Named("old", old), new Named("new", other)), "jvm", Clock.WALL, null);
            assertEquals(List.of("old/cuda:0", "new/cuda:0", "jvm"), List.copyOf(new EqualError(comparison).tables().getFirst().devices().keySet()));
            assertEquals(List.of("old/cuda:0", "new/cuda:0", "jvm"), Pivot.of(comparison).names(), "nor into one mean");
        }
        Comparison same = Comparison.of(List.of(new Named("old", old), new Named("new", plain)), "jvm", Clock.WALL, null);
        assertEquals(List.of("cuda:0", "jvm"), List.copyOf(new EqualError(same).tables().getFirst().devices().keySet()));
    }

    @Test
    void headlineRanksOnlyWhatIsMoreThanChance() {
        assertHeadline(27, 27.1, true, 5, "cuda:0 (tol 1e-3 float32) takes 27.", "; ptx:0 (tol 1e-3 float32) takes 27.", ", no difference beyond chance (1.0");
        assertHeadline(27, 35, true, 2, ": too few samples to tell which is faster");
        assertHeadline(27, 35, false, 5, "cuda:0 (tol 1e-3 float32) is the fastest, 27.", " ms (unsettled) at error 3.0e-4; ptx:0", "] times as long.");
    }

    private static void assertHeadline(double cuda, double ptx, boolean settled, int runs, String... parts) {
        List<Measurement> both = List.of(measured("cuda:0", cuda, settled, runs), measured("ptx:0", ptx, true, runs));
        String line = new EqualError(Comparison.of(List.of(new Named("a", Records.record("a", both))), null, Clock.WALL, null)).headlines().getFirst();
        for (String part : parts) {
            assertTrue(line.contains(part), line);
        }
        assertEquals(!settled, line.contains("is the fastest"), line);
    }

    private static Measurement measured(String device, double ms, boolean settled, int runs) {
        Measurement m = measured(device, LONG, tol(1e-3), ms, 3e-4);
        return new Measurement(device, LONG, m.method(), Status.OK, null, Measurement.Times.of(1L, 2L, 0L, 4, settled,
                Records.samples(ms, runs, Math.round(ms * 1000)), null, null, null), m.rates(), m.accuracy(), m.solve(), null, m.memory());
    }

    @Test
    void columnsAreByWhatTheyMean() {
        Workload backward = new Workload("bwd", 1, 8, 8, 1024, 1024, 64, 64, true, 1, 0.125, "normal");
        Workload wide = new Workload("fwd", 1, 8, 8, 1024, 1024, 128, 128, true, 1, 0.125, "normal");
        Workload small = Records.workload(1024);
        List<Measurement> all = List.of(measured("jvm", backward, tol(1e-3), 5, 1e-4), measured("cuda:0", backward, tol(1e-3), 5, 1e-4),
                measured("jvm", wide, tol(1e-3), 5, 1e-4), measured("jvm", LONG, tol(1e-3), 5, 1e-4), measured("jvm", small, tol(1e-3), 5, 1e-4));
        Comparison comparison = Comparison.of(List.of(new Named("a", Records.record("a", all))), null, Clock.WALL, null);
        assertEquals(List.of(small, LONG, wide, backward), Pivot.of(comparison).workloads());
    }

    /** A device that is alone on one workload has its mean over the others; numbers are not broken at their sign. */
    @Test
    @SuppressWarnings("unchecked")
    void onlyTheBaselineIsCalledThat() {
        Comparison comparison = Comparison.of(List.of(new Named("ours", Records.record("ours", List.of(measured("jvm", LONG, tol(1e-3), 3000, 2e-4),
                measured("cuda:0", LONG, tol(1e-3), 30, 3e-4), measured("cuda:0", Records.workload(4096), tol(1e-3), 3, 3e-4))))), null, Clock.WALL, null);
        Map<String, Object> block = ((List<Map<String, Object>>) new FirstScreen(comparison).pivot().get("blocks")).getFirst();
        Map<String, String> means = new HashMap<>();
        for (Map<String, Object> row : (List<Map<String, Object>>) block.get("rows")) {
            means.put((String) row.get("name"), (String) row.get("mean"));
            for (Map<String, Object> cell : (List<Map<String, Object>>) row.get("cells")) {
                assertFalse(((String) cell.get("note")).contains("-"), cell.toString());
            }
        }
        assertEquals("baseline", means.get("jvm"));
        assertTrue(means.get("cuda:0").endsWith(" times as fast"), means.toString());
    }

    @Test
    void headlineIsTimeAtEqualErrorAgainstPeers() {
        List<String> lines = new EqualError(comparison()).headlines();
        assertEquals(2, lines.size());
        assertTrue(lines.get(0).contains("1.2e-2: triton (8 iterations bfloat16) is the fastest, 23.") && lines.get(0).contains("at error 1.1e-2; cuda:0 (tol 0.01 ")
                && lines.get(0).contains(" takes 27.") && lines.get(0).contains("1.17 [1.1") && lines.get(0).contains("] times as long"), lines.get(0));
        assertTrue(lines.get(1).contains("5.0e-3: cuda:0 (tol 0.01 float32) is the fastest, 27.")
                && lines.get(1).contains("triton does not get there (its best is error 1.1e-2 in 75.") && !lines.get(1).contains("ptx"), lines.get(1));
    }

    @Test
    void aSettingThatMissesTheTargetIsNotTakenForOneThatMeetsIt() {
        EqualError.Table table = new EqualError(comparison()).tables().getFirst();
        assertEquals(List.of("triton", "cuda:0", "jvm", "ptx:0"), List.copyOf(table.devices().keySet()));
        assertEquals(1e-2, table.devices().get("cuda:0").get(1).line().measurement().method().tolerance(), "not the 22 ms of tol 0.1");
        assertEquals(List.of(true, false), table.devices().get("triton").stream().map(EqualError.Cell::met).toList());
    }

    @Test
    void rowsAreByGeometricMeanAndWrongAnswersComeLast() {
        Pivot pivot = Pivot.of(comparison());
        assertEquals(List.of("cuda:0, tol 0.1", "triton, 8 iterations", "cuda:0, tol 0.01", "cuda:0, tol 1e-3", "triton, 32 iterations", "jvm", "ptx:0"),
                pivot.names());
        assertEquals(22, pivot.best(comparison()).get(LONG).measurement().times().medianNs() / 1e6, 1);
    }

    @Test
    void geometricMeanNarrowsWithMoreWorkloads() {
        TimeRatio ratio = new TimeRatio(2, 1.8, 2.2, TimeRatio.Verdict.SLOWER);
        GeometricMean one = GeometricMean.of(List.of(ratio));
        assertEquals("2 times as slow as jvm [1.80, 2.20]", one.words("jvm"));
        GeometricMean four = GeometricMean.of(List.of(ratio, ratio, ratio, ratio));
        assertEquals(2, four.estimate(), 1e-12);
        assertEquals(Math.log(2 / 1.8) / 2, Math.log(2 / four.low()), 1e-12, "half as wide");
        GeometricMean fast = GeometricMean.of(List.of(new TimeRatio(0.5, 0.4, 0.625, TimeRatio.Verdict.FASTER)));
        assertEquals("2 times as fast as jvm [1.60, 2.5]", fast.words("jvm"));
    }

    @Test
    void growthIsTheExponent() {
        TreeMap<Double, Double> cubic = new TreeMap<>();
        for (int power = 10; power < 15; power++) {
            cubic.put((double) power, 7e-3 * Math.pow(2, 1.5 * power));
        }
        assertEquals(1.5, Growth.of(cubic).exponent(), 1e-9);
        assertEquals("S^1.50 \u00b1 0.00", Growth.of(cubic).words());
        cubic.put(14.0, cubic.get(14.0) * 1.2);
        assertTrue(Growth.of(cubic).error() > 0.05, Growth.of(cubic).words());
        assertEquals("S^1.50", Growth.of(new TreeMap<>(cubic.headMap(12.0))).words(), "two points leave no interval");
    }
}
