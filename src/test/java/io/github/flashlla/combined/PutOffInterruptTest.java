package io.github.flashlla.combined;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class PutOffInterruptTest {

    @Test
    void comesBackWhenClosed() {
        Thread.currentThread().interrupt();
        try (PutOffInterrupt _ = new PutOffInterrupt()) {
            assertFalse(Thread.currentThread().isInterrupted(), "it does not disturb meanwhile");
        }
        assertTrue(Thread.interrupted(), "it is set again");
    }

    @Test
    void laterOnesComeBackToo() {
        try (PutOffInterrupt interrupt = new PutOffInterrupt()) {
            Thread.currentThread().interrupt();
            interrupt.again();
            assertFalse(Thread.currentThread().isInterrupted());
        }
        assertTrue(Thread.interrupted());
    }

    @Test
    void noneComesOfNothing() {
        try (PutOffInterrupt interrupt = new PutOffInterrupt()) {
            interrupt.again();
        }
        assertFalse(Thread.interrupted());
    }
}
