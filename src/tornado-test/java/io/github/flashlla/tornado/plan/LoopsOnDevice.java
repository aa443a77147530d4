package io.github.flashlla.tornado.plan;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaPlan;
import io.github.flashlla.LlaResult;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.tornado.device.BackendDevice;
import io.github.flashlla.tornado.device.BackendDevices;
import io.github.flashlla.tornado.kernels.softmax.ParallelSoftmaxVariant;
import io.github.flashlla.tornado.support.SoftmaxExpected;
import io.github.flashlla.tornado.support.TestDevice;
import io.github.flashlla.tornadovm.DeviceProfile;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.RandomInputs;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Plain loops, launched as they are on a GPU wherever this runs: in groups of 128 threads, of which the last has some to spare. */
class LoopsOnDevice {
    private static final AttentionShape SHAPE = new AttentionShape(1, 6, 2, 45, 23, 5, 3); // 270 rows
    private static final LlaInputs INPUTS = RandomInputs.normal(SHAPE, DataType.FLOAT32, 7);
    private static final LlaOptions OPTIONS = LlaOptions.defaults().withCausal(true).withMaxIterations(300);
    private static BackendDevice entry;

    @BeforeAll
    static void open() {
        TestDevice.assumeQuickCompiler();
        BackendDevice found = BackendDevices.open(TestDevice.NAME);
        DeviceInfo info = found.info();
        DeviceInfo gpu = new DeviceInfo(info.name(), info.backend(), DeviceInfo.Type.GPU, info.hardware(), info.vendor(), info.driver(),
                info.memoryBytes(), info.localMemoryBytes(), info.computeUnits(), info.precisions());
        entry = new BackendDevice(gpu, found.device(), found.backendIndex(), found.deviceIndex(), found.maxGroupThreads(), found.memory());
        DeviceProfile.forceKernel("parallel");
    }

    @AfterAll
    static void close() {
        DeviceProfile.forceKernel(null);
    }

    @Test
    void forward() {
        try (LlaPlan plan = new TornadoPlan(new DeviceState(TestDevice.NAME), entry, SHAPE, OPTIONS)) {
            LlaResult result = run(plan);
            double error = Accuracy.relativeError(result.output(), TestDevice.expected(INPUTS, OPTIONS));
            assertTrue(error <= 1e-4, "error " + error);
        }
    }

    @Test
    void softmax() {
        try (LlaPlan plan = new TornadoSoftmaxPlan(new DeviceState(TestDevice.NAME), entry, SHAPE, OPTIONS, new ParallelSoftmaxVariant())) {
            SoftmaxExpected.of(INPUTS, OPTIONS).check(run(plan), 1e-5, 1e-5);
        }
    }

    private static LlaResult run(LlaPlan plan) {
        LlaResult result = plan.newResult();
        plan.forward(INPUTS, result);
        return result;
    }
}
