package io.github.flashlla.jvm;

import static io.github.flashlla.jvm.JvmDecodeTest.assertClose;

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
import io.github.flashlla.Problems;
import io.github.flashlla.reference.ReferenceKvCache;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** With a negative scale the largest product has the least score: no mask or running maximum may take the sign for granted. */
class JvmNegativeScaleTest {
    private static final LlaOptions OPTIONS = LlaOptions.defaults().withScale(-0.25).withTolerance(1e-6).withMaxIterations(300)
            .withKeepState(true);

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void bothPasses(boolean causal) {
        AttentionShape shape = new AttentionShape(1, 2, 1, 40, 67, 20, 12);
        LlaInputs inputs = Problems.normal(shape, 9);
        LlaOptions options = OPTIONS.withCausal(causal);
        try (Device jvm = Devices.open("jvm"); LlaPlan plan = jvm.plan(shape, options);
                Device reference = Devices.open("reference"); LlaPlan exact = reference.plan(shape, options)) {
            LlaResult result = plan.newResult();
            LlaResult expected = exact.newResult();
            plan.forward(inputs, result);
            exact.forward(inputs, expected);
            assertClose("o", result.output(), expected.output(), 1e-4);
            LlaGradients found = plan.newGradients();
            LlaGradients wanted = exact.newGradients();
            plan.backward(inputs, result, result.output(), found);
            exact.backward(inputs, expected, result.output(), wanted);
            assertClose("dq", found.dq(), wanted.dq(), 1e-4);
            assertClose("dk", found.dk(), wanted.dk(), 1e-4);
            assertClose("dv", found.dv(), wanted.dv(), 1e-4);
        }
    }

    @ParameterizedTest
    @EnumSource
    void decoding(DecodeMethod method) {
        KvCacheShape shape = new KvCacheShape(1, 1, 130, 16, 16, DataType.FLOAT32);
        Random random = new Random(3);
        try (Device jvm = Devices.open("jvm"); KvCache cache = jvm.kvCache(shape); KvCache reference = new ReferenceKvCache(shape);
                DecodePlan plan = cache.decodePlan(2, OPTIONS, method); DecodePlan exact = reference.decodePlan(2, OPTIONS)) {
            JvmDecodeTest.fill(random, 1, new int[] {130}, cache, reference);
            var q = Problems.normal(random, plan.shape().queryDims());
            LlaResult result = plan.newResult();
            LlaResult expected = exact.newResult();
            plan.decode(q, result);
            exact.decode(q, expected);
            assertClose("o", result.output(), expected.output(), 1e-4);
        }
    }
}
