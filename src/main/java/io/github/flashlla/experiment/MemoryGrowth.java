package io.github.flashlla.experiment;

import io.github.flashlla.Device;
import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.bench.Grid;
import io.github.flashlla.bench.Mode;
import io.github.flashlla.bench.Protocol;
import io.github.flashlla.bench.Task;
import io.github.flashlla.bench.WorkloadRunner;
import io.github.flashlla.experiment.Finding.Check;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Status;
import io.github.flashlla.text.Numbers;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Memory against sequence length: the naive form holds a matrix of all queries and keys, the blocked passes what grows with the
 * length, a decoding step a constant. The numbers are those of {@code bench --mode memory}: what the Java heap holds beside the
 * tensors where the device computes on it, else the plan's own account. The seed changes nothing.
 */
final class MemoryGrowth implements Experiment {
    private static final String PANEL = "memory-by-length";
    private static final int DIM = 64;
    private static final double MIB = 1024 * 1024;
    private static final String NAIVE = Mode.NAIVE.label();
    private static final String FORWARD = Mode.FWD.label();
    private static final String BACKWARD = Mode.FWD_BWD.label();
    private static final String DECODE = Mode.DECODE.label();
    /** Twice the memory, and a tenth: the heap gives large arrays whole regions, in which arrays of a little less than a power of two leave little room. */
    private static final double LINEAR = 2.2;

    @Override
    public String name() {
        return "memory";
    }

    @Override
    public String question() {
        return "Does LLA's memory grow with the sequence's length, not with its square?";
    }

    @Override
    public String setUp(boolean quick) {
        return "One head, D = Dv = " + DIM + ", causal, ridge 1, tolerance 1e-3, float32, " + lengths(quick).getFirst() + " to " + lengths(quick).getLast()
                + " tokens. What is held beside q, k, v and o (decoding: beside the cache): on jvm and reference, the growth of the Java heap from before the "
                + "plan is made to after its first run, by full collections; on other devices, the buffers the plan accounts for. Every answer is checked. The naive form "
                + "runs on jvm only, to " + longestNaive(quick) + " tokens.";
    }

    private static List<Integer> lengths(boolean quick) {
        return quick ? List.of(1000, 2000, 4000, 8000) : List.of(500, 1000, 2000, 4000, 8000, 16000);
    }

    /** The naive form's matrices are 122 MiB at 4000 tokens. */
    private static int longestNaive(boolean quick) {
        return quick ? 2000 : 4000;
    }

    @Override
    public List<Long> seeds(boolean quick) {
        return List.of(1L);
    }

    @Override
    public List<Panel> panels(boolean quick) {
        return List.of(new Panel(PANEL, "Memory beside the tensors by length, in MiB, both axes logarithmic: slope 2 is a matrix of queries and keys, slope 1 grows "
                + "with the length.", "tokens", "MiB", true, true));
    }

    @Override
    public List<Curve> run(Run run) {
        Device device = run.device();
        boolean onHeap = device.info().has(DeviceInfo.Trait.ON_HEAP);
        List<Mode> modes = onHeap ? List.of(Mode.MEMORY) : List.of(Mode.FWD, Mode.FWD_BWD, Mode.DECODE);
        Grid grid = new Grid(modes, List.of(1), List.of(1), null, lengths(run.quick()), null, List.of(DIM), null, null, null, null, null, null, null, null);
        // ceilings are for rates, which nobody reads here
        WorkloadRunner runner = new WorkloadRunner(device, DeviceFacts.of(device.info(), new DeviceFacts.Ceilings(1.0, 1.0)), new Protocol(1, 0, 0, 60),
                io.github.flashlla.bench.Progress.SILENT);
        Map<String, List<double[]>> points = new LinkedHashMap<>();
        List<Task> tasks = grid.tasks().stream().filter(task -> task.mode() != Mode.NAIVE
                || task.isFor(device.info()) && task.shape().keyLength() <= longestNaive(run.quick())).toList();
        for (int n = 0; n < tasks.size(); n++) {
            Task task = tasks.get(n);
            run.progress().at((double) n / tasks.size(), task.workload().mode() + " of " + task.workload().keyLength() + " tokens");
            Measurement measured = runner.run(task);
            if (measured.status() != Status.OK) {
                throw new DeviceException(device.info().name() + ": " + task.workload().mode() + " of " + task.workload().keyLength() + " tokens: " + measured.message());
            }
            Long bytes = onHeap ? measured.memory().workingSetBytes() : measured.memory().workspaceBytes();
            if (bytes != null) {
                points.computeIfAbsent(task.workload().mode(), mode -> new ArrayList<>()).add(new double[] {task.workload().keyLength(), bytes / MIB});
            }
        }
        return points.entrySet().stream().map(line -> new Curve(PANEL, line.getKey(), line.getValue().stream().mapToDouble(point -> point[0]).toArray(),
                line.getValue().stream().mapToDouble(point -> point[1]).toArray())).toList();
    }

