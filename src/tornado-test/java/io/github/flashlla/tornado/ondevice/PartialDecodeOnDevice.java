package io.github.flashlla.tornado.ondevice;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.KvCache;
import io.github.flashlla.KvCacheShape;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Problems;
import io.github.flashlla.Tensor;
import io.github.flashlla.spi.PartialDecode;
import io.github.flashlla.spi.PartialDecode.Found;
import io.github.flashlla.tornado.support.TestDevice;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A step over a part of the keys against its definition in float64: what the part finds, and outputs with a solution from elsewhere. */
public class PartialDecodeOnDevice {
    private static final double BAR = 1e-4;

    private static Device device;

    @BeforeAll
    static void open() {
        device = TestDevice.open();
    }

    @AfterAll
    static void close() {
        device.close();
    }

    /** One sequence of several lengths, one that stays empty; 160 dims are solved in global memory. */
    @ParameterizedTest(name = "{0} D={1} Dv={2} H={3}")
    @CsvSource({"FLOAT32, 12, 20, 2", "FLOAT16, 64, 64, 4", "FLOAT32, 160, 8, 1"})
    void isItsDefinition(DataType type, int headDim, int valueDim, int heads) {
        if (headDim != 12) {
            TestDevice.assumeQuickCompiler();
        }
        KvCacheShape shape = new KvCacheShape(2, 1, 3000, headDim, valueDim, type);
        Random random = new Random(5);
        Tensor ridge = Tensor.allocate(DataType.FLOAT32, 2, heads, 1);
        ridge.fill(0.5);
        try (KvCache cache = device.kvCache(shape);
                PartialDecode partial = ((PartialDecode.Cache) cache).partialDecode(heads, LlaOptions.defaults())) {
            Found found = Found.of(2 * heads, headDim);
            double[] o = new double[2 * heads * valueDim];
            for (int tokens : new int[] {1, 70, 900}) {
                cache.append(0, Problems.normal(random, 1, tokens, headDim), Problems.normal(random, 1, tokens, valueDim));
                if (tokens == 70) {
                    cache.truncate(0, 40);
                }
                Tensor q = Problems.normal(random, 2, heads, 1, headDim);
                partial.gather(q, ridge, new int[] {cache.length(0), 0}, found);
                double[] x = numbers(random, 2 * heads * headDim, 0.1);
                double[] kbar = numbers(random, 2 * heads * headDim, 0.1);
                partial.output(x, kbar, o);
                for (int row = 0; row < heads; row++) {
                    check(cache, q, row, found, x, kbar, o);
                }
                for (int row = heads; row < 2 * heads; row++) {
                    assertEquals(Double.NEGATIVE_INFINITY, found.logSumExp()[row]);
                    assertEquals(0, found.a()[row * headDim * headDim]);
                    assertEquals(0, o[row * valueDim]);
                }
            }
        }
    }

    private static double[] numbers(Random random, int count, double size) {
        double[] numbers = new double[count];
        for (int i = 0; i < count; i++) {
            numbers[i] = size * random.nextGaussian();
        }
        return numbers;
    }

    private static void check(KvCache cache, Tensor q, int row, Found found, double[] x, double[] kbar, double[] o) {
        int dim = cache.shape().headDim();
        int valueDim = cache.shape().valueDim();
        int length = cache.length(0);
        Tensor k = cache.keys(0);
        Tensor v = cache.values(0);
        double[] weight = new double[length];
        double omega = 0;
        for (int j = 0; j < length; j++) {
            double score = 0;
            for (int d = 0; d < dim; d++) {
                score += q.get((long) row * dim + d) * k.get((long) j * dim + d) / Math.sqrt(dim);
            }
            weight[j] = Math.exp(score);
            omega += weight[j];
        }
        String when = length + " keys, query " + row;
        assertEquals(Math.log(omega), found.logSumExp()[row], BAR * (1 + Math.abs(Math.log(omega))), when);
        double[] mean = new double[dim];
        double[] output = new double[valueDim];
        for (int j = 0; j < length; j++) {
            double slope = 1;
            for (int d = 0; d < dim; d++) {
                mean[d] += weight[j] / omega * k.get((long) j * dim + d);
                slope -= (k.get((long) j * dim + d) - kbar[row * dim + d]) * x[row * dim + d];
            }
            for (int e = 0; e < valueDim; e++) {
                output[e] += weight[j] / omega * slope * v.get((long) j * valueDim + e);
            }
        }
        for (int i = 0; i < dim; i++) {
            assertEquals(mean[i], found.kbar()[row * dim + i], BAR, when);
            for (int e = 0; e < dim; e++) {
                double a = i == e ? 0.5 : 0;
                for (int j = 0; j < length; j++) {
                    a += weight[j] / omega * (k.get((long) j * dim + i) - mean[i]) * (k.get((long) j * dim + e) - mean[e]);
                }
                assertEquals(a, found.a()[(row * dim + i) * dim + e], BAR, when + ", element " + i + " " + e + " of A");
            }
        }
        for (int e = 0; e < valueDim; e++) {
            assertEquals(output[e], o[row * valueDim + e], BAR, when + ", element " + e + " of o");
        }
    }
}
