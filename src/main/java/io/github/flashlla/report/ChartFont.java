package io.github.flashlla.report;

import io.github.flashlla.io.ScratchFolder;
import java.awt.Font;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The font of charts: Liberation Sans, carried along, so that they look the same everywhere and can be drawn on a server that
 * has neither fonts nor fontconfig.
 *
 * <p>On Linux Java asks fontconfig for fonts before it draws a letter, even one of a font that it was handed, and gives up where
 * there is none. A font configuration file of Java's own format takes its place, if it is named before the first font is used.
 */
final class ChartFont {
    private static final String RESOURCE = "/liberation/LiberationSans-Regular.ttf";
    private static final String CONFIGURATION = "sun.awt.fontconfig";

    private static boolean ready;

    private ChartFont() {}

    /** To be called before anything of AWT's is: it reads the configuration once. */
    static synchronized void prepare() {
        if (!ready) {
            System.setProperty("java.awt.headless", "true");
            if (System.getProperty("os.name").equals("Linux") && System.getProperty(CONFIGURATION) == null) {
                configure();
            }
            ready = true;
        }
    }

    static Font ofSize(int points) {
        return new Font(Font.SANS_SERIF, Font.PLAIN, points);
    }

    /** The files stay until the JVM ends, for fonts are read when they are first drawn. */
    private static void configure() {
        try (InputStream font = ChartFont.class.getResourceAsStream(RESOURCE)) {
            if (font == null) {
                return; // the system's fonts will do, where there are any
            }
            ScratchFolder folder = new ScratchFolder("font");
            Path file = folder.resolve("LiberationSans-Regular.ttf");
            Files.copy(font, file);
            Path configuration = Files.writeString(folder.resolve("fontconfig.properties"), """
                    version=1
                    sequence.allfonts=default
                    allfonts.default=Liberation Sans
                    filename.Liberation_Sans=%s
                    """.formatted(file.toString().replace("\\", "\\\\")));
            System.setProperty(CONFIGURATION, configuration.toString());
        } catch (IOException e) {
            throw new UncheckedIOException("the charts' font could not be unpacked", e);
        }
    }
}
