package io.github.flashlla.report.compare;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.record.Records;
import io.github.flashlla.report.compare.TimeRatio.Verdict;
import java.util.Arrays;
import java.util.Random;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class TimeRatioTest {
    @Test
    void sameDistributionIsNoDifference() {
        int wrong = 0;
        for (int seed = 0; seed < 200; seed++) {
            TimeRatio ratio = TimeRatio.of(Records.samples(100, 5, seed), Records.samples(100, 5, 1000 + seed),
                    TimeRatio.DEFAULT_NOISE);
            wrong += ratio.verdict() == Verdict.SAME ? 0 : 1;
        }
        assertTrue(wrong <= 4, wrong + " of 200 comparisons of nothing found a difference");
    }

    @Test
    void intervalHoldsTheTruthAsOftenAsItSays() {
        int missed = 0;
        for (int seed = 0; seed < 400; seed++) {
            TimeRatio ratio = TimeRatio.of(Records.samples(100, 8, seed), Records.samples(103, 8, 1000 + seed), 0);
            missed += ratio.low() <= 1.03 && 1.03 <= ratio.high() ? 0 : 1;
        }
        assertTrue(missed <= 36, "a 95% interval missed " + missed + " of 400 times"); // 20 expected, sd 4.4
        assertTrue(missed >= 4, "an interval that misses only " + missed + " of 400 times is wider than it says");
    }

    /** Processes that differ by 5% each, though nothing changed: their runs alone would find a difference, their medians rarely do. */
    @Test
    void intervalOverProcessesHoldsWhatDiffersBetweenThem() {
        Random random = new Random(7);
        int missed = 0;
        int found = 0;
        for (int trial = 0; trial < 400; trial++) {
            double[] base = random.doubles(4).map(x -> 100 * Math.exp(0.05 * random.nextGaussian())).toArray();
            double[] same = random.doubles(4).map(x -> 100 * Math.exp(0.05 * random.nextGaussian())).toArray();
            TimeRatio ratio = TimeRatio.ofProcesses(base, same, 0);
            missed += ratio.low() <= 1 && 1 <= ratio.high() ? 0 : 1;
            found += TimeRatio.ofProcesses(base, Arrays.stream(same).map(t -> 1.4 * t).toArray(), 0).verdict() == Verdict.SLOWER ? 1 : 0;
        }
        assertTrue(missed >= 4 && missed <= 36, "a 95% interval missed " + missed + " of 400 times");
        assertTrue(found > 390, "40% more found " + found + " of 400 times");
    }

    @Test
    void tenPercentIsFound() {
        for (int seed = 0; seed < 100; seed++) {
            long[] base = Records.samples(100, 5, seed);
            long[] slower = LongStream.of(base).map(t -> t * 11 / 10).toArray();
            TimeRatio ratio = TimeRatio.of(base, slower, TimeRatio.DEFAULT_NOISE);
            assertEquals(Verdict.SLOWER, ratio.verdict());
            assertEquals(1.1, ratio.estimate(), 1e-6);
            assertTrue(ratio.low() > 1 && ratio.high() < 1.2, ratio.toString());
            assertEquals(Verdict.FASTER, TimeRatio.of(slower, base, TimeRatio.DEFAULT_NOISE).verdict());
        }
    }

    @Test
    void tenPercentIsFoundInSamplesThatScatter() {
        Random random = new Random(3);
        long[] base = LongStream.generate(() -> (long) (1e6 * Math.exp(0.4 * random.nextGaussian()))).limit(400).toArray();
        long[] slower = LongStream.of(base).map(t -> t * 11 / 10).toArray();
        assertEquals(Verdict.SLOWER, TimeRatio.of(base, slower, TimeRatio.CPU_NOISE).verdict());
        assertEquals(Verdict.SAME, TimeRatio.of(base, base, TimeRatio.CPU_NOISE).verdict());
    }

    @Test
    void exactIntervalForFiveAgainstFive() {
        // the two-sided 5% critical value of U at n = m = 5 is 2: the interval runs from the 3rd smallest pairwise
        // ratio to the 3rd largest
        long[] base = {1000, 1100, 1210, 1331, 1464};
        long[] same = {2000, 2300, 2600, 2900, 3200};
        double[] ratios = Arrays.stream(same).boxed().flatMapToDouble(c -> Arrays.stream(base)
                .mapToDouble(b -> (double) c / b)).sorted().toArray();
        TimeRatio ratio = TimeRatio.of(base, same, 0);
        assertEquals(ratios[2], ratio.low(), 1e-12);
        assertEquals(ratios[22], ratio.high(), 1e-12);
        assertEquals(ratios[12], ratio.estimate(), 1e-12);
    }

    @Test
    void oneOutlierDoesNotMakeADifference() {
        long[] base = Records.samples(100, 9, 1);
        long[] other = Records.samples(100, 9, 2);
        other[4] *= 50;
        assertEquals(Verdict.SAME, TimeRatio.of(base, other, TimeRatio.DEFAULT_NOISE).verdict());
    }

    /** The fastest runs tell what the machine does when it is left alone. */
    @Test
    void otherWorkDuringMostRunsIsNoDifference() {
        long[] base = Records.samples(100, 20, 1);
        long[] disturbed = Records.samples(100, 20, 2);
        for (int i = 6; i < 20; i++) {
            disturbed[i] = disturbed[i] * 3 / 2;
        }
        TimeRatio ratio = TimeRatio.of(base, disturbed, TimeRatio.CPU_NOISE);
        assertTrue(ratio.estimate() > 1.3, ratio.toString());
        assertEquals(Verdict.SAME, ratio.verdict());
        assertEquals(Verdict.SAME, TimeRatio.of(disturbed, base, TimeRatio.CPU_NOISE).verdict());
    }

    /** Runs that resemble their neighbours count for less than as many independent ones. */
    @Test
    void intervalOfCorrelatedRunsIsWider() {
        long[] base = Records.samples(100, 40, 1);
        long[] other = Records.samples(100, 40, 2);
        TimeRatio independent = TimeRatio.of(base, other, 0);
        Arrays.sort(other);
        TimeRatio drifting = TimeRatio.of(base, other, 0);
        assertEquals(independent.estimate(), drifting.estimate());
        assertTrue(Math.log(drifting.high() / drifting.low()) > 2 * Math.log(independent.high() / independent.low()));
    }

    @Test
    void differenceBelowTheNoiseIsNone() {
        long[] base = LongStream.range(0, 30).map(i -> 1_000_000 + i).toArray();
        long[] other = LongStream.range(0, 30).map(i -> 1_010_000 + i).toArray();
        assertEquals(Verdict.SAME, TimeRatio.of(base, other, 0.02).verdict());
        assertEquals(Verdict.SLOWER, TimeRatio.of(base, other, 0.001).verdict());
    }

    @Test
    void threeSamplesTellNothing() {
        TimeRatio ratio = TimeRatio.of(new long[] {1, 2, 3}, new long[] {10, 20, 30}, 0.02);
        assertEquals(Verdict.TOO_FEW_SAMPLES, ratio.verdict());
        assertEquals("too few samples to tell", ratio.words());
    }

    @Test
    void identicalSamplesAndManySamples() {
        long[] constant = new long[10_000];
        Arrays.fill(constant, 5_000);
        TimeRatio ratio = TimeRatio.of(constant, constant, 0.02);
        assertEquals(1, ratio.estimate());
        assertEquals(Verdict.SAME, ratio.verdict());
    }
}
