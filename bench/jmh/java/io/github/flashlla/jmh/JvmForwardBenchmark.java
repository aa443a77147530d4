package io.github.flashlla.jmh;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.LlaWork;
import io.github.flashlla.Tensor;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.CommandLineOptionException;
import org.openjdk.jmh.runner.options.CommandLineOptions;
import org.openjdk.jmh.runner.options.OptionsBuilder;

/**
 * The jvm device's forward pass on normal random inputs, causal, ridge 1, tolerance 1e-3.
 *
 * <p>Reports ms per forward pass; each measurement's line also says the last pass's GFLOP/s by {@link LlaWork}'s count and
 * the mean iterations per (query, key) pair that it counts. Run it with
 *
 * <pre>{@code
 * ./mvnw -q test-compile dependency:build-classpath -Dmdep.outputFile=target/test.classpath
 * java --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED \
 *     -cp target/test-classes:target/classes:$(cat target/test.classpath) \
 *     io.github.flashlla.jmh.JvmForwardBenchmark
 * }</pre>
 *
 * <p>with a JDK 25 {@code java}; JMH's own options may follow, such as {@code -p length=4096 -f 1}.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3, time = 4)
@Measurement(iterations = 5, time = 4)
@Fork(1)
public class JvmForwardBenchmark {

    /** One problem, planned. */
    @State(Scope.Benchmark)
    public static class Problem {
        /** S, queries and keys. */
        @Param({"2048", "4096", "8192"})
        public int length;

        @Param("8")
        public int heads;

        @Param("64")
        public int headDim;

        @Param("1e-3")
        public double tolerance;

        private Device device;
        private LlaPlan plan;
        private LlaInputs inputs;
        private LlaResult result;

        @Setup
        public void plan() {
            AttentionShape shape = AttentionShape.square(1, heads, length, headDim);
            Random random = new Random(1);
            inputs = LlaInputs.of(normal(random, shape.queryDims()), normal(random, shape.keyDims()),
                    normal(random, shape.valueDims()));
            device = Devices.open("jvm");
            plan = device.plan(shape, LlaOptions.defaults().withTolerance(tolerance));
            result = plan.newResult();
        }

        /** The same passes by the spec's count: JMH's counters cannot show a rate beside a time. */
        @TearDown(Level.Iteration)
        public void printRate() {
            double flops = LlaWork.forwardFlops(result, true);
            System.out.printf(Locale.ROOT, "[last pass: %.0f ms, %.2f iterations per pair, %.1f GFLOP/s] ",
                    result.timing().wallNanos() / 1e6, result.pairIterations() / (double) plan.shape().pairs(true),
                    flops / result.timing().wallNanos());
        }

        @TearDown
        public void close() {
            plan.close();
            device.close();
        }
    }

    @Benchmark
    public LlaResult forward(Problem problem) {
        problem.plan.forward(problem.inputs, problem.result);
        return problem.result;
    }

    private static Tensor normal(Random random, long... dims) {
        Tensor tensor = Tensor.allocate(DataType.FLOAT32, dims);
        for (long i = 0; i < tensor.size(); i++) {
            tensor.set(i, random.nextGaussian());
        }
        return tensor;
    }

    public static void main(String[] args) throws RunnerException, CommandLineOptionException {
        new Runner(new OptionsBuilder()
                .parent(new CommandLineOptions(args))
                .include(JvmForwardBenchmark.class.getName())
                .build()).run();
    }
}
