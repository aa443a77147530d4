package io.github.flashlla.precise;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceException;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.spi.ExclusiveUse;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.RandomInputs;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

/** What a plan of a device that computes elsewhere is asked for, and when. */
class PrecisePlanTest {
    private static final AttentionShape SHAPE = AttentionShape.square(1, 2, 40, 8);
    private static final LlaOptions OPTIONS = LlaOptions.defaults();

    private final List<String> asked = new ArrayList<>();

    /** Computes like the float64 reference, and has the host's part done by another thread after it. */
    private final class Elsewhere implements FloatPlan {
        private final ExclusiveUse use = ExclusiveUse.ofPlan(new DeviceState("elsewhere"));
        private final LlaOptions options;

        Elsewhere(LlaOptions options) {
            this.options = options;
        }

        @Override
        public double[] forward(LlaInputs inputs, LlaResult result, Supplier<KeptState> kept) {
            return compute("forward", inputs, result, kept);
        }

        @Override
        public double[] forwardQueries(LlaInputs inputs, LlaResult result, Supplier<KeptState> kept) {
            return compute("queries", inputs, result, kept);
        }

        @Override
        public void backward(LlaInputs inputs, LlaResult saved, Tensor gradOutput, BitSet without, LlaGradients gradients) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void backward(LlaInputs inputs, LlaResult saved, Tensor gradOutput, BitSet without, LlaGradients gradients, Runnable look) {
            asked.add("backward");
            try {
                try {
                    if (Magnitude.largest(gradOutput) < 0x1p-20f) {
                        throw new DeviceException("too small");
                    }
                    LlaGradients found = gradients(inputs, gradOutput);
                    Units.copy(found.dq(), gradients.dq(), 0);
                    Units.copy(found.dk(), gradients.dk(), 0);
                    Units.copy(found.dv(), gradients.dv(), 0);
                    Units.copy(found.dridge(), gradients.dridge(), 0);
                } finally {
                    CompletableFuture.runAsync(look).join();
                }
            } catch (CompletionException e) {
                throw (RuntimeException) e.getCause();
            }
        }

        private double[] compute(String name, LlaInputs inputs, LlaResult result, Supplier<KeptState> kept) {
            float largest = Magnitude.largest(inputs.k());
            asked.add(name);
            try {
                try {
                    if (largest < 0x1p-12f && options.ridge() == OPTIONS.ridge()) { // not in other units
                        throw new DeviceException("too small");
                    }
                    LlaResult found = new LlaResult(SHAPE, DataType.FLOAT64, true);
                    try (Device reference = Devices.open("reference"); LlaPlan plan = reference.plan(SHAPE, options.withKeepState(true))) {
                        plan.forward(inputs, found);
                    }
                    Units.copy(found.output(), result.output(), 0);
                    Units.copy(found.logSumExp(), result.logSumExp(), 0);
                    if (result.keepsState()) {
                        Units.copy(found.kbar(), result.kbar(), 0);
                        Units.copy(found.x(), result.x(), 0);
                    }
                    System.arraycopy(found.iterations(), 0, result.iterations(), 0, result.iterations().length);
                    System.arraycopy(found.residual(), 0, result.residual(), 0, result.residual().length);
                } finally {
                    CompletableFuture.supplyAsync(kept).join();
                }
            } catch (CompletionException e) {
                throw (RuntimeException) e.getCause();
            }
            return Magnitude.rowNorms(result.output(), SHAPE.valueDim());
        }

        @Override
        public ExclusiveUse use() {
            return use;
        }

        @Override
        public AttentionShape shape() {
            return SHAPE;
        }

        @Override
        public LlaOptions options() {
            return options;
        }

        @Override
        public long workspaceBytes() {
            return 0;
        }

        @Override
        public void close() {}
    }

    private PrecisePlan plan() {
        return new PrecisePlan("elsewhere", SHAPE, OPTIONS.withTolerance(1e-3), Elsewhere::new);
    }

    private static LlaInputs scaled(LlaInputs inputs, double factor) {
        Tensor[] scaled = {inputs.q().copy(), inputs.k().copy()};
        for (Tensor tensor : scaled) {
            for (long i = 0; i < tensor.size(); i++) {
                tensor.set(i, tensor.get(i) * factor);
            }
        }
        return LlaInputs.of(scaled[0], scaled[1], inputs.v());
    }

