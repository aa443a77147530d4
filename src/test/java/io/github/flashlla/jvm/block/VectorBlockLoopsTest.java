package io.github.flashlla.jvm.block;

import static io.github.flashlla.jvm.block.BlockLoops.ROWS;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.process.VectorModule;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class VectorBlockLoopsTest {
    private static final int DIM = 12;

    @BeforeAll
    static void loadsVectors() {
        assertTrue(VectorModule.isPresent(), "the tests run with " + VectorModule.FLAG);
    }

    private final BlockLoops vector = new VectorBlockLoops();
    private final BlockLoops scalar = new ScalarBlockLoops();
    private final Random random = new Random(4);

    /** Counts around the four that one loop adds. */
    @Test
    void addingManyIsAddingOneByOne() {
        for (int count = 0; count <= 9; count++) {
            float[][] factors = new float[count][];
            float[][] b = new float[count][];
            for (int i = 0; i < count; i++) {
                factors[i] = normal(ROWS);
                b[i] = normal(DIM * ROWS);
            }
            float[] together = normal(DIM * ROWS);
            float[] oneByOne = together.clone();
            vector.addAllScaled(DIM, together, count, factors, b);
            for (int i = 0; i < count; i++) {
                vector.addScaled(DIM, oneByOne, factors[i], b[i]);
            }
            assertArrayEquals(oneByOne, together, count + " vectors");
        }
    }

    /** Two steps, the second with a lane that sees nothing, one whose max does not rise, and one that holds NaN. */
    @Test
    void softmaxStepIsThatOfScalars() {
        float[][] ofVectors = start();
        float[][] ofScalars = start();
        for (int step = 0; step < 2; step++) {
            float[] scores = normal(DIM * ROWS);
            for (int at = 0; at < scores.length; at += ROWS) {
                scores[at] = Float.NEGATIVE_INFINITY;
                scores[at + 1] -= 100 * step;
            }
            scores[5 * ROWS + 2] = step == 0 ? 0 : Float.NaN;
            float[] others = scores.clone();
            float[] weighted = new float[scores.length];
            float[] otherWeighted = new float[scores.length];
            boolean rose = vector.softmaxStep(DIM, scores, 0, ofVectors[0], ofVectors[1], ofVectors[2], ofVectors[3], weighted, ofVectors[4]);
            assertEquals(scalar.softmaxStep(DIM, others, 0, ofScalars[0], ofScalars[1], ofScalars[2], ofScalars[3], otherWeighted, ofScalars[4]), rose);
            for (int lane = 0; lane < ROWS; lane++) {
                if (step == 1 && lane == 2) {
                    assertTrue(Float.isNaN(ofVectors[1][lane]), "NaN among scores is in their total");
                    continue;
                }
                assertEquals(ofScalars[0][lane], ofVectors[0][lane], "max");
                assertEquals(ofScalars[1][lane], ofVectors[1][lane], 1e-5, "total");
                assertEquals(ofScalars[4][lane], ofVectors[4][lane], 1e-4, "weighted total");
                assertEquals(otherWeighted[7 * ROWS + lane], weighted[7 * ROWS + lane], 1e-5, "weighted");
            }
        }
    }

    /** max, total, rescale, drop, weighted total */
    private static float[][] start() {
        float[][] lanes = new float[5][ROWS];
        Arrays.fill(lanes[0], -Float.MAX_VALUE);
        return lanes;
    }

    private float[] normal(int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }
}
