package io.github.flashlla.experiment;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.Arrays;

/**
 * One method's line in one figure, of one seed.
 *
 * @param panel the figure's id
 * @param method as the legend names it
 */
public record Curve(String panel, String method, double[] x, double[] y) {
    private static final MathContext DIGITS = new MathContext(6); // of what is recorded: far below what seeds differ by

    public Curve {
        if (x.length != y.length) {
            throw new IllegalArgumentException(x.length + " positions for " + y.length + " values of " + method);
        }
        y = Arrays.stream(y).map(value -> Double.isFinite(value) ? new BigDecimal(value).round(DIGITS).doubleValue() : value).toArray();
    }

    /** Mean of y over first &lt;= x &lt;= last. */
    public double mean(double first, double last) {
        double sum = 0;
        int count = 0;
        for (int i = 0; i < x.length; i++) {
            if (x[i] >= first && x[i] <= last) {
                sum += y[i];
                count++;
            }
        }
        return sum / count;
    }

    public double last() {
        return y[y.length - 1];
    }
}
