package io.github.flashlla.precise;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
import io.github.flashlla.spi.Checks;
import java.util.Arrays;
import java.util.BitSet;
import java.util.function.Function;
import java.util.function.IntToDoubleFunction;
import java.util.function.Supplier;

/**
 * A device's float32 plan, whose result says how far it can be trusted: problems in other units are brought into float32's range
 * first, and queries that float32 does not carry are computed in float64 on the host afterwards.
 */
public final class PrecisePlan implements LlaPlan {
    private final String device;
    private final LlaOptions options;
    private final Function<LlaOptions, FloatPlan> factory;
    private final FloatPlan plan;
    private final ThreadLocal<DoubleRows.Scratch> scratch;
    /** For problems whose units differ; null until one comes. */
    private FloatPlan rescaled;
    private int rescaledBy;
    private LlaInputs lastInputs;
    private LlaResult lastResult;
    private LlaResult lastScaledResult;
    private LlaInputs lastScaledInputs;
    /** The next problem is tried in these first, if they are what it is given in. */
    private Units lastUnits = Units.AS_GIVEN;
    private Units.Sizes lastSizes;
    private RowTrust lastTrust;
    /** Null until something asks for them. */
    private SolveSizes lastSolves;
    private boolean lastCarried;
    /** ||o_i|| as the device left o; null where they have to be computed. */
    private double[] lastNorms;
    private BitSet lastDoubtful;
    /** Exponent that the last gradients' start was divided by: the next is looked at first, if it is not 0. */
    private volatile int lastLoss;
    /** Of the device's last gradients. */
    private boolean lastGradientsFinite;
    /** For results that keep no state; null until one is needed. */
    private KeptState room;

    /**
     * @param device name for messages
     * @param factory makes the device's plan for options
     */
    public PrecisePlan(String device, AttentionShape shape, LlaOptions options, Function<LlaOptions, FloatPlan> factory) {
        this.device = device;
        this.options = options;
        this.factory = given -> factory.apply(RowTrust.tightened(given, shape.headDim()));
        this.scratch = DoubleRows.scratch(shape, options);
        this.plan = this.factory.apply(options);
    }

    @Override
    public AttentionShape shape() {
        return plan.shape();
    }

    @Override
    public LlaOptions options() {
        return options;
    }

    @Override
    public void forward(LlaInputs inputs, LlaResult result) {
        plan.use().run(() -> forwardAlone(inputs, result, false));
    }

    /** {@inheritDoc} Bounds of the keys are kept, and what the device has of keys and values stays there. */
    @Override
    public void forwardQueries(LlaInputs inputs, LlaResult result) {
        plan.use().run(() -> {
            if (lastInputs == null || inputs.k() != lastInputs.k() || inputs.v() != lastInputs.v()) {
                throw new InvalidInputException(device + ": " + (lastInputs == null ? "no forward pass of this plan has ended well yet"
                        : (inputs.k() != lastInputs.k() ? "k" : "v") + " is another tensor than in this plan's last forward pass")
                        + ", so none of its keys and values can be used again; call forward");
            }
            forwardAlone(inputs, result, true);
        });
    }

    private void forwardAlone(LlaInputs inputs, LlaResult result, boolean sameKeys) {
        Checks.requireForward(device, shape(), inputs, result);
        lastInputs = null;
        long start = System.nanoTime();
        KeptState kept = compute(inputs, result, sameKeys);
        Units units = lastUnits;
        boolean asGiven = units.equals(Units.AS_GIVEN);
        LlaResult found = lastScaledResult;
        RowTrust trust = lastTrust;
        BitSet doubtful = trust.judge(found, lastCarried ? null : sizes(kept), lastNorms);
        if (!asGiven) {
            units.restore(found, result);
            for (int row = 0; row < result.roundingError().length; row++) {
                result.roundingError()[row] = Math.scalb(found.roundingError()[row], units.value());
            }
        }
        DoubleRows rows = new DoubleRows(inputs, options(), scratch);
        BitSet solve = (BitSet) (kept == null ? doubtful : trust.lost()).clone();
        BitSet check = (BitSet) doubtful.clone();
        check.andNot(solve);
        BitSet strained = new BitSet();
        solve.or(rows.check(check, kept, -units.key(), result, (row, values) -> {
            if (!trust.carriesGradients(row, values)) {
                synchronized (strained) {
                    strained.set(row);
                }
            }
            return trust.holds(values);
        }));
        BitSet chosen = rows.affordable(solve);
        rows.forward(chosen, result);
        if (!asGiven) {
            chosen.stream().forEach(row -> clear(found.x(), row));
        }
        if (!doubtful.isEmpty()) { // a row that is not finite is in doubt
            Checks.requireFinite(device, result, "An input (inputs.requireFinite() names it), the scale or the ridge");
        }
        chosen.or(strained);
        lastInputs = inputs;
        lastResult = result;
        lastDoubtful = chosen;
        result.setTiming(since(start, found.timing()));
    }

