package io.github.flashlla.report.compare;

import io.github.flashlla.text.Numbers;
import java.util.Arrays;
import java.util.Locale;
import org.apache.commons.statistics.descriptive.Median;
import org.apache.commons.statistics.descriptive.Quantile;
import org.apache.commons.statistics.distribution.TDistribution;
import org.apache.commons.statistics.inference.MannWhitneyUTest;
import org.apache.commons.statistics.ranking.NaturalRanking;
import org.apache.commons.statistics.ranking.TiesStrategy;

/**
 * How many times as long one set of samples took as another, and whether that is more than chance.
 *
 * <p>The estimate is Hodges and Lehmann's on the logarithms: the median of all pairwise ratios. Its interval holds the
 * ratios that the Mann-Whitney test does not reject at 5%; it assumes no distribution, and one slow outlier cannot move
 * it far. The test takes samples for independent; where neighbouring runs resemble each other, as they do when other work
 * comes and goes, the interval is widened by the usual sqrt((1 + r) / (1 - r)) with r their correlation.
 *
 * <p>A difference is called one if three things hold: the interval leaves out 1, the estimate is beyond what two processes
 * differ by though nothing changed, and the fast runs differ as well: other work slows some runs down, but the fastest fifth
 * of a record is close to what the machine does undisturbed, and half of the difference at least must be seen there.
 *
 * @param estimate above 1 is slower than the baseline
 * @param low lower end of the 95% interval; 0 where the samples are too few for one
 * @param high upper end; infinite where the samples are too few
 * @param verdict what may be said
 */
public record TimeRatio(double estimate, double low, double high, Verdict verdict) {
    /** Two processes on the same accelerator may differ by this much though nothing changed. */
    public static final double DEFAULT_NOISE = 0.02;

    /** Two processes on the same CPU: the JIT compiles each a little differently; up to 8% was seen between idle runs. */
    public static final double CPU_NOISE = 0.09;

    private static final double SIGNIFICANCE = 0.05;

    /** The share of runs that are fast. */
    private static final double FAST = 0.2;

    /** Fewer samples say nothing about their correlation. */
    private static final int CORRELATED_SAMPLES = 10;

    /** No more than a factor of 4.4 on the interval. */
    private static final double MAX_CORRELATION = 0.9;

    /** The exact test is used up to here: beyond, only every nth sorted sample would matter anyway. */
    private static final int MAX_SAMPLES = 400;

    public enum Verdict {
        FASTER, SLOWER, SAME, TOO_FEW_SAMPLES
    }

    /**
     * Compares two sets of positive times.
     *
     * @param noise smallest difference to report, as a share. Half the samples' own spread, up to {@link #CPU_NOISE}, also
     * counts as noise; a larger difference must only be significant
     */
    public static TimeRatio of(long[] baseline, long[] candidate, double noise) {
        double[] base = logs(baseline);
        double[] cand = logs(candidate);
        double[] differences = new double[base.length * cand.length];
        for (int i = 0; i < differences.length; i++) {
            differences[i] = cand[i / base.length] - base[i % base.length];
        }
        Arrays.sort(differences);
        double estimate = Math.exp(Median.withDefaults().evaluate(differences));
        int cut = rejected(cand.length, base.length);
        if (cut < 0) {
            return new TimeRatio(estimate, 0, Double.POSITIVE_INFINITY, Verdict.TOO_FEW_SAMPLES);
        }
        double widening = Math.max(widening(baseline), widening(candidate));
        double low = estimate * Math.exp(widening * (differences[cut] - Math.log(estimate)));
        double high = estimate * Math.exp(widening * (differences[differences.length - 1 - cut] - Math.log(estimate)));
        double fast = quantile(cand, FAST) - quantile(base, FAST);
        double margin = Math.log1p(Math.max(noise, Math.min(CPU_NOISE, (spread(base) + spread(cand)) / 4)));
        double difference = Math.log(estimate);
        Verdict verdict = difference > margin && low > 1 && fast > difference / 2 ? Verdict.SLOWER
                : difference < -margin && high < 1 && fast < difference / 2 ? Verdict.FASTER : Verdict.SAME;
        return new TimeRatio(estimate, low, high, verdict);
    }

