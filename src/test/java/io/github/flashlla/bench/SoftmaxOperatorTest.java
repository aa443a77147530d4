package io.github.flashlla.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.Status;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.RandomInputs;
import java.lang.foreign.Arena;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Softmax attention, LLA's yardstick in benchmarks. */
class SoftmaxOperatorTest {

    @ParameterizedTest
    @CsvSource({"1,1,1,1,1,1,1,true", "2,4,2,33,70,17,5,true", "1,3,3,65,65,64,64,true", "1,2,1,7,130,16,40,false", "1,1,1,200,300,8,8,false"})
    void isLlaAtALargeRidge(int batch, int heads, int kvHeads, int queries, int keys, int dim, int valueDim, boolean causal) {
        AttentionShape shape = new AttentionShape(batch, heads, kvHeads, queries, keys, dim, valueDim);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32);
        LlaOptions options = LlaOptions.defaults().withCausal(causal);
        try (Device jvm = Devices.open("jvm"); Device reference = Devices.open("reference"); LlaPlan plan = jvm.softmaxPlan(shape, options)) {
            LlaResult result = plan.newResult();
            plan.forward(inputs, result);
            LlaResult exact = reference.forward(inputs.as(DataType.FLOAT64), options.withRidge(1e12));
            assertTrue(Accuracy.relativeError(result.output(), exact.output()) < 1e-5);
            assertTrue(Accuracy.relativeError(result.logSumExp(), exact.logSumExp()) < 1e-5);
        }
    }

    @Test
    void isMeasuredBesideLlaAndOncePerProblem() {
        Grid grid = new Grid(null, List.of(1), List.of(2), null, List.of(64), null, List.of(16), null, null, List.of(1e-3, 1e-5), null, null, null, null,
                List.of(Operator.LLA, Operator.SOFTMAX));
        List<Task> tasks = new Suite("s", null, grid.tasks(), Protocol.DEFAULT).tasks();
        assertEquals(3, tasks.size());
        try (Device device = Devices.open("jvm")) {
            DeviceFacts facts = DeviceFacts.of(device.info(), new DeviceFacts.Ceilings(1.0, 10.0));
            for (Task task : tasks) {
                Measurement m = new WorkloadRunner(device, facts, new Protocol(2, 0, 0, 60), Progress.SILENT).run(task);
                assertEquals(Status.OK, m.status(), m.message());
                if (task.operator() == Operator.SOFTMAX) {
                    assertEquals("softmax", m.method().operator());
                    assertNull(m.method().tolerance());
                    assertEquals(2 * 64 * 65 / 2 * 4.0 * 16, m.rates().flops());
                }
            }
        }
    }

    @Test
    void refusesAResultInMemoryOfOneThread() {
        AttentionShape shape = AttentionShape.square(1, 2, 70, 16);
        LlaInputs inputs = RandomInputs.normal(shape, DataType.FLOAT32);
        try (Device jvm = Devices.open("jvm"); Arena arena = Arena.ofConfined(); LlaPlan plan = jvm.softmaxPlan(shape, LlaOptions.defaults())) {
            LlaResult result = new LlaResult(shape, Tensor.allocate(arena, DataType.FLOAT32, shape.outputDims()), false);
            String said = assertThrows(InvalidInputException.class, () -> plan.forward(inputs, result)).getMessage();
            assertTrue(said.contains("the memory of the output belongs to one thread"), said);
        }
    }

    @Test
    void aDeviceWithoutItSaysSo() {
        Task task = new Task(Mode.FWD, AttentionShape.square(1, 1, 8, 4), LlaOptions.defaults(), DataType.FLOAT32, Operator.SOFTMAX);
        try (Device device = Devices.open("reference")) {
            Measurement m = new WorkloadRunner(device, DeviceFacts.of(device.info(), null), new Protocol(2, 0, 0, 60), Progress.SILENT).run(task);
            assertEquals(Status.REFUSED, m.status());
            assertTrue(m.message().contains("softmax"), m.message());
        }
    }
}
