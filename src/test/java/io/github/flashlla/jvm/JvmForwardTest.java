package io.github.flashlla.jvm;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Preconditioner;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class JvmForwardTest {

    static JvmDevice device(TileKernels kernels) {
        return new JvmDevice(new JvmDeviceProvider().discover().devices().getFirst(), kernels, 2);
    }

    static List<TileKernels> kernels() {
        assertTrue(JvmDeviceProvider.hasVectorModule(), "the tests run with --add-modules jdk.incubator.vector");
        return List.of(new VectorKernels(), new ScalarKernels());
    }

    static Stream<Arguments> goldenCases() {
        return GoldenCase.all().stream().flatMap(c -> kernels().stream().flatMap(k ->
                Stream.of(Preconditioner.values()).map(p -> Arguments.of(c, p, k))));
    }

    @ParameterizedTest(name = "{0} {1}")
    @MethodSource("goldenCases")
    void golden(GoldenCase golden, Preconditioner preconditioner, TileKernels kernels) {
        LlaOptions options = golden.options().withTolerance(1e-5).withKeepState(true).withPreconditioner(preconditioner)
                .withMaxIterations(200);
        try (JvmDevice device = device(kernels)) {
            LlaInputs inputs = golden.inputs();
            LlaResult result = device.forward(inputs, options);
            double bar = golden.name().equals("peaked") ? 1e-3 : 1e-4;
            double error = Errors.relative(result.output(), golden.tensor("o"));
            assertTrue(error <= bar, "o is off by " + error);
            assertTrue(Errors.relative(result.kbar(), golden.tensor("kbar")) <= 1e-6, "kbar");
            assertTrue(Errors.relative(result.logSumExp(), golden.tensor("lse")) <= 1e-6, "lse");
            assertTrue(Errors.relative(result.x(), golden.tensor("x")) <= 10 * bar, "x");
            assertTrue(result.worstResidual() <= options.tolerance(), "residual " + result.worstResidual());
        }
    }
}
