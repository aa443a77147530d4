package io.github.flashlla.jvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** Starts a JVM without the incubator module, which a JVM that has it cannot drop. */
class WithoutVectorModuleTest {

    @Test
    void computesInPlainLoops() throws Exception {
        Process child = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--limit-modules", "java.base,java.management,jdk.management,java.logging,java.sql",
                "-cp", System.getProperty("java.class.path"), WithoutVectorModuleTest.class.getName())
                .redirectErrorStream(true).start();
        String said = new String(child.getInputStream().readAllBytes());
        assertTrue(child.waitFor(1, TimeUnit.MINUTES));
        assertEquals(0, child.exitValue(), said);
        List<String> lines = said.lines().toList();
        assertTrue(lines.getFirst().contains("plain loops") && lines.getFirst().contains("--add-modules"), said);
        assertTrue(Double.parseDouble(lines.getLast()) <= 1e-4, said);
    }

    /** Run in the child: the device's driver, then its worst error against the oracle. */
    public static void main(String[] args) {
        AttentionShape shape = new AttentionShape(1, 2, 1, 70, 90, 20, 12);
        LlaInputs inputs = Problems.normal(shape, 1);
        LlaOptions options = LlaOptions.defaults().withKeepState(true);
        try (Device device = Devices.open("jvm"); LlaPlan plan = device.plan(shape, options)) {
            System.out.println(device.info().driver());
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            LlaGradients gradients = plan.newGradients();
            plan.backward(inputs, result, result.output(), gradients);
            if (gradients.dk().firstNonFinite() >= 0 || gradients.dv().firstNonFinite() >= 0) {
                throw new IllegalStateException("gradients are not finite");
            }
            System.out.println(Errors.relative(result.output(),
                    Tensor.of(new DenseLla(inputs, options).output(), shape.outputDims())));
        }
    }
}
