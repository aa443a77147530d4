package io.github.flashlla.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaOptions;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The search on a device whose error is half its tolerance, and not below 2e-3 in float16, which is twice as fast. */
class TargetSearchTest {
    private final List<Task> tried = new ArrayList<>();
    private List<DataType> ofDevice = List.of(DataType.FLOAT32, DataType.FLOAT16);
    private DataType refused;

    private Task cheapest(double error, boolean anyPrecision) {
        Task task = new Task(Mode.FWD, AttentionShape.square(1, 1, 8, 4), LlaOptions.defaults(), DataType.FLOAT32, Operator.LLA,
                new Task.Target(error, anyPrecision));
        return new TargetSearch(task, ofDevice, new TargetSearch.Probe() {
            @Override
            public double error(Task rung) {
                if (rung.options().precision() == refused) {
                    throw new UnsupportedOperationException("not in " + refused);
                }
                tried.add(rung);
                return Math.max(rung.options().tolerance() / 2, half(rung) ? 2e-3 : 0);
            }

            @Override
            public double nanos(Task rung) {
                return half(rung) ? 1 : 2;
            }
        }).cheapest();
    }

    private static boolean half(Task task) {
        return task.options().precision() == DataType.FLOAT16;
    }

    @Test
    void takesTheLoosestToleranceInTheFastestPrecision() {
        Task found = cheapest(1e-2, true);
        assertTrue(half(found));
        assertTrue(found.options().tolerance() <= 2e-2 && found.options().tolerance() * Math.sqrt(2) > 2e-2, "the next would be beyond: " + found);
        assertEquals(null, found.target());
        assertTrue(tried.size() <= 12, "halving, not every rung: " + tried.size());
    }

    @Test
    void keepsToThePrecisionThatGetsThere() {
        Task found = cheapest(1e-3, true);
        assertTrue(!half(found) && found.options().tolerance() <= 2e-3 && found.options().tolerance() > 1.4e-3, found.toString());
    }

    @Test
    void searchesNoOtherPrecisionThanTheOneThatWasAskedFor() {
        assertTrue(!half(cheapest(1e-2, false)));
        assertTrue(tried.stream().noneMatch(TargetSearchTest::half));
    }

    @Test
    void whatDoesNotGetThereComesAsCloseAsItCan() {
        refused = DataType.FLOAT32;
        Task found = cheapest(1e-4, true);
        assertTrue(half(found) && found.options().tolerance() <= 4e-3, "of least error: " + found);
    }

    @Test
    void aDeviceThatListsNoPrecisionIsAskedForTheUsualOne() {
        ofDevice = List.of();
        assertTrue(!half(cheapest(1e-2, true)));
    }

    @Test
    void aRefusalOfEveryPrecisionIsARefusal() {
        refused = DataType.FLOAT32;
        assertThrows(UnsupportedOperationException.class, () -> cheapest(1e-2, false));
    }

    @Test
    void theLadderDescendsAndStaysATolerance() {
        List<Double> ladder = TargetSearch.ladder(0.3);
        assertTrue(ladder.getFirst() <= 0.5 && ladder.getLast() < 0.06, ladder.toString());
        assertEquals(ladder.stream().sorted((a, b) -> Double.compare(b, a)).distinct().toList(), ladder);
    }
}
