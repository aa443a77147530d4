package io.github.flashlla.verify;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.Tensor;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;

/** Standard normal q, k and v, the same for the same shape on every machine. */
public final class RandomInputs {
    private static final long SEED = 20251001;

    private RandomInputs() {}

    /** Always the same for a shape. */
    public static LlaInputs normal(AttentionShape shape, DataType type) {
        return normal(shape, type, SEED);
    }

    /** The same for a shape and a seed. */
    public static LlaInputs normal(AttentionShape shape, DataType type, long seed) {
        RandomGenerator random = generator(seed);
        return LlaInputs.of(tensor(random, type, shape.queryDims()), tensor(random, type, shape.keyDims()),
                tensor(random, type, shape.valueDims()));
    }

    /** A gradient of o. */
    public static Tensor gradient(AttentionShape shape) {
        return tensor(generator(SEED + 1), DataType.FLOAT32, shape.outputDims());
    }

    private static RandomGenerator generator(long seed) {
        return RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
    }

    private static Tensor tensor(RandomGenerator random, DataType type, long[] dims) {
        Tensor tensor = Tensor.allocate(type, dims);
        for (long i = 0; i < tensor.size(); i++) {
            tensor.set(i, random.nextGaussian());
        }
        return tensor;
    }
}
