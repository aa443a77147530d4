package io.github.flashlla.precise;

import static org.junit.jupiter.api.Assertions.assertEquals;
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
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.RandomInputs;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * A batch entry whose gradient, or values, or keys are far smaller than another's, so that units for the whole do not help it: its second solve's right side has a
 * square that float32 does not hold. Its gradients were off by all of themselves, with a residual of 0.
 */
class SmallLossTest {
    private static final AttentionShape SHAPE = new AttentionShape(2, 2, 1, 20, 20, 16, 16);
    private static final LlaOptions OPTIONS = LlaOptions.defaults().withKeepState(true);

    @ParameterizedTest
    @CsvSource({"g,-40", "g,-60", "g,-66", "g,-73", "g,-80", "g,-110", "v,-66", "v,-80", "k,-73", "k,-90"})
    void oneEntryAmongOthersIsRightByItself(String what, int exponent) {
        LlaInputs inputs = RandomInputs.normal(SHAPE, DataType.FLOAT32, 3);
        Tensor g = RandomInputs.gradient(SHAPE);
        Tensor changed = what.equals("g") ? g : what.equals("v") ? inputs.v() : inputs.k();
        long half = changed.size() / 2;
        for (long i = half; i < changed.size(); i++) {
            changed.set(i, Math.scalb(changed.get(i), exponent));
        }
        LlaGradients found;
        LlaGradients expected;
        try (Device jvm = Devices.open("jvm"); Device reference = Devices.open("reference")) {
            found = gradients(jvm, inputs, g);
            expected = gradients(reference, inputs, g);
        }
        List<Tensor> all = List.of(found.dq(), found.dk(), found.dv(), found.dridge());
        List<Tensor> wanted = List.of(expected.dq(), expected.dk(), expected.dv(), expected.dridge());
        for (int n = 0; n < all.size(); n++) {
            for (int entry = 0; entry < 2; entry++) {
                double error = Accuracy.relativeError(all.get(n).part(0, entry, 1), wanted.get(n).part(0, entry, 1));
                assertTrue(error < 2e-4, "tensor " + n + ", entry " + entry + ": " + error);
            }
        }
        assertEquals(exponent < -40 ? SHAPE.rows() / 2 : 0, found.recomputedRows(), 5); // but for those that see one key
    }

    private static LlaGradients gradients(Device device, LlaInputs inputs, Tensor g) {
        try (LlaPlan plan = device.plan(SHAPE, OPTIONS)) {
            LlaResult result = plan.newResult();
            LlaGradients gradients = plan.newGradients();
            plan.forward(inputs, result);
            plan.backward(inputs, result, g, gradients);
            return gradients;
        }
    }
}
