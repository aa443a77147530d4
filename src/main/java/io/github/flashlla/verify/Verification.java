package io.github.flashlla.verify;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Holds one device against float64: the test vectors, fresh random problems, and what gradients must agree with. */
public final class Verification {
    private static final double FORWARD_TOLERANCE = 1e-5;
    private static final double BACKWARD_TOLERANCE = 1e-6;
    /** x carries the whole of what the tolerance leaves; o only a part. */
    private static final double STATE_BAR = 3e-4;
    private static final int RANDOM_CASES = 8;
    private static final int SMALL_CASES = 2;
    private static final int DECODE_CASES = 4;
    private static final String RANDOM = "random ";
    private static final String SMALL = "small ";
    private static final String DECODE = "decode ";
    /** Not a power of two, so that rounding differs too. */
    private static final double LOSS_FACTOR = 3;

    private final Device device;
    private final boolean exact;
    private final Consumer<Outcome> listener;
    private boolean hasBackward = true;

    private Verification(Device device, Consumer<Outcome> listener) {
        this.device = device;
        this.exact = device.info().precisions().contains(DataType.FLOAT64);
        this.listener = listener;
    }

    /**
     * One check.
     *
     * @param error relative error, NaN if something was not written; the largest of the gradients' for backward
     * @param bar largest error that passes
     * @param iterations most that a query took
     * @param failure what the device said if it failed, else null
     */
    public record Outcome(String name, String pass, AttentionShape shape, double error, double bar, int iterations, String failure) {
        public boolean ok() {
            return failure == null && error <= bar; // false for NaN
        }
    }

    /**
     * Runs every check, telling {@code listener} of each as it ends.
     *
     * @param seed of the random problems
     * @return all outcomes, those that missed included
     */
    public static List<Outcome> run(Device device, List<GoldenCase> golden, long seed, Consumer<Outcome> listener) {
        return run(device, golden, seed, 0, 1, listener);
    }

    /**
     * Runs one part of the cases, those that share compiled kernels in one part. All parts together are the whole, in the order of
     * {@link #names}.
     *
     * @param part from 0
     * @param parts how many there are
     */
    public static List<Outcome> run(Device device, List<GoldenCase> golden, long seed, int part, int parts, Consumer<Outcome> listener) {
        List<Outcome> outcomes = new ArrayList<>();
        Verification verification = new Verification(device, outcome -> {
            outcomes.add(outcome);
            listener.accept(outcome);
        });
        List<Case> cases = new ArrayList<>();
        golden.forEach(one -> cases.add(new Case(false, one.inputs().shape(), () -> verification.golden(one))));
        Random random = new Random(seed);
        for (int n = 0; n < RANDOM_CASES; n++) {
            String name = RANDOM + n;
            long own = random.nextLong();
            cases.add(new Case(false, Drawn.of(new Random(own)).shape(), () -> verification.random(name, new Random(own))));
        }
        for (int n = 0; n < SMALL_CASES; n++) {
            String name = SMALL + n;
            boolean causal = n == 0;
            long own = random.nextLong();
            cases.add(new Case(false, smallShape(causal, new Random(own)), () -> verification.small(name, causal, new Random(own))));
        }
        for (int n = 0; n < DECODE_CASES; n++) {
            String name = DECODE + n;
            long own = random.nextLong();
            cases.add(new Case(true, decodeShape(new Random(own)), () -> verification.decode(name, new Random(own))));
        }
        Case.shares(cases, parts).get(part).forEach(one -> one.check().run());
        return outcomes;
    }

    /** What kernels are compiled for depends on the head dims, which kernels pad to multiples of 32 or to powers of two. */
    private record Case(boolean decodes, AttentionShape shape, Runnable check) {
        /** What compiling a case's kernels costs, in cases whose kernels are there. */
        private static final int COMPILATION = 8;

        private List<Object> kernels() {
            return List.of(decodes, padded(shape.headDim()), padded(shape.valueDim()));
        }

        private static List<Integer> padded(int dim) {
            return List.of(Math.ceilDiv(dim, 32), 32 - Integer.numberOfLeadingZeros(Math.max(dim, 16) - 1));
        }

        /** All cases, in their order, in parts that cost about the same. */
        static List<List<Case>> shares(List<Case> cases, int parts) {
            Map<Object, List<Case>> groups = cases.stream().collect(Collectors.groupingBy(Case::kernels, LinkedHashMap::new, Collectors.toList()));
            List<List<Case>> shares = Stream.generate(() -> (List<Case>) new ArrayList<Case>()).limit(parts).toList();
            int[] costs = new int[parts];
            groups.values().stream().sorted(Comparator.comparingInt(group -> -group.size())).forEach(group -> {
                int least = IntStream.range(0, parts).boxed().min(Comparator.comparingInt(n -> costs[n])).orElseThrow();
                shares.get(least).addAll(group);
                costs[least] += COMPILATION + group.size();
            });
            shares.forEach(share -> share.sort(Comparator.comparingInt(cases::indexOf)));
            return shares;
        }
    }

