package io.github.flashlla.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Status;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DecodeRunTest {

    private static Grid grid(List<Integer> querySeq, String type) {
        return new Grid(List.of(Mode.DECODE), List.of(2), List.of(4), List.of(2), List.of(300), querySeq, List.of(32),
                null, null, null, null, null, null, List.of(type), null);
    }

    @ParameterizedTest
    @ValueSource(strings = {"float32", "float16"})
    void decodingIsMeasuredAndCheckedLikeAnyPass(String type) {
        Task task = grid(null, type).tasks().getFirst();
        assertEquals(1, task.shape().queryLength());
        assertEquals(300, task.shape().keyLength());
        try (Device device = Devices.open("jvm")) {
            DeviceFacts facts = DeviceFacts.of(device.info(), new DeviceFacts.Ceilings(1.0, 10.0));
            Measurement m = new WorkloadRunner(device, facts, new Protocol(2, 0, 0, 60), Progress.SILENT).run(task);
            assertEquals(Status.OK, m.status(), m.message());
            assertTrue(m.accuracy().passed());
            assertEquals("decode", m.workload().mode());
            int bytes = type.equals("float16") ? 2 : 4;
            assertEquals(2 * 2 * 300 * 64 * bytes + 2 * 4 * 32 * bytes + 2 * 4 * 32 * 4, m.rates().bytes());
            assertTrue(m.memory().workspaceBytes() > 0);
        }
    }

    /** A time of float32 products is not called one of float16 products. */
    @Test
    void productsThatTheDeviceDoesNotComputeAreRefused() {
        Task task = grid(null, "float32").tasks().getFirst();
        try (Device device = Devices.open("jvm")) {
            DeviceFacts facts = DeviceFacts.of(device.info(), new DeviceFacts.Ceilings(1.0, 10.0));
            Measurement m = new WorkloadRunner(device, facts, new Protocol(2, 0, 0, 60), Progress.SILENT)
                    .run(task.settled(1e-3, DataType.FLOAT16));
            assertEquals(Status.REFUSED, m.status(), m.message());
            assertTrue(m.message().contains("does not compute products in float16"), m.message());
        }
    }

    @Test
    void severalQueriesAreRefused() {
        String message = assertThrows(InvalidInputException.class, () -> grid(List.of(2), "float32").tasks()).getMessage();
        assertTrue(message.contains("one query at a time"), message);
    }
}
