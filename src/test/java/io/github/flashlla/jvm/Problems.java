package io.github.flashlla.jvm;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.Tensor;
import java.util.Random;

/** Inputs and devices of the tests. */
final class Problems {
    private Problems() {}

    static JvmDevice device(JvmLoops kernels, int threads, boolean mayKeepWeights) {
        return new JvmDevice(new JvmDeviceProvider().discover().devices().getFirst(), kernels, threads, mayKeepWeights);
    }

    static JvmDevice device(JvmLoops kernels) {
        return device(kernels, 2, true);
    }

    /** Normal random q, k and v. */
    static LlaInputs normal(AttentionShape shape, long seed) {
        Random random = new Random(seed);
        return LlaInputs.of(normal(random, shape.queryDims()), normal(random, shape.keyDims()),
                normal(random, shape.valueDims()));
    }

    static Tensor normal(Random random, long... dims) {
        Tensor tensor = Tensor.allocate(DataType.FLOAT32, dims);
        for (long i = 0; i < tensor.size(); i++) {
            tensor.set(i, random.nextGaussian());
        }
        return tensor;
    }

    /** A ridge per query, log-uniform between {@code low} and {@code high}. */
    static Tensor ridges(AttentionShape shape, double low, double high, long seed) {
        Random random = new Random(seed);
        Tensor tensor = Tensor.allocate(DataType.FLOAT32, shape.rowDims());
        for (long i = 0; i < tensor.size(); i++) {
            tensor.set(i, low * Math.pow(high / low, random.nextDouble()));
        }
        return tensor;
    }

    /** The same numbers times {@code factor}. */
    static Tensor times(Tensor tensor, double factor) {
        Tensor product = Tensor.allocate(tensor.type(), tensor.dims());
        for (long i = 0; i < tensor.size(); i++) {
            product.set(i, factor * tensor.get(i));
        }
        return product;
    }
}
