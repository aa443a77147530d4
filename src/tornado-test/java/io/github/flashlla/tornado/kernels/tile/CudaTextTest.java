package io.github.flashlla.tornado.kernels.tile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import org.junit.jupiter.api.Test;

class CudaTextTest {
    @Test
    void arguments() {
        assertEquals("x = a_1[4 + 1] + f_12;", CudaText.of("$r = $0[$1 + 1] + $11;",
                List.of("a_1", "4", "", "", "", "", "", "", "", "", "", "f_12"), "x"));
    }

    @Test
    void lists() {
        assertEquals("{%0, %1} {%6} : \"+f\"(c[8 + 0]), \"+f\"(c[8 + 1])",
                CudaText.of("{[[$2/2: %#]]} {%[[$2/2+4]]} : [[$2/2: \"+f\"($0[$1 + #])]]", List.of("c", "8", "4"), null));
    }

    @Test
    void needsConstants() {
        assertThrows(IllegalStateException.class, () -> CudaText.of("[[$0: x]]", List.of("i_7"), null));
    }
}
