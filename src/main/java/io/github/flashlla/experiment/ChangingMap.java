package io.github.flashlla.experiment;

import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.Tensor;
import java.util.Arrays;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.IntStream;

/**
 * A sequence of keys and values, tied by a linear map that changes from segment to segment. At position p, from 1 on, the query is key p, and what it sees are
 * keys and values 0 to p - 1.
 *
 * @param q queries, (length - 1, D)
 * @param keys what they see, (length - 1, D)
 * @param values the keys' values, (length - 1, D)
 * @param truth the queries' values, (length - 1, D)
 */
record ChangingMap(double[] q, double[] keys, double[] values, double[] truth) {
    static final int SEGMENTS = 4;
    static final int SEGMENT = 256;
    static final int DIM = 16;
    static final String DESCRIPTION = SEGMENTS + " segments of " + SEGMENT + " pairs, D = Dv = " + DIM + ". A segment draws a centre mu on the unit sphere and a matrix "
            + "W with entries N(0, 1/D); its keys are mu sqrt(D) + 0.5 N(0, I), scaled to norm sqrt(D), its values W k + 0.05 N(0, I). The query at a position is its "
            + "key, what it sees are the pairs before it, and the error is the mean square of its prediction's distance from its value.";

    private static final double SPREAD = 0.5;
    private static final double NOISE = 0.05;

    /** The same for the same seed. */
    static ChangingMap draw(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        double[] k = new double[SEGMENTS * SEGMENT * DIM];
        double[] v = new double[k.length];
        for (int segment = 0; segment < SEGMENTS; segment++) {
            draw(random, k, v, segment * SEGMENT);
        }
        return new ChangingMap(Arrays.copyOfRange(k, DIM, k.length), Arrays.copyOf(k, k.length - DIM), Arrays.copyOf(v, v.length - DIM),
                Arrays.copyOfRange(v, DIM, v.length));
    }

    private static void draw(RandomGenerator random, double[] k, double[] v, int from) {
        double[] centre = IntStream.range(0, DIM).mapToDouble(a -> random.nextGaussian()).toArray();
        scaleTo(centre, 0, Math.sqrt(DIM)); // on the unit sphere, times sqrt(D)
        double[] map = IntStream.range(0, DIM * DIM).mapToDouble(a -> random.nextGaussian() / Math.sqrt(DIM)).toArray();
        for (int i = from; i < from + SEGMENT; i++) {
            for (int a = 0; a < DIM; a++) {
                k[i * DIM + a] = centre[a] + SPREAD * random.nextGaussian();
            }
            scaleTo(k, i * DIM, Math.sqrt(DIM));
            for (int c = 0; c < DIM; c++) {
                double value = NOISE * random.nextGaussian();
                for (int a = 0; a < DIM; a++) {
                    value += map[c * DIM + a] * k[i * DIM + a];
                }
                v[i * DIM + c] = value;
            }
        }
    }

    private static void scaleTo(double[] array, int from, double norm) {
        double square = 0;
        for (int a = from; a < from + DIM; a++) {
            square += array[a] * array[a];
        }
        for (int a = from; a < from + DIM; a++) {
            array[a] *= norm / Math.sqrt(square);
        }
    }

    static double[] positions() {
        return IntStream.range(1, SEGMENTS * SEGMENT).asDoubleStream().toArray();
    }

    /** One head, in the type that the device is to be judged by: float64 on the reference, else float32. */
    LlaInputs inputs(Device device) {
        long length = q.length / DIM;
        DataType type = device.info().backend().equals("reference") ? DataType.FLOAT64 : DataType.FLOAT32;
        return LlaInputs.of(Tensor.of(q, 1, 1, length, DIM), Tensor.of(keys, 1, 1, length, DIM), Tensor.of(values, 1, 1, length, DIM)).as(type);
    }

    /** Mean square error of each position's answer. */
    double[] errors(double[] answer) {
        double[] errors = new double[truth.length / DIM];
        for (int i = 0; i < truth.length; i++) {
            errors[i / DIM] += (answer[i] - truth[i]) * (answer[i] - truth[i]) / DIM;
        }
        return errors;
    }
}
