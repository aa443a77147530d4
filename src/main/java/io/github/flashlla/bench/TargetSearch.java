package io.github.flashlla.bench;

import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Finds how a device keeps to an error at the least cost. Of each precision that may be used: the loosest tolerance whose answer is within the error, for a
 * looser one takes no more iterations. Of these: the fastest. Iterations end at the tolerance, so their cap is not searched, and kernels are the profile's.
 */
final class TargetSearch {
    /** Tolerances from this many times the error, where a query hardly needs its solve. */
    private static final double LOOSEST = 32;
    /** To this part of it: what is not reached there is not reached by solving further. */
    private static final double TIGHTEST = 1 / 8.0;
    private static final double STEP = Math.sqrt(0.5);
    private static final double LARGEST = 0.5;
    /** Of products, where a device is made to be fast. */
    private static final List<DataType> PRECISIONS = List.of(DataType.FLOAT32, DataType.FLOAT16);

    /** What the device does with a task. */
    interface Probe {
        /** The error of its answer; infinite for one that is not finite. */
        double error(Task task);

        /** Its time in nanoseconds, warm. */
        double nanos(Task task);
    }

    private final Task task;
    private final Collection<DataType> precisions;
    private final Probe probe;
    private final Map<Task, Double> errors = new HashMap<>();

    /** @param ofDevice the device's precisions, for a task that may use any */
    TargetSearch(Task task, Collection<DataType> ofDevice, Probe probe) {
        this.task = task;
        List<DataType> any = task.target().anyPrecision() ? ofDevice.stream().filter(PRECISIONS::contains).toList() : List.of();
        this.precisions = any.isEmpty() ? List.of(task.options().precision()) : any;
        this.probe = probe;
    }

    /** The task as it is to be solved; the one of least error if none gets there. */
    Task cheapest() {
        List<Task> met = new ArrayList<>();
        RuntimeException refusal = null;
        for (DataType precision : precisions) {
            try {
                loosest(precision, met);
            } catch (InvalidInputException | UnsupportedOperationException e) { // not in this precision
                refusal = e;
            }
        }
        if (errors.isEmpty()) {
            throw refusal;
        }
        return met.size() == 1 ? met.getFirst() : !met.isEmpty() ? met.stream().min(Comparator.comparingDouble(probe::nanos)).orElseThrow()
                : errors.entrySet().stream().min(Map.Entry.comparingByValue()).orElseThrow().getKey();
    }

    /** Halves the ladder of tolerances until one rung is left. */
    private void loosest(DataType precision, List<Task> met) {
        List<Double> ladder = ladder(task.target().error());
        int from = 0;
        int to = ladder.size();
        while (from < to) {
            int middle = (from + to) / 2;
            Task rung = task.settled(ladder.get(middle), precision);
            if (errors.computeIfAbsent(rung, probe::error) <= task.target().error()) {
                to = middle;
            } else {
                from = middle + 1;
            }
        }
        if (to < ladder.size()) {
            met.add(task.settled(ladder.get(to), precision));
        }
    }

    /** Tolerances to choose from, the loosest first, in two digits. */
    static List<Double> ladder(double error) {
        List<Double> ladder = new ArrayList<>();
        for (double rung = error * LOOSEST; rung >= error * TIGHTEST; rung *= STEP) {
            if (rung <= LARGEST) {
                ladder.add(Double.parseDouble(String.format(Locale.ROOT, "%.1e", rung)));
            }
        }
        return ladder;
    }
}
