package io.github.flashlla.tornado.support;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import java.util.Random;
import org.junit.jupiter.api.Assumptions;

/** The device under test, and the float64 oracle. */
public final class TestDevice {
    public static final String NAME = System.getProperty(DeviceTestRunner.DEVICE);

    private TestDevice() {}

    public static Device open() {
        return Devices.open(NAME);
    }

    public static boolean isCpu() {
        try (Device device = open()) {
            return device.info().type() == DeviceInfo.Type.CPU;
        }
    }

    /** Skips where PoCL compiles SPIR-V: these take it 7 to 35 s each, and the device {@code opencl:0} beside it runs them. */
    public static void assumeQuickCompiler() {
        Assumptions.assumeTrue(!NAME.startsWith("spirv:") || !isCpu(), "PoCL takes 10 to 30 s to compile this from SPIR-V; opencl:0 runs it");
    }

    /** o in float64. */
    public static Tensor expected(LlaInputs inputs, LlaOptions options) {
        try (Device reference = Devices.open("reference")) {
            return reference.forward(inputs, options).output();
        }
    }

    /** A ridge per query, spread between two values by their logarithm. */
    public static Tensor ridges(AttentionShape shape, double from, double to, long seed) {
        Random random = new Random(seed);
        Tensor ridge = Tensor.allocate(DataType.FLOAT32, shape.rowDims());
        for (long i = 0; i < ridge.size(); i++) {
            ridge.set(i, from * Math.pow(to / from, random.nextDouble()));
        }
        return ridge;
    }
}
