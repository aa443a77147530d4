package io.github.flashlla.text;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.Locale;

/** Numbers for people: three significant digits, units that fit, the same in every locale. */
public final class Numbers {
    private static final String[] BYTE_UNITS = {"B", "KiB", "MiB", "GiB", "TiB"};

    private Numbers() {}

    /** A number as a person would type it: {@code 1}, {@code 0.1}, {@code 1e-3}. */
    public static String plain(double value) {
        if (value == 0 || !Double.isFinite(value)) {
            return value == 0 ? "0" : Double.toString(value);
        }
        BigDecimal decimal = BigDecimal.valueOf(value).stripTrailingZeros();
        double size = Math.abs(value);
        if (size >= 0.01 && size < 1e6) {
            return decimal.toPlainString();
        }
        int exponent = decimal.precision() - decimal.scale() - 1;
        return decimal.movePointLeft(exponent).stripTrailingZeros().toPlainString() + "e" + exponent;
    }

    /** A duration: {@code 1.23 ms}. */
    public static String time(double nanos) {
        if (nanos < 0) {
            return "-" + time(-nanos);
        }
        if (nanos >= 120e9) {
            return digits(nanos / 60e9) + " min";
        }
        if (nanos >= 1e9) {
            return digits(nanos / 1e9) + " s";
        }
        return nanos >= 1e6 ? digits(nanos / 1e6) + " ms" : digits(nanos / 1e3) + " us";
    }

    /** A work rate from 10^12 flops per second: {@code 143 GFLOP/s} or {@code 12.3 TFLOP/s}. */
    public static String rate(double tflops) {
        return tflops >= 1 ? digits(tflops) + " TFLOP/s" : digits(tflops * 1e3) + " GFLOP/s";
    }

    public static String bytes(double bytes) {
        double value = bytes;
        int unit = 0;
        while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
            value /= 1024;
            unit++;
        }
        return digits(value) + " " + BYTE_UNITS[unit];
    }

    /** So many of them: {@code 1 query}, {@code 2 queries}. */
    public static String count(long number, String one) {
        return number + " " + (number == 1 ? one : one.matches(".*[^aeiou]y") ? one.replaceFirst("y$", "ies") : one + "s");
    }

    public static String percent(double share) {
        return digits(share * 100) + "%";
    }

    /** A share that is itself an estimate: {@code 0.8%}, {@code 12%}. */
    public static String roughPercent(double share) {
        return String.format(Locale.ROOT, Math.abs(share) < 0.0995 ? "%.1f%%" : "%.0f%%", share * 100);
    }

    /** An error or residual: {@code 3.1e-6}. */
    public static String error(Double value) {
        return value == null ? "not finite" : value == 0 ? "0"
                : String.format(Locale.ROOT, "%.1e", value).replaceFirst("e([-+])0", "e$1").replace("e+", "e");
    }

    /** Three significant digits without an exponent. */
    public static String digits(double value) {
        if (!Double.isFinite(value)) {
            return Double.toString(value);
        }
        BigDecimal rounded = new BigDecimal(value).round(new MathContext(3, RoundingMode.HALF_EVEN));
        return (rounded.scale() < 0 ? rounded.setScale(0) : rounded).toPlainString();
    }
}
