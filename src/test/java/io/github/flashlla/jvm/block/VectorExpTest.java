package io.github.flashlla.jvm.block;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.process.VectorModule;
import jdk.incubator.vector.FloatVector;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class VectorExpTest {

    @BeforeAll
    static void loadsTheVectorApi() {
        assertTrue(VectorModule.isPresent(), "the tests run with " + VectorModule.FLAG);
    }

    private static float exp(float x) {
        return VectorExp.exp(FloatVector.broadcast(FloatVector.SPECIES_PREFERRED, x)).lane(0);
    }

    @Test
    void isWithinTwoUlpWhereResultsAreNormalNumbers() {
        double worst = 0;
        for (double x = -86.89; x <= 88.7228; x += 0.00137) {
            double want = Math.exp((float) x);
            worst = Math.max(worst, Math.abs(exp((float) x) - want) / Math.ulp((float) want));
        }
        assertTrue(worst <= 2, "off by " + worst + " ulp");
    }

    @Test
    void endsOfTheRange() {
        assertEquals(1, exp(0));
        assertEquals(1, exp(-0f));
        for (float x : new float[] {-87.1f, -104, -1e4f, -Float.MAX_VALUE, Float.NEGATIVE_INFINITY}) {
            assertEquals(0, exp(x), "exp " + x);
        }
        for (float x : new float[] {88.8f, 1e4f, Float.MAX_VALUE, Float.POSITIVE_INFINITY}) {
            assertEquals(Float.POSITIVE_INFINITY, exp(x), "exp " + x);
        }
        assertTrue(Float.isNaN(exp(Float.NaN)));
    }
}
