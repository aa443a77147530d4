package io.github.flashlla.report;

import io.github.flashlla.text.Numbers;
import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Dimension;
import java.awt.Font;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import java.util.stream.IntStream;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import org.apache.batik.svggen.SVGGeneratorContext;
import org.apache.batik.svggen.SVGGraphics2D;
import org.apache.batik.svggen.SVGIDGenerator;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.internal.chartpart.Chart;
import org.knowm.xchart.style.AxesChartStyler;
import org.knowm.xchart.style.Styler.LegendLayout;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.markers.Marker;
import org.knowm.xchart.style.markers.SeriesMarkers;

/**
 * How charts look. They are drawn in marker colours, which the page's style sheet then gives their meaning, so that one
 * drawing serves light and dark.
 */
final class ChartStyle {
    /** Series colours of the page: {@code --s0} and so on. */
    static final int COLORS = 12;

    private static final Color INK = new Color(1, 2, 3);
    private static final Color GRID = new Color(2, 3, 4);
    private static final Color SOFT = new Color(2, 3, 5);
    private static final Color PAPER = new Color(3, 4, 5);
    private static final Color[] SERIES = IntStream.range(0, COLORS).mapToObj(i -> new Color(4, 5, 10 + i))
            .toArray(Color[]::new);
    private static final Marker[] MARKERS = {SeriesMarkers.CIRCLE, SeriesMarkers.SQUARE, SeriesMarkers.TRIANGLE_UP,
        SeriesMarkers.DIAMOND, SeriesMarkers.TRIANGLE_DOWN}; // five beside twelve colours: 60 series before two look the same
    private static final AtomicInteger DRAWN = new AtomicInteger();

    private ChartStyle() {}

    /** The marker colour of the n-th series, for what is to share it. */
    static Color series(int n) {
        return SERIES[n % COLORS];
    }

    /** Draws a series in the colour and with the marker of the n-th series of the page. */
    static void dress(XYSeries series, int n) {
        series.setMarker(MARKERS[n % MARKERS.length]);
        series.setLineColor(series(n));
        series.setMarkerColor(series(n));
    }

    /** A logarithmic axis x or y a little wider than its values, with as many labels as fit. */
    static void logarithmic(Chart<? extends AxesChartStyler, ?> chart, boolean x, List<Double> values) {
        double low = values.stream().mapToDouble(Double::doubleValue).min().orElse(1) / 1.6;
        double high = values.stream().mapToDouble(Double::doubleValue).max().orElse(1) * 1.6;
        boolean decadesOnly = high / low > (x ? 30 : 1000);
        Function<Double, String> label = value -> tick(value, decadesOnly);
        AxesChartStyler styler = chart.getStyler();
        if (x) {
            styler.setXAxisLogarithmic(true).setXAxisLogarithmicDecadeOnly(decadesOnly).setXAxisMin(low)
                    .setXAxisMax(high).setXAxisTickLabelsFormattingFunction(label);
        } else {
            styler.setYAxisLogarithmic(true).setYAxisLogarithmicDecadeOnly(decadesOnly).setYAxisMin(low)
                    .setYAxisMax(high).setYAxisTickLabelsFormattingFunction(label);
        }
    }

    /** An x axis whose values are binary logarithms of lengths, labelled by the lengths. */
    static void lengths(Chart<? extends AxesChartStyler, ?> chart, List<Double> values) {
        double low = Math.floor(values.stream().mapToDouble(Double::doubleValue).min().orElse(0) - 0.3);
        double high = Math.ceil(values.stream().mapToDouble(Double::doubleValue).max().orElse(1) + 0.3);
        chart.getStyler().setXAxisMin(low).setXAxisMax(high).setXAxisTickMarkSpacingHint(45)
                .setXAxisTickLabelsFormattingFunction(value -> value == Math.rint(value)
                        ? Numbers.plain(Math.scalb(1.0, value.intValue())) : "");
    }

    /** A line that is no measurement: dashed, without markers, not in the legend. */
    static void guide(XYSeries series) {
        series.setMarker(SeriesMarkers.NONE).setLineColor(SOFT).setLineStyle(new BasicStroke(1, BasicStroke.CAP_BUTT,
                BasicStroke.JOIN_ROUND, 1, new float[] {4, 4}, 0)).setShowInLegend(false);
    }

    /** A tick's number at 1, 2 and 5 of a decade, or at its start only: {@code 200}, {@code 0.5}, {@code 1e-4}. */
    private static String tick(double value, boolean decadesOnly) {
        double mantissa = value / Math.pow(10, Math.floor(Math.log10(value) + 1e-9));
        long digit = Math.round(mantissa);
        if (digit != 1 && (decadesOnly || digit != 2 && digit != 5)) {
            return "";
        }
        return value < 0.1 || value >= 1e6 ? Numbers.error(value).replace(".0e", "e")
                : new BigDecimal(Numbers.digits(value)).stripTrailingZeros().toPlainString();
    }

