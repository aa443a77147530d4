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
import io.github.flashlla.Preconditioner;
import io.github.flashlla.Tensor;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which queries' gradients go to float64. */
class RowTrustTest {

    /**
     * One query among 100 keys that vary by {@code variance} in some directions and by 0 in the others; x and b have length
     * {@code within} / (variance + ridge) and {@code within} in the former, 1 / ridge and 1 in the latter.
     */
    @ParameterizedTest
    @CsvSource({
        "NONE, 1, 1, 1, false", // as long within as outside
        "NONE, 1, 10, 0.1, false", // 110 times as long outside
        "NONE, 1e-3, 10, 0.1, true", // 1e5 times
        "NONE, 1e-5, 10, 1e-3, true",
        "NONE, 1e9, 10, 1e-6, false", // x is b / ridge whatever the keys are
        "JACOBI, 1, 1, 1, false", // the residual that such a solve leaves
        "JACOBI, 1, 10, 0.1, true",
        "JACOBI, 0.1, 10, 1, true"})
    void doubtsGradientsWhereXLiesOutsideTheSpanOfKeys(Preconditioner preconditioner, double ridge, double variance, double within, boolean doubted) {
        int d = 64;
        AttentionShape shape = new AttentionShape(1, 1, 1, 1, 100, d, d);
        Tensor q = Tensor.allocate(DataType.FLOAT32, shape.queryDims());
        LlaOptions options = LlaOptions.defaults().withCausal(false).withRidge(ridge).withPreconditioner(preconditioner);
        RowTrust trust = new RowTrust(shape, q, 1, new Ridges(null, ridge), options, new double[] {Math.sqrt(variance * d)}, row -> 100);
        double inside = within / (variance + ridge);
        double x = Math.hypot(inside, 1 / ridge);
        SolveSizes sizes = new SolveSizes(new double[] {x}, new double[] {Math.hypot(within, 1)}, new double[] {within * inside + 1 / ridge},
                new double[] {50});
        BitSet expected = new BitSet();
        expected.set(0, doubted);
        assertEquals(expected, trust.cancelling(sizes));
    }

    /** As many queries as several threads judge, every seventh of which has one key with nearly all of the weight. */
    @Test
    void judgesManyQueriesAsOne() {
        int rows = 40_000;
        AttentionShape shape = new AttentionShape(1, 1, 1, rows, 100, 64, 64);
        Tensor q = Tensor.allocate(DataType.FLOAT32, shape.queryDims());
        RowTrust trust = new RowTrust(shape, q, 1, new Ridges(null, 1), LlaOptions.defaults().withCausal(false), new double[] {8}, row -> 100);
        SolveSizes sizes = SolveSizes.allocate(rows);
        Arrays.fill(sizes.x(), 1);
        Arrays.fill(sizes.b(), 2);
        Arrays.fill(sizes.xb(), 2);
        BitSet expected = new BitSet();
        for (int row = 0; row < rows; row++) {
            expected.set(row, row % 7 == 0);
            sizes.effectiveKeys()[row] = row % 7 == 0 ? 1.01 : 50;
        }
        assertEquals(expected, trust.cancelling(sizes));
    }

    /** A loose solve's x: b less ridge x is its residual, and points anywhere. */
    @ParameterizedTest
    @CsvSource({"1e-1, false", "1e-5, true"})
    void tellsNothingFromAResidual(double tolerance, boolean doubted) {
        AttentionShape shape = new AttentionShape(1, 1, 1, 1, 100, 64, 64);
        Tensor q = Tensor.allocate(DataType.FLOAT32, shape.queryDims());
        LlaOptions options = LlaOptions.defaults().withCausal(false).withTolerance(tolerance);
        RowTrust trust = new RowTrust(shape, q, 1, new Ridges(null, 1), options, new double[] {8}, row -> 100);
        SolveSizes sizes = new SolveSizes(new double[] {1.05}, new double[] {1}, new double[] {1.05}, new double[] {50});
        assertEquals(doubted, trust.cancelling(sizes).get(0));
    }

