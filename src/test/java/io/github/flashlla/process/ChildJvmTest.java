package io.github.flashlla.process;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.DeviceException;
import io.github.flashlla.io.ScratchFolder;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.junit.jupiter.api.Test;

class ChildJvmTest {

    @Test
    void aDriversErrorsAreReadOnceOnEitherSide() throws Exception {
        try (ScratchFolder folder = new ScratchFolder("test");
                ChildJvm child = ChildJvm.start(JavaCommand.likeThis(), folder, Complaining.class, List.of())) {
            assertTrue(child.awaitEnd(60_000));
            assertEquals(List.of("[JNI] ERROR 7", "the child saw it"), child.said());
            assertEquals(0, child.exitStatus());
            assertTrue(child.death().isEmpty());
            assertEquals("[JNI] ERROR 7", child.driverLog().errors());
            assertEquals("", child.driverLog().errors());
        }
    }

    static final class Complaining {
        public static void main(String[] args) {
            DriverLog log = new DriverLog();
            System.out.println("[JNI] ERROR 7");
            try {
                log.check("device");
            } catch (DeviceException e) {
                System.out.println("the child saw it");
            }
            log.check("device");
        }
    }

    @Test
    void aLostPartIsNotCalledADriversError() throws Exception {
        try (ScratchFolder folder = new ScratchFolder("test");
                ChildJvm child = ChildJvm.start(JavaCommand.likeThis(), folder, Losing.class, List.of())) {
            assertTrue(child.awaitEnd(60_000));
            assertEquals("jvm+jvm: a part was killed.", child.driverLog().complaints());
            assertEquals("", child.driverLog().complaints());
        }
    }

    static final class Losing {
        public static void main(String[] args) {
            System.err.println(DriverLog.LOSS + "jvm+jvm: a part was killed.");
            new DriverLog().check("device");
        }
    }

    @Test
    void aDriversErrorIsAComplaintOfTheDriver() throws Exception {
        try (ScratchFolder folder = new ScratchFolder("test");
                ChildJvm child = ChildJvm.start(JavaCommand.likeThis(), folder, Complaining.class, List.of())) {
            assertTrue(child.awaitEnd(60_000));
            assertEquals("the driver reported: [JNI] ERROR 7", child.driverLog().complaints());
        }
    }

    @Test
    void aCrashIsToldInOneSentence() {
        String message = assertThrows(DeviceException.class,
                () -> CommandRelay.run(JavaCommand.likeThis(), "device", Crash.class, List.of())).getMessage();
        assertTrue(message.contains("the JVM that ran device crashed in native code (SIGSEGV)"), message);
        assertTrue(message.contains("last words: about to crash"), message);
        assertFalse(message.contains("\n"), message);
    }

    /** Reads where nothing is. */
    static final class Crash {
        public static void main(String[] args) {
            System.out.println("about to crash");
            MemorySegment.ofAddress(8).reinterpret(Long.BYTES).get(ValueLayout.JAVA_LONG, 0);
        }
    }

    @Test
    void killingEndsTheChild() throws Exception {
        try (ScratchFolder folder = new ScratchFolder("test");
                ChildJvm child = ChildJvm.start(JavaCommand.likeThis(), folder, Sleeping.class, List.of())) {
            child.kill();
            assertTrue(child.awaitEnd(10_000));
            assertEquals("was killed by signal 9", child.death().orElseThrow());
        }
    }

    static final class Sleeping {
        public static void main(String[] args) throws InterruptedException {
            Thread.sleep(60_000);
        }
    }
}
