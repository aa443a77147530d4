package io.github.flashlla.verify;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import org.junit.jupiter.api.Test;

class GradientSampleTest {
    private static final AttentionShape SHAPE = AttentionShape.square(1, 1, 12, 16);

    /** All keys are equal: weights do not depend on q, and dq and dridge are 0. */
    @Test
    void holdsGradientsThatAreZeroToTheirTerms() {
        LlaInputs random = RandomInputs.normal(SHAPE, DataType.FLOAT32, 3);
        Tensor k = Tensor.allocate(DataType.FLOAT32, SHAPE.keyDims());
        for (long i = 0; i < k.size(); i++) {
            k.set(i, random.k().get(i % SHAPE.headDim()));
        }
        LlaInputs inputs = new LlaInputs(random.q(), k, random.v(), null);
        LlaOptions options = LlaOptions.defaults().withKeepState(true);
        Tensor g = RandomInputs.gradient(SHAPE);
        try (Device device = Devices.open("jvm"); LlaPlan plan = device.plan(SHAPE, options)) {
            LlaResult result = plan.newResult();
            LlaGradients gradients = plan.newGradients();
            plan.forward(inputs, result);
            plan.backward(inputs, result, g, gradients);
            double right = GradientSample.of(inputs, options, g, gradients, 100).error();
            assertTrue(right < 1e-4, "" + right);
            gradients.dq().set(5, 1e-4f);
            double wrong = GradientSample.of(inputs, options, g, gradients, 100).error();
            assertTrue(wrong > 1, "" + wrong);
        }
    }
}
