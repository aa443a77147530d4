package io.github.flashlla.report;

import io.github.flashlla.report.compare.Comparison.Line;
import io.github.flashlla.report.compare.TimeRatio;
import java.util.Arrays;
import java.util.Collection;
import java.util.Locale;
import java.util.Objects;
import java.util.stream.DoubleStream;

/** A ratio and its interval as a mark on a logarithmic scale that all lines of a page share, with a stroke at 1. */
final class RatioBar {
    private static final double WIDTH = 120;
    private static final double MARGIN = 4;

    private final double low;
    private final double high;

    /** A scale that holds every ratio of the lines, and a tenth to both sides of 1 at least. */
    RatioBar(Collection<Line> lines) {
        double[] ends = lines.stream().map(Line::ratio).filter(Objects::nonNull)
                .flatMapToDouble(ratio -> DoubleStream.of(ends(ratio))).toArray();
        low = Math.log(Math.min(0.9, Arrays.stream(ends).min().orElse(1)));
        high = Math.log(Math.max(1.1, Arrays.stream(ends).max().orElse(1)));
    }

    /** An svg element; the colour is that of the text around it. */
    String svg(TimeRatio ratio) {
        double[] ends = ends(ratio);
        return String.format(Locale.ROOT, "<svg class=\"ci\" viewBox=\"0 0 %.0f 10\" aria-hidden=\"true\">"
                + "<path class=\"one\" d=\"M%.1f 0V10\"/><path d=\"M%.1f 5H%.1f\"/><circle cx=\"%.1f\" cy=\"5\" r=\"3\"/></svg>",
                WIDTH, x(1), x(ends[0]), x(ends[1]), x(ratio.estimate()));
    }

    /** Without an interval, the estimate alone. */
    private static double[] ends(TimeRatio ratio) {
        return ratio.verdict() == TimeRatio.Verdict.TOO_FEW_SAMPLES ? new double[] {ratio.estimate(), ratio.estimate()}
                : new double[] {ratio.low(), ratio.high()};
    }

    private double x(double ratio) {
        return MARGIN + (WIDTH - 2 * MARGIN) * (Math.log(ratio) - low) / (high - low);
    }
}
