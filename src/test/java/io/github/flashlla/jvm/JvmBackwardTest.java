package io.github.flashlla.jvm;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Tensor;
import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class JvmBackwardTest {

    @ParameterizedTest(name = "{0} {1}")
    @MethodSource("io.github.flashlla.jvm.JvmForwardTest#goldenCases")
    void golden(GoldenCase golden, Preconditioner preconditioner, TileKernels kernels) {
        LlaOptions options = golden.options().withTolerance(1e-6).withKeepState(true).withPreconditioner(preconditioner)
                .withMaxIterations(200);
        LlaInputs inputs = golden.inputs();
        try (JvmDevice device = JvmForwardTest.device(kernels); LlaPlan plan = device.plan(inputs.shape(), options)) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            LlaGradients gradients = plan.newGradients();
            plan.backward(inputs, result, golden.tensor("g"), gradients);
            double bar = golden.name().equals("peaked") ? 1e-2 : 3e-4;
            Tensor dk = golden.tensor("dk");
            check("dq", gradients.dq(), golden.tensor("dq"), dk, bar);
            check("dk", gradients.dk(), dk, dk, bar);
            check("dv", gradients.dv(), golden.tensor("dv"), dk, bar);
            check("dlambda", gradients.dridge(), golden.tensor("dlambda"), dk, bar);
            assertTrue(Arrays.stream(gradients.iterations()).allMatch(n -> n >= 0), "iterations are not written");
        }
    }

    /** Identical keys leave dq and dlambda 0 in exact arithmetic; then the error is taken relative to dk. */
    private static void check(String name, Tensor gradient, Tensor reference, Tensor dk, double bar) {
        boolean zero = Errors.norm(reference) < 1e-12 * Errors.norm(dk);
        double error = zero ? Errors.norm(gradient) / Errors.norm(dk) : Errors.relative(gradient, reference);
        assertTrue(error <= bar, name + " is off by " + error);
    }
}
