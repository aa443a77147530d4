package io.github.flashlla.reference;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.DoubleStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** How many digits the oracle has of its own, where few keys, repeated keys and small ridges take most. */
class ExactDigitsTest {
    private static final double[] NORMS = {1e-3, 1, 500};
    private static final int DRAWS = 12;

    @ParameterizedTest
    @ValueSource(doubles = {1e-3, 1e-4, 1e-6, 1e-8})
    void outputAndGradientsHaveTheirDigits(double ridge) {
        double worst = 0;
        double worstRidge = 0;
        Random random = new Random(7);
        for (double norm : NORMS) {
            for (int draw = 0; draw < DRAWS; draw++) {
                double[] errors = errors(random, norm, ridge, draw);
                worst = Math.max(worst, errors[0]);
                worstRidge = Math.max(worstRidge, errors[1]);
            }
        }
        assertTrue(worst <= 1e-11, "off by " + worst);
        // -u.x, where x may be 1e10 and what u and it have in common 1e-7
        assertTrue(worstRidge <= (ridge >= 1e-6 ? 1e-9 : 1e-5), "dridge is off by " + worstRidge);
    }

    @ParameterizedTest
    @ValueSource(doubles = {1e-20, 1e-30, 1e-300})
    void anyRidgeHasAnAnswer(double ridge) {
        Random random = new Random(3);
        AttentionShape shape = new AttentionShape(1, 1, 1, 1, 3, 8, 8);
        LlaInputs inputs = LlaInputs.of(tensor(gaussian(random, 1, 8, 1), 1, 8), tensor(gaussian(random, 3, 8, 1), 3, 8),
                tensor(gaussian(random, 3, 8, 1), 3, 8));
        try {
            ExactQuery query = new ExactQuery(shape, LlaOptions.defaults().withRidge(ridge), inputs, 0);
            assertTrue(Arrays.stream(query.output()).allMatch(Double::isFinite));
        } catch (InvalidInputException e) {
            assertTrue(e.getMessage().contains("ridge"), e.getMessage());
        }
    }

    @Test
    void aNegativeScaleIsAPositiveOneOfTheOtherQuery() {
        Random random = new Random(5);
        AttentionShape shape = new AttentionShape(1, 1, 1, 1, 4, 6, 6);
        double[][] q = gaussian(random, 1, 6, 1);
        double[][] k = gaussian(random, 4, 6, 1);
        Tensor v = tensor(gaussian(random, 4, 6, 1), 4, 6);
        LlaOptions options = LlaOptions.defaults().withScale(-0.4).withRidge(0.01);
        double[] found = new ExactQuery(shape, options, LlaInputs.of(tensor(q, 1, 6), tensor(k, 4, 6), v), 0).output();
        // keys and query mirrored and the scale's sign kept: nothing changes
        double[] mirrored = new ExactQuery(shape, options, LlaInputs.of(tensor(times(q, -1), 1, 6), tensor(times(k, -1), 4, 6), v), 0)
                .output();
        for (int c = 0; c < 6; c++) {
            assertEquals(found[c], mirrored[c], 1e-12);
        }
    }

    /** Of output, dq, dk and dv; and of dridge. */
    private static double[] errors(Random random, double norm, double ridge, int draw) {
        int d = 4 + random.nextInt(5);
        int n = 3 + random.nextInt(4);
        double size = norm / Math.sqrt(d);
        double[][] q = gaussian(random, 1, d, size);
        double[][] k = gaussian(random, n, d, size);
        double[][] v = gaussian(random, n, d, 1);
        double[][] g = gaussian(random, 1, d, 1);
        if (draw % 3 == 1) {
            k[n - 1] = k[0].clone();
            k[n - 2] = k[1].clone();
        } else if (draw % 3 == 2) { // all but repeated
            for (int c = 0; c < d; c++) {
                k[n - 1][c] = (float) (k[0][c] * (1 + 1e-5 * random.nextGaussian()));
            }
        }
        double scale = (draw % 2 == 0 ? 1 : -1) / (norm > 1 ? norm * norm / 2 : Math.sqrt(d));
        AttentionShape shape = new AttentionShape(1, 1, 1, 1, n, d, d);
        LlaInputs inputs = LlaInputs.of(tensor(q, 1, d), tensor(k, n, d), tensor(v, n, d));
        ExactQuery query = new ExactQuery(shape, LlaOptions.defaults().withScale(scale).withRidge(ridge), inputs, 0);
        query.backward(g[0]);
        DigitsQuery want = new DigitsQuery(q[0], k, v, g[0], scale, ridge);
        double[][] dk = new double[n][d];
        double[][] dv = new double[n][d];
        for (int j = 0; j < n; j++) {
            query.addDk(j, dk[j]);
            query.addDv(j, dv[j]);
        }
        double worst = DoubleStream.of(off(query.output(), want.o), off(query.dq(), want.dq), off(flat(dk), flat(want.dk)),
                off(flat(dv), flat(want.dv))).reduce(0, Math::max);
        return new double[] {worst, Math.abs(query.dridge() / want.dridge - 1)};
    }

    private static double off(double[] found, double[] want) {
        double miss = 0;
        double size = 0;
        for (int i = 0; i < want.length; i++) {
            miss += (found[i] - want[i]) * (found[i] - want[i]);
            size += want[i] * want[i];
        }
        return Math.sqrt(miss / size);
    }

    private static double[] flat(double[][] rows) {
        return Arrays.stream(rows).flatMapToDouble(Arrays::stream).toArray();
    }

    private static double[][] times(double[][] rows, double factor) {
        return Arrays.stream(rows).map(row -> Arrays.stream(row).map(value -> factor * value).toArray()).toArray(double[][]::new);
    }

    private static double[][] gaussian(Random random, int rows, int width, double size) {
        double[][] values = new double[rows][width];
        for (double[] row : values) {
            Arrays.setAll(row, c -> (float) (size * random.nextGaussian()));
        }
        return values;
    }

    private static Tensor tensor(double[][] rows, int length, int width) {
        return Tensor.of(flat(rows), 1, 1, length, width).as(DataType.FLOAT64);
    }
}
