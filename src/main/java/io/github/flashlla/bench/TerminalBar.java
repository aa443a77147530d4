package io.github.flashlla.bench;

import io.github.flashlla.text.Terminal;
import java.io.PrintStream;
import me.tongfei.progressbar.DelegatingProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarRenderer;

/** One moving line on a terminal: never longer than the terminal is wide, and gone when it is closed. */
public final class TerminalBar implements AutoCloseable {
    private static final int UPDATE_MILLIS = 200;
    /** From the cursor to the end of its line. */
    private static final String ERASE = "\u001b[K";

    private final PrintStream out;
    private final ProgressBar bar;

    private TerminalBar(PrintStream out, ProgressBar bar) {
        this.out = out;
        this.bar = bar;
    }

    /**
     * Begins a line on standard error, or returns null where that is no terminal.
     *
     * @param renderer how it looks; null for the usual bar
     */
    public static TerminalBar open(PrintStream out, String name, long steps, ProgressBarRenderer renderer) {
        if (!Terminal.isError()) {
            return null;
        }
        ProgressBarBuilder builder = new ProgressBarBuilder().setTaskName(name).setInitialMax(steps).setUpdateIntervalMillis(UPDATE_MILLIS).continuousUpdate().hideEta()
                .clearDisplayOnFinish().setConsumer(new DelegatingProgressBarConsumer(line -> out.print("\r" + line + ERASE), Terminal.width() - 1));
        return new TerminalBar(out, (renderer == null ? builder : builder.setRenderer(renderer)).build());
    }

    public void stepTo(long step) {
        bar.stepTo(step);
    }

    /** What the line says beside the bar. */
    public void say(String what) {
        bar.setExtraMessage(" " + what);
        bar.refresh();
    }

    @Override
    public void close() {
        bar.close();
        out.print("\r" + ERASE);
        out.flush();
    }
}
