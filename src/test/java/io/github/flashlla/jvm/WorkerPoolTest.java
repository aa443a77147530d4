package io.github.flashlla.jvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.DeviceException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;

class WorkerPoolTest {

    @Test
    void runsEveryItemOnce() {
        AtomicIntegerArray runs = new AtomicIntegerArray(1000);
        try (WorkerPool pool = new WorkerPool(3)) {
            pool.forEach(3, 1000, (worker, index) -> runs.incrementAndGet((int) index));
        }
        for (int i = 0; i < 1000; i++) {
            assertEquals(1, runs.get(i));
        }
    }

    @Test
    void firstFailureStopsTheRest() {
        AtomicInteger runs = new AtomicInteger();
        IllegalStateException fault = new IllegalStateException("a fault");
        try (WorkerPool pool = new WorkerPool(2)) {
            DeviceException e = assertThrows(DeviceException.class, () -> pool.forEach(2, 1_000_000_000L, (worker, index) -> {
                runs.incrementAndGet();
                if (index == 10) {
                    throw fault;
                }
            }));
            assertSame(fault, e.getCause());
            assertTrue(e.getMessage().contains("a fault"));
            assertTrue(runs.get() < 1_000_000_000);
        }
    }

    @Test
    void interruptionEndsItWithNoWorkerLeftRunning() throws InterruptedException {
        try (WorkerPool pool = new WorkerPool(2)) {
            CountDownLatch started = new CountDownLatch(1);
            AtomicInteger running = new AtomicInteger();
            AtomicInteger leftRunning = new AtomicInteger(-1);
            Thread caller = new Thread(() -> {
                assertThrows(DeviceException.class, () -> pool.forEach(2, Long.MAX_VALUE / 2, (worker, index) -> {
                    running.incrementAndGet();
                    started.countDown();
                    Thread.onSpinWait();
                    running.decrementAndGet();
                }));
                assertTrue(Thread.currentThread().isInterrupted());
                leftRunning.set(running.get());
            });
            caller.start();
            started.await();
            caller.interrupt();
            caller.join(10_000);
            assertEquals(0, leftRunning.get());
        }
    }

    @Test
    void saysThatItIsClosed() {
        WorkerPool pool = new WorkerPool(1);
        pool.close();
        assertTrue(assertThrows(IllegalStateException.class, () -> pool.forEach(1, 1, (worker, index) -> {})).getMessage()
                .contains("closed"));
    }
}
