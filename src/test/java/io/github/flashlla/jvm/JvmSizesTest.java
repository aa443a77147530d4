package io.github.flashlla.jvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.jvm.block.BlockLoops;
import io.github.flashlla.jvm.block.ScalarBlockLoops;
import io.github.flashlla.precise.KeptState;
import io.github.flashlla.precise.KeySizes;
import io.github.flashlla.precise.SolveSizes;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.verify.RandomInputs;
import org.junit.jupiter.api.Test;

/** What a plan comes by as it reads k and v and solves, against the definitions. */
class JvmSizesTest {

    private static final AttentionShape SHAPE = new AttentionShape(2, 4, 2, 45, 70, 7, 5);

    @Test
    void sizesAreThoseOfTheirDefinitionsInPlainLoops() {
        check(new ScalarBlockLoops());
    }

    @Test
    void sizesAreThoseOfTheirDefinitionsInVectorLoops() {
        check(JvmLoops.vector().block());
    }

    private static void check(BlockLoops loops) {
        LlaInputs inputs = RandomInputs.normal(SHAPE, DataType.FLOAT32, 3);
        for (long at = 0; at < inputs.k().size(); at++) {
            inputs.k().set(at, inputs.k().get(at) + 10); // far from 0
        }
        LlaOptions options = LlaOptions.defaults().withKeepState(true);
        try (WorkerPool pool = new WorkerPool(2);
                JvmPlan plan = new JvmPlan(new DeviceState("jvm"), pool, loops, SHAPE, options, true)) {
            LlaResult result = plan.newResult();
            double[] norms = plan.forward(inputs, result, () -> {
                checkKeys(inputs, plan.keySizes());
                return KeptState.of(result);
            });
            checkSolves(inputs, result, norms, plan.solveSizes(), options.scaleFor(SHAPE.headDim()));
            plan.forward(inputs, result, () -> null);
            assertNull(plan.solveSizes());
        }
    }

    private static void checkKeys(LlaInputs inputs, KeySizes sizes) {
        assertEquals(largest(inputs.k()), sizes.key());
        assertEquals(largest(inputs.v()), sizes.value());
        int d = SHAPE.headDim();
        for (int head = 0; head < SHAPE.batch() * SHAPE.kvHeads(); head++) {
            double[] mean = new double[d];
            for (int at = 0; at < SHAPE.keyLength() * d; at++) {
                mean[at % d] += inputs.k().get((long) head * SHAPE.keyLength() * d + at) / SHAPE.keyLength();
            }
            double most = 0;
            for (int j = 0; j < SHAPE.keyLength(); j++) {
                double square = 0;
                for (int c = 0; c < d; c++) {
                    square += Math.pow(inputs.k().get(((long) head * SHAPE.keyLength() + j) * d + c) - mean[c], 2);
                }
                most = Math.max(most, square);
            }
            assertEquals(Math.sqrt(most), sizes.spread()[head], 1e-5);
        }
    }

    private static double largest(Tensor tensor) {
        double most = 0;
        for (long at = 0; at < tensor.size(); at++) {
            most = Math.max(most, Math.abs(tensor.get(at)));
        }
        return most;
    }

    private static void checkSolves(LlaInputs inputs, LlaResult result, double[] norms, SolveSizes sizes, double scale) {
        int d = SHAPE.headDim();
        for (int row = 0; row < norms.length; row++) {
            double o = 0;
            for (int c = 0; c < SHAPE.valueDim(); c++) {
                o += Math.pow(result.output().get((long) row * SHAPE.valueDim() + c), 2);
            }
            assertEquals(Math.sqrt(o), norms[row], 1e-6 * (1 + Math.sqrt(o)));
            double x = 0;
            double b = 0;
            double xb = 0;
            double score = 0;
            for (int c = 0; c < d; c++) {
                double ofX = result.x().get((long) row * d + c);
                double ofQ = inputs.q().get((long) row * d + c);
                double ofKbar = result.kbar().get((long) row * d + c);
                x += ofX * ofX;
                b += (ofKbar - ofQ) * (ofKbar - ofQ);
                xb += ofX * (ofKbar - ofQ);
                score += scale * ofQ * ofKbar;
            }
            assertEquals(Math.sqrt(x), sizes.x()[row], 1e-5 * Math.sqrt(x));
            assertEquals(Math.sqrt(b), sizes.b()[row], 1e-5 * Math.sqrt(b));
            assertEquals(xb, sizes.xb()[row], 1e-5 * Math.sqrt(x * b));
            double keys = Math.max(1, Math.exp(result.logSumExp().get(row) - score));
            assertEquals(keys, sizes.effectiveKeys()[row], 1e-3 * keys);
        }
    }
}