    @Override
    public Finding conclude(List<SeedResult> seeds, boolean quick) {
        Map<String, double[]> means = new LinkedHashMap<>();
        for (Curve curve : seeds.getFirst().curves()) {
            means.put(curve.method(), mean(seeds, curve.method()));
        }
        List<Check> checks = new ArrayList<>();
        double[] forward = means.get(FORWARD);
        if (means.containsKey(NAIVE)) {
            double[] naive = means.get(NAIVE);
            checks.add(new Check("naive: the last doubling of the length takes 3.5 to 4.5 times the memory", times(growth(naive)), growth(naive) > 3.5
                    && growth(naive) < 4.5));
        }
        for (String blocked : List.of(FORWARD, BACKWARD)) {
            double growth = growth(means.get(blocked));
            checks.add(new Check(blocked + ": the last doubling of the length takes at most " + LINEAR + " times the memory", times(growth), growth <= LINEAR));
        }
        if (means.containsKey(DECODE)) {
            double[] decode = means.get(DECODE);
            double added = last(decode) - decode[0];
            double cache = (lengths(quick).getLast() - lengths(quick).getFirst()) * 2.0 * DIM * Float.BYTES / MIB;
            checks.add(new Check("decode: what a step holds grows by at most a fifth of what the cache grows", mib(Math.max(0, added)) + " of " + mib(cache),
                    added <= cache / 5));
        }
        List<String> header = new ArrayList<>(List.of("mode"));
        lengths(quick).forEach(length -> header.add(length + " tokens"));
        List<List<String>> rows = means.entrySet().stream().map(line -> {
            List<String> row = new ArrayList<>(List.of(line.getKey()));
            Arrays.stream(line.getValue()).forEach(value -> row.add(mib(value)));
            row.addAll(Collections.nCopies(header.size() - row.size(), ""));
            return row;
        }).toList();
        return new Finding("The last doubling of the length, to " + lengths(quick).getLast() + " tokens, takes " + times(growth(forward))
                + " the memory in the forward pass"
                + (means.containsKey(NAIVE) ? ", and to " + longestNaive(quick) + " tokens " + times(growth(means.get(NAIVE))) + " in the naive form" : "")
                + ".", checks, List.of(new Finding.Table("Memory beside the tensors", header, rows)));
    }

    private static double[] mean(List<SeedResult> seeds, String method) {
        int count = seeds.getFirst().curve(PANEL, method).y().length;
        double[] mean = new double[count];
        for (SeedResult seed : seeds) {
            double[] y = seed.curve(PANEL, method).y();
            for (int n = 0; n < count; n++) {
                mean[n] += y[n] / seeds.size();
            }
        }
        return mean;
    }

    /** The longest against half of it. */
    private static double growth(double[] y) {
        return last(y) / y[y.length - 2];
    }

    private static double last(double[] y) {
        return y[y.length - 1];
    }

    private static String times(double factor) {
        return String.format(Locale.ROOT, "%.2f times", factor);
    }

    private static String mib(double value) {
        return Numbers.bytes(Math.round(value * MIB));
    }
}
