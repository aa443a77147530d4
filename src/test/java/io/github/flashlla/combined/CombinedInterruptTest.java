package io.github.flashlla.combined;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceException;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Problems;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What other threads do to one that uses a combined device. */
class CombinedInterruptTest {
    /** A pass takes much longer than {@link #DELAY_MILLIS}. */
    private static final AttentionShape SHAPE = AttentionShape.square(1, 2, 1200, 64);
    private static final long DELAY_MILLIS = 20;
    private static final LlaOptions OPTIONS = LlaOptions.defaults().withTolerance(1e-6);

    @AfterEach
    void leaveNoInterrupt() {
        Thread.interrupted();
    }

    /** Opening, planning and closing take no notice; a pass says so, once its parts have ended it. */
    @Test
    void anInterruptEndsAPassAndNothingElse() throws InterruptedException {
        AttentionShape small = AttentionShape.square(1, 2, 100, 16);
        LlaInputs few = Problems.normal(small, 14);
        LlaInputs inputs = Problems.normal(SHAPE, 13);
        List<Long> parts;
        Thread.currentThread().interrupt();
        try (Device device = Devices.open("jvm+jvm"); LlaPlan plan = device.plan(small, LlaOptions.defaults());
                LlaPlan longer = device.plan(SHAPE, OPTIONS)) {
            assertInterrupted(plan, few);
            assertRight(plan, few);
            Thread user = Thread.currentThread();
            Thread other = later(user::interrupt);
            assertInterrupted(longer, inputs);
            other.join();
            assertRight(plan, few);
            parts = ((CombinedDevice) device).crew().parts().stream().map(PartProcess::pid).toList();
            Thread.currentThread().interrupt();
        }
        assertTrue(Thread.interrupted());
        parts.forEach(pid -> assertFalse(ProcessHandle.of(pid).isPresent()));
    }

    private static void assertInterrupted(LlaPlan plan, LlaInputs inputs) {
        DeviceException said = assertThrows(DeviceException.class, () -> plan.forward(inputs, plan.newResult()));
        assertEquals("jvm+jvm: interrupted while computing", said.getMessage());
        assertInstanceOf(InterruptedException.class, said.getCause());
        assertTrue(Thread.interrupted());
    }

    private static void assertRight(LlaPlan plan, LlaInputs inputs) {
        LlaResult got = plan.newResult();
        plan.forward(inputs, got);
        try (Device one = Devices.open("jvm")) {
            assertEquals(-1, one.forward(inputs, plan.options()).output().segment().mismatch(got.output().segment()));
        }
    }

    @Test
    void closingTheDeviceDuringAPassIsToldAsThat() throws InterruptedException {
        LlaInputs inputs = Problems.normal(SHAPE, 13);
        Device device = Devices.open("jvm+jvm");
        try (LlaPlan plan = device.plan(SHAPE, OPTIONS)) {
            LlaResult result = plan.newResult();
            Thread other = later(device::close);
            String said = assertThrows(IllegalStateException.class, () -> plan.forward(inputs, result)).getMessage();
            assertEquals("jvm+jvm: the device is closed; open it anew", said);
            other.join();
        }
    }

    private static Thread later(Runnable deed) {
        return Thread.ofPlatform().start(() -> {
            try {
                Thread.sleep(DELAY_MILLIS);
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
            deed.run();
        });
    }
}
