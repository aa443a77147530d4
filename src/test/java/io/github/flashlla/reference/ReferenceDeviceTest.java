package io.github.flashlla.reference;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceException;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Problems;
import io.github.flashlla.Tensor;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.GoldenCase;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ReferenceDeviceTest {

    static List<GoldenCase> golden() {
        return Problems.golden();
    }

    @ParameterizedTest
    @MethodSource("golden")
    void reproducesTheTestVectors(GoldenCase golden) {
        try (Device device = Devices.open("reference")) {
            LlaResult result = device.forward(golden.inputs(), golden.options().withKeepState(true));
            assertTrue(Accuracy.relativeError(result.output(), golden.tensor("o")) <= golden.referenceBar());
            assertTrue(Accuracy.relativeError(result.kbar(), golden.tensor("kbar")) <= 1e-12);
            assertTrue(Accuracy.relativeError(result.logSumExp(), golden.tensor("lse")) <= 1e-12);
            assertTrue(Accuracy.relativeError(result.x(), golden.tensor("x")) <= Math.max(1e-10, golden.referenceBar()));
        }
    }

    /** It is an oracle, and thousands of times slower than what groups are asked for. */
    @Test
    void noGroupOfDevicesHoldsIt() {
        try (Device device = Devices.open("reference")) {
            assertTrue(device.info().matches("reference"));
            assertFalse(device.info().matches("cpu") || device.info().matches("all"));
        }
    }

    @ParameterizedTest
    @MethodSource("golden")
    void thePapersFormAgreesWithTheCentredOne(GoldenCase golden) {
        LlaInputs inputs = golden.inputs();
        AttentionShape shape = inputs.shape();
        Tensor paper = Tensor.allocate(DataType.FLOAT64, shape.outputDims());
        Tensor centred = Tensor.allocate(DataType.FLOAT64, shape.outputDims());
        for (long row = 0; row < shape.rows(); row++) {
            ExactQuery query = new ExactQuery(shape, golden.options(), inputs, row);
            double[] a = query.paperOutput();
            double[] b = query.output();
            for (int c = 0; c < a.length; c++) {
                paper.set(row * a.length + c, a[c]);
                centred.set(row * a.length + c, b[c]);
            }
        }
        assertTrue(Accuracy.relativeError(paper, centred) <= 1e-10);
    }

    @ParameterizedTest
    @MethodSource("golden")
    void reproducesTheGradients(GoldenCase golden) {
        try (Device device = Devices.open("reference");
                LlaPlan plan = device.plan(golden.inputs().shape(), golden.options().withKeepState(true))) {
            LlaInputs inputs = golden.inputs();
            LlaResult saved = plan.newResult();
            plan.forward(inputs, saved);
            LlaGradients gradients = plan.newGradients();
            plan.backward(inputs, saved, golden.tensor("g"), gradients);
            double bar = golden.referenceGradientBar();
            assertTrue(Accuracy.relativeError(gradients.dq(), golden.tensor("dq")) <= bar);
            assertTrue(Accuracy.relativeError(gradients.dk(), golden.tensor("dk")) <= bar);
            assertTrue(Accuracy.relativeError(gradients.dv(), golden.tensor("dv")) <= bar);
            assertTrue(Accuracy.relativeError(gradients.dridge(), golden.tensor("dridge")) <= bar);
        }
    }

    @Test
    void aQueryThatSeesNoKeyIsZero() {
        AttentionShape shape = new AttentionShape(1, 1, 1, 3, 1, 4, 4);
        Tensor ones = Tensor.allocate(DataType.FLOAT64, 1, 1, 3, 4);
        ones.fill(1);
        Tensor key = Tensor.allocate(DataType.FLOAT64, 1, 1, 1, 4);
        key.fill(2);
        try (Device device = Devices.open("reference")) {
            LlaResult result = device.forward(LlaInputs.of(ones, key, key), LlaOptions.defaults());
            assertEquals(shape, result.shape());
            assertEquals(0, result.output().get(0));
            assertEquals(Double.NEGATIVE_INFINITY, result.logSumExp().get(1));
            assertEquals(2, result.output().get(8), 1e-12);
        }
    }

    @Test
    void aProblemBeyondMemoryIsRefusedWithBothSizes() {
        try (Device device = Devices.open("reference")) {
            AttentionShape huge = AttentionShape.square(1, 1, 2_000_000_000, 256);
            String message = assertThrows(DeviceException.class, () -> device.plan(huge, LlaOptions.defaults())).getMessage();
            assertTrue(message.contains(" of heap"), message);
        }
    }
}
