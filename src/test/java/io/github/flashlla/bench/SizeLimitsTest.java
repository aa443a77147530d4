package io.github.flashlla.bench;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import org.junit.jupiter.api.Test;

class SizeLimitsTest {

    /** TornadoVM's arrays count elements by int. */
    @Test
    void arraysBeyondAnIntAreRefusedOnTornadoVm() {
        Task wide = new Task(Mode.FWD, AttentionShape.square(1, 512, 131072, 64), LlaOptions.defaults(), DataType.FLOAT32);
        String said = assertThrows(InvalidInputException.class, () -> SizeLimits.require(wide, "opencl:0", null, Long.MAX_VALUE)).getMessage();
        assertTrue(said.contains("2^31") && said.contains("16 GiB"), said);
    }

    /** The answer that a step is checked against is of float64, on the heap. */
    @Test
    void aHeapThatHoldsNoQuerysAnswerIsRefused() {
        Task longStep = new Task(Mode.DECODE, new AttentionShape(1, 8, 8, 1, 1_000_000, 64, 64), LlaOptions.defaults(), DataType.FLOAT16);
        String said = assertThrows(InvalidInputException.class, () -> SizeLimits.require(longStep, "jvm", null, 256L << 20)).getMessage();
        assertTrue(said.contains("takes 1.48 GiB of heap, but this JVM has 256 MiB; give it more by FLASHLLA_JAVA_OPTS=-Xmx<size>"), said);
        assertDoesNotThrow(() -> SizeLimits.require(longStep, "jvm", null, 4L << 30));
        Task windowed = new Task(Mode.DECODE, longStep.shape(), longStep.options().withWindow(4096), DataType.FLOAT16);
        assertDoesNotThrow(() -> SizeLimits.require(windowed, "jvm", null, 256L << 20));
    }
}