    /** The query of one key, whose slope is 0: as long as rounding of two large numbers leaves it nearly so. */
    @ParameterizedTest
    @CsvSource({"16, 1, false", "16, 1e-2, true", "16, 1e-3, true", "0, 1e-6, false"})
    void oneKeyIsInDoubtWhereItsSlopeIsLost(double difference, double ridge, boolean doubted) {
        AttentionShape shape = new AttentionShape(1, 1, 1, 1, 1, 128, 128);
        Tensor q = Tensor.allocate(DataType.FLOAT32, shape.queryDims());
        RowTrust trust = new RowTrust(shape, q, 1, new Ridges(null, ridge), LlaOptions.defaults(), new double[] {11}, row -> 1);
        double x = difference / ridge;
        SolveSizes sizes = new SolveSizes(new double[] {x}, new double[] {difference}, new double[] {x * difference}, new double[] {1});
        assertEquals(doubted, trust.cancelling(sizes).get(0));
    }

    /** Few keys beside an ordinary ridge stay in float32: every causal problem has such queries, at every run. */
    @ParameterizedTest
    @CsvSource({"1, 3, false", "0.1, 3, true", "0.1, 5, false"})
    void fewKeysAreInDoubtBesideASmallRidge(double ridge, int seen, boolean doubted) {
        AttentionShape shape = new AttentionShape(1, 1, 1, 1, seen, 64, 64);
        Tensor q = Tensor.allocate(DataType.FLOAT32, shape.queryDims());
        RowTrust trust = new RowTrust(shape, q, 1, new Ridges(null, ridge), LlaOptions.defaults(), new double[] {11}, row -> seen);
        // C x is 1 in size, and so is x.Cx
        SolveSizes sizes = new SolveSizes(new double[] {1}, new double[] {1 + ridge}, new double[] {1 + ridge}, new double[] {2.5});
        assertEquals(doubted, trust.cancelling(sizes).get(0));
    }

    /** Of ordinary inputs only saturated queries of two to four keys, so that float64 costs next to nothing. */
    @ParameterizedTest
    @CsvSource({"1e-3", "1e-5"})
    void ordinaryGradientsStayInFloat32(double tolerance) {
        AttentionShape shape = AttentionShape.square(1, 2, 200, 64);
        Random random = new Random(5);
        LlaInputs inputs = LlaInputs.of(normal(random, shape.queryDims()), normal(random, shape.keyDims()), normal(random, shape.valueDims()));
        try (Device device = Devices.open("jvm");
                LlaPlan plan = device.plan(shape, LlaOptions.defaults().withTolerance(tolerance).withKeepState(true))) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            assertEquals(0, result.recomputedRows());
            LlaGradients gradients = plan.newGradients();
            plan.backward(inputs, result, normal(random, shape.outputDims()), gradients);
            assertTrue(gradients.recomputedRows() < 2 * 3);
        }
    }

    private static Tensor normal(Random random, long[] dims) {
        Tensor tensor = Tensor.allocate(DataType.FLOAT32, dims);
        for (long i = 0; i < tensor.size(); i++) {
            tensor.set(i, random.nextGaussian());
        }
        return tensor;
    }

    /** One key, whose x is (k - q) / ridge: kernels compute its slope as x.k - x.kbar, which rounds to anything once x is long enough. */
    @ParameterizedTest
    @CsvSource({"1, true", "1e-2, true", "1e-4, false", "1e-6, false"})
    void doubtsGradientsOfALongX(double ridge, boolean carried) {
        int d = 64;
        AttentionShape shape = AttentionShape.square(1, 1, 1, d);
        double[] q = new Random(1).doubles(d, -1, 1).toArray();
        double[] k = new Random(2).doubles(d, -1, 1).toArray();
        double[] x = new double[d];
        for (int c = 0; c < d; c++) {
            x[c] = (k[c] - q[c]) / ridge;
        }
        DoubleRow row = new DoubleRow(d, d, 0.125);
        row.check(q, k, k, 1, ridge, x);
        assertEquals(0, row.residual, 1e-12);
        RowTrust trust = new RowTrust(shape, Tensor.allocate(DataType.FLOAT32, shape.queryDims()), 1, new Ridges(null, ridge), LlaOptions.defaults(),
                new double[] {8}, index -> 1);
        assertEquals(carried, trust.carriesGradients(0, row));
    }
}
