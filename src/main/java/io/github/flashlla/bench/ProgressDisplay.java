package io.github.flashlla.bench;

import io.github.flashlla.report.BenchmarkRecord;
import io.github.flashlla.report.Measurement;
import io.github.flashlla.report.Numbers;
import io.github.flashlla.report.Status;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/**
 * Shows on standard error what runs now and how long the rest will take: a moving bar on a terminal, else a line per
 * task. The bar counts guessed time, not tasks, so that its estimate holds when tasks differ in size.
 */
public final class ProgressDisplay implements BenchmarkListener, AutoCloseable {
    private static final int TERMINAL_WIDTH = 110;

    private final PrintStream out;
    private final int tasks;
    private final double totalWork;
    private final ProgressBar bar;
    private final long began = System.nanoTime();
    private double doneWork;
    private int done;
    private String device = "";
    private String label = "";

    /** @param devices how many devices measure the tasks */
    public ProgressDisplay(PrintStream out, List<Task> tasks, int devices) {
        this.out = out;
        this.tasks = tasks.size() * devices;
        this.totalWork = tasks.stream().mapToDouble(Task::guessedSeconds).sum() * devices;
        this.bar = !onTerminal() ? null : new ProgressBarBuilder().setTaskName("bench").setInitialMax(1000)
                .setStyle(ProgressBarStyle.ASCII).setUpdateIntervalMillis(200).hideEta()
                .setEtaFunction(state -> left()).clearDisplayOnFinish()
                .setConsumer(new ConsoleProgressBarConsumer(out, TERMINAL_WIDTH)).build();
    }

    @Override
    public void opening(String name) {
        say("opening " + name);
    }

    @Override
    public void started(String name, Task task, long pid) {
        device = name;
        label = task.workload().label() + ", " + task.method().label();
        if (bar == null) {
            out.println("[" + (done + 1) + "/" + tasks + "] " + device + ": " + label + " (process " + pid + ")"
                    + left().map(time -> ", about " + seconds(time) + " left in all").orElse(""));
        }
    }

    @Override
    public void phase(String phase) {
        if (bar != null) {
            bar.setExtraMessage(" " + device + " " + label + ": " + phase);
        }
    }

    @Override
    public void measured(Task task, Measurement m, BenchmarkRecord soFar) {
        done++;
        doneWork += task.guessedSeconds();
        if (bar != null) {
            bar.stepTo(Math.round(1000 * doneWork / totalWork));
        } else {
            out.println("[" + done + "/" + tasks + "] " + m.device() + ": " + (m.status() == Status.OK
                    ? Numbers.time(m.times().medianNs()) + ", error " + Numbers.error(m.accuracy().error())
                    : m.status() + ": " + m.message()));
        }
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
        }
    }

    private void say(String what) {
        if (bar != null) {
            bar.setExtraMessage(" " + what);
        } else {
            out.println(what);
        }
    }

    private Optional<Duration> left() {
        if (doneWork == 0) {
            return Optional.empty();
        }
        double passed = System.nanoTime() - began;
        return Optional.of(Duration.ofNanos((long) (passed / doneWork * (totalWork - doneWork))));
    }

    private static String seconds(Duration time) {
        return time.toSeconds() < 100 ? time.toSeconds() + " s" : (time.toSeconds() + 30) / 60 + " min";
    }

    /** Whether standard error is a terminal; Java itself only tells of standard input and output together. */
    private static boolean onTerminal() {
        try {
            String target = Files.readSymbolicLink(Path.of("/proc/self/fd/2")).toString();
            return target.startsWith("/dev/pts/") || target.startsWith("/dev/tty");
        } catch (IOException | UnsupportedOperationException e) {
            return System.console() != null && System.console().isTerminal();
        }
    }
}
