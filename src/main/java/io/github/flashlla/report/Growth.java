package io.github.flashlla.report;

import java.util.Locale;
import java.util.SortedMap;

/**
 * How a time grows with the length: the exponent p of t = c S^p, by least squares of logarithms.
 *
 * @param exponent p
 * @param error half of its 95% interval, by the residuals; NaN for two points, which leave none
 */
record Growth(double exponent, double error) {
    /** Student's t at 97.5% for 1 to 8 degrees of freedom; 2 beyond. */
    private static final double[] STUDENT = {12.7, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31};

    /**
     * Fits points.
     *
     * @param points time by binary logarithm of the length, two or more
     */
    static Growth of(SortedMap<Double, Double> points) {
        int n = points.size();
        double meanX = points.keySet().stream().mapToDouble(x -> x).average().orElseThrow();
        double meanY = points.values().stream().mapToDouble(y -> log2(y)).average().orElseThrow();
        double xx = 0;
        double xy = 0;
        for (var point : points.entrySet()) {
            xx += (point.getKey() - meanX) * (point.getKey() - meanX);
            xy += (point.getKey() - meanX) * (log2(point.getValue()) - meanY);
        }
        double slope = xy / xx;
        double left = 0;
        for (var point : points.entrySet()) {
            double residual = log2(point.getValue()) - meanY - slope * (point.getKey() - meanX);
            left += residual * residual;
        }
        int freedom = n - 2;
        return new Growth(slope, freedom == 0 ? Double.NaN : Math.sqrt(left / freedom / xx) * (freedom <= STUDENT.length ? STUDENT[freedom - 1] : 2));
    }

    /** {@code S^1.87 ± 0.05}. */
    String words() {
        return String.format(Locale.ROOT, "S^%.2f", exponent) + (Double.isNaN(error) ? "" : String.format(Locale.ROOT, " \u00b1 %.2f", error));
    }

    private static double log2(double value) {
        return Math.log(value) / Math.log(2);
    }
}
