package io.github.flashlla.precise;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Both factors, of A and of the keys' own matrix, against A times what they find. */
class CovarianceFactorTest {

    @ParameterizedTest
    @CsvSource({"1,1", "2,64", "3,4", "7,8", "8,8", "9,8", "33,64", "63,64", "64,64", "200,64", "40,37"})
    void solvesWithFewKeysAndWithMany(int n, int d) {
        Random random = new Random(31 * n + d);
        double[] p = random.doubles(n, 0.1, 1).toArray();
        double[] z = random.doubles((long) n * d, -2, 2).toArray();
        double largest = 0;
        for (int j = 0; j < n; j++) {
            largest = Math.max(largest, DoubleLoops.dot(z, j * d, z, j * d, d));
        }
        CovarianceFactor factor = new CovarianceFactor(d);
        for (double ridge : new double[] {1e-3, 1, 1e3, 1e30}) {
            factor.factor(p, z, n, ridge, largest);
            double[] right = random.doubles(d, -1, 1).toArray();
            double[] x = new double[d];
            factor.solve(right, x);
            double[] back = new double[d];
            for (int c = 0; c < d; c++) {
                back[c] = ridge * x[c] - right[c];
            }
            for (int j = 0; j < n; j++) {
                double along = 0;
                for (int c = 0; c < d; c++) {
                    along += z[j * d + c] * x[c];
                }
                for (int c = 0; c < d; c++) {
                    back[c] += p[j] * along * z[j * d + c];
                }
            }
            assertTrue(DoubleLoops.norm(back) < 1e-9 * DoubleLoops.norm(right), n + " keys, ridge " + ridge + ": " + DoubleLoops.norm(back));
        }
    }

    @ParameterizedTest
    @CsvSource({"0", "1", "3", "4", "5", "8", "9", "17"})
    void sumsTakeEveryElement(int count) {
        double[] numbers = new double[count + 3];
        float[] floats = new float[count + 3];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = i + 1;
            floats[i] = i + 1;
        }
        double products = 0;
        double distances = 0;
        for (int i = 0; i < count; i++) {
            products += (i + 2) * (i + 3);
            distances += (i + 2 - (i + 1)) * (i + 2 - (i + 1));
        }
        assertEquals(products, DoubleLoops.dot(numbers, 1, numbers, 2, count));
        assertEquals(products, DoubleLoops.dot(floats, 1, floats, 2, count));
        assertEquals(distances, DoubleLoops.squaredDistance(floats, 1, numbers, count));
        double[] rows = new double[2 * count];
        double[] weights = new double[count];
        double[] sum = new double[2];
        double[] left = {1, 10};
        double[] along = new double[count];
        for (int j = 0; j < count; j++) {
            rows[2 * j] = j;
            rows[2 * j + 1] = 1;
            weights[j] = 2;
        }
        DoubleLoops.addRows(sum, weights, rows, count);
        assertEquals(Math.max(0, count * (count - 1.0)), sum[0]);
        assertEquals(2.0 * count, sum[1]);
        DoubleLoops.dots(left, rows, count, 2, along);
        for (int j = 0; j < count; j++) {
            assertEquals(j + 10, along[j]);
        }
    }
}
