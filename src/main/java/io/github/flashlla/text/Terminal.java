package io.github.flashlla.text;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** The terminal that this process writes to, if there is one. */
public final class Terminal {
    private static final int USUAL_WIDTH = 80;
    private static final int LEAST_WIDTH = 20;

    private Terminal() {}

    /** Whether standard output is a terminal; Java itself only tells of standard input and output together. */
    public static boolean isOutput() {
        return isTerminal(1);
    }

    /** Whether standard error is a terminal. */
    public static boolean isError() {
        return isTerminal(2);
    }

    /** Characters on a line: what {@code COLUMNS} says, else what the terminal says, else 80. */
    public static int width() {
        String columns = System.getenv("COLUMNS");
        if (columns != null && columns.matches("[1-9][0-9]{0,4}")) {
            return Math.max(LEAST_WIDTH, Integer.parseInt(columns));
        }
        try {
            Process stty = new ProcessBuilder("stty", "size").redirectInput(new File("/dev/tty")).redirectError(ProcessBuilder.Redirect.DISCARD).start();
            if (stty.waitFor(2, TimeUnit.SECONDS)) {
                String[] size = new String(stty.getInputStream().readAllBytes()).strip().split(" ");
                int width = size.length == 2 ? Integer.parseInt(size[1]) : 0;
                return width > 0 ? Math.max(LEAST_WIDTH, width) : USUAL_WIDTH;
            }
        } catch (IOException | NumberFormatException e) {
            // no terminal, or no stty: as good as unknown
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return USUAL_WIDTH;
    }

    private static boolean isTerminal(int descriptor) {
        try {
            String target = Files.readSymbolicLink(Path.of("/proc/self/fd/" + descriptor)).toString();
            return target.startsWith("/dev/pts/") || target.startsWith("/dev/tty");
        } catch (IOException | UnsupportedOperationException e) {
            return System.console() != null && System.console().isTerminal();
        }
    }
}
