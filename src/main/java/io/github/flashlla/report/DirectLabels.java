package io.github.flashlla.report;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.geom.Line2D;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.knowm.xchart.internal.chartpart.Annotation;

/** Names beside the points that they belong to, moved apart where they would overlap. */
final class DirectLabels extends Annotation {
    private static final int FONT = 13;
    private static final double ROW = 15;
    private static final double GAP = 9;
    /** A name this far from its point is tied to it by a line. */
    private static final double FAR = 5;

    /** A name, and where on the axes its point lies. */
    record Label(double x, double y, String text, Color color) {}

    private final List<Label> labels;

    DirectLabels(List<Label> labels) {
        super(false);
        this.labels = labels;
    }

    @Override
    public void paint(Graphics2D g) {
        List<Label> sorted = labels.stream().sorted(Comparator.comparingDouble((Label label) -> label.y).reversed()).toList();
        double low = Math.min(getYAxisScreenValueForMax(), getYAxisScreenValueForMin());
        List<Double> tops = new ArrayList<>();
        for (Label label : sorted) {
            low = Math.max(low, getYAxisScreenValue(label.y));
            tops.add(low);
            low += ROW;
        }
        double bottom = Math.max(getYAxisScreenValueForMax(), getYAxisScreenValueForMin());
        for (int n = sorted.size() - 1; n >= 0; n--) { // pushed up again where they ran out of the plot
            bottom = Math.min(bottom, tops.get(n));
            tops.set(n, bottom);
            bottom -= ROW;
        }
        g.setFont(ChartFont.ofSize(FONT));
        g.setStroke(new BasicStroke(0.7f));
        for (int n = 0; n < sorted.size(); n++) {
            Label label = sorted.get(n);
            double x = getXAxisScreenValue(label.x) + GAP;
            double y = getYAxisScreenValue(label.y);
            g.setColor(label.color);
            if (Math.abs(tops.get(n) - y) > FAR) {
                g.draw(new Line2D.Double(x - GAP / 2, y, x - 1, tops.get(n)));
            }
            g.drawString(label.text, (float) x, (float) (tops.get(n) + FONT / 3.0));
        }
    }
}
