package io.github.flashlla;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

/** Where an element type is null, the message says so as for any other that is not taken. */
class NoTypeTest {
    @Test
    void cacheRefusesIt() {
        assertEquals("a key/value cache stores float32 or float16, not null",
                assertThrows(InvalidInputException.class, () -> new KvCacheShape(1, 1, 8, 16, 16, null)).getMessage());
    }

    @Test
    void optionsRefuseIt() {
        assertEquals("the precision must be float32 or float16, not null",
                assertThrows(InvalidInputException.class, () -> LlaOptions.defaults().withPrecision(null)).getMessage());
    }
}
