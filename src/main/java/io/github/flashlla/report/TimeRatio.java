package io.github.flashlla.report;

import java.util.Arrays;
import java.util.Locale;
import org.apache.commons.statistics.descriptive.Median;
import org.apache.commons.statistics.descriptive.Quantile;
import org.apache.commons.statistics.inference.MannWhitneyUTest;

/**
 * How many times as long one set of samples took as another, and whether that is more than chance.
 *
 * <p>The estimate is Hodges and Lehmann's on the logarithms: the median of all pairwise ratios. Its interval holds the
 * ratios that the Mann-Whitney test does not reject at 5%; it assumes no distribution, and one slow outlier cannot move
 * it far.
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

    /** The exact test is used up to here: beyond, only every nth sorted sample would matter anyway. */
    private static final int MAX_SAMPLES = 400;

    public enum Verdict {
        FASTER, SLOWER, SAME, TOO_FEW_SAMPLES
    }

    /**
     * Compares two sets of positive times.
     *
     * @param noise differences below this share are not called one; nor are those within half the
     *     samples' own spread, of which no more than {@link #CPU_NOISE} counts: beyond it only chance excuses
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
        double low = Math.exp(differences[cut]);
        double high = Math.exp(differences[differences.length - 1 - cut]);
        double margin = Math.log1p(Math.max(noise, Math.min(CPU_NOISE, (spread(base) + spread(cand)) / 4)));
        boolean large = Math.abs(Math.log(estimate)) > margin;
        Verdict verdict = large && low > 1 ? Verdict.SLOWER : large && high < 1 ? Verdict.FASTER : Verdict.SAME;
        return new TimeRatio(estimate, low, high, verdict);
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
        return value >= 100 ? Numbers.digits(value) : String.format(Locale.ROOT, value < 0.1 ? "%.3f" : "%.2f", value);
    }

    /** Largest U statistic that the two-sided test still rejects at these sample sizes; -1 where it rejects none. */
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

    /** Half the distance from the 20th to the 80th percentile of logarithms: a share. */
    private static double spread(double[] logs) {
        Quantile quantile = Quantile.withDefaults();
        return (quantile.evaluate(logs, 0.8) - quantile.evaluate(logs, 0.2)) / 2;
    }
}
