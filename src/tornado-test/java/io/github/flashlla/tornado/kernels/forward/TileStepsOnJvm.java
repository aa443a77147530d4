package io.github.flashlla.tornado.kernels.forward;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.function.IntToDoubleFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The steps that no sweep measures: when they are taken, and that the residual behind them is what they say. */
class TileStepsOnJvm {
    private static final float RR = 0.01f;

    /** r.r divided by 50 each time, by steps of 0.4: once more leaves a 50th, with a margin. */
    @Test
    void foreseesWhereIterationsAreAlike() {
        float[] steps = {0.02f, 0.4f, 0, 0, 0.41f, 0, 0, 0};
        float next = TileSteps.foresee(steps, 0, RR, 0.02f, 0.4f, 3);
        assertTrue(next > 0.02f * RR && next < 0.04f * RR, "r.r behind the next step would be " + next);
        assertEquals(0.02f, steps[0], 1e-6f, "the ratio of this iteration");
    }

    /** Ratios of the iteration before and of this one, shortest and longest step so far, this step, iterations: nothing to tell. */
    @ParameterizedTest
    @CsvSource({"0.2, 0.02, 0.4, 0.4, 0.4, 3", "0.02, 0.2, 0.4, 0.4, 0.4, 3", "0.02, 0.02, 0.2, 0.4, 0.4, 3", "0.02, 0.02, 0.4, 0.4, 0.9, 3",
            "0.02, 0.02, 0, 0.4, 0.4, 3", "0.02, NaN, 0.4, 0.4, 0.4, 3", "0.02, 0.02, 0.4, 0.4, 0.4, 9", "1, 0.02, 0.4, 0.4, 0.4, 1"})
    void foreseesNothingElse(float before, float ratio, float least, float most, float step, int count) {
        float[] steps = {before, least, 0, 0, most, 0, 0, 0};
        assertEquals(RR, TileSteps.foresee(steps, 0, RR, ratio, step, count));
    }

    /** A step along q is not held against those behind it. */
    @Test
    void beginsAnewBehindTheFirstIteration() {
        float[] steps = {0, 0, 0, 0.5f, 0, 0, 0.5f, 0};
        TileSteps.foresee(steps, 2, RR, 0.01f, 0.4f, 1);
        assertEquals(0.4f, steps[3]);
        assertEquals(0.4f, steps[6]);
    }

    /** By mean iterations, which without these steps are 3.7, 2.3, 4.7 and 7.0, and each row's residual. */
    @ParameterizedTest
    @CsvSource({"64, 1, 1e-3, 3.2", "64, 1, 1e-2, 2", "128, 1, 1e-3, 4.4", "64, 4, 1e-3, 9"})
    void theResidualIsTrue(int D, float qTimes, float tolerance, double iterations) {
        TileCase problemCase = new TileCase(1, 1, 64, 700, D, 64, false, qTimes, 0, 1, 0, 1, 1, tolerance);
        TileProblem p = problemCase.problem();
        p.runOnJvm();
        double sum = 0;
        for (int row = 0; row < p.Sq; row++) {
            sum += p.stats.get(2 * row) / p.Sq;
            double residual = residual(p, row);
            assertTrue(residual <= 1.5 * tolerance, "row " + row + " says " + p.stats.get(2 * row + 1) + ", its residual is " + residual);
        }
        assertTrue(sum <= iterations, "iterations are " + sum);
    }

    /** ||A x - b|| / ||b|| of a row, in float64. */
    private static double residual(TileProblem p, int row) {
        double[] weights = new double[p.Sk];
        double largest = Double.NEGATIVE_INFINITY;
        for (int j = 0; j < p.Sk; j++) {
            weights[j] = p.settings.get(0) * dot(p, j, d -> p.q.get(row * p.D + d));
            largest = Math.max(largest, weights[j]);
        }
        double total = 0;
        for (int j = 0; j < p.Sk; j++) {
            weights[j] = Math.exp(weights[j] - largest);
            total += weights[j];
        }
        double[] mean = new double[p.D];
        for (int j = 0; j < p.Sk; j++) {
            weights[j] /= total;
            for (int d = 0; d < p.D; d++) {
                mean[d] += weights[j] * p.k.get(j * p.D + d);
            }
        }
        double[] left = new double[p.D];
        double b = 0;
        double xMean = 0;
        for (int d = 0; d < p.D; d++) {
            double bd = mean[d] - p.q.get(row * p.D + d);
            b += bd * bd;
            left[d] = p.ridge.get(row) * p.x.get(row * p.D + d) - bd;
            xMean += p.x.get(row * p.D + d) * mean[d];
        }
        for (int j = 0; j < p.Sk; j++) {
            double w = weights[j] * (dot(p, j, d -> p.x.get(row * p.D + d)) - xMean);
            for (int d = 0; d < p.D; d++) {
                left[d] += w * (p.k.get(j * p.D + d) - mean[d]);
            }
        }
        double rr = 0;
        for (double r : left) {
            rr += r * r;
        }
        return Math.sqrt(rr / b);
    }

    private static double dot(TileProblem p, int key, IntToDoubleFunction row) {
        double sum = 0;
        for (int d = 0; d < p.D; d++) {
            sum += row.applyAsDouble(d) * p.k.get(key * p.D + d);
        }
        return sum;
    }
}