    /** What is drawn first for a random problem. */
    private record Drawn(AttentionShape shape, boolean causal) {
        static Drawn of(Random random) {
            int kvHeads = 1 + random.nextInt(2);
            boolean causal = random.nextBoolean();
            int keys = 1 + random.nextInt(300);
            return new Drawn(new AttentionShape(1 + random.nextInt(2), kvHeads * (1 + random.nextInt(3)), kvHeads,
                    causal ? 1 + random.nextInt(keys) : 1 + random.nextInt(200), keys, 8 + random.nextInt(121), 8 + random.nextInt(121)), causal);
        }
    }

    private static AttentionShape smallShape(boolean causal, Random random) {
        int keys = 5 + random.nextInt(30);
        return new AttentionShape(1, 4, 2, causal ? 1 + random.nextInt(keys) : 1 + random.nextInt(30), keys, 4 + random.nextInt(12),
                4 + random.nextInt(12));
    }

    private static AttentionShape decodeShape(Random random) {
        int kvHeads = 1 + random.nextInt(2);
        int dim = 8 << random.nextInt(5); // what matrix-free decoding takes everywhere
        return new AttentionShape(1 + random.nextInt(2), kvHeads * (1 + random.nextInt(4)), kvHeads, 1, 1 + random.nextInt(500), dim, dim);
    }

    /** The names of all cases, in the order in which one run has them. */
    public static List<String> names(List<GoldenCase> golden) {
        List<String> names = new ArrayList<>(golden.stream().map(GoldenCase::name).toList());
        IntStream.range(0, RANDOM_CASES).forEach(n -> names.add(RANDOM + n));
        IntStream.range(0, SMALL_CASES).forEach(n -> names.add(SMALL + n));
        IntStream.range(0, DECODE_CASES).forEach(n -> names.add(DECODE + n));
        return names;
    }

    /** One query per head against a cache, which is what the forward pass gives for it. */
    private void decode(String name, Random random) {
        AttentionShape shape = decodeShape(random);
        LlaInputs inputs = RandomInputs.normal(shape, exact ? DataType.FLOAT64 : DataType.FLOAT32, random.nextLong());
        LlaOptions options = LlaOptions.defaults().withMaxIterations(256).withTolerance(FORWARD_TOLERANCE);
        double bar = exact ? 1e-6 : 1e-4; // a cache holds float32
        try (Device reference = Devices.open("reference")) {
            LlaResult result = device.decode(inputs, options);
            listener.accept(new Outcome(name, "decode", shape, Accuracy.relativeError(result.output(), reference.forward(inputs, options).output()), bar,
                    result.maxIterations(), null));
        } catch (RuntimeException e) {
            listener.accept(new Outcome(name, "decode", shape, Double.NaN, bar, 0, e.getMessage()));
        }
    }

    private void golden(GoldenCase golden) {
        LlaInputs inputs = exact ? golden.inputs() : golden.inputs().as(DataType.FLOAT32);
        double bar = exact ? golden.referenceBar() : golden.isPeaked() ? 1e-3 : 1e-4;
        forward(golden.name(), inputs, golden.options(), golden.tensor("o"), bar);
        states(golden, inputs);
        double gradientBar = exact ? golden.referenceGradientBar() : golden.isPeaked() ? 1e-2 : 3e-4;
        backward(golden.name(), inputs, golden.options(), golden.tensor("g"), gradientBar,
                List.of(golden.tensor("dq"), golden.tensor("dk"), golden.tensor("dv"), golden.tensor("dridge")));
    }

