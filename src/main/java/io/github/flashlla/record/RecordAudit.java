package io.github.flashlla.record;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaWork;
import io.github.flashlla.record.Measurement.Rates;
import io.github.flashlla.record.Measurement.Times;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.text.Printable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/**
 * Checks what a schema cannot: that the parts of a record agree. The samples are the truth; every number derived from them
 * is computed again.
 */
final class RecordAudit {
    /** A stored number this far from what its samples give was not written by the benchmark. */
    private static final double FORGED = 2;

    private static final double ROUNDING = 1e-6;

    private RecordAudit() {}

    /** The record with its derived numbers computed again; {@code notes} is told of each stored number that was stale. */
    static BenchmarkRecord check(String what, BenchmarkRecord record, Consumer<String> notes) {
        Set<String> devices = new HashSet<>();
        for (DeviceFacts device : record.devices()) {
            if (!devices.add(device.name())) {
                throw new InvalidInputException(what + " describes the device " + Printable.text(device.name())
                        + " twice");
            }
        }
        Set<Object> seen = new HashSet<>();
        List<Measurement> checked = new ArrayList<>();
        int stale = 0;
        for (int i = 0; i < record.measurements().size(); i++) {
            Measurement m = record.measurements().get(i);
            String where = what + ", measurement " + i + ": ";
            if (!devices.contains(m.device())) {
                throw new InvalidInputException(where + "its device " + Printable.text(m.device())
                        + " is not among the record's devices");
            }
            if (!seen.add(List.of(m.device(), m.workload(), m.method()))) {
                throw new InvalidInputException(where + "its device measured the same workload in the same way before");
            }
            requireShape(where, m);
            Measurement again = derive(where, m, record.device(m.device()).orElseThrow().ceilings());
            if (m.times() != null && Math.abs(m.times().medianNs() / again.times().medianNs() - 1) > ROUNDING) {
                stale++;
            }
            checked.add(again);
        }
        if (stale > 0) {
            notes.accept("the stored median of " + stale + " of " + checked.size()
                    + " measurements is not that of its samples; medians and rates were computed from the samples");
        }
        return new BenchmarkRecord(record.schemaVersion(), record.name(), record.created(), record.complete(),
                record.environment(), record.conditions(), record.devices(), checked);
    }

    private static void requireShape(String where, Measurement m) {
        try {
            m.workload().shape();
        } catch (InvalidInputException e) {
            throw new InvalidInputException(where + e.getMessage());
        }
    }

    private static Measurement derive(String where, Measurement m, DeviceFacts.Ceilings ceilings) {
        if (m.times() == null) {
            return m;
        }
        if (!m.accuracy().passed()) {
            throw new InvalidInputException(where + "it is marked ok, but its error is above its bar");
        }
        Times stored = m.times();
        requireSameLength(where, stored.wallNs(), stored.kernelNs(), "kernel_ns");
        requireSameLength(where, stored.wallNs(), stored.copyInNs(), "copy_in_ns");
        requireSameLength(where, stored.wallNs(), stored.copyOutNs(), "copy_out_ns");
        Times times = Times.of(stored.planNs(), stored.firstRunNs(), stored.compileNs(), stored.warmUpRuns(),
                stored.settled(), stored.wallNs(), stored.kernelNs(), stored.copyInNs(), stored.copyOutNs()).withProcesses(stored.processRuns());
        if (stored.processRuns() != null && Arrays.stream(stored.processRuns()).sum() != stored.wallNs().length) {
            throw new InvalidInputException(where + "its process_runs do not add up to the samples of wall_ns");
        }
        if (times.computeNs() <= 0) {
            throw new InvalidInputException(where + "its kernels took no time, so they did not run on the device");
        }
        requireClose(where, "median_ns", stored.medianNs(), times.medianNs());
        requireClose(where, "flops", m.rates().flops(), countedFlops(m));
        Rates rates = Rates.of(countedFlops(m), m.rates().bytes(), times.computeNs(), m.method(), ceilings);
        requireClose(where, "tflops", m.rates().tflops(), rates.tflops());
        return new Measurement(m.device(), m.workload(), m.method(), m.status(), m.message(), times, rates, m.accuracy(),
                m.solve(), m.backwardSolve(), m.memory(), m.energy(), m.coldStart());
    }

    /** What the operator's count gives, where the record says enough to tell; else what is stored. */
    private static double countedFlops(Measurement m) {
        Workload w = m.workload();
        boolean forward = w.mode().equals("fwd") || w.mode().equals("fwd+bwd");
        boolean backward = w.mode().equals("bwd") || w.mode().equals("fwd+bwd");
        if (!m.method().operator().equals("lla") || !forward && !backward || forward && m.solve() == null
                || backward && m.backwardSolve() == null) {
            return m.rates().flops();
        }
        return (forward ? LlaWork.forwardFlops(w.shape(), w.causal(), m.solve().pairIterations()) : 0)
                + (backward ? LlaWork.backwardFlops(w.shape(), w.causal(), m.backwardSolve().pairIterations()) : 0);
    }

    private static void requireSameLength(String where, long[] wall, long[] other, String name) {
        if (other != null && other.length != wall.length) {
            throw new InvalidInputException(where + name + " has " + other.length + " samples, but wall_ns has "
                    + wall.length);
        }
    }

    private static void requireClose(String where, String name, double stored, double computed) {
        double ratio = stored / computed;
        if (!(ratio < FORGED && ratio > 1 / FORGED)) {
            throw new InvalidInputException(where + "its " + name + " of " + Numbers.digits(stored)
                    + " contradicts the " + Numbers.digits(computed) + " that its other numbers give");
        }
    }
}
