package io.github.flashlla.combined;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.combined.Layout.Part;
import io.github.flashlla.combined.PartPlan.Given;
import io.github.flashlla.spi.Checks;
import io.github.flashlla.spi.ExclusiveUse;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Stream;

/** One shape, divided. Every process maps all inputs and outputs, so that each can do any piece. */
final class CombinedPlan implements LlaPlan {
    /** How much longer than necessary a pass may take before a plan with measured speeds is divided anew. */
    private static final double UNEVEN = 1.25;
    private static final int MOST_DIVISIONS = 4;

    private final CombinedDevice device;
    private final AttentionShape shape;
    private final LlaOptions options;
    private final boolean softmax;
    private final ExclusiveUse use;
    private Division division;
    private int divisions;
    private boolean uneven;
    private long serial;
    private Given given;
    private LlaInputs lastInputs;
    private LlaResult lastResult;

    CombinedPlan(CombinedDevice device, AttentionShape shape, LlaOptions options, boolean softmax) {
        this.device = device;
        this.shape = shape;
        this.options = options;
        this.softmax = softmax;
        this.use = ExclusiveUse.ofPlan(device.state());
        this.division = new Division();
    }

    /** Who computes what, and the memory for it. */
    private final class Division implements AutoCloseable {
        private final int plan = device.crew().number();
        private final Map<PartProcess, int[]> pieces = new LinkedHashMap<>();
        private final Tensors tensors;
        private final SharedMemory inputs;
        private final SharedMemory outputs;
        private final int inputsNumber;
        private final int outputsNumber;
        private long workspaceBytes;

        Division() {
            List<PartProcess> living = device.crew().living();
            List<List<Piece>> shares = Shares.of(shape, options.causal(), device.speeds(living, shape, options, softmax));
            List<Piece> all = new ArrayList<>();
            for (int n = 0; n < shares.size(); n++) {
                int first = all.size();
                all.addAll(shares.get(n));
                int[] own = new int[shares.get(n).size()];
                Arrays.setAll(own, i -> first + i);
                pieces.put(living.get(n), own);
            }
            Layout layout = new Layout(shape, all);
            long used = shape.tensorBytes(DataType.FLOAT32.bytes());
            inputs = SharedMemory.create(layout.bytes(true), used);
            SharedMemory made = null;
            try {
                made = SharedMemory.create(layout.bytes(false), used);
                inputsNumber = device.crew().share(inputs, false);
                outputsNumber = device.crew().share(made, true);
                outputs = made;
                tensors = new Tensors(layout, inputs.segment(), outputs.segment());
                workspaceBytes = device.crew().all(part -> new Orders.MakePlan(plan, layout, options, softmax, inputsNumber, outputsNumber,
                        pieces.getOrDefault(part, new int[0])), Long.class).values().stream().mapToLong(Long::longValue).sum();
            } catch (RuntimeException e) {
                device.crew().allQuietly(new Orders.ClosePlan(plan));
                inputs.close();
                if (made != null) {
                    made.close();
                }
                throw e;
            }
        }

        /** Has every part do its share; what a part that dies leaves is done again by another. */
        Map<PartProcess, Outcome> run(Function<int[], Order<Outcome>> order) {
            Map<PartProcess, Outcome> outcomes = new LinkedHashMap<>();
            Map<PartProcess, int[]> work = new LinkedHashMap<>(pieces);
            work.values().removeIf(own -> own.length == 0);
            while (!work.isEmpty()) {
                Map<PartProcess, Order<Outcome>> orders = new LinkedHashMap<>();
                work.forEach((part, own) -> orders.put(part, order.apply(own)));
                Map<PartProcess, Outcome> done = device.crew().exchange(orders, Outcome.class);
                done.forEach((part, outcome) -> outcomes.merge(part, outcome, Outcome::then));
                work.keySet().removeAll(done.keySet());
                int[] left = work.values().stream().flatMapToInt(Arrays::stream).toArray();
                work = new LinkedHashMap<>();
                if (left.length > 0) {
                    PartProcess heir = device.crew().living().getFirst();
                    pieces.keySet().removeIf(PartProcess::dead);
                    pieces.merge(heir, left, (own, more) -> Stream.of(own, more).flatMapToInt(Arrays::stream).toArray());
                    work.put(heir, left);
                }
            }
            return outcomes;
        }

        double work(PartProcess part) {
            double sum = 0;
            for (int piece : pieces.getOrDefault(part, new int[0])) {
                sum += Shares.work(tensors.layout().pieces().get(piece), shape, options.causal());
            }
            return sum;
        }

        @Override
        public void close() {
            device.crew().allQuietly(new Orders.ClosePlan(plan));
            device.crew().allQuietly(new Orders.CloseMemory(inputsNumber));
            device.crew().allQuietly(new Orders.CloseMemory(outputsNumber));
            inputs.close();
            outputs.close();
        }
    }

