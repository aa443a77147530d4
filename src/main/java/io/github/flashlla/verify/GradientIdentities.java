package io.github.flashlla.verify;

import io.github.flashlla.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaGradients;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import java.util.List;
import java.util.Random;

/** What gradients must agree with that knows nothing of how they are computed. The loss is L = sum(g * o). */
final class GradientIdentities {
    /** Central differences in float64 are good to about 1e-10 with this step on inputs of size 1. */
    private static final double STEP = 1e-5;

    private GradientIdentities() {}

    /**
     * The gradients against central differences of the float64 forward pass along one random direction for each input.
     *
     * @param inputs with a ridge for each query
     * @return the largest miss, relative to what a random direction is expected to see of the gradient
     */
    static double slopeError(LlaInputs inputs, LlaOptions options, Tensor g, LlaGradients found, Random random) {
        LlaInputs exact = inputs.as(DataType.FLOAT64);
        List<Tensor> at = List.of(exact.q(), exact.k(), exact.v(), exact.ridge());
        List<Tensor> gradients = List.of(found.dq(), found.dk(), found.dv(), found.dridge());
        double worst = 0;
        for (int n = 0; n < at.size(); n++) {
            double[] direction = random.doubles(at.get(n).size(), -1, 1).toArray();
            double slope = (loss(exact, options, g, at.get(n), direction, STEP)
                    - loss(exact, options, g, at.get(n), direction, -STEP)) / (2 * STEP);
            double along = 0;
            double gradientSquare = 0;
            double directionSquare = 0;
            for (int i = 0; i < direction.length; i++) {
                double d = gradients.get(n).get(i);
                along += d * direction[i];
                gradientSquare += d * d;
                directionSquare += direction[i] * direction[i];
            }
            double expected = Math.sqrt(gradientSquare * directionSquare / direction.length);
            worst = Math.max(worst, Math.abs(along - slope) / Math.max(expected, 1e-3)); // Math.max keeps NaN
        }
        return worst;
    }

    /** The loss with {@code moved}, one of the inputs, a step along a direction; it is put back. */
    private static double loss(LlaInputs inputs, LlaOptions options, Tensor g, Tensor moved, double[] direction, double step) {
        double[] before = new double[direction.length];
        for (int i = 0; i < before.length; i++) {
            before[i] = moved.get(i);
            moved.set(i, before[i] + step * direction[i]);
        }
        try (Device reference = Devices.open("reference")) {
            return dot(g, reference.forward(inputs, options).output());
        } finally {
            for (int i = 0; i < before.length; i++) {
                moved.set(i, before[i]);
            }
        }
    }

    /** ||scaled - factor once|| / ||factor once|| for the worst of the gradients: they are linear in g. */
    static double scalingError(LlaGradients once, LlaGradients scaled, double factor) {
        List<Tensor> want = List.of(once.dq(), once.dk(), once.dv(), once.dridge());
        List<Tensor> found = List.of(scaled.dq(), scaled.dk(), scaled.dv(), scaled.dridge());
        double worst = 0;
        for (int n = 0; n < want.size(); n++) {
            worst = Math.max(worst, Accuracy.relativeError(found.get(n), times(factor, want.get(n))));
        }
        return worst;
    }

    /** sum(v * dv) = sum(g * o), since o is linear in v; relative to ||g|| ||o||. */
    static double valueError(LlaInputs inputs, Tensor g, LlaResult result, LlaGradients found) {
        double size = Math.sqrt(dot(g, g) * dot(result.output(), result.output()));
        return Math.abs(dot(inputs.v(), found.dv()) - dot(g, result.output())) / size;
    }

    /** {@code factor} times a tensor, in float64. */
    static Tensor times(double factor, Tensor tensor) {
        Tensor product = Tensor.allocate(DataType.FLOAT64, tensor.dims());
        for (long i = 0; i < product.size(); i++) {
            product.set(i, factor * tensor.get(i));
        }
        return product;
    }

    private static double dot(Tensor a, Tensor b) {
        double sum = 0;
        for (long i = 0; i < a.size(); i++) {
            sum += a.get(i) * b.get(i);
        }
        return sum;
    }
}