    /** What the answer is made of, where a case says what it is. */
    private void states(GoldenCase golden, LlaInputs inputs) {
        double bar = exact ? golden.referenceGradientBar() : golden.isPeaked() ? 1e-2 : STATE_BAR;
        try (LlaPlan plan = device.plan(inputs.shape(), golden.options().withTolerance(FORWARD_TOLERANCE).withKeepState(true))) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            Map<String, Tensor> found = Map.of("kbar", result.kbar(), "x", result.x(), "lse", result.logSumExp());
            for (String state : GoldenCase.STATES) {
                golden.state(state).ifPresent(want -> listener.accept(new Outcome(golden.name(), state, inputs.shape(),
                        Accuracy.relativeError(found.get(state), want), bar, result.maxIterations(), null)));
            }
        } catch (RuntimeException e) {
            listener.accept(new Outcome(golden.name(), "state", inputs.shape(), Double.NaN, bar, 0, e.getMessage()));
        }
    }

    private void random(String name, Random random) {
        Drawn drawn = Drawn.of(random);
        AttentionShape shape = drawn.shape();
        LlaInputs inputs = RandomInputs.normal(shape, exact ? DataType.FLOAT64 : DataType.FLOAT32, random.nextLong());
        if (random.nextBoolean()) {
            Tensor ridge = Tensor.allocate(DataType.FLOAT32, shape.rowDims());
            for (long i = 0; i < ridge.size(); i++) {
                ridge.set(i, Math.exp(random.nextGaussian()));
            }
            inputs = inputs.withRidge(ridge);
        }
        LlaOptions options = LlaOptions.defaults().withCausal(drawn.causal()).withMaxIterations(256)
                .withPreconditioner(random.nextBoolean() ? Preconditioner.JACOBI : Preconditioner.NONE);
        Tensor gradOutput = RandomInputs.gradient(shape);
        LlaResult want;
        LlaGradients wanted;
        try (Device reference = Devices.open("reference"); LlaPlan plan = reference.plan(shape, options.withKeepState(true))) {
            want = plan.newResult();
            plan.forward(inputs, want);
            wanted = plan.newGradients();
            plan.backward(inputs, want, gradOutput, wanted);
        }
        forward(name, inputs, options, want.output(), exact ? 1e-12 : 1e-4);
        backward(name, inputs, options, gradOutput, exact ? 1e-10 : 3e-4,
                List.of(wanted.dq(), wanted.dk(), wanted.dv(), wanted.dridge()));
    }

    /** Gradients against what needs no other gradients: slopes of the float64 loss, and how they scale with it. */
    private void small(String name, boolean causal, Random random) {
        if (!hasBackward) {
            return;
        }
        AttentionShape shape = smallShape(causal, random);
        DataType type = exact ? DataType.FLOAT64 : DataType.FLOAT32;
        LlaInputs inputs = RandomInputs.normal(shape, type, random.nextLong());
        Tensor ridge = Tensor.allocate(type, shape.rowDims());
        for (long i = 0; i < ridge.size(); i++) {
            ridge.set(i, 0.5 + random.nextDouble());
        }
        LlaInputs ridged = inputs.withRidge(ridge);
        Tensor g = RandomInputs.gradient(shape);
        LlaOptions options = LlaOptions.defaults().withCausal(causal).withTolerance(BACKWARD_TOLERANCE).withMaxIterations(256)
                .withKeepState(true);
        double bar = exact ? 1e-7 : 3e-4;
        try (LlaPlan plan = device.plan(shape, options)) {
            LlaResult saved = plan.newResult();
            plan.forward(ridged, saved);
            LlaGradients once = plan.newGradients();
            plan.backward(ridged, saved, g.as(type), once);
            LlaGradients scaled = plan.newGradients();
            plan.backward(ridged, saved, GradientIdentities.times(LOSS_FACTOR, g).as(type), scaled);
            int iterations = Arrays.stream(once.iterations()).max().orElse(0);
            double slope = GradientIdentities.slopeError(ridged, options, g, once, random);
            listener.accept(new Outcome(name, "slope", shape, slope, bar, iterations, null));
            double scaling = GradientIdentities.scalingError(once, scaled, LOSS_FACTOR);
            listener.accept(new Outcome(name, "scaling", shape, scaling, exact ? 1e-12 : 1e-4, iterations, null));
            double value = GradientIdentities.valueError(ridged, g, saved, once);
            listener.accept(new Outcome(name, "v.dv=g.o", shape, value, exact ? 1e-12 : 1e-4, iterations, null));
        } catch (UnsupportedOperationException e) {
            hasBackward = false;
        } catch (RuntimeException e) {
            listener.accept(new Outcome(name, "slope", shape, Double.NaN, bar, 0, e.getMessage()));
        }
    }

    private void forward(String name, LlaInputs inputs, LlaOptions options, Tensor want, double bar) {
        try {
            LlaResult result = device.forward(inputs, options.withTolerance(FORWARD_TOLERANCE));
            double error = Accuracy.relativeError(result.output(), want);
            listener.accept(new Outcome(name, "forward", inputs.shape(), error, bar, result.maxIterations(), null));
        } catch (RuntimeException e) {
            listener.accept(new Outcome(name, "forward", inputs.shape(), Double.NaN, bar, 0, e.getMessage()));
        }
    }

    private void backward(String name, LlaInputs inputs, LlaOptions options, Tensor gradOutput, double bar, List<Tensor> want) {
        if (!hasBackward) {
            return;
        }
        LlaOptions keeping = options.withTolerance(BACKWARD_TOLERANCE).withMaxIterations(256).withKeepState(true);
        try (LlaPlan plan = device.plan(inputs.shape(), keeping)) {
            LlaResult saved = plan.newResult();
            plan.forward(inputs, saved);
            LlaGradients gradients = plan.newGradients();
            plan.backward(inputs, saved, exact ? gradOutput : gradOutput.as(DataType.FLOAT32), gradients);
            List<Tensor> found = List.of(gradients.dq(), gradients.dk(), gradients.dv(), gradients.dridge());
            double worst = 0;
            for (int n = 0; n < found.size(); n++) {
                worst = Math.max(worst, Accuracy.relativeError(found.get(n), want.get(n))); // Math.max keeps NaN
            }
            int iterations = Arrays.stream(gradients.iterations()).max().orElse(0);
            listener.accept(new Outcome(name, "backward", inputs.shape(), worst, bar, iterations, null));
        } catch (UnsupportedOperationException e) {
            hasBackward = false;
        } catch (RuntimeException e) {
            listener.accept(new Outcome(name, "backward", inputs.shape(), Double.NaN, bar, 0, e.getMessage()));
        }
    }
}
