package io.github.flashlla.bench;

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
        String said = assertThrows(InvalidInputException.class, () -> SizeLimits.require(wide, "opencl:0", null)).getMessage();
        assertTrue(said.contains("2^31") && said.contains("16 GiB"), said);
    }
}
