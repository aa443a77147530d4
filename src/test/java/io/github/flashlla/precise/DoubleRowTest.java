package io.github.flashlla.precise;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.reference.ExactQuery;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** dridge in float64 against twice its digits: for large keys beside a small ridge one way to compute it loses all of them, for few keys the other. */
class DoubleRowTest {
    private static final int DIMS = 8;
    private static final double BAR = 1e-3;
    /** Below this part of ||u|| ||x|| it is 0 by chance. */
    private static final double CHANCE = 0.01;

    @Test
    void dridgeIsRightOrSaysThatItIsNot() {
        Random random = new Random(4);
        int said = 0;
        int rows = 0;
        for (int keys : new int[] {1, 2, 7, 8, 9, 22, 60}) {
            for (double size = 1e-2; size < 1e7; size *= 10) {
                for (double ridge = 1e-7; ridge < 1e3; ridge *= 10) {
                    for (int kept : new int[] {keys, Math.max(1, keys / 4)}) {
                        said += row(random, keys, kept, size, ridge);
                        rows++;
                    }
                }
            }
        }
        assertEquals(1260, rows);
        assertTrue(said < rows / 10, said + " of " + rows);
    }

    /** @param kept keys that differ; returns 1 where the row says that its dridge is not exact. */
    private static int row(Random random, int keys, int kept, double size, double ridge) {
        double[] q = random.doubles(DIMS, -size, size).toArray();
        double[] k = new double[keys * DIMS];
        for (int i = 0; i < k.length; i++) {
            k[i] = i < kept * DIMS ? (float) (size * random.nextGaussian()) : k[i - kept * DIMS];
        }
        double[] v = random.doubles(keys, -1, 1).toArray();
        double scale = 1 / (size * size);
        DoubleRow row = new DoubleRow(DIMS, 1, scale);
        row.solve(q, k, v, keys, ridge);
        double[] dq = new double[DIMS];
        double found = row.backward(new double[] {1}, dq, new double[k.length], new double[keys]);
        ExactQuery exact = new ExactQuery(q, k, v, 1, scale, ridge);
        exact.backward(new double[] {1});
        double chance = CHANCE * DoubleLoops.norm(exact.dq()) * DoubleLoops.norm(exact.x());
        double error = Math.abs(found - exact.dridge());
        if (kept == 1) { // 0 but for rounding
            assertTrue(error <= 1e-12 * size * DoubleLoops.norm(exact.x()) / ridge, keys + " keys of size " + size + ", ridge " + ridge + ": " + found);
            return 0;
        }
        boolean told = row.dridgeError > BAR;
        assertTrue(told || error <= BAR * Math.max(Math.abs(exact.dridge()), chance),
                keys + " keys, " + kept + " of them, of size " + size + ", ridge " + ridge + ": " + found + " for " + exact.dridge() + ", told " + row.dridgeError);
        return told ? 1 : 0;
    }
}
