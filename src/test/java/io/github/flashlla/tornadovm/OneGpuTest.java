package io.github.flashlla.tornadovm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.process.JavaCommand;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class OneGpuTest {
    private final JavaCommand java = new JavaCommand(List.of("java", "-cp", "x"), Map.of());

    @Test
    void aJvmSeesTheGpuThatItIsFor() {
        JavaCommand second = OneGpu.of("cuda:1", java, null);
        assertEquals("1", second.environment().get("CUDA_VISIBLE_DEVICES"));
        assertTrue(second.words().contains("-Dflashlla.first.gpu=1"));
        assertEquals("7", OneGpu.of("ptx:1", java, "4, 7").environment().get("CUDA_VISIBLE_DEVICES"));
        assertSame(java, OneGpu.of("cuda:0", java, null));
        assertSame(java, OneGpu.of("opencl:1", java, null));
        assertSame(java, OneGpu.of("jvm", java, null));
    }

    /** The JVM that is for cuda:1 has one device, and TornadoVM's index of it is 0. */
    @Test
    void aDeviceHasItsIndexAmongThoseThatAreSeen() {
        assertEquals(1, OneGpu.index("cuda:1"));
        System.setProperty("flashlla.first.gpu", "1");
        try {
            assertEquals(0, OneGpu.index("cuda:1"));
            assertEquals(0, OneGpu.index("ptx:1"));
            assertEquals(1, OneGpu.index("opencl:1"), "which GPUs OpenCL sees is not told by that variable's number");
        } finally {
            System.clearProperty("flashlla.first.gpu");
        }
    }
}
