package io.github.flashlla.jvm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Problems;
import io.github.flashlla.Tensor;
import io.github.flashlla.verify.Accuracy;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.LongRange;

/** Whatever the shape and the options: jvm is what the float64 reference is, and says how far its solves came. */
class JvmPropertiesTest {
    private static final double TOLERANCE = 1e-5;

    /** @param perQuery a ridge for each query, around {@code ridge}, instead of one for all */
    record Problem(AttentionShape shape, DataType type, double ridge, boolean perQuery, LlaOptions options) {
        LlaInputs inputs(long seed) {
            LlaInputs inputs = Problems.normal(shape, seed).as(type);
            return perQuery ? inputs.withRidge(Problems.ridges(shape, ridge, 3 * ridge, seed)) : inputs;
        }

        /**
         * Largest error of o. A residual r leaves an error of C^T A^-1 r, at most sqrt(var v) |r| / sqrt(ridge) with |r| at most
         * tol |kbar - q|; the inputs are standard normal, so that is tol sqrt(2 D / ridge).
         */
        double bar() {
            return Math.max(1e-4, TOLERANCE * Math.sqrt(2.0 * shape.headDim() / ridge));
        }
    }

    @Provide
    Arbitrary<Problem> problems() {
        Arbitrary<Integer> dims = Arbitraries.oneOf(Arbitraries.integers().between(8, 80), Arbitraries.of(1, 8, 64, 128, 200, 256));
        Arbitrary<AttentionShape> shapes = Combinators.combine(Arbitraries.integers().between(1, 2), Arbitraries.integers().between(1, 2),
                Arbitraries.integers().between(1, 3), Arbitraries.integers().between(1, 70), Arbitraries.integers().between(1, 150), dims,
                dims).as((batch, kvHeads, group, queries, keys, dim, valueDim) -> {
                    int fewer = dim > 100 ? Math.min(queries, 8) : queries; // the reference solves D^3 for each query
                    return new AttentionShape(batch, kvHeads * group, kvHeads, fewer, keys, dim, valueDim);
                });
        Arbitrary<Double> ridges = Arbitraries.doubles().between(-3, 6).map(exponent -> Math.pow(10, exponent));
        return Combinators.combine(shapes, Arbitraries.of(DataType.class), ridges, Arbitraries.of(true, false),
                Arbitraries.of(true, false), Arbitraries.of(Preconditioner.class), Arbitraries.of(0.3, 1.0, 3.0))
                .as((shape, type, ridge, perQuery, causal, preconditioner, sharpness) -> new Problem(shape, type, ridge, perQuery,
                        LlaOptions.defaults().withRidge(ridge).withCausal(causal && shape.queryLength() <= shape.keyLength())
                                .withScale(sharpness / Math.sqrt(shape.headDim())).withTolerance(TOLERANCE).withMaxIterations(600)
                                .withPreconditioner(preconditioner)));
    }

    @Property(tries = 80)
    void isWhatTheReferenceIs(@ForAll("problems") Problem problem, @ForAll @LongRange(min = 1, max = 1 << 30) long seed) {
        LlaInputs inputs = problem.inputs(seed);
        try (Device jvm = Devices.open("jvm"); Device reference = Devices.open("reference");
                LlaPlan plan = jvm.plan(problem.shape(), problem.options())) {
            LlaResult result = plan.newResult();
            result.output().fill(Double.NaN);
            plan.forward(inputs, result);
            Tensor want = reference.forward(inputs, problem.options()).output();
            double error = Accuracy.relativeError(result.output(), want);
            assertTrue(result.worstResidual() <= TOLERANCE, "residual " + result.worstResidual());
            assertTrue(error <= problem.bar(), "off by " + error + ", more than " + problem.bar());
        }
    }

    /** o is linear in v, and a constant v comes back as it is: the weights p (1 - a) add up to 1. */
    @Property(tries = 25)
    void aConstantValueIsReproduced(@ForAll("problems") Problem problem, @ForAll @LongRange(min = 1, max = 1 << 30) long seed) {
        LlaInputs inputs = problem.inputs(seed);
        Tensor ones = Tensor.allocate(DataType.FLOAT32, problem.shape().valueDims());
        ones.fill(0.75);
        try (Device jvm = Devices.open("jvm")) {
            LlaResult result = jvm.forward(new LlaInputs(inputs.q(), inputs.k(), ones, inputs.ridge()), problem.options());
            for (long at = 0; at < result.output().size(); at++) {
                assertEquals(0.75, result.output().get(at), 1e-4, "at " + result.output().coordinates(at));
            }
        }
    }

    /** A head computed alone is, to the bit, what it is among the others: grouping reads the right keys, and nothing leaks. */
    @Property(tries = 25)
    void queryHeadsOfAGroupAreIndependent(@ForAll("problems") Problem problem, @ForAll @LongRange(min = 1, max = 1 << 30) long seed) {
        AttentionShape shape = problem.shape();
        AttentionShape head = new AttentionShape(1, 1, 1, shape.queryLength(), shape.keyLength(), shape.headDim(), shape.valueDim());
        LlaInputs inputs = problem.inputs(seed);
        try (Device jvm = Devices.open("jvm")) {
            float[] all = jvm.forward(inputs, problem.options()).output().toFloatArray();
            int last = shape.batch() * shape.heads() - 1;
            int lastKv = shape.batch() * shape.kvHeads() - 1;
            LlaInputs alone = new LlaInputs(slice(inputs.q(), last, head.queryDims()), slice(inputs.k(), lastKv, head.keyDims()),
                    slice(inputs.v(), lastKv, head.valueDims()),
                    inputs.ridge() == null ? null : slice(inputs.ridge(), last, head.rowDims()));
            float[] own = jvm.forward(alone, problem.options()).output().toFloatArray();
            assertArrayEquals(java.util.Arrays.copyOfRange(all, all.length - own.length, all.length), own);
        }
    }

    private static Tensor slice(Tensor tensor, int head, long[] dims) {
        Tensor slice = Tensor.allocate(tensor.type(), dims);
        for (long at = 0; at < slice.size(); at++) {
            slice.set(at, tensor.get(head * slice.size() + at));
        }
        return slice;
    }
}
