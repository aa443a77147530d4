package io.github.flashlla.tornado.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.tornado.support.TornadoChild;
import io.github.flashlla.tornadovm.Backend;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Kernels for an architecture that TornadoVM does not compile for: their source, printed where the others' is, and machine code where NVRTC is. */
class ArchitectureTest {
    @TempDir
    private Path folder;

    @Test
    void compiles() throws Exception {
        String said = new TornadoChild(folder, Backend.CUDA).virtual("GPU").flag("-Dtornado.printKernel=True").run(ArchitectureSource.class);
        List<String> kernels = said.lines().filter(line -> line.startsWith("//// ")).toList();
        assertEquals(8, kernels.size(), said);
        for (String kernel : kernels) {
            assertTrue(kernel.matches("//// \\w+ sm_90a \\[NONE, READ_ONLY, READ_ONLY, READ_WRITE, NONE\\] (-1|\\d{4,})"), kernel);
        }
        assertTrue(said.contains(ArchitectureSource.SOLVE + "none sm_90a\n"), said);
        assertEquals(8, said.lines().filter(line -> line.contains(" __global__ void ")).count());
        assertTrue(said.endsWith("done"), said);
    }
}
