package io.github.flashlla.tornado.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.tornado.support.TestDevice;
import io.github.flashlla.verify.RandomInputs;
import org.junit.jupiter.api.Test;

/** The plan that a device keeps from one {@code forward} to the next. */
class KeptPlanOnDevice {
    private static final LlaOptions OPTIONS = LlaOptions.defaults();
    private static final AttentionShape SHAPE = new AttentionShape(1, 2, 2, 40, 40, 16, 16);
    private static final AttentionShape LONGER = new AttentionShape(1, 2, 2, 56, 56, 16, 16);

    private final DeviceMemory memory = BackendDevices.open(TestDevice.NAME).memory();
    private final long free = memory.freeBytes();

    private static LlaInputs inputs(AttentionShape shape) {
        return RandomInputs.normal(shape, DataType.FLOAT32);
    }

    @Test
    void isUsedAgainAndComputesTheSame() {
        try (Device device = Devices.open(TestDevice.NAME)) {
            float[] expected;
            try (LlaPlan plan = device.plan(SHAPE, OPTIONS)) {
                LlaResult result = plan.newResult();
                plan.forward(inputs(SHAPE), result);
                expected = result.output().toFloatArray();
            }
            LlaInputs inputs = inputs(SHAPE);
            assertArrayEquals(expected, device.forward(inputs, OPTIONS).output().toFloatArray());
            long kept = memory.freeBytes();
            assertTrue(kept < free);
            LlaResult result = new LlaResult(SHAPE, DataType.FLOAT32, false);
            device.forward(inputs, OPTIONS, result);
            assertArrayEquals(expected, result.output().toFloatArray());
            assertEquals(kept, memory.freeBytes());
            assertEquals(0, result.timing().compileNanos());
        }
        assertEquals(free, memory.freeBytes());
    }

    @Test
    void otherProblemsReplaceIt() {
        try (Device device = Devices.open(TestDevice.NAME)) {
            device.forward(inputs(SHAPE), OPTIONS);
            long kept = memory.freeBytes();
            device.forward(inputs(LONGER), OPTIONS);
            device.forward(inputs(SHAPE), OPTIONS.withRidge(0.5));
            assertEquals(kept, memory.freeBytes());
        }
        assertEquals(free, memory.freeBytes());
    }

    @Test
    void itIsGivenUpWhereMemoryIsShort() {
        try (Device device = Devices.open(TestDevice.NAME)) {
            device.forward(inputs(SHAPE), OPTIONS);
            memory.requireFree("a test", free);
            assertEquals(free, memory.freeBytes());
            device.forward(inputs(SHAPE), OPTIONS);
        }
        assertEquals(free, memory.freeBytes());
    }
}
