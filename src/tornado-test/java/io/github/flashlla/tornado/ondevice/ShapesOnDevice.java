package io.github.flashlla.tornado.ondevice;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DecodeMethod;
import io.github.flashlla.DecodePlan;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.device.SharedKernels;
import io.github.flashlla.tornado.support.TestDevice;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.RandomInputs;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Kernels take lengths, heads and settings from memory: what was compiled for one shape computes any other. */
public class ShapesOnDevice {
    private static final LlaOptions OPTIONS = LlaOptions.defaults().withKeepState(true);
    private static final LlaOptions WIDE = OPTIONS.withTolerance(3e-4);

    private static Device device;

    @BeforeAll
    static void open() {
        device = TestDevice.open();
        TestDevice.assumeQuickCompiler();
    }

    @AfterAll
    static void close() {
        device.close();
    }

    private static long compilations() {
        return SharedKernels.of(BackendDevices.open(TestDevice.NAME)).compilations();
    }

    /** Larger, smaller, ragged, with other heads, groups, tolerances and ridges; each plan closed before the next. */
    @Test
    void anotherShapeCompilesNothing() {
        forward(new AttentionShape(1, 2, 1, 70, 90, 24, 20), OPTIONS);
        forward(new AttentionShape(1, 2, 2, 333, 517, 24, 20), OPTIONS.withRidge(0.5)); // CPUs may have a second form of kernels
        forward(new AttentionShape(1, 2, 1, 70, 90, 24, 20), WIDE); // and GPUs, which keep no residuals then
        long before = compilations();
        assertTrue(before > 0);
        forward(new AttentionShape(2, 2, 1, 190, 61, 24, 20), OPTIONS.withRidge(2));
        forward(new AttentionShape(3, 1, 1, 5, 7, 24, 20), OPTIONS);
        forward(new AttentionShape(1, 4, 2, 65, 129, 24, 20), WIDE.withMaxIterations(20).withScale(0.3));
        assertEquals(before, compilations());
    }

    @Test
    void gradientsOfAnotherShapeCompileNothing() {
        gradients(new AttentionShape(1, 2, 1, 70, 90, 24, 20), OPTIONS);
        gradients(new AttentionShape(1, 2, 2, 333, 517, 24, 20), OPTIONS.withRidge(0.5));
        gradients(new AttentionShape(1, 2, 1, 70, 90, 24, 20), WIDE);
        long before = compilations();
        gradients(new AttentionShape(3, 1, 1, 5, 7, 24, 20), OPTIONS);
        gradients(new AttentionShape(1, 4, 2, 65, 129, 24, 20), WIDE.withMaxIterations(20).withScale(0.3));
        assertEquals(before, compilations());
    }

    /** The plan that compiled is still there and computes what it did. */
    @Test
    void plansOfSeveralShapesTakeTurns() {
        AttentionShape small = new AttentionShape(1, 2, 1, 40, 60, 16, 16);
        AttentionShape large = new AttentionShape(2, 2, 1, 130, 190, 16, 16);
        try (LlaPlan one = device.plan(small, OPTIONS); LlaPlan other = device.plan(large, OPTIONS)) {
            long before = compilations();
            for (int turn = 0; turn < 2; turn++) {
                forward(one, turn);
                forward(other, turn);
            }
            assertEquals(before, compilations());
        }
    }

    /** With other lengths, batches, heads and tolerances; as many query heads share a key/value head as before. */
    @ParameterizedTest
    @EnumSource(names = {"COVARIANCE", "MATRIX_FREE"})
    void anotherCacheCompilesNothing(DecodeMethod method) {
        decode(new KvCacheShape(1, 1, 400, 16, 16, DataType.FLOAT32), 2, 200, 1e-4, method);
        long before = compilations();
        decode(new KvCacheShape(1, 1, 400, 16, 16, DataType.FLOAT32), 2, 290, 1e-4, method);
        decode(new KvCacheShape(3, 2, 1000, 16, 16, DataType.FLOAT32), 4, 700, 3e-4, method);
        decode(new KvCacheShape(2, 1, 3000, 16, 16, DataType.FLOAT32), 2, 2999, 1e-4, method);
        assertEquals(before, compilations());
    }

    private static void decode(KvCacheShape shape, int heads, int tokens, double tolerance, DecodeMethod method) {
        LlaOptions options = LlaOptions.defaults().withTolerance(tolerance);
        AttentionShape step = new AttentionShape(shape.batch(), heads, shape.kvHeads(), 1, tokens, shape.headDim(), shape.valueDim());
        LlaInputs inputs = RandomInputs.normal(step, DataType.FLOAT32, 5);
        try (KvCache cache = device.kvCache(shape); DecodePlan plan = cache.decodePlan(heads, options, method)) {
            cache.append(inputs.k(), inputs.v());
            LlaResult result = plan.newResult();
            plan.decode(inputs.q(), result);
            requireNear("o", result.output(), TestDevice.expected(inputs, options), 2e-3);
        }
    }

    private static void forward(LlaPlan plan, long seed) {
        LlaInputs inputs = RandomInputs.normal(plan.shape(), DataType.FLOAT32, seed);
        LlaResult result = plan.newResult();
        plan.forward(inputs, result);
        requireNear("o", result.output(), TestDevice.expected(inputs, plan.options()), 2e-3);
    }

    private static void forward(AttentionShape shape, LlaOptions options) {
        try (LlaPlan plan = device.plan(shape, options)) {
            forward(plan, 3);
        }
    }

    private static void gradients(AttentionShape shape, LlaOptions options) {
        try (LlaPlan plan = device.plan(shape, options); Device reference = Devices.open("reference");
                LlaPlan right = reference.plan(shape, options)) {
            LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32, 3);
            Tensor g = Tensor.allocate(DataType.FLOAT32, shape.outputDims());
            for (long i = 0; i < g.size(); i++) {
                g.set(i, Math.sin(i));
            }
            LlaResult result = plan.newResult();
            LlaGradients found = plan.newGradients();
            plan.forward(inputs, result);
            plan.backward(inputs, result, g, found);
            LlaResult expected = right.newResult();
            LlaGradients expectedGradients = right.newGradients();
            right.forward(inputs, expected);
            right.backward(inputs, expected, g, expectedGradients);
            requireNear("o", result.output(), expected.output(), 2e-3);
            requireNear("dq", found.dq(), expectedGradients.dq(), 1e-2);
            requireNear("dk", found.dk(), expectedGradients.dk(), 1e-2);
            requireNear("dv", found.dv(), expectedGradients.dv(), 1e-2);
            requireNear("dridge", found.dridge(), expectedGradients.dridge(), 1e-2);
        }
    }

    private static void requireNear(String name, Tensor found, Tensor expected, double bar) {
        double error = Accuracy.relativeError(found, expected);
        assertTrue(error <= bar, name + " of " + Tensor.shapeString(expected.dims()) + " is off by " + error);
    }
}
