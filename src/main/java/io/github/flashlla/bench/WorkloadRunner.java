package io.github.flashlla.bench;

import io.github.flashlla.Device;
import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.LlaWork;
import io.github.flashlla.QuerySolves;
import io.github.flashlla.SolveState;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
import io.github.flashlla.bench.host.EnergyMeter;
import io.github.flashlla.bench.host.HostMemory;
import io.github.flashlla.bench.host.LiveHeap;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.Energy;
import io.github.flashlla.record.Measurement.AccuracyCheck;
import io.github.flashlla.record.Measurement.Memory;
import io.github.flashlla.record.Measurement.Rates;
import io.github.flashlla.record.Measurement.Solve;
import io.github.flashlla.record.Measurement.Times;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Status;
import io.github.flashlla.text.Numbers;
import io.github.flashlla.verify.RandomInputs;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.function.ToLongFunction;

/**
 * Measures tasks on an open device, one after the other: first run, accuracy, warm-up until run times settle, timed runs, accuracy again.
 * An answer that misses its bar is never timed.
 */
public final class WorkloadRunner {
    /** Run times have settled when this many in a row lie this close together. */
    private static final int SETTLED_RUNS = 3;

    private static final double SETTLED_SPREAD = 0.05;

    /** Run times may look settled before the JIT's last compilation: the first task warms up for this long at least. */
    private static final double FIRST_SECONDS = 3;

    /** Least warm-up of a later task, whose shape may still need compilation. */
    private static final double NEXT_SECONDS = 1;

    /** Counters step ten times a second: this long, they tell a run's energy to a few percent. */
    private static final double ENERGY_SECONDS = 1;

    private final Device device;
    private final DeviceFacts facts;
    private final Protocol protocol;
    private final Progress progress;
    private EnergyMeter meter;
    private Double idleWatts;
    private double leastWarmUp = FIRST_SECONDS;
    /** What tasks with an error to keep to came to, and their measurements. */
    private final Map<Task, Measurement> searched = new HashMap<>();

    public WorkloadRunner(Device device, DeviceFacts facts, Protocol protocol, Progress progress) {
        this.device = device;
        this.facts = facts;
        this.protocol = protocol;
        this.progress = progress;
    }

    /**
     * Counts energy, too.
     *
     * @param idle what the device takes at rest, in watts; null where that is not known
     */
    WorkloadRunner counting(EnergyMeter energy, Double idle) {
        meter = energy;
        idleWatts = idle;
        return this;
    }

    /** The measurement, whose status says how it went; throws nothing that the task causes. */
    public Measurement run(Task task) {
        try {
            return measure(task);
        } catch (InvalidInputException | UnsupportedOperationException e) {
            return missing(task, Status.REFUSED, e.getMessage());
        } catch (DeviceException e) {
            return missing(task, Status.FAILED, e.getMessage());
        } catch (OutOfMemoryError e) {
            return missing(task, Status.FAILED, "out of host memory of " + Numbers.bytes(Runtime.getRuntime().maxMemory())
                    + " of heap and " + describe(HostMemory.usableBytes()) + " in all; shorten it, or split the batch or the heads");
        } catch (RuntimeException | LinkageError | AssertionError | InternalError e) {
            return missing(task, Status.FAILED, e.toString());
        }
    }

    private static String describe(Long bytes) {
        return bytes == null ? "an unknown size" : Numbers.bytes(bytes);
    }

    private Measurement missing(Task task, Status status, String message) {
        return Measurement.missing(facts.name(), task.workload(), task.method(), status,
                (task.target() == null ? "" : "to an error of " + Numbers.error(task.target().error()) + ": ") + message);
    }

    private Measurement measure(Task task) {
        SizeLimits.require(task, facts.name(), HostMemory.usableBytes(), Runtime.getRuntime().maxMemory());
        progress.phase("inputs");
        LlaInputs inputs = RandomInputs.normal(task.shape(), task.dataType());
        Tensor gradOutput = task.mode().hasBackward() ? RandomInputs.gradient(task.shape()) : null;
        if (task.target() == null) {
            return measure(task, inputs, gradOutput);
        }
        AnswerCheck exact = AnswerCheck.of(task, inputs, gradOutput);
        Task found = new TargetSearch(task, device.info().precisions(), new TargetSearch.Probe() {
            @Override
            public double error(Task rung) {
                progress.phase("trying " + rung.method().label());
                return probe(rung, inputs, gradOutput, runs -> {
                    Double error = exact.of(runs.result, runs.gradients).error();
                    return error == null ? Double.POSITIVE_INFINITY : error;
                });
            }

            @Override
            public double nanos(Task rung) {
                progress.phase("trying " + rung.method().label());
                return probe(rung, inputs, gradOutput, runs -> Math.min(runs.next().computeNs(), runs.next().computeNs()));
            }
        }).cheapest();
        // of two errors that the same solve keeps to, the second needs no measuring
        Measurement before = searched.get(found);
        if (before == null) {
            before = measure(found, inputs, gradOutput);
            searched.put(found, before);
        }
        return before;
    }

