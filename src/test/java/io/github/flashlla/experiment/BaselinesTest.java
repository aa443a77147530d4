package io.github.flashlla.experiment;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.verify.RandomInputs;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class BaselinesTest {
    private static final int LENGTH = 40;
    private static final int DIM = 5;
    private static final int VALUE_DIM = 3;

    private final LlaInputs inputs = RandomInputs.normal(new AttentionShape(1, 1, 1, LENGTH, LENGTH, DIM, VALUE_DIM), DataType.FLOAT64);
    private final double[] q = inputs.q().toDoubleArray();
    private final double[] k = inputs.k().toDoubleArray();
    private final double[] v = inputs.v().toDoubleArray();

    @Test
    void softmaxIsLlaAtALargeRidge() {
        try (Device reference = Devices.open("reference")) {
            double[] lla = reference.forward(inputs, LlaOptions.defaults().withScale(0.7).withRidge(1e9)).output().toDoubleArray();
            assertArrayEquals(lla, Baselines.softmax(q, k, v, DIM, VALUE_DIM, 0.7), 1e-7);
        }
    }

    @Test
    void mesaFindsALinearMapFromAsManyPairsAsDimensions() {
        double[] map = Arrays.copyOf(q, DIM * VALUE_DIM);
        double[] exact = new double[LENGTH * VALUE_DIM];
        double[] truth = new double[LENGTH * VALUE_DIM];
        for (int i = 0; i < LENGTH; i++) {
            for (int c = 0; c < VALUE_DIM; c++) {
                for (int a = 0; a < DIM; a++) {
                    exact[i * VALUE_DIM + c] += map[c * DIM + a] * k[i * DIM + a];
                    truth[i * VALUE_DIM + c] += map[c * DIM + a] * q[i * DIM + a];
                }
            }
        }
        for (double decay : new double[] {1, 0.9}) {
            double[] out = Baselines.mesa(q, k, exact, DIM, VALUE_DIM, 1e-10, decay);
            assertArrayEquals(Arrays.copyOfRange(truth, 20 * VALUE_DIM, truth.length), Arrays.copyOfRange(out, 20 * VALUE_DIM, out.length), 1e-6);
        }
    }

    @Test
    void mesaWithDecayForgetsAndWithoutDoesNot() {
        double[] flipped = v.clone();
        for (int i = 0; i < flipped.length / 2; i++) {
            flipped[i] += 10;
        }
        double forgotten = distance(Baselines.mesa(q, k, v, DIM, VALUE_DIM, 0.1, 0.3), Baselines.mesa(q, k, flipped, DIM, VALUE_DIM, 0.1, 0.3));
        double kept = distance(Baselines.mesa(q, k, v, DIM, VALUE_DIM, 0.1, 1), Baselines.mesa(q, k, flipped, DIM, VALUE_DIM, 0.1, 1));
        assertEquals(0, forgotten, 1e-6);
        assertTrue(kept > 1e-3, kept + " apart");
    }

    /** At the last position. */
    private static double distance(double[] a, double[] b) {
        return Math.abs(a[a.length - 1] - b[b.length - 1]);
    }

    @Test
    void linearAttentionIsAWeightedMean() {
        double[] ones = new double[v.length];
        Arrays.fill(ones, 1);
        assertArrayEquals(ones, Baselines.linear(q, k, ones, DIM, VALUE_DIM), 1e-12);
        assertArrayEquals(Arrays.copyOf(v, VALUE_DIM), Arrays.copyOf(Baselines.linear(q, k, v, DIM, VALUE_DIM), VALUE_DIM), 1e-12); // one key
    }
}
