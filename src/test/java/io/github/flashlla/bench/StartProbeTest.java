package io.github.flashlla.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.process.JavaCommand;
import io.github.flashlla.record.ColdStart;
import java.util.List;
import org.junit.jupiter.api.Test;

class StartProbeTest {

    @Test
    void freshProcessesAreTimedStepByStep() {
        ColdStart start = StartProbe.measure(JavaCommand.likeThis(), "jvm", task(Mode.FWD_BWD, 1, 20, 30), 60);

        for (ColdStart.Phases phases : List.of(start.empty(), start.warm())) {
            assertTrue(phases.jvmNs() > 1e6, phases::toString); // no JVM starts in a millisecond
            assertTrue(phases.openNs() > 0 && phases.planNs() > 0 && phases.firstRunNs() > 0 && phases.secondShapeNs() > 0, phases::toString);
            assertNull(phases.surveyNs(), "no backend is asked for it");
        }
    }

    @Test
    void aProcessThatFailsIsSaid() {
        DeviceException e = assertThrows(DeviceException.class,
                () -> StartProbe.measure(JavaCommand.likeThis(), "tpu", task(Mode.FWD, 1, 20, 30), 60));
        assertTrue(e.getMessage().contains("no device matches 'tpu'"), e.getMessage());
    }

    @Test
    void theSecondShapeIsAnother() {
        for (int[] lengths : new int[][] {{1, 1}, {1, 2}, {1, 500}, {2, 2}, {3, 3}, {64, 64}, {20, 500}, {500, 500}}) {
            Task task = task(lengths[0] == 1 ? Mode.DECODE : Mode.FWD, 2, lengths[0], lengths[1]);
            AttentionShape shape = StartProbe.shorter(task).shape();

            assertTrue(shape.keyLength() != lengths[1] && shape.queryLength() <= shape.keyLength(), shape::toString);
            assertEquals(task.shape().heads(), shape.heads());
            assertEquals(task.mode(), StartProbe.shorter(task).mode());
        }
    }

    private static Task task(Mode mode, int batch, int queries, int keys) {
        return new Task(mode, new AttentionShape(batch, 2, 2, queries, keys, 16, 16), LlaOptions.defaults(), DataType.FLOAT32);
    }
}