    /**
     * Runs the device's plan: on the inputs as they are, beside a look at them that may find that they have to be in other units, and
     * then in these. The solutions, which a result may not keep; null where nobody needs them.
     */
    private KeptState compute(LlaInputs inputs, LlaResult result, boolean sameKeys) {
        KeptState[] kept = new KeptState[1];
        lastSolves = null;
        if (lastUnits.equals(Units.AS_GIVEN)) {
            lastScaledInputs = inputs;
            lastScaledResult = result;
            Supplier<KeptState> look = () -> {
                KeySizes found = plan.keySizes();
                lastSizes = sameKeys ? lastSizes.with(inputs.q())
                        : found == null ? Magnitude.sizes(inputs) : new Units.Sizes(Magnitude.largest(inputs.q()), found);
                lastUnits = Units.of(lastSizes, inputs, options());
                if (!lastUnits.equals(Units.AS_GIVEN)) {
                    throw new OtherUnits();
                }
                return kept[0] = kept();
            };
            try {
                lastNorms = sameKeys ? plan.forwardQueries(inputs, result, look) : plan.forward(inputs, result, look);
                return kept[0];
            } catch (OtherUnits e) {
                // what the device computed is worth nothing
            }
        } else {
            lastSizes = Magnitude.sizes(inputs);
            lastUnits = Units.of(lastSizes, inputs, options());
        }
        FloatPlan used = planFor(lastUnits);
        boolean asGiven = lastUnits.equals(Units.AS_GIVEN);
        lastScaledInputs = lastUnits.inputs(inputs);
        lastScaledResult = asGiven ? result : used.newResult();
        lastNorms = used.forward(lastScaledInputs, lastScaledResult, () -> kept[0] = kept());
        return kept[0];
    }

    /** Sees which inputs float32 carries whatever their solutions are; where these have to be looked at, they must be kept. */
    private KeptState kept() {
        lastTrust = new RowTrust(lastScaledInputs, lastUnits.options(options(), shape().headDim()),
                Math.scalb(lastSizes.query(), -lastUnits.key()), lastSizes.spread(lastUnits));
        lastCarried = lastTrust.allCarried();
        KeptState own = KeptState.of(lastScaledResult);
        if (own != null || lastCarried) {
            return own;
        }
        room = room == null ? KeptState.allocate(shape()) : room;
        return room;
    }

    /** Inputs must be brought into range first. */
    private static final class OtherUnits extends RuntimeException {
        OtherUnits() {
            super(null, null, false, false);
        }
    }

    /** Of the last forward run, which backward may want to see again. */
    private SolveSizes sizes(KeptState kept) {
        if (lastSolves == null) {
            SolveSizes found = planFor(lastUnits).solveSizes();
            lastSolves = found != null ? found : SolveSizes.of(lastScaledInputs.q(), kept, lastScaledResult.logSumExp(),
                    lastUnits.options(options(), shape().headDim()).scaleFor(shape().headDim()));
        }
        return lastSolves;
    }

    private FloatPlan planFor(Units units) {
        if (units.key() == 0) {
            return plan;
        }
        if (rescaled != null && rescaledBy != units.key()) {
            rescaled.close();
            rescaled = null;
        }
        if (rescaled == null) {
            rescaled = factory.apply(units.options(options(), shape().headDim()));
            rescaledBy = units.key();
        }
        return rescaled;
    }

    private void clear(Tensor x, int row) {
        for (int c = 0; x != null && c < shape().headDim(); c++) {
            x.set((long) row * shape().headDim() + c, 0);
        }
    }

    private static Timing since(long start, Timing timing) {
        return new Timing(System.nanoTime() - start, timing.kernelNanos(), timing.copyInNanos(), timing.copyOutNanos(),
                timing.compileNanos());
    }

    @Override
    public void backward(LlaInputs inputs, LlaResult saved, Tensor gradOutput, LlaGradients gradients) {
        plan.use().run(() -> backwardAlone(inputs, saved, gradOutput, gradients));
    }