    @Override
    public AttentionShape shape() {
        return shape;
    }

    @Override
    public LlaOptions options() {
        return options;
    }

    @Override
    public void forward(LlaInputs inputs, LlaResult result) {
        use.run(() -> forwardAlone(inputs, result));
    }

    private void forwardAlone(LlaInputs inputs, LlaResult result) {
        Checks.requireShape(name(), shape, "the inputs", inputs.shape());
        Checks.requireShape(name(), shape, "the result", result.shape());
        LlaInputs.requireRidges(inputs.ridge());
        long start = System.nanoTime();
        if (uneven) {
            lastResult = null;
            division.close();
            division = new Division();
            uneven = false;
        }
        write(inputs);
        lastInputs = inputs;
        lastResult = null;
        Map<PartProcess, Outcome> outcomes = division.run(pieces -> new Orders.Forward(division.plan, pieces, given));
        division.tensors.read(result);
        lastResult = result;
        together(outcomes).tell(result, System.nanoTime() - start);
        weigh(outcomes);
    }

    private void write(LlaInputs inputs) {
        division.tensors.write(Part.Q, inputs.q());
        division.tensors.write(Part.K, inputs.k());
        division.tensors.write(Part.V, inputs.v());
        if (inputs.ridge() != null) {
            division.tensors.write(Part.RIDGE, inputs.ridge());
        }
        given = new Given(inputs.q().type(), inputs.k().type(), inputs.v().type(), inputs.ridge() == null ? null : inputs.ridge().type(),
                ++serial);
    }

    private static Outcome together(Map<PartProcess, Outcome> outcomes) {
        return outcomes.values().stream().reduce(Outcome::beside).orElse(Outcome.NOTHING);
    }

    /** Learns from a pass how fast parts are that are not equal, and divides anew where that would gain much. */
    private void weigh(Map<PartProcess, Outcome> outcomes) {
        if (device.equal() || outcomes.size() < 2 || divisions == MOST_DIVISIONS
                || outcomes.values().stream().anyMatch(outcome -> outcome.timing().compileNanos() > 0)) {
            return;
        }
        Map<PartProcess, Double> shown = new LinkedHashMap<>();
        double work = 0;
        double rate = 0;
        double longest = 0;
        for (Map.Entry<PartProcess, Outcome> one : outcomes.entrySet()) {
            double share = division.work(one.getKey());
            double seconds = one.getValue().timing().wallNanos() / 1e9;
            if (share == 0 || seconds <= 0) {
                return;
            }
            shown.put(one.getKey(), share / seconds);
            work += share;
            rate += share / seconds;
            longest = Math.max(longest, seconds);
        }
        if (longest > UNEVEN * work / rate) {
            device.learn(shown, options, softmax);
            divisions++;
            uneven = true;
        }
    }

    @Override
    public void backward(LlaInputs inputs, LlaResult saved, Tensor gradOutput, LlaGradients gradients) {
        use.run(() -> backwardAlone(inputs, saved, gradOutput, gradients));
    }

    private void backwardAlone(LlaInputs inputs, LlaResult saved, Tensor gradOutput, LlaGradients gradients) {
        if (softmax) {
            throw new UnsupportedOperationException("softmax attention has no backward pass");
        }
        Checks.requireShape(name(), shape, "the inputs", inputs.shape());
        Checks.requireShape(name(), shape, "the saved result", saved.shape());
        Checks.requireShape(name(), shape, "the gradients", gradients.shape());
        if (!saved.keepsState()) {
            throw new InvalidInputException(name() + ": the saved result keeps no state; run forward with LlaOptions.withKeepState(true)");
        }
        Checks.requireGradient(name(), shape, gradOutput);
        LlaInputs.requireRidges(inputs.ridge());
        long start = System.nanoTime();
        boolean known = saved == lastResult && Checks.sameTensors(inputs, lastInputs);
        if (!known) { // parts run forward again
            write(inputs);
            lastResult = null;
        }
        division.tensors.write(Part.GRADIENT, gradOutput);
        DataType type = gradOutput.type();
        Map<PartProcess, Outcome> outcomes = division.run(pieces -> new Orders.Backward(division.plan, pieces, given, type));
        division.tensors.read(gradients);
        if (gradients.dk().firstNonFinite() >= 0 || gradients.dv().firstNonFinite() >= 0) {
            throw new DeviceException(name() + " computed gradients that are not finite; inputs or gradient may be beyond what float32 holds.");
        }
        together(outcomes).tell(gradients, System.nanoTime() - start);
    }

    private String name() {
        return device.info().name();
    }

    @Override
    public String describe() {
        return "q, k and v are copied into memory that the parts share, views with strides once more before, and o and gradients out of it.";
    }

    @Override
    public long workspaceBytes() {
        return division.workspaceBytes;
    }

    @Override
    public void close() {
        use.close(() -> division.close());
    }
}
