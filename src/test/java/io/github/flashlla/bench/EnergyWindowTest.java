package io.github.flashlla.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.bench.host.EnergyMeter;
import java.util.concurrent.locks.LockSupport;
import java.util.function.DoubleSupplier;
import org.junit.jupiter.api.Test;

class EnergyWindowTest {
    private static EnergyMeter meter(DoubleSupplier joules) {
        return new EnergyMeter() {
            @Override
            public double joules() {
                return joules.getAsDouble();
            }

            @Override
            public String source() {
                return "test";
            }
        };
    }

    @Test
    void countsBetweenStepsOfACounterThatRarelyMoves() {
        int[] runs = {0};
        // 2 J a run, seen at every seventh alone, in the middle of the first step
        EnergyWindow window = EnergyWindow.of(meter(() -> 100 + (runs[0] + 3) / 7 * 14), 0.05, () -> {
            runs[0]++;
            LockSupport.parkNanos(1_000_000);
        });
        assertEquals(2, window.joules() / window.runs(), 1e-12, "not a run more or less than the counter saw");
        assertTrue(window.seconds() >= 0.05 && window.runs() % 7 == 0, window.toString());
    }

    @Test
    void aCounterThatStandsStillOrCannotBeReadCountsNothing() {
        assertNull(EnergyWindow.of(meter(() -> 5), 0.002, () -> LockSupport.parkNanos(1_000_000)));
        assertNull(EnergyWindow.of(meter(() -> Double.NaN), 0.002, () -> LockSupport.parkNanos(1_000_000)));
    }
}