    private void backwardAlone(LlaInputs inputs, LlaResult saved, Tensor gradOutput, LlaGradients gradients) {
        Checks.requireBackward(device, shape(), inputs, saved, gradOutput, gradients);
        if (!saved.keepsState() || !options.keepState()) {
            throw new InvalidInputException(device + ": the saved result, or this plan, keeps no state; make the plan and run forward "
                    + "with LlaOptions.withKeepState(true)");
        }
        boolean ours = saved == lastResult && lastInputs != null && Checks.sameTensors(inputs, lastInputs);
        long start = System.nanoTime();
        if (!ours) {
            LlaResult again = plan.newResult();
            forwardAlone(inputs, again, false);
        }
        LlaResult from = lastScaledResult;
        Units units = lastUnits;
        DoubleRows rows = new DoubleRows(inputs, options(), scratch);
        FloatPlan used = planFor(units);
        BitSet cancelling = lastTrust.cancelling(sizes(KeptState.of(from)));
        cancelling.or(lastDoubtful);
        BitSet affordable = rows.affordable(cancelling);
        Runnable look = () -> {
            lastLoss = units.loss(Magnitude.largest(gradOutput), lastSizes);
            if (lastLoss != 0) {
                throw new OtherUnits();
            }
        };
        BitSet chosen = null;
        if (lastLoss == 0) {
            try {
                chosen = run(used, rows, affordable, from, gradOutput, gradients, look);
            } catch (OtherUnits e) {
                // what the device computed is worth nothing
            }
        } else {
            lastLoss = units.loss(Magnitude.largest(gradOutput), lastSizes);
        }
        int loss = lastLoss;
        if (chosen == null) {
            chosen = run(used, rows, affordable, from, loss == 0 ? gradOutput : Units.times(gradOutput, -loss), gradients, () -> { });
        }
        int both = units.value() + loss;
        boolean same = rescale(gradients.dq(), both - units.key());
        same &= rescale(gradients.dk(), both - units.key());
        same &= rescale(gradients.dv(), loss);
        same &= rescale(gradients.dridge(), both - 2 * units.key());
        boolean finite = rows.backward(chosen, gradOutput, gradients);
        if (!finite || !(same && lastGradientsFinite) && !Magnitude.allFinite(gradients)) {
            throw Checks.gradientsNotFinite(device);
        }
        gradients.setTiming(since(start, gradients.timing()));
    }

    /**
     * The device's run without what it cannot carry, and again without what this run showed it cannot; returns what is left out.
     *
     * @param look at {@code g}, beside the first run
     */
    private BitSet run(FloatPlan used, DoubleRows rows, BitSet doubtful, LlaResult from, Tensor g, LlaGradients gradients, Runnable look) {
        int all = gradients.iterations().length;
        if (doubtful.cardinality() == all) { // their solutions may be anything, and 0 times infinity is NaN
            look.run();
            return nothing(gradients, doubtful);
        }
        BitSet left = doubtful;
        double[] valueSizes = new double[shape().batch() * shape().kvHeads()];
        IntToDoubleFunction valueSize = head -> valueSize(head, valueSizes);
        for (int attempt = 0;; attempt++) {
            BitSet more = (BitSet) left.clone();
            BitSet lost = new BitSet();
            try {
                used.backward(lastScaledInputs, from, g, left, gradients, attempt == 0 ? look : () -> { });
                int[] iterations = gradients.iterations();
                for (int row = 0; row < iterations.length; row++) {
                    float recurrence = gradients.residual()[row];
                    gradients.recurrenceResidual()[row] = recurrence;
                    boolean capped = iterations[row] >= options().maxIterations() && iterations[row] < shape().headDim();
                    if (!(recurrence <= options().tolerance()) && !capped) {
                        more.set(row);
                    }
                    if (!left.get(row) && lastTrust.losesRightSide(row, recurrence, g, valueSize)) {
                        lost.set(row);
                    }
                }
                more.or(lost);
                lastGradientsFinite = used.finite(gradients);
                if (!lastGradientsFinite) {
                    more.set(0, all);
                }
            } catch (DeviceException e) { // numbers that are not finite
                if (left.isEmpty() || attempt > 0) {
                    throw e;
                }
                lastGradientsFinite = false;
                more.set(0, all);
            }
            if (more.equals(left) || attempt > 0 || !rows.affordable(more).equals(more)) {
                lost.stream().forEach(row -> gradients.residual()[row] = 1); // nothing was solved
                return left;
            }
            if (more.cardinality() == all) {
                return nothing(gradients, more);
            }
            left = more;
        }
    }

    /** Largest ||v|| of a key/value head, once it is asked for. */
    private double valueSize(int head, double[] sizes) {
        if (sizes[head] == 0) {
            Tensor values = lastScaledInputs.v().part(0, head / shape().kvHeads(), 1).part(1, head % shape().kvHeads(), 1);
            sizes[head] = Math.sqrt(shape().valueDim()) * Magnitude.largest(values);
        }
        return sizes[head];
    }

    /** Leaves nothing to the device. */
    private BitSet nothing(LlaGradients gradients, BitSet all) {
        gradients.dk().fill(0);
        gradients.dv().fill(0);
        Arrays.fill(gradients.iterations(), 0);
        gradients.setPairIterations(0);
        gradients.setComputedBy("");
        gradients.setTiming(Timing.ofWall(0)); // not those of an earlier run
        lastGradientsFinite = true; // as soon as float64 has written the others
        return all;
    }

    /** Returns whether there was nothing to do. */
    private static boolean rescale(Tensor tensor, int exponent) {
        if (exponent != 0) {
            Units.copy(tensor, tensor, exponent);
        }
        return exponent == 0;
    }

    @Override
    public String describe() {
        return plan.describe();
    }

    @Override
    public long workspaceBytes() {
        return plan.workspaceBytes() + (rescaled == null ? 0 : rescaled.workspaceBytes()) + (room == null ? 0 : room.bytes());
    }

    @Override
    public void close() {
        plan.close();
        if (rescaled != null) {
            rescaled.close();
        }
    }
}
