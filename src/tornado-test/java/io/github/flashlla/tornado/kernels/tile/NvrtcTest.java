package io.github.flashlla.tornado.kernels.tile;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** NVIDIA's compiler, where it is: it needs no device. */
class NvrtcTest {
    private static final String KERNEL = "extern \"C\" __global__ void kernel(int *a) { asm volatile(\"wgmma.fence.sync.aligned;\" ::: \"memory\"); *a = 1; }";

    private static Nvrtc nvrtc() {
        Optional<Nvrtc> found = Nvrtc.find();
        Assumptions.assumeTrue(found.isPresent(), "there is no libnvrtc");
        return found.orElseThrow();
    }

    /** Versions that lack the architecture are refused by it. */
    @Test
    void tellsItsVersion() {
        int major = nvrtc().major();
        assertTrue(major >= 11 && major < 100, "version " + major);
    }

    @Test
    void compiles() {
        byte[] code = nvrtc().compile(KERNEL, WarpGroup.ARCHITECTURE);
        assertArrayEquals(new byte[] {0x7f, 'E', 'L', 'F'}, Arrays.copyOf(code, 4));
    }

    @Test
    void findsHeaders() {
        Nvrtc nvrtc = nvrtc();
        try {
            assertTrue(nvrtc.compile("#include <cuda_fp16.h>\n" + KERNEL, WarpGroup.ARCHITECTURE).length > 0);
        } catch (IllegalStateException e) {
            Assumptions.abort("neither NVRTC nor a toolkit has the headers: " + e.getMessage());
        }
    }

    /** With what the compiler says: the plain architecture has none of these instructions. */
    @Test
    void saysWhyNot() {
        Nvrtc nvrtc = nvrtc();
        String plain = assertThrows(IllegalStateException.class, () -> nvrtc.compile(KERNEL, "sm_90")).getMessage();
        assertTrue(plain.contains("--gpu-architecture=sm_90") && plain.contains("wgmma"), plain);
        String wrong = assertThrows(IllegalStateException.class, () -> nvrtc.compile("int x = y;", WarpGroup.ARCHITECTURE)).getMessage();
        assertTrue(wrong.contains("identifier \"y\" is undefined"), wrong);
    }

    @Test
    void isNotEverywhere() {
        assertFalse(Nvrtc.of(List.of("libnvrtc-of-nobody.so")).isPresent());
    }
}