    /** What can be told after a first run. */
    private double probe(Task task, LlaInputs inputs, Tensor gradOutput, ToDoubleFunction<Runs> answer) {
        try (LlaPlan plan = plan(task, inputs)) {
            Runs runs = new Runs(task.mode(), plan, inputs, gradOutput);
            runs.next();
            return answer.applyAsDouble(runs);
        }
    }

    /**
     * What a task costs before it is warm.
     *
     * @param planNs preparing the shape
     * @param wallNs its first run, with the forward pass that a backward pass needs
     * @param compileNs run-time compilation by the device's account; null where it gives none
     */
    record FirstRun(long planNs, long wallNs, Long compileNs) {}

    /** Runs a task once. */
    FirstRun firstRun(Task task) {
        LlaInputs inputs = RandomInputs.normal(task.shape(), task.dataType());
        Tensor gradOutput = task.mode().hasBackward() ? RandomInputs.gradient(task.shape()) : null;
        long began = System.nanoTime();
        try (LlaPlan plan = plan(task, inputs)) {
            long planned = System.nanoTime();
            Run run = new Runs(task.mode(), plan, inputs, gradOutput).next();
            return new FirstRun(planned - began, System.nanoTime() - planned, known(run.timing.compileNanos()));
        }
    }

    private Measurement measure(Task task, LlaInputs inputs, Tensor gradOutput) {
        boolean onHeap = device.info().has(DeviceInfo.Trait.ON_HEAP);
        long heapBefore = onHeap ? LiveHeap.bytes() : 0;
        long began = System.nanoTime();
        try (LlaPlan plan = plan(task, inputs)) {
            long planNs = System.nanoTime() - began;
            Runs runs = new Runs(task.mode(), plan, inputs, gradOutput);

            progress.phase("first run");
            Run first = runs.next();
            Long workingSet = onHeap ? Math.max(0, LiveHeap.bytes() - heapBefore) : null;

            progress.phase("accuracy check");
            AnswerCheck check = AnswerCheck.of(task, inputs, gradOutput);
            AccuracyCheck accuracy = check.of(runs.result, runs.gradients);
            if (!accuracy.passed()) {
                return wrong(task, accuracy, solve(runs));
            }

            List<Run> warm = warmUp(runs);
            List<Run> timed = timed(runs);
            Energy energy = energy(runs);
            runs.poison(); // so that the last answer is the last run's own
            runs.next();
            AccuracyCheck last = check.of(runs.result, runs.gradients);
            if (!last.passed()) {
                return wrong(task, last, solve(runs));
            }

            Times times = Times.of(planNs, first.wallNs, known(first.timing.compileNanos()), warm.size() + 1,
                    settled(warm), timed.stream().mapToLong(Run::wallNs).toArray(), samples(timed, Timing::kernelNanos),
                    samples(timed, Timing::copyInNanos), samples(timed, Timing::copyOutNanos));
            Rates rates = Rates.of(flops(task, runs), bytes(task, inputs), times.computeNs(), task.method(), facts.ceilings());
            Memory memory = new Memory(inputBytes(inputs) + runs.result.output().byteSize(),
                    known(plan.workspaceBytes()), workingSet, HostMemory.peakBytes());
            return new Measurement(facts.name(), task.workload(), task.method(), Status.OK, null, times, rates, last,
                    solve(runs), backwardSolve(runs), memory, energy);
        }
    }

    /** What a run takes, by runs after the timed ones, which no reading of the counter delays; null where it is not counted, or the counter does not move. */
    private Energy energy(Runs runs) {
        if (meter == null) {
            return null;
        }
        progress.phase("energy");
        EnergyWindow window = EnergyWindow.of(meter, ENERGY_SECONDS, runs::next);
        return window == null ? null : new Energy(window.joules() / window.runs(), idleWatts, meter.source());
    }

    private LlaPlan plan(Task task, LlaInputs inputs) {
        task.requireOf(device.info());
        if (task.operator() == Operator.SOFTMAX) {
            return device.softmaxPlan(task.shape(), task.options());
        }
        return switch (task.mode()) {
            case DECODE -> DecodeRun.of(device, task, inputs);
            case NAIVE -> new NaivePlan(task.shape(), task.options());
            default -> device.plan(task.shape(), task.options());
        };
    }

    private Measurement wrong(Task task, AccuracyCheck accuracy, Solve solve) {
        String message = "error " + Numbers.error(accuracy.error()) + " is above the bar of "
                + Numbers.error(accuracy.bar());
        return new Measurement(facts.name(), task.workload(), task.method(), Status.WRONG, message, null, null,
                accuracy, solve, null, null);
    }

    private List<Run> warmUp(Runs runs) {
        List<Run> warm = new ArrayList<>();
        long began = System.nanoTime();
        double seconds;
        do {
            progress.phase("warm-up " + (warm.size() + 1));
            warm.add(runs.next());
            seconds = (System.nanoTime() - began) / 1e9;
        } while (seconds < protocol.warmUpSeconds() && (seconds < leastWarmUp || !settled(warm)));
        leastWarmUp = NEXT_SECONDS;
        return warm;
    }

