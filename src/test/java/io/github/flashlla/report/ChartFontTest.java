package io.github.flashlla.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.awt.Font;
import java.awt.font.FontRenderContext;
import java.io.IOException;
import java.io.InputStream;
import org.junit.jupiter.api.Test;

class ChartFontTest {
    /** Letters are as wide as Liberation Sans makes them, whatever fonts this machine has. */
    @Test
    void chartsAreDrawnInTheFontThatIsCarriedAlong() throws Exception {
        assumeTrue(System.getProperty("os.name").equals("Linux"), "elsewhere it is the system's");
        ChartFont.prepare();
        assertEquals(width(carried().deriveFont(14f)), width(ChartFont.ofSize(14)));
    }

    private static double width(Font font) {
        return font.createGlyphVector(new FontRenderContext(null, true, true), "key length S, ms, 1e-4").getLogicalBounds().getWidth();
    }

    private static Font carried() throws IOException, java.awt.FontFormatException {
        try (InputStream font = ChartFontTest.class.getResourceAsStream("/liberation/LiberationSans-Regular.ttf")) {
            return Font.createFont(Font.TRUETYPE_FONT, font);
        }
    }
}
