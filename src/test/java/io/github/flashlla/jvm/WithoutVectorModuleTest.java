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
import io.github.flashlla.Problems;
import io.github.flashlla.Tensor;
import io.github.flashlla.io.ScratchFolder;
import io.github.flashlla.process.ChildJvm;
import io.github.flashlla.process.JavaCommand;
import io.github.flashlla.verify.Accuracy;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Starts a JVM without the incubator module, which a JVM that has it cannot drop. */
class WithoutVectorModuleTest {

    @Test
    void computesInPlainLoops() throws Exception {
        JavaCommand java = JavaCommand.of(List.of("--limit-modules", "java.base,java.management,jdk.management,java.logging,java.sql"), Map.of());
        List<String> lines;
        try (ScratchFolder folder = new ScratchFolder("test");
                ChildJvm child = ChildJvm.start(java, folder, WithoutVectorModuleTest.class, List.of())) {
            assertTrue(child.awaitEnd(60_000));
            lines = child.said();
            assertEquals(0, child.exitStatus(), lines.toString());
        }
        String said = lines.toString();
        assertTrue(lines.getFirst().contains("plain loops") && lines.getFirst().contains("--add-exports"), said);
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
            System.out.println(Accuracy.relativeError(result.output(),
                    Tensor.of(new DenseLla(inputs, options).output(), shape.outputDims())));
        }
    }
}
