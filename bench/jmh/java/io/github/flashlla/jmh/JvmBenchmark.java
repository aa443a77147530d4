package io.github.flashlla.jmh;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.LlaWork;
import io.github.flashlla.Tensor;
import io.github.flashlla.Timing;
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
 * The jvm device's forward and backward pass on normal random inputs, causal, ridge 1, tolerance 1e-3.
 *
 * <p>Reports ms per pass; each measurement's line also says the last pass's GFLOP/s by {@link LlaWork}'s count and
 * the mean iterations per (query, key) pair that it counts. Run it with
 *
 * <pre>{@code
 * ./mvnw -q test-compile dependency:build-classpath -Dmdep.outputFile=target/test.classpath
 * java --add-exports=java.base/jdk.internal.module=ALL-UNNAMED --enable-native-access=ALL-UNNAMED \
 *     -cp target/test-classes:target/classes:$(cat target/test.classpath) \
 *     io.github.flashlla.jmh.JvmBenchmark
 * }</pre>
 *
 * <p>with a JDK 25 {@code java}; JMH's own options may follow, such as {@code forward -p length=4096}.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3, time = 4)
@Measurement(iterations = 5, time = 4)
@Fork(1)
public class JvmBenchmark {

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
        private Tensor gradOutput;
        private LlaGradients gradients;
        private double lastFlops;
        private Timing lastTiming;
        private double lastIterations;

        @Setup
        public void plan() {
            AttentionShape shape = AttentionShape.square(1, heads, length, headDim);
            Random random = new Random(1);
            inputs = LlaInputs.of(normal(random, shape.queryDims()), normal(random, shape.keyDims()),
                    normal(random, shape.valueDims()));
            gradOutput = normal(random, shape.outputDims());
            device = Devices.open("jvm");
            plan = device.plan(shape, LlaOptions.defaults().withTolerance(tolerance).withKeepState(true));
            result = plan.newResult();
            gradients = plan.newGradients();
            plan.forward(inputs, result); // backward needs what it saves
        }

        void ran(Timing timing, double flops, long pairIterations) {
            lastTiming = timing;
            lastFlops = flops;
            lastIterations = pairIterations / (double) plan.shape().pairs(true);
        }

        /** The same passes by the spec's count: JMH's counters cannot show a rate beside a time. */
        @TearDown(Level.Iteration)
        public void printRate() {
            System.out.printf(Locale.ROOT, "[last pass: %.0f ms, %.2f iterations per pair, %.1f GFLOP/s] ",
                    lastTiming.wallNanos() / 1e6, lastIterations, lastFlops / lastTiming.wallNanos());
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
        problem.ran(problem.result.timing(), LlaWork.forwardFlops(problem.result, true), problem.result.pairIterations());
        return problem.result;
    }

    @Benchmark
    public LlaGradients backward(Problem problem) {
        problem.plan.backward(problem.inputs, problem.result, problem.gradOutput, problem.gradients);
        problem.ran(problem.gradients.timing(), LlaWork.backwardFlops(problem.gradients, true),
                problem.gradients.pairIterations());
        return problem.gradients;
    }

    private static Tensor normal(Random random, long... dims) {
        Tensor tensor = Tensor.allocate(DataType.FLOAT32, dims);
        for (long i = 0; i < tensor.size(); i++) {
            tensor.set(i, random.nextGaussian());
        }
        return tensor;
    }

    public static void main(String[] args) throws RunnerException, CommandLineOptionException {
        CommandLineOptions options = new CommandLineOptions(args);
        OptionsBuilder builder = new OptionsBuilder();
        builder.parent(options);
        if (options.getIncludes().isEmpty()) {
            builder.include(JvmBenchmark.class.getName());
        }
        new Runner(builder.build()).run();
    }
}
