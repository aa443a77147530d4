package io.github.flashlla.reference;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.InvalidInputException;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DecodeMomentsTest {

    /** A dense evaluation of the centred form, written out as the operator's definition has it. */
    private static double[] dense(double[] q, double[][] k, double[][] v, double scale, double ridge) {
        int n = k.length;
        int dim = q.length;
        double[] p = new double[n];
        double max = Double.NEGATIVE_INFINITY;
        for (int j = 0; j < n; j++) {
            p[j] = scale * dot(q, k[j]);
            max = Math.max(max, p[j]);
        }
        double total = 0;
        for (int j = 0; j < n; j++) {
            p[j] = Math.exp(p[j] - max);
            total += p[j];
        }
        double[] kbar = new double[dim];
        for (int j = 0; j < n; j++) {
            p[j] /= total;
            for (int d = 0; d < dim; d++) {
                kbar[d] += p[j] * k[j][d];
            }
        }
        double[][] a = new double[dim][dim + 1];
        for (int d = 0; d < dim; d++) {
            a[d][d] = ridge;
            a[d][dim] = kbar[d] - q[d];
            for (int e = 0; e < dim; e++) {
                for (int j = 0; j < n; j++) {
                    a[d][e] += p[j] * (k[j][d] - kbar[d]) * (k[j][e] - kbar[e]);
                }
            }
        }
        double[] x = gauss(a);
        double[] o = new double[v[0].length];
        for (int j = 0; j < n; j++) {
            double deviation = dot(k[j], x) - dot(kbar, x);
            for (int e = 0; e < o.length; e++) {
                o[e] += p[j] * (1 - deviation) * v[j][e];
            }
        }
        return o;
    }

    /** Gaussian elimination with partial pivoting of the augmented matrix, independent of the library. */
    private static double[] gauss(double[][] a) {
        int n = a.length;
        for (int c = 0; c < n; c++) {
            int pivot = c;
            for (int r = c + 1; r < n; r++) {
                pivot = Math.abs(a[r][c]) > Math.abs(a[pivot][c]) ? r : pivot;
            }
            double[] row = a[pivot];
            a[pivot] = a[c];
            a[c] = row;
            for (int r = c + 1; r < n; r++) {
                double factor = a[r][c] / a[c][c];
                for (int e = c; e <= n; e++) {
                    a[r][e] -= factor * a[c][e];
                }
            }
        }
        double[] x = new double[n];
        for (int r = n - 1; r >= 0; r--) {
            x[r] = a[r][n];
            for (int e = r + 1; e < n; e++) {
                x[r] -= a[r][e] * x[e];
            }
            x[r] /= a[r][r];
        }
        return x;
    }

    private static double dot(double[] a, double[] b) {
        return IntStream.range(0, a.length).mapToDouble(i -> a[i] * b[i]).sum();
    }

    private static double[][] gaussian(Random random, int rows, int dim) {
        double[][] values = new double[rows][dim];
        for (double[] row : values) {
            for (int d = 0; d < dim; d++) {
                row[d] = random.nextGaussian();
            }
        }
        return values;
    }

    private static double relativeError(double[] a, double[] b) {
        double difference = 0;
        for (int i = 0; i < a.length; i++) {
            difference += (a[i] - b[i]) * (a[i] - b[i]);
        }
        return Math.sqrt(difference / dot(b, b));
    }

    @ParameterizedTest
    @CsvSource({"1,8,8", "2,8,5", "63,16,16", "64,64,64", "1000,64,32", "500,128,1", "300,7,9"})
    void slicesMergeToTheDenseAnswer(int keys, int dim, int valueDim) {
        Random random = new Random(keys * 31L + dim);
        double[] q = gaussian(random, 1, dim)[0];
        double[][] k = gaussian(random, keys, dim);
        double[][] v = gaussian(random, keys, valueDim);
        double scale = 1 / Math.sqrt(dim);
        double[] expected = dense(q, k, v, scale, 0.3);
        for (int slices : new int[] {1, 2, 7}) {
            DecodeMoments whole = new DecodeMoments(k[0], valueDim);
            for (int slice = 0; slice < slices; slice++) {
                DecodeMoments part = new DecodeMoments(k[0], valueDim);
                for (int j = slice * keys / slices; j < (slice + 1) * keys / slices; j++) {
                    part.add(scale * dot(q, k[j]), k[j], v[j]);
                }
                whole.merge(part);
            }
            double error = relativeError(whole.solve(q, 0.3).o(), expected);
            assertTrue(error <= 1e-12, slices + " slices: off by " + error);
        }
    }

    @Test
    void oneKeyReturnsItsValueAndNoneReturnsZero() {
        DecodeMoments moments = new DecodeMoments(new double[] {0.25, -1}, 3);
        assertArrayEquals(new double[3], moments.solve(new double[] {1, 1}, 1).o());
        assertEquals(Double.NEGATIVE_INFINITY, moments.solve(new double[] {1, 1}, 1).logSumExp());
        moments.add(1e4, new double[] {5, 7}, new double[] {1, 2, 3});
        assertArrayEquals(new double[] {1, 2, 3}, moments.solve(new double[] {1, 1}, 1e-3).o(), 1e-9);
    }

    @Test
    void momentsAboutDifferentOriginsAreRefused() {
        DecodeMoments moments = new DecodeMoments(new double[] {0}, 1);
        assertThrows(InvalidInputException.class, () -> moments.merge(new DecodeMoments(new double[] {1}, 1)));
    }
}
