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
}
