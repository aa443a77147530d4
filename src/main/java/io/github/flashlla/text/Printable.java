package io.github.flashlla.text;

/** Text of others, such as a file's, made fit for a message: short, and free of what would steer a terminal. */
public final class Printable {
    private static final int PIECE = 200;
    private static final int SENTENCE = 4000;
    /** Controls, invisible and unassigned characters, and separators of lines. */
    private static final String UNPRINTABLE = "[\\p{C}\\p{Zl}\\p{Zp}]+";

    private Printable() {}

    /** A name or a value within a sentence. */
    public static String text(String text) {
        return bounded(text, PIECE);
    }

    /** A whole sentence, on one line. */
    public static String sentence(String text) {
        return bounded(text, SENTENCE);
    }

    private static String bounded(String text, int length) {
        boolean longer = text.length() > length;
        String clean = (longer ? text.substring(0, length) : text).replaceAll(UNPRINTABLE, " ");
        return longer ? clean + "..." : clean;
    }
}
