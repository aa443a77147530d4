package io.github.flashlla.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.InvalidInputException;
import java.util.Map;
import org.junit.jupiter.api.Test;

class SparkRunTest {
    @Test
    void aFlagIsTrueOrFalse() {
        assertTrue(SparkRun.flag(Map.of("allow_unsolved", "true"), "allow_unsolved", false));
        assertFalse(SparkRun.flag(Map.of("allow_unsolved", "false"), "allow_unsolved", false));
        assertFalse(SparkRun.flag(Map.of(), "allow_unsolved", false));
        String said = assertThrows(InvalidInputException.class, () -> SparkRun.flag(Map.of("causal", "no"), "causal", true)).getMessage();
        assertEquals("the argument causal is 'no'; give true or false", said);
    }
}
