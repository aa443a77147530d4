package io.github.flashlla.jvm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Problems;
import io.github.flashlla.Tensor;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.GoldenCase;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class JvmBackwardTest {

    private static LlaGradients gradients(JvmDevice device, LlaInputs inputs, LlaOptions options, Tensor g) {
        try (LlaPlan plan = device.plan(inputs.shape(), options.withKeepState(true))) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            LlaGradients gradients = plan.newGradients();
            plan.backward(inputs, result, g, gradients);
            return gradients;
        }
    }

    @ParameterizedTest(name = "{0} {1}")
    @MethodSource("io.github.flashlla.jvm.JvmForwardTest#goldenCases")
    void golden(GoldenCase golden, Preconditioner preconditioner, JvmLoops kernels) {
        LlaOptions options = golden.options().withTolerance(1e-6).withPreconditioner(preconditioner).withMaxIterations(200);
        try (JvmDevice device = JvmDevices.open(kernels, 2, true)) {
            LlaGradients gradients = gradients(device, golden.inputs(), options, golden.tensor("g"));
            double bar = golden.name().equals("peaked") ? 1e-2 : 3e-4;
            Tensor dk = golden.tensor("dk");
            check("dq", gradients.dq(), golden.tensor("dq"), dk, bar);
            check("dk", gradients.dk(), dk, dk, bar);
            check("dv", gradients.dv(), golden.tensor("dv"), dk, bar);
            check("dridge", gradients.dridge(), golden.tensor("dridge"), dk, bar);
            assertTrue(Arrays.stream(gradients.iterations()).allMatch(n -> n >= 0), "iterations are not written");
        }
    }

    /** Identical keys leave dq and dridge 0 in exact arithmetic; then the error is taken relative to dk. */
    private static void check(String name, Tensor gradient, Tensor reference, Tensor dk, double bar) {
        boolean zero = Problems.norm(reference) < 1e-12 * Problems.norm(dk);
        double error = zero ? Problems.norm(gradient) / Problems.norm(dk) : Accuracy.relativeError(gradient, reference);
        assertTrue(error <= bar, name + " is off by " + error);
    }

    /** Along random directions, the gradient must be the derivative of the float64 oracle, which knows no gradient. */
    @ParameterizedTest(name = "{0}x{1}/{2} Sq={3} Sk={4} D={5} Dv={6} causal={7}")
    @CsvSource({
        "1,1,1,1,1,1,1,true", "1,2,1,33,33,5,3,true", "2,4,2,9,70,12,17,true", "1,3,3,40,35,10,36,false",
        "1,2,1,40,7,6,6,true", "1,1,1,70,131,8,8,true", "2,2,1,1,66,9,10,true"})
    void isTheDerivativeOfForward(int batch, int heads, int kvHeads, int queries, int keys, int dim, int valueDim,
            boolean causal) {
        AttentionShape shape = new AttentionShape(batch, heads, kvHeads, queries, keys, dim, valueDim);
        LlaInputs inputs = Problems.normal(shape, 11).withRidge(Problems.ridges(shape, 0.5, 3, 12));
        Tensor g = Problems.normal(new Random(13), shape.outputDims());
        LlaOptions options = LlaOptions.defaults().withCausal(causal).withTolerance(1e-6).withMaxIterations(300);
        for (JvmLoops kernels : JvmForwardTest.kernels()) {
            for (boolean keep : new boolean[] {true, false}) {
                try (JvmDevice device = JvmDevices.open(kernels, 2, keep)) {
                    LlaGradients d = gradients(device, inputs, options, g);
                    checkSlope("dq", d.dq(), DenseLla::q, inputs, options, g);
                    checkSlope("dk", d.dk(), DenseLla::k, inputs, options, g);
                    checkSlope("dv", d.dv(), DenseLla::v, inputs, options, g);
                    checkSlope("dridge", d.dridge(), DenseLla::ridge, inputs, options, g);
                }
            }
        }
    }

    private interface Member {
        double[] of(DenseLla oracle);
    }

    private static void checkSlope(String name, Tensor gradient, Member member, LlaInputs inputs, LlaOptions options,
            Tensor g) {
        Random random = new Random(17);
        double[] direction = random.doubles(gradient.size(), -1, 1).toArray();
        double want = (loss(member, direction, 1e-5, inputs, options, g) - loss(member, direction, -1e-5, inputs, options, g))
                / 2e-5;
        double got = 0;
        double size = 0;
        for (int i = 0; i < direction.length; i++) {
            got += direction[i] * gradient.get(i);
            size += direction[i] * direction[i];
        }
        double scale = Problems.norm(gradient) * Math.sqrt(size / direction.length);
        assertTrue(Math.abs(got - want) <= 1e-4 * scale + 1e-6, name + ": " + got + ", but the slope is " + want);
    }

    private static double loss(Member member, double[] direction, double step, LlaInputs inputs, LlaOptions options,
            Tensor g) {
        DenseLla oracle = new DenseLla(inputs, options);
        double[] values = member.of(oracle);
        for (int i = 0; i < values.length; i++) {
            values[i] += step * direction[i];
        }
        double[] o = oracle.output();
        double loss = 0;
        for (int i = 0; i < o.length; i++) {
            loss += g.get(i) * o[i];
        }
        return loss;
    }

    /** Threads set how many heads are taken at once; no sum may depend on it. */
    @Test
    void isDeterministicToTheBit() {
        AttentionShape shape = new AttentionShape(2, 6, 3, 530, 600, 20, 24);
        LlaInputs inputs = Problems.normal(shape, 4);
        Tensor g = Problems.normal(new Random(5), shape.outputDims());
        LlaOptions options = LlaOptions.defaults().withTolerance(1e-3);
        try (JvmDevice one = JvmDevices.open(JvmLoops.vector(), 1, true);
                JvmDevice four = JvmDevices.open(JvmLoops.vector(), 4, true)) {
            LlaGradients first = gradients(one, inputs, options, g);
            for (JvmDevice device : new JvmDevice[] {one, four, four}) {
                LlaGradients again = gradients(device, inputs, options, g);
                assertArrayEquals(first.dq().toFloatArray(), again.dq().toFloatArray());
                assertArrayEquals(first.dk().toFloatArray(), again.dk().toFloatArray());
                assertArrayEquals(first.dv().toFloatArray(), again.dv().toFloatArray());
                assertArrayEquals(first.dridge().toFloatArray(), again.dridge().toFloatArray());
                assertArrayEquals(first.iterations(), again.iterations());
            }
        }
    }
}
