package example;

import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import java.util.SplittableRandom;

/**
 * One causal attention call: 2 heads, 64 tokens, head dim 16. Start it with
 * {@code --add-exports=java.base/jdk.internal.module=ALL-UNNAMED}, by which {@code jvm} loads the Vector API.
 */
public final class Example {
    public static void main(String[] args) {
        float[] values = new float[2 * 64 * 16];
        SplittableRandom random = new SplittableRandom(1);
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        Tensor qkv = Tensor.of(values, 1, 2, 64, 16);
        try (Device device = Devices.open("jvm")) {
            Tensor output = device.forward(LlaInputs.of(qkv, qkv, qkv), LlaOptions.defaults()).output();
            System.out.println("output " + Tensor.shapeString(output.dims()) + ", first " + output.get(0));
        }
    }
}
