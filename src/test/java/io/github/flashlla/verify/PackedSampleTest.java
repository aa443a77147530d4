package io.github.flashlla.verify;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.PackedPlan;
import io.github.flashlla.Sequences;
import io.github.flashlla.Tensor;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Sequences of 3, 0 and 9 queries with 4, 2 and 9 keys: right answers pass, and each kind of wrong one is seen. */
class PackedSampleTest {
    private static final AttentionShape SHAPE = new AttentionShape(1, 2, 1, 12, 15, 8, 8);
    private static final Sequences SEQUENCES = new Sequences(new int[] {0, 3, 3, 12}, new int[] {0, 4, 6, 15});
    private static final LlaOptions OPTIONS = LlaOptions.defaults().withTolerance(1e-6).withKeepState(true);
    private static final int QUERIES = 64;

    private final Random random = new Random(5);
    private final LlaInputs inputs = LlaInputs.of(normal(SHAPE.queryDims()), normal(SHAPE.keyDims()), normal(SHAPE.valueDims()));
    private final Tensor gradOutput = normal(SHAPE.outputDims());
    private final LlaResult result = new LlaResult(SHAPE, DataType.FLOAT32, true);
    private final LlaGradients gradients = new LlaGradients(SHAPE, DataType.FLOAT32);

    PackedSampleTest() {
        try (Device device = Devices.open("jvm"); PackedPlan plan = device.packedPlan(SHAPE, OPTIONS)) {
            plan.forward(inputs, SEQUENCES, result);
            plan.backward(inputs, SEQUENCES, gradOutput, gradients);
        }
    }

    private Tensor normal(long... dims) {
        Tensor tensor = Tensor.allocate(DataType.FLOAT32, dims);
        for (long i = 0; i < tensor.size(); i++) {
            tensor.set(i, random.nextGaussian());
        }
        return tensor;
    }

    private double error() {
        return PackedSample.error(inputs, SEQUENCES, OPTIONS, result.output(), QUERIES).error();
    }

    private double gradientError() {
        return PackedSample.gradients(inputs, SEQUENCES, OPTIONS, gradOutput, GradientSample.Found.of(gradients), QUERIES).error();
    }

    @Test
    void rightAnswersPass() {
        assertEquals(24, PackedSample.error(inputs, SEQUENCES, OPTIONS, result.output(), QUERIES).queries());
        assertTrue(error() < 1e-5, () -> "" + error());
        assertTrue(gradientError() < 1e-4, () -> "" + gradientError());
        assertTrue(PackedSample.gradients(inputs, SEQUENCES, OPTIONS, gradOutput, GradientSample.Found.of(gradients), QUERIES).whole());
    }

    @Test
    void anAnswerAcrossSequencesIsSeen() {
        double asOne = Accuracy.sampledError(inputs, OPTIONS, result, QUERIES).error();
        assertTrue(asOne > 1e-2, () -> "" + asOne);
    }

    @Test
    void aWrongRowOfOneSequenceIsSeen() {
        result.output().part(2, 11, 1).fill(1);
        assertTrue(error() > 1e-2, () -> "" + error());
        result.output().part(2, 11, 1).fill(Double.NaN);
        assertTrue(Double.isNaN(error()));
    }

    @Test
    void gradientsOfKeysThatNobodySeesAreZero() {
        gradients.dk().part(2, 5, 1).fill(0.5);
        assertEquals(0.5, gradientError());
        gradients.dk().part(2, 5, 1).fill(0);
        gradients.dv().part(2, 14, 1).fill(3);
        assertTrue(gradientError() > 1e-2, () -> "" + gradientError());
    }
}
