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
    void countsBetweenStepsOfACounterThatMovesRarely() {
        long began = System.nanoTime();
        // 50 W, seen every 30 ms alone; a run takes 7 ms and more
        EnergyWindow window = EnergyWindow.of(meter(() -> 100 + (System.nanoTime() - began) / 30_000_000 * 30e-3 * 50), 0.2, () -> LockSupport.parkNanos(7_000_000));
        assertEquals(50, window.joules() / window.seconds(), 10);
        assertTrue(window.seconds() >= 0.2 && window.runs() > 1, window.toString());
        assertTrue(window.joules() / window.runs() > 0.9 * 7e-3 * 50, "no run takes less time than that: " + window);
    }

    @Test
    void longRunsAreCountedInParts() {
        long began = System.nanoTime();
        EnergyWindow window = EnergyWindow.of(meter(() -> (System.nanoTime() - began) / 10_000_000), 0.05, () -> LockSupport.parkNanos(100_000_000));
        assertTrue(window.runs() > 0.3 && window.runs() < 1.5, window.toString());
    }

    @Test
    void aCounterThatStandsStillOrCannotBeReadCountsNothing() {
        assertNull(EnergyWindow.of(meter(() -> 5), 0.002, () -> LockSupport.parkNanos(1_000_000)));
        assertNull(EnergyWindow.of(meter(() -> Double.NaN), 0.002, () -> LockSupport.parkNanos(1_000_000)));
    }
}