    private List<Run> timed(Runs runs) {
        List<Run> timed = new ArrayList<>();
        while (protocol.wantsMore(timed.stream().mapToLong(Run::wallNs).toArray())) {
            progress.phase("run " + (timed.size() + 1));
            timed.add(runs.next());
        }
        return timed;
    }

    private static boolean settled(List<Run> warm) {
        if (warm.size() < SETTLED_RUNS) {
            return false;
        }
        var latest = warm.subList(warm.size() - SETTLED_RUNS, warm.size()).stream().mapToLong(Run::wallNs)
                .summaryStatistics();
        return latest.getMax() - latest.getMin() <= SETTLED_SPREAD * latest.getMin();
    }

    private static long[] samples(List<Run> timed, ToLongFunction<Timing> part) {
        long[] values = timed.stream().map(Run::timing).mapToLong(part).toArray();
        for (long value : values) {
            if (value < 0) {
                return null;
            }
        }
        return values;
    }

    private static Long known(long value) {
        return value < 0 ? null : value;
    }

    private static double flops(Task task, Runs runs) {
        boolean causal = task.options().causal();
        double flops = 0;
        if (task.operator() == Operator.SOFTMAX) {
            return LlaWork.softmaxFlops(task.shape(), causal);
        }
        if (runs.plan instanceof DecodeRun decode) {
            return decode.flops(runs.result);
        }
        if (task.mode().timesForward()) {
            flops += LlaWork.forwardFlops(runs.result, causal);
        }
        if (task.mode().hasBackward()) {
            flops += LlaWork.backwardFlops(runs.gradients, causal);
        }
        return flops;
    }

    private static double bytes(Task task, LlaInputs inputs) {
        long output = (long) task.shape().rows() * task.shape().valueDim() * Float.BYTES;
        double forward = inputBytes(inputs) + (double) output;
        return switch (task.mode()) {
            case FWD, DECODE, NAIVE -> forward;
            // reads q, k, v, o's gradient, writes those of q, k, v
            case BWD -> 2 * forward - output;
            case FWD_BWD -> 3 * forward - output;
            case MEMORY -> throw new IllegalStateException("memory stands for several modes");
        };
    }

    private static long inputBytes(LlaInputs inputs) {
        return inputs.q().byteSize() + inputs.k().byteSize() + inputs.v().byteSize();
    }

    private static Solve solve(Runs runs) {
        LlaResult result = runs.result;
        double estimate = result.estimatedError();
        return solve(result, runs.plan.options().tolerance(), Double.isFinite(estimate) ? estimate : null);
    }

    private static Solve backwardSolve(Runs runs) {
        LlaGradients g = runs.gradients;
        return g == null ? null
                : solve(g, runs.plan.options().tolerance(), null);
    }

    private static Solve solve(QuerySolves solves, double tolerance, Double estimatedError) {
        double worst = solves.worstResidual();
        return new Solve(Math.max(0, solves.minIterations()), Math.max(0, solves.meanIterations()), Math.max(0, solves.maxIterations()),
                Double.isFinite(worst) ? worst : null, solves.count(SolveState.UNSOLVED, tolerance),
                solves.count(SolveState.LIMITED_BY_ROUNDING, tolerance), (long) solves.recomputedRows(), estimatedError,
                solves.pairIterations());
    }

    /** One run: host time, and the device's account of it. */
    private record Run(long wallNs, Timing timing) {

        /** The kernels' time, or the host's where the device has no clock. */
        long computeNs() {
            return timing.kernelNanos() < 0 ? wallNs : timing.kernelNanos();
        }
    }

    /** The task's passes, again and again into the same result. */
    private static final class Runs {
        private final Mode mode;
        private final LlaPlan plan;
        private final LlaInputs inputs;
        private final Tensor gradOutput;
        private final LlaResult result;
        private final LlaGradients gradients;
        private boolean forwardDone;

        Runs(Mode mode, LlaPlan plan, LlaInputs inputs, Tensor gradOutput) {
            this.mode = mode;
            this.plan = plan;
            this.inputs = inputs;
            this.gradOutput = gradOutput;
            this.result = plan.newResult();
            this.gradients = mode.hasBackward() ? plan.newGradients() : null;
        }

        Run next() {
            if (!mode.timesForward() && !forwardDone) {
                plan.forward(inputs, result);
                forwardDone = true;
            }
            long began = System.nanoTime();
            if (mode.timesForward()) {
                plan.forward(inputs, result);
            }
            if (mode.hasBackward()) {
                plan.backward(inputs, result, gradOutput, gradients);
            }
            long wall = System.nanoTime() - began;
            return new Run(wall, switch (mode) {
                case FWD, DECODE, NAIVE -> result.timing();
                case BWD -> gradients.timing();
                case FWD_BWD -> result.timing().plus(gradients.timing());
                case MEMORY -> throw new IllegalStateException("memory stands for several modes");
            });
        }

        void poison() {
            if (mode.timesForward()) {
                result.output().fill(Double.NaN);
            }
            if (gradients != null) {
                gradients.dq().fill(Double.NaN);
                gradients.dk().fill(Double.NaN);
                gradients.dv().fill(Double.NaN);
            }
        }
    }
}
