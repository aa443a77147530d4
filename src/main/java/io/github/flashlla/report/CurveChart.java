package io.github.flashlla.report;

import java.awt.BasicStroke;
import java.awt.Color;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries.XYSeriesRenderStyle;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** A chart of lines with bands, in the style of the comparison's charts, as an SVG file of its own. */
public final class CurveChart {
    private static final int WIDTH = 640;
    private static final int HEIGHT = 380;
    private static final int LEGEND_ROW = 22;
    private static final int BAND_OPACITY = 45;
    /** Lines with more points than this are drawn without markers. */
    private static final int FEW = 24;

    private CurveChart() {}

    /**
     * One line.
     *
     * @param low lower edge of the band
     * @param high upper edge of the band
     */
    public record Line(String name, double[] x, double[] y, double[] low, double[] high) {}

    public static String svg(String xTitle, String yTitle, boolean logX, boolean logY, List<Line> lines) {
        ChartFont.prepare();
        XYChart chart = new XYChartBuilder().width(WIDTH).height(HEIGHT + lines.size() * LEGEND_ROW).xAxisTitle(xTitle).yAxisTitle(yTitle).build();
        List<Double> xs = new ArrayList<>();
        List<Double> ys = new ArrayList<>();
        for (int n = 0; n < lines.size(); n++) {
            Line line = lines.get(n);
            Color color = ChartStyle.series(n);
            if (!Arrays.equals(line.low(), line.high())) {
                XYSeries band = chart.addSeries(line.name() + " band", there(line.x(), line.x()), there(line.low(), line.high()));
                band.setXYSeriesRenderStyle(XYSeriesRenderStyle.PolygonArea);
                band.setMarker(SeriesMarkers.NONE);
                band.setLineColor(new Color(0, 0, 0, 0));
                band.setFillColor(new Color(color.getRed(), color.getGreen(), color.getBlue(), BAND_OPACITY));
                band.setShowInLegend(false);
            }
            XYSeries series = chart.addSeries(line.name(), line.x(), line.y());
            series.setLineColor(color).setLineStyle(new BasicStroke(2));
            series.setMarkerColor(color);
            if (line.x().length > FEW) {
                series.setMarker(SeriesMarkers.NONE);
            }
            Arrays.stream(line.x()).forEach(xs::add);
            Arrays.stream(line.low()).forEach(ys::add);
            Arrays.stream(line.high()).forEach(ys::add);
        }
        if (logX) {
            ChartStyle.logarithmic(chart, true, xs);
        }
        if (logY) {
            ChartStyle.logarithmic(chart, false, ys);
        }
        return ChartStyle.standalone(ChartStyle.svg(chart));
    }

    /** Along the first, and back along the second. */
    private static double[] there(double[] first, double[] second) {
        double[] both = Arrays.copyOf(first, first.length * 2);
        for (int i = 0; i < second.length; i++) {
            both[first.length + i] = second[second.length - 1 - i];
        }
        return both;
    }
}