    /**
     * Compares processes, each by its median: what differs from process to process is then in the interval, which is Welch's of the logarithms'
     * means.
     *
     * @param noise smallest difference to report, as a share; 0 for every one that is significant
     */
    static TimeRatio ofProcesses(double[] baseline, double[] candidate, double noise) {
        double[] base = Arrays.stream(baseline).map(Math::log).toArray();
        double[] cand = Arrays.stream(candidate).map(Math::log).toArray();
        double baseError = variance(base) / base.length;
        double candError = variance(cand) / cand.length;
        double difference = mean(cand) - mean(base);
        double error = baseError + candError;
        double freedom = error == 0 ? base.length + cand.length - 2
                : error * error / (baseError * baseError / (base.length - 1) + candError * candError / (cand.length - 1));
        double half = Math.sqrt(error) * TDistribution.of(freedom).inverseCumulativeProbability(1 - SIGNIFICANCE / 2);
        double low = Math.exp(difference - half);
        double high = Math.exp(difference + half);
        double margin = Math.log1p(noise);
        Verdict verdict = difference > margin && low > 1 ? Verdict.SLOWER : difference < -margin && high < 1 ? Verdict.FASTER : Verdict.SAME;
        return new TimeRatio(Math.exp(difference), low, high, verdict);
    }

    private static double mean(double[] values) {
        return Arrays.stream(values).average().orElseThrow();
    }

    private static double variance(double[] values) {
        double mean = mean(values);
        return Arrays.stream(values).map(value -> (value - mean) * (value - mean)).sum() / (values.length - 1);
    }

    /** In words: {@code 1.10x slower}, {@code no difference}. */
    public String words() {
        return switch (verdict) {
            case SLOWER -> Numbers.digits(estimate) + "x slower";
            case FASTER -> Numbers.digits(1 / estimate) + "x faster";
            case SAME -> "no difference";
            case TOO_FEW_SAMPLES -> "too few samples to tell";
        };
    }

    /** Estimate and interval: {@code 1.10 [1.08, 1.12]}. */
    public String numbers() {
        return ratio(estimate) + (verdict == Verdict.TOO_FEW_SAMPLES ? "" : " [" + ratio(low) + ", " + ratio(high) + "]");
    }

    private static String ratio(double value) {
        return value >= 100 || value < 0.5 ? Numbers.digits(value) : String.format(Locale.ROOT, "%.2f", value);
    }

    /** Largest U statistic that the two-sided test rejects at these sample sizes; -1 if it rejects none. */
    private static int rejected(int candidates, int baselines) {
        int below = -1; // the p-value grows with U up to its middle
        int above = candidates * baselines / 2;
        while (above - below > 1) {
            int middle = (below + above) / 2;
            if (pValue(middle, candidates, baselines) <= SIGNIFICANCE) {
                below = middle;
            } else {
                above = middle;
            }
        }
        return below;
    }

    /** The test's p-value at a U statistic, by way of samples that have it. */
    private static double pValue(int u, int candidates, int baselines) {
        double[] y = new double[baselines];
        Arrays.setAll(y, j -> j + 1);
        double[] x = new double[candidates];
        int full = u / baselines; // this many lie above every y
        Arrays.setAll(x, i -> i < full ? baselines + 1 + i : i == full ? u % baselines + 0.5 : -i);
        return MannWhitneyUTest.withDefaults().test(x, y).getPValue();
    }

    private static double[] logs(long[] samples) {
        int step = (samples.length + MAX_SAMPLES - 1) / MAX_SAMPLES;
        long[] sorted = samples.clone();
        Arrays.sort(sorted);
        double[] logs = new double[(sorted.length + step - 1) / step];
        Arrays.setAll(logs, i -> Math.log(Math.max(1, sorted[i * step])));
        return logs;
    }

    /** How much wider an interval is than that of independent samples. */
    private static double widening(long[] samples) {
        if (samples.length < CORRELATED_SAMPLES) {
            return 1;
        }
        double[] ranks = new NaturalRanking(TiesStrategy.AVERAGE).apply(Arrays.stream(samples).asDoubleStream().toArray());
        double mean = (samples.length + 1) / 2.0;
        double together = 0;
        double each = 0;
        for (int i = 0; i < ranks.length; i++) {
            each += (ranks[i] - mean) * (ranks[i] - mean);
            together += i == 0 ? 0 : (ranks[i] - mean) * (ranks[i - 1] - mean);
        }
        double correlation = each == 0 ? 0 : Math.clamp(together / each, 0, MAX_CORRELATION);
        return Math.sqrt((1 + correlation) / (1 - correlation));
    }

    private static double quantile(double[] values, double p) {
        return Quantile.withDefaults().evaluate(values, p);
    }

    /** Half the distance from the 20th to the 80th percentile of logarithms: a share. */
    private static double spread(double[] logs) {
        return (quantile(logs, 0.8) - quantile(logs, 0.2)) / 2;
    }
}
