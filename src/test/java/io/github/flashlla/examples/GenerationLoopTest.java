package io.github.flashlla.examples;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.examples.GenerationLoop.Transcript;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GenerationLoopTest {

    /** Every position, prompt and generated, is what one forward pass over the whole sequence gives. */
    @ParameterizedTest
    @CsvSource({"1,40,1", "70,60,32", "64,5,64", "33,20,1000"})
    void equalsFullForwardAtEveryPosition(int prompt, int generated, int chunk) {
        try (Device device = Devices.open("jvm")) {
            LlaOptions options = LlaOptions.defaults().withTolerance(1e-6);
            Transcript t = new GenerationLoop(device, options, 1).run(GenerationLoop.prompt(prompt, 2), generated, chunk);
            Tensor full = device.forward(LlaInputs.of(t.q(), t.k(), t.v()), options).output();
            double difference = GenerationLoop.largestDifference(t.o(), full);
            assertTrue(difference <= 1e-4, "a position is off by " + difference);
        }
    }
}
