package io.github.flashlla.reference;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.GoldenCase;
import io.github.flashlla.verify.RandomInputs;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Moments gathered token by token and the dense forward are two ways to the same float64 answer. */
class ReferenceDecodeTest {
    private static final LlaOptions OPTIONS = LlaOptions.defaults().withKeepState(true);

    /** A batch of sequences of different lengths, each against the forward of its own keys and values. */
    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"FLOAT32", "FLOAT16"})
    void raggedBatchEqualsTheDenseForward(DataType type) {
        int[] lengths = {1, 2, 65, 500, 3000};
        KvCacheShape shape = new KvCacheShape(lengths.length, 2, 3000, 24, 10, type);
        try (Device device = Devices.open("reference");
                KvCache cache = device.kvCache(shape);
                DecodePlan plan = cache.decodePlan(4, OPTIONS)) {
            for (int sequence = 0; sequence < lengths.length; sequence++) {
                LlaInputs tokens = RandomInputs.normal(new AttentionShape(1, 2, 2, 1, lengths[sequence], 24, 10), DataType.FLOAT32, sequence);
                cache.append(sequence, tokens.k().reshape(2, lengths[sequence], 24), tokens.v().reshape(2, lengths[sequence], 10));
            }
            Tensor q = RandomInputs.normal(plan.shape(), DataType.FLOAT32, 99).q();
            Tensor ridges = Tensor.allocate(DataType.FLOAT64, plan.shape().rowDims());
            for (int row = 0; row < ridges.size(); row++) {
                ridges.set(row, 0.05 * (1 + row));
            }
            LlaResult step = plan.newResult();
            plan.decode(q, ridges, step);
            for (int sequence = 0; sequence < lengths.length; sequence++) {
                LlaInputs inputs = LlaInputs.of(slice(q, sequence, 1, 4, 1, 24), cache.keys(sequence), cache.values(sequence))
                        .withRidge(slice(ridges, sequence, 1, 4, 1));
                LlaResult dense = device.forward(inputs, OPTIONS);
                assertClose(slice(step.output(), sequence, 1, 4, 1, 10), dense.output(), 1e-11);
                assertClose(slice(step.kbar(), sequence, 1, 4, 1, 24), dense.kbar(), 1e-12);
                assertClose(slice(step.x(), sequence, 1, 4, 1, 24), dense.x(), 1e-11);
                assertClose(slice(step.logSumExp(), sequence, 1, 4, 1), dense.logSumExp(), 1e-12);
            }
        }
    }

    static List<GoldenCase> golden() {
        return ReferenceDeviceTest.golden();
    }

    /** The last query of each test vector sees all keys, causal or not. */
    @ParameterizedTest
    @MethodSource("golden")
    void lastQueryOfTheTestVectors(GoldenCase golden) {
        LlaInputs inputs = golden.inputs();
        AttentionShape shape = inputs.shape();
        int last = shape.queryLength() - 1;
        int dim = shape.headDim();
        int valueDim = shape.valueDim();
        Tensor q = Tensor.allocate(DataType.FLOAT64, shape.batch(), shape.heads(), 1, dim);
        Tensor ridges = Tensor.allocate(DataType.FLOAT64, shape.batch(), shape.heads(), 1);
        Tensor expected = Tensor.allocate(DataType.FLOAT64, shape.batch(), shape.heads(), 1, valueDim);
        for (int head = 0; head < shape.batch() * shape.heads(); head++) {
            long row = (long) head * shape.queryLength() + last;
            ridges.set(head, inputs.ridge() == null ? golden.options().ridge() : inputs.ridge().get(row));
            for (int d = 0; d < dim; d++) {
                q.set((long) head * dim + d, inputs.q().get(row * dim + d));
            }
            for (int e = 0; e < valueDim; e++) {
                expected.set((long) head * valueDim + e, golden.tensor("o").get(row * valueDim + e));
            }
        }
        try (Device device = Devices.open("reference")) {
            // the test vectors are float64 and the cache float32, so the oracle is the forward of what the cache holds
            LlaInputs stored = new LlaInputs(q, inputs.k().as(DataType.FLOAT32), inputs.v().as(DataType.FLOAT32), ridges);
            LlaResult step = device.decode(stored, golden.options());
            assertEquals(0, step.maxIterations());
            assertClose(step.output(), device.forward(stored, golden.options()).output(), 1e-9);
            assertClose(step.output(), expected, golden.name().equals("peaked") ? 1e-3 : 1e-5); // but for that rounding
        }
    }

    /** One batch entry's part. */
    private static Tensor slice(Tensor tensor, int index, long... dims) {
        Tensor part = Tensor.allocate(tensor.type(), dims);
        for (long i = 0; i < part.size(); i++) {
            part.set(i, tensor.get(index * part.size() + i));
        }
        return part;
    }

    private static void assertClose(Tensor actual, Tensor expected, double bar) {
        double error = Accuracy.relativeError(actual, expected);
        assertTrue(error <= bar, "off by " + error);
    }
}
