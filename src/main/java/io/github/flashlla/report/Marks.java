package io.github.flashlla.report;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** Small pictures inside the page's tables, in the colours of the text around them. */
final class Marks {
    private static final double WIDTH = 120;
    private static final double MARGIN = 4;
    /** A strip shows this much to both sides of the median at least, so that quiet samples look quiet. */
    private static final double LEAST_SPAN = 0.1;

    private Marks() {}

    /** A dot for every sample on a scale of ratios to their median, with a stroke at the median. */
    static String strip(long[] samples) {
        long[] sorted = samples.clone();
        Arrays.sort(sorted);
        double median = sorted[sorted.length / 2];
        double span = Math.max(LEAST_SPAN, Math.max(Math.log(sorted[sorted.length - 1] / median), Math.log(median / sorted[0])));
        StringBuilder svg = new StringBuilder("<svg class=\"strip\" viewBox=\"0 0 120 10\" aria-hidden=\"true\"><path class=\"one\" d=\"M60 0V10\"/>");
        for (long sample : samples) {
            svg.append(String.format(Locale.ROOT, "<circle cx=\"%.1f\" cy=\"5\" r=\"2\"/>",
                    WIDTH / 2 + (WIDTH / 2 - MARGIN) * Math.log(sample / median) / span));
        }
        return svg.append("</svg>").toString();
    }

    /** A bar of parts one after the other, as shares of the longest bar. */
    static String bar(List<Double> parts, double longest) {
        StringBuilder svg = new StringBuilder("<svg class=\"bar\" viewBox=\"0 0 300 14\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
        double x = 0;
        for (int n = 0; n < parts.size(); n++) {
            double width = 300 * Math.max(0, parts.get(n)) / longest;
            svg.append(String.format(Locale.ROOT, "<rect class=\"p%d\" x=\"%.2f\" width=\"%.2f\" y=\"0\" height=\"14\"/>", n, x, width));
            x += width;
        }
        return svg.append("</svg>").toString();
    }
}