    @Test
    void computesOnceWhatIsInRange() {
        LlaInputs inputs = RandomInputs.normal(SHAPE, DataType.FLOAT32, 1);
        try (PrecisePlan plan = plan()) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            plan.forward(inputs, result);
        }
        assertEquals(List.of("forward", "forward"), asked);
    }

    /** What the device makes of numbers out of its range, be it an exception, counts for nothing; the next such problem goes straight to its units. */
    @Test
    void computesAgainInOtherUnits() {
        LlaInputs inputs = scaled(RandomInputs.normal(SHAPE, DataType.FLOAT32, 1), 0x1p-16);
        try (PrecisePlan plan = plan()) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            assertEquals(List.of("forward", "forward"), asked);
            assertTrue(Accuracy.relativeError(result.output(), expected(inputs)) < 1e-4);
            plan.forward(inputs, result);
            assertEquals(3, asked.size());
            LlaInputs ordinary = RandomInputs.normal(SHAPE, DataType.FLOAT32, 2);
            plan.forward(ordinary, result);
            assertEquals(4, asked.size());
            assertTrue(Accuracy.relativeError(result.output(), expected(ordinary)) < 1e-4);
        }
    }

    /** Likewise for gradients, by what they start from. */
    @Test
    void computesGradientsAgainInOtherUnits() {
        LlaInputs inputs = RandomInputs.normal(SHAPE, DataType.FLOAT32, 1);
        Tensor ordinary = RandomInputs.normal(SHAPE, DataType.FLOAT32, 2).q();
        Tensor small = Units.times(ordinary, -40);
        try (PrecisePlan plan = new PrecisePlan("elsewhere", SHAPE, OPTIONS.withTolerance(1e-3).withKeepState(true), Elsewhere::new)) {
            LlaResult result = plan.newResult();
            LlaGradients gradients = plan.newGradients();
            plan.forward(inputs, result);
            asked.clear();
            for (int passes : new int[] {2, 1}) { // the next such problem goes straight to its units
                plan.backward(inputs, result, small, gradients);
                assertEquals(passes, asked.size());
                asked.clear();
                requireRight(gradients(inputs, small), gradients);
            }
            plan.backward(inputs, result, ordinary, gradients);
            assertEquals(1, asked.size());
            requireRight(gradients(inputs, ordinary), gradients);
        }
    }

    /** Its solutions may be anything: opencl:0 left NaN in dk and dv, and the gradients were refused. */
    @Test
    void asksNothingOfADeviceThatCarriesNoQuery() {
        LlaInputs inputs = scaled(RandomInputs.normal(SHAPE, DataType.FLOAT32, 1), 64);
        for (long i = 0; i < inputs.k().size(); i++) { // in one dimension, so that x is long in all others
            inputs.k().set(i, i % SHAPE.headDim() == 0 ? inputs.k().get(i) : 0);
        }
        Tensor g = RandomInputs.normal(SHAPE, DataType.FLOAT32, 2).q();
        LlaOptions options = OPTIONS.withScale(1e-4).withRidge(1e-4).withKeepState(true);
        try (PrecisePlan plan = new PrecisePlan("elsewhere", SHAPE, options, Elsewhere::new); Device reference = Devices.open("reference");
                LlaPlan exact = reference.plan(SHAPE, options)) {
            LlaResult result = plan.newResult();
            LlaGradients gradients = plan.newGradients();
            plan.forward(inputs, result);
            asked.clear();
            plan.backward(inputs, result, g, gradients);
            assertEquals(List.of(), asked);
            LlaResult want = exact.newResult();
            LlaGradients expected = exact.newGradients();
            exact.forward(inputs, want);
            exact.backward(inputs, want, g, expected);
            requireRight(expected, gradients);
            assertEquals(SHAPE.rows(), gradients.recomputedRows());
        }
    }

    private static void requireRight(LlaGradients expected, LlaGradients found) {
        assertTrue(Accuracy.relativeError(found.dq(), expected.dq()) < 1e-4);
        assertTrue(Accuracy.relativeError(found.dk(), expected.dk()) < 1e-4);
        assertTrue(Accuracy.relativeError(found.dv(), expected.dv()) < 1e-4);
    }

    private static LlaGradients gradients(LlaInputs inputs, Tensor gradOutput) {
        try (Device reference = Devices.open("reference"); LlaPlan plan = reference.plan(SHAPE, OPTIONS.withKeepState(true))) {
            LlaResult result = plan.newResult();
            LlaGradients gradients = plan.newGradients();
            plan.forward(inputs, result);
            plan.backward(inputs, result, gradOutput, gradients);
            return gradients;
        }
    }

    private static Tensor expected(LlaInputs inputs) {
        try (Device reference = Devices.open("reference"); LlaPlan plan = reference.plan(SHAPE, OPTIONS)) {
            LlaResult result = new LlaResult(SHAPE, DataType.FLOAT64, false);
            plan.forward(inputs, result);
            return result.output();
        }
    }

    @Test
    void usesKeysAndValuesAgain() {
        LlaInputs first = RandomInputs.normal(SHAPE, DataType.FLOAT32, 1);
        LlaInputs second = LlaInputs.of(RandomInputs.normal(SHAPE, DataType.FLOAT32, 2).q(), first.k(), first.v());
        try (PrecisePlan plan = plan()) {
            LlaResult expected = plan.newResult();
            plan.forward(second, expected);
            LlaResult result = plan.newResult();
            plan.forward(first, result);
            plan.forwardQueries(second, result);
            assertEquals(List.of("forward", "forward", "queries"), asked);
            assertArrayEquals(expected.output().toFloatArray(), result.output().toFloatArray());
            assertArrayEquals(expected.residual(), result.residual());
            assertArrayEquals(expected.roundingError(), result.roundingError());
            plan.forwardQueries(LlaInputs.of(scaled(second, 1e5).q(), first.k(), first.v()), result);
            assertEquals(5, asked.size()); // in other units, of which the device has no keys
        }
    }

    @Test
    void refusesQueriesAloneWithoutTheirKeys() {
        LlaInputs first = RandomInputs.normal(SHAPE, DataType.FLOAT32, 1);
        try (PrecisePlan plan = plan()) {
            LlaResult result = plan.newResult();
            assertEquals("elsewhere: no forward pass of this plan has ended well yet, so none of its keys and values can be used again; call forward",
                    refusal(plan, first, result));
            plan.forward(first, result);
            assertTrue(refusal(plan, LlaInputs.of(first.q(), first.k().copy(), first.v()), result).startsWith("elsewhere: k is another tensor"));
            assertTrue(refusal(plan, LlaInputs.of(first.q(), first.k(), first.v().copy()), result).startsWith("elsewhere: v is another tensor"));
            plan.forwardQueries(first, result);
            first.k().set(3, Double.NaN);
            assertThrows(RuntimeException.class, () -> plan.forward(first, result));
            assertTrue(refusal(plan, first, result).contains("no forward pass"));
        }
    }

    private static String refusal(PrecisePlan plan, LlaInputs inputs, LlaResult result) {
        return assertThrows(InvalidInputException.class, () -> plan.forwardQueries(inputs, result)).getMessage();
    }
}
