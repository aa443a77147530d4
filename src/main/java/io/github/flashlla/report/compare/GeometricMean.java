package io.github.flashlla.report.compare;

import io.github.flashlla.text.Numbers;
import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * Several workloads' ratios as one: their geometric mean. Its interval takes the ratios' errors for independent, so that their logarithms'
 * half-widths add as squares; what all processes of a device share is not in it.
 *
 * @param estimate above 1 is slower than the baseline
 * @param low lower end of the 95% interval; 0 where one of the ratios has none
 * @param high upper end; infinite where one of the ratios has none
 * @param count how many ratios
 */
public record GeometricMean(double estimate, double low, double high, int count) {

    /** @param ratios one or more */
    public static GeometricMean of(List<TimeRatio> ratios) {
        double mean = ratios.stream().mapToDouble(ratio -> Math.log(ratio.estimate())).average().orElseThrow();
        double below = half(ratios, ratio -> Math.log(ratio.estimate()) - Math.log(ratio.low()));
        double above = half(ratios, ratio -> Math.log(ratio.high()) - Math.log(ratio.estimate()));
        return new GeometricMean(Math.exp(mean), Math.exp(mean - below), Math.exp(mean + above), ratios.size());
    }

    private static double half(List<TimeRatio> ratios, ToDoubleFunction<TimeRatio> width) {
        return Math.sqrt(ratios.stream().mapToDouble(width).map(half -> half * half).sum()) / ratios.size();
    }

    /** {@code 1.80 times as slow as jvm [1.5, 2.1]}, or as fast, whichever is above 1. */
    public String words(String baseline) {
        return factor() + " as " + baseline + (interval().isEmpty() ? "" : " " + interval());
    }

    /** {@code 1.80 times as slow}. */
    public String factor() {
        return Numbers.digits(isSlower() ? estimate : 1 / estimate) + " times as " + (isSlower() ? "slow" : "fast");
    }

    /** {@code [1.5, 2.1]}, of the same factor; empty where there is none. */
    public String interval() {
        return high == Double.POSITIVE_INFINITY ? "" : "[" + Numbers.digits(isSlower() ? low : 1 / high) + ", " + Numbers.digits(isSlower() ? high : 1 / low) + "]";
    }

    /** Whether its interval leaves out 1, or there is none. */
    boolean isCertain() {
        return interval().isEmpty() || low > 1 || high < 1;
    }

    private boolean isSlower() {
        return estimate >= 1;
    }
}
