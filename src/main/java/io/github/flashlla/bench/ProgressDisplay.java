package io.github.flashlla.bench;

import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Status;
import io.github.flashlla.text.Numbers;
import java.io.PrintStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import me.tongfei.progressbar.ProgressState;

/**
 * Shows on standard error what runs now and how long the rest will take: a moving bar on a terminal, else a line per
 * task. The bar counts guessed time, not tasks, so that its estimate holds when tasks differ in size.
 */
public class ProgressDisplay implements BenchmarkListener, AutoCloseable {
    private static final int BAR_WIDTH = 20;

    private final PrintStream out;
    private final int tasks;
    private final double totalWork;
    private final TerminalBar bar;
    private final long began = System.nanoTime();
    private double doneWork;
    /** From the beginning to the end of the task that ended last. */
    private long doneNanos;
    private int done;
    private final double limitSeconds;
    private String device = "";
    private String label = "";
    /** For when the bar is gone. */
    private final List<String> notes = new ArrayList<>();

    /**
     * @param devices how many devices measure the tasks
     * @param protocol says how long one may take
     */
    public ProgressDisplay(PrintStream out, List<Task> tasks, int devices, Protocol protocol) {
        this.out = out;
        this.limitSeconds = protocol.timeLimitSeconds();
        this.tasks = tasks.size() * devices;
        this.totalWork = tasks.stream().mapToDouble(this::guessedSeconds).sum() * devices;
        this.bar = TerminalBar.open(out, "bench", 1000, this::render);
        if (bar != null) {
            bar.say("starting");
        }
    }

    /** No task takes longer than its time limit; one that does not fit the machine would be guessed to take years. */
    private double guessedSeconds(Task task) {
        return Math.min(limitSeconds, task.guessedSeconds());
    }

    @Override
    public void opening(String name) {
        device = name;
        say("starting the process of " + name);
    }

    @Override
    public void started(String name, Task task, long pid) {
        device = name;
        label = task.workload().label() + ", " + (task.target() == null ? task.method().label() : "error to " + Numbers.error(task.target().error()));
        if (bar == null) {
            out.println("[" + (done + 1) + "/" + tasks + "] " + device + ": " + label + " (process " + pid + ")"
                    + left().map(time -> ", about " + seconds(time) + " left in all").orElse(""));
        }
    }

    @Override
    public void phase(String phase) {
        if (bar != null) {
            bar.say(device + " " + label + (label.isEmpty() ? "" : ": ") + phase);
        }
    }

    @Override
    public void coldStart(String name, Task task, int number, int all) {
        device = name;
        label = task.workload().label() + ", " + task.method().label();
        if (bar == null) {
            out.println("[cold start " + number + "/" + all + "] " + device + ": " + label);
        } else {
            bar.say("cold start " + number + "/" + all + " of " + device + ": " + label);
        }
    }

    @Override
    public void note(String text) {
        if (bar == null) {
            out.println("note: " + text + ".");
        } else {
            notes.add(text);
        }
    }

    @Override
    public void measured(Task task, Measurement m, BenchmarkRecord soFar) {
        done++;
        doneWork += guessedSeconds(task);
        doneNanos = System.nanoTime() - began;
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
            notes.forEach(text -> out.println("note: " + text + "."));
        }
    }

    private void say(String what) {
        if (bar != null) {
            bar.say(what);
        } else {
            out.println(what);
        }
    }

    /** The remaining time, if the rest runs at the pace so far. */
    private Optional<Duration> left() {
        if (doneWork == 0 || done >= tasks) {
            return Optional.empty();
        }
        double rest = doneNanos / doneWork * (totalWork - doneWork);
        return Optional.of(Duration.ofNanos((long) Math.max(0, rest - (System.nanoTime() - began - doneNanos))));
    }

    /** {@code 3/9 [=======             ] 18 s, about 14 s left: jvm fwd 1x8x1024x64 ...} */
    private String render(ProgressState state, int width) {
        int filled = (int) Math.round(BAR_WIDTH * Math.clamp(state.getNormalizedProgress(), 0, 1));
        String text = Math.min(done + 1, tasks) + "/" + tasks + " [" + "=".repeat(filled) + " ".repeat(BAR_WIDTH - filled) + "] "
                + seconds(state.getTotalElapsed()) + left().map(time -> ", about " + seconds(time) + " left").orElse("") + ":"
                + state.getExtraMessage();
        return text.length() <= width ? text : text.substring(0, Math.max(0, width));
    }

    private static String seconds(Duration time) {
        return time.toSeconds() < 100 ? time.toSeconds() + " s" : (time.toSeconds() + 30) / 60 + " min";
    }
}
