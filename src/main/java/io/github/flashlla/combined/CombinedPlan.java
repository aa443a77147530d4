package io.github.flashlla.combined;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.combined.Crew.Step;
import io.github.flashlla.combined.Layout.Part;
import io.github.flashlla.combined.PartPlan.Given;
import io.github.flashlla.spi.Checks;
import io.github.flashlla.spi.ExclusiveUse;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.function.IntConsumer;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
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
    private volatile Division division;
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
        /** Of each piece. */
        private final AtomicLongArray workspaceBytes;

        Division() {
            List<PartProcess> living = device.crew().living();
            List<List<Piece>> shares = Shares.of(shape, options.causal(), device.speeds(living, shape, options, softmax));
            List<Piece> all = new ArrayList<>();
            for (int n = 0; n < shares.size(); n++) {
                int first = all.size();
                List<Piece> share = Shares.inTurn(shares.get(n), shape, device.leastPieceBytes());
                all.addAll(share);
                int[] own = new int[share.size()];
                Arrays.setAll(own, i -> first + i);
                pieces.put(living.get(n), own);
            }
            Layout layout = new Layout(shape, all);
            workspaceBytes = new AtomicLongArray(all.size());
            long used = shape.tensorBytes(DataType.FLOAT32.bytes());
            inputs = SharedMemory.create(layout.bytes(true), used);
            SharedMemory made = null;
            try {
                made = SharedMemory.create(layout.bytes(false), used);
                inputsNumber = device.crew().share(inputs, false);
                outputsNumber = device.crew().share(made, true);
                outputs = made;
                tensors = new Tensors(layout, inputs.segment(), outputs.segment());
                device.crew().all(part -> new Orders.MakePlan(plan, layout, options, softmax, inputsNumber, outputsNumber,
                        pieces.getOrDefault(part, new int[0])), long[].class).forEach((part, bytes) -> {
                            for (int n = 0; n < bytes.length; n++) {
                                workspaceBytes.set(pieces.get(part)[n], bytes[n]);
                            }
                        });
            } catch (RuntimeException e) {
                device.crew().allQuietly(new Orders.ClosePlan(plan));
                inputs.close();
                if (made != null) {
                    made.close();
                }
                throw e;
            }
        }

        /**
         * Has every part do its share, piece after piece; what a part that dies leaves is done again by another.
         *
         * @param order writes what a piece needs, and gives its order
         * @param read takes what a piece left
         */
        Map<PartProcess, Outcome> run(IntFunction<Order<Outcome>> order, IntConsumer read) {
            Map<PartProcess, Outcome> outcomes = new LinkedHashMap<>();
            BitSet left = new BitSet();
            left.set(0, tensors.layout().pieces().size());
            while (!left.isEmpty()) {
                Map<PartProcess, List<Step<Outcome>>> steps = new LinkedHashMap<>();
                pieces.forEach((part, own) -> steps.put(part, Arrays.stream(own).filter(left::get).<Step<Outcome>>mapToObj(piece -> new Step<>() {
                    @Override
                    public Order<Outcome> order() {
                        return order.apply(piece);
                    }

                    @Override
                    public void take(Outcome outcome) {
                        read.accept(piece);
                        left.clear(piece);
                        workspaceBytes.set(piece, outcome.workspaceBytes());
                        outcomes.merge(part, outcome, Outcome::then);
                    }
                }).toList()));
                device.crew().converse(steps, Outcome.class);
                device.crew().requireUninterrupted();
                if (!left.isEmpty()) {
                    bequeath();
                }
            }
            return outcomes;
        }

        /** Gives the pieces of those who died to one that lives. */
        private void bequeath() {
            PartProcess heir = device.crew().living().getFirst();
            int[] more = pieces.entrySet().stream().filter(one -> one.getKey().dead()).flatMapToInt(one -> Arrays.stream(one.getValue())).toArray();
            pieces.keySet().removeIf(PartProcess::dead);
            pieces.merge(heir, more, (own, others) -> Stream.of(own, others).flatMapToInt(Arrays::stream).toArray());
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
        Checks.requireForward(name(), shape, inputs, result);
        long start = System.nanoTime();
        if (uneven) {
            lastResult = null;
            division.close();
            division = new Division();
            uneven = false;
        }
        InputWriter writer = writer(inputs);
        Map<PartProcess, Outcome> outcomes = division.run(piece -> {
            writer.write(piece);
            return new Orders.Forward(division.plan, piece, given);
        }, piece -> division.tensors.read(result, piece));
        lastResult = result;
        together(outcomes).tell(result, System.nanoTime() - start);
        weigh(outcomes);
    }

    /** For inputs that the parts do not have. */
    private InputWriter writer(LlaInputs inputs) {
        lastInputs = inputs;
        lastResult = null;
        given = new Given(inputs.q().type(), inputs.k().type(), inputs.v().type(), inputs.ridge() == null ? null : inputs.ridge().type(),
                ++serial);
        return new InputWriter(division.tensors, inputs);
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
        Checks.requireBackward(name(), shape, inputs, saved, gradOutput, gradients);
        if (!saved.keepsState()) {
            throw new InvalidInputException(name() + ": the saved result keeps no state; run forward with LlaOptions.withKeepState(true)");
        }
        long start = System.nanoTime();
        boolean known = saved == lastResult && Checks.sameTensors(inputs, lastInputs);
        InputWriter writer = known ? null : writer(inputs); // then parts run forward again
        Tensor rows = gradOutput.rowMajor();
        Map<PartProcess, Outcome> outcomes = division.run(piece -> {
            if (writer != null) {
                writer.write(piece);
            }
            division.tensors.write(Part.GRADIENT, rows, piece);
            return new Orders.Backward(division.plan, piece, given, rows.type());
        }, piece -> division.tensors.read(gradients, piece));
        division.tensors.readSums(gradients);
        if (gradients.dk().firstNonFinite() >= 0 || gradients.dv().firstNonFinite() >= 0) {
            throw Checks.gradientsNotFinite(name());
        }
        together(outcomes).tell(gradients, System.nanoTime() - start);
    }

    private String name() {
        return device.info().name();
    }

    @Override
    public String describe() {
        return "q, k and v are copied into memory that the parts share, views with strides once more before, and o and gradients out of it, a piece "
                + "of each share after the other: a part computes one while others are copied.";
    }

    @Override
    public long workspaceBytes() {
        Division now = division;
        return now.tensors.touchedBytes() + IntStream.range(0, now.workspaceBytes.length()).mapToLong(now.workspaceBytes::get).sum();
    }

    @Override
    public void close() {
        use.close(() -> division.close());
    }
}
