package io.github.flashlla.record;

import io.github.flashlla.LlaWork;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Records made up for tests. */
public final class Records {
    private Records() {}

    public static Workload workload(int length) {
        return new Workload("fwd", 1, 8, 8, length, length, 64, 64, true, 1, 0.125, "normal");
    }

    public static Method method() {
        return new Method("lla", 1e-3, 64, "none", "float32", null, null);
    }

    /** Samples around {@code milliseconds}, spread by about 1%. */
    public static long[] samples(double milliseconds, int count, long seed) {
        Random random = new Random(seed);
        long[] samples = new long[count];
        for (int i = 0; i < count; i++) {
            samples[i] = Math.round(milliseconds * 1e6 * (1 + 0.01 * random.nextGaussian()));
        }
        return samples;
    }

    public static Measurement measurement(String device, Workload workload, long[] wallNs) {
        double pairIterations = 6.0 * workload.shape().pairs(true);
        Measurement.Times times = Measurement.Times.of(1_000_000L, 2 * wallNs[0], 0L, 4, true, wallNs, null, null, null);
        return new Measurement(device, workload, method(), Status.OK, null, times,
                Measurement.Rates.of(LlaWork.forwardFlops(workload.shape(), true, pairIterations), 8e6,
                        times.computeNs(), method(), ceilings()),
                new Measurement.AccuracyCheck(4e-4, 3e-3, 48),
                new Measurement.Solve(0, 6, 11, 9e-4, 0, 0L, 0L, 2e-6, pairIterations), null, new Measurement.Memory(8_000_000, 4_000_000L,
                        4_100_000L, 500_000_000L));
    }

    static DeviceFacts.Ceilings ceilings() {
        return new DeviceFacts.Ceilings(0.2, 40.0);
    }

    public static BenchmarkRecord record(String name, List<Measurement> measurements) {
        List<DeviceFacts> devices = measurements.stream().map(Measurement::device).distinct()
                .map(device -> new DeviceFacts(device, device, "cpu", "a processor", "a vendor", "a driver", null, 2,
                        ceilings())).toList();
        return new BenchmarkRecord(1, name, "2026-01-02T03:04:05Z", true, new Environment("Linux", "a processor", 2,
                null, "Java 25", null, "0.1.0", "abcdef"), devices, measurements);
    }

    /** One device, two lengths, samples from one distribution times {@code factor}. */
    public static BenchmarkRecord jvm(String name, double factor, long seed) {
        List<Measurement> measurements = new ArrayList<>();
        for (int length : new int[] {1024, 4096}) {
            measurements.add(measurement("jvm", workload(length),
                    samples(factor * length * length / 1e4, 5, seed + length)));
        }
        return record(name, measurements);
    }
}
