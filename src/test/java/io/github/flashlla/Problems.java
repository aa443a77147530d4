package io.github.flashlla;

import io.github.flashlla.verify.GoldenCase;
import io.github.flashlla.verify.RandomInputs;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;

/** Inputs of the tests. */
public final class Problems {
    /** The checkout's root. */
    public static final Path ROOT = Path.of(System.getProperty("flashlla.root", "."));

    private Problems() {}

    /** The test vectors of this project. */
    public static List<GoldenCase> golden() {
        return GoldenCase.all(ROOT.resolve("src/test/resources/golden"));
    }

    /** Normal random q, k and v in float32. */
    public static LlaInputs normal(AttentionShape shape, long seed) {
        return RandomInputs.normal(shape, DataType.FLOAT32, seed);
    }

    /** Normal random numbers in float32. */
    public static Tensor normal(Random random, long... dims) {
        return normal(random, DataType.FLOAT32, 1, dims);
    }

    /** Normal random numbers times {@code size}. */
    public static Tensor normal(Random random, DataType type, double size, long... dims) {
        Tensor tensor = Tensor.allocate(type, dims);
        for (long i = 0; i < tensor.size(); i++) {
            tensor.set(i, size * random.nextGaussian());
        }
        return tensor;
    }

    /** A ridge per query, log-uniform between {@code low} and {@code high}. */
    public static Tensor ridges(AttentionShape shape, double low, double high, long seed) {
        Random random = new Random(seed);
        Tensor tensor = Tensor.allocate(DataType.FLOAT32, shape.rowDims());
        for (long i = 0; i < tensor.size(); i++) {
            tensor.set(i, low * Math.pow(high / low, random.nextDouble()));
        }
        return tensor;
    }

    /** The same numbers times {@code factor}. */
    public static Tensor times(Tensor tensor, double factor) {
        Tensor product = Tensor.allocate(tensor.type(), tensor.dims());
        for (long i = 0; i < tensor.size(); i++) {
            product.set(i, factor * tensor.get(i));
        }
        return product;
    }

    /** Euclidean norm of all elements. */
    public static double norm(Tensor tensor) {
        double sum = 0;
        for (long i = 0; i < tensor.size(); i++) {
            sum += tensor.get(i) * tensor.get(i);
        }
        return Math.sqrt(sum);
    }
}
