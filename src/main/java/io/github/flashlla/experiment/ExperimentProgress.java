package io.github.flashlla.experiment;

import io.github.flashlla.bench.TerminalBar;
import io.github.flashlla.text.Numbers;
import java.io.PrintStream;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/** Progress over all seeds on standard error: a moving bar on a terminal, else a line now and then, each with an estimate. */
public final class ExperimentProgress implements Progress, AutoCloseable {
    private static final int STEPS = 1000;
    /** Share of the work that says how long the rest takes: less is mostly compilation. */
    private static final double MEASURE = 0.05;
    private static final long QUIET_NANOS = TimeUnit.SECONDS.toNanos(20);

    private final PrintStream out;
    private final TerminalBar bar;
    private long began;
    private long spoke;
    private int seeds;
    private int done;
    /** Done by an earlier run, and so no measure of speed. */
    private int given;
    private long seed;

    public ExperimentProgress(PrintStream out) {
        this.out = out;
        this.bar = TerminalBar.open(out, "experiment", STEPS, null);
    }

    void begin(String what, int ofSeeds, int givenSeeds) {
        began = System.nanoTime();
        seeds = ofSeeds;
        done = givenSeeds;
        given = givenSeeds;
        say(what + ": " + Numbers.count(ofSeeds, "seed") + (givenSeeds == 0 ? "" : ", " + givenSeeds + " of them from an interrupted run"));
    }

    void seed(long next) {
        seed = next;
        say("seed " + next);
    }

    void seedDone() {
        done++;
        if (bar != null) {
            bar.stepTo(Math.round((double) STEPS * done / seeds));
        }
    }

    @Override
    public void at(double share, String what) {
        double all = done + share;
        double run = all - given;
        long took = System.nanoTime() - began;
        String left = run < MEASURE * seeds ? "" : ", about " + seconds(Duration.ofNanos((long) (took / run * (seeds - all)))) + " left";
        if (bar != null) {
            bar.stepTo(Math.round(STEPS * all / seeds));
            bar.say("seed " + seed + ": " + what + left);
        } else if (System.nanoTime() - spoke > QUIET_NANOS) {
            say("seed " + seed + ": " + what + left);
        }
    }

    private void say(String what) {
        spoke = System.nanoTime();
        if (bar != null) {
            bar.say(what);
        } else {
            out.println(what);
        }
    }

    private static String seconds(Duration time) {
        return time.toSeconds() < 100 ? time.toSeconds() + " s" : (time.toSeconds() + 30) / 60 + " min";
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
        }
    }
}