    /** The chart as an svg element that scales with its page. */
    static String svg(Chart<? extends AxesChartStyler, ?> chart) {
        dress(chart.getStyler());
        SVGGraphics2D graphics = graphics();
        graphics.setSVGCanvasSize(new Dimension(chart.getWidth(), chart.getHeight()));
        chart.paint(graphics, chart.getWidth(), chart.getHeight());
        StringWriter text = new StringWriter();
        try {
            graphics.stream(graphics.getRoot(), text, false, false);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return themed(text.toString(), chart.getWidth(), chart.getHeight());
    }

    /** A chart for a file of its own, which no page gives its colours. */
    static String standalone(String svg) {
        String colors = "<style>svg{--ink:#1b1f24;--grid:#d5d9df;--soft:#59636e;--s0:#1f6feb;--s1:#d1490c;--s2:#1a7f37;--s3:#8250df;"
                + "--s4:#b08800;--s5:#0a7d8c;--s6:#bf3989;--s7:#6e7781;--s8:#7a4a1d;--s9:#33458f;--s10:#5d7a00;--s11:#9c1c3f}@media "
                + "(prefers-color-scheme:dark){svg{--ink:#e4e8ed;"
                + "--grid:#39424d;--soft:#9aa5b1;--s0:#6cb0ff;--s1:#ff9d6b;--s2:#67d67d;--s3:#c0a1ff;--s4:#e3c04a;--s5:#5ad1df;--s6:#ff8fcb;"
                + "--s7:#aeb7c1;--s8:#d1a27a;--s9:#9fb0ff;--s10:#bcd95a;--s11:#ff8f9c}}</style>";
        return svg.replaceFirst(">", ">" + colors) + "\n";
    }

    private static void dress(AxesChartStyler styler) {
        Font font = ChartFont.ofSize(14);
        styler.setBaseFont(font).setChartBackgroundColor(PAPER).setChartFontColor(INK).setChartPadding(8)
                .setChartTitleVisible(false).setLegendBackgroundColor(PAPER).setLegendBorderColor(PAPER)
                .setLegendFont(font).setLegendPosition(LegendPosition.OutsideS)
                .setLegendLayout(LegendLayout.Vertical).setLegendPadding(4).setPlotBackgroundColor(PAPER).setPlotBorderVisible(false)
                .setSeriesColors(SERIES).setSeriesMarkers(MARKERS)
                .setSeriesLines(new BasicStroke[] {new BasicStroke(2)}).setLocale(Locale.ROOT);
        styler.setErrorBarsColorSeriesColor(true);
        styler.setAxisTickLabelsFont(font).setAxisTitleFont(font).setAxisTickLabelsColor(INK)
                .setAxisTickMarksColor(GRID).setPlotGridLinesColor(GRID)
                .setPlotGridLinesStroke(new BasicStroke(0.6f)).setPlotGridVerticalLinesVisible(false)
                .setXAxisTickLabelsColor(INK).setYAxisTickLabelsColor(INK);
    }

    private static SVGGraphics2D graphics() {
        try {
            SVGGeneratorContext context = SVGGeneratorContext.createDefault(DocumentBuilderFactory.newDefaultInstance()
                    .newDocumentBuilder().getDOMImplementation()
                    .createDocument("http://www.w3.org/2000/svg", "svg", null));
            context.setComment(null);
            context.setPrecision(2); // text is drawn as outlines, whose digits are most of a page's bytes
            String prefix = "c" + DRAWN.incrementAndGet() + "-"; // several drawings share a page, and its ids
            context.setIDGenerator(new SVGIDGenerator() {
                @Override
                public String generateID(String kind) {
                    return prefix + super.generateID(kind);
                }
            });
            return new SVGGraphics2D(context, false);
        } catch (ParserConfigurationException e) {
            throw new IllegalStateException("this Java has no XML parser", e);
        }
    }

    private static String themed(String svg, int width, int height) {
        String text = svg.substring(svg.indexOf("<svg"));
        text = text.replaceFirst("<svg[^>]*>", "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + width + " "
                + height + "\">");
        text = recolor(text, INK, "var(--ink)");
        text = recolor(text, GRID, "var(--grid)");
        text = recolor(text, SOFT, "var(--soft)");
        text = recolor(text, PAPER, "none");
        for (int i = 0; i < COLORS; i++) {
            text = recolor(text, SERIES[i], "var(--s" + i + ")");
        }
        return text;
    }

    private static String recolor(String svg, Color marker, String meaning) {
        return svg.replace("rgb(" + marker.getRed() + "," + marker.getGreen() + "," + marker.getBlue() + ")", meaning);
    }
}
