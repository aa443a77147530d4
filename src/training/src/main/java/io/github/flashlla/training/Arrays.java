package io.github.flashlla.training;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;

/**
 * Arrays in PyTorch's own memory. What DJL makes of Java numbers shares a Java buffer, which a graph can outlive: {@code x.mul(3)}
 * keeps a view of the 3 for its backward pass, and after a garbage collection gradients were NaN. So nothing that needs gradients is
 * multiplied or divided by a Java number, but by an array from here.
 */
final class Arrays {
    private Arrays() {}

    static NDArray of(NDManager manager, DataType type, double[] values, Shape shape) {
        try (NDArray shared = manager.create(values, shape)) {
            return own(shared, type);
        }
    }

    static NDArray of(NDManager manager, DataType type, float[] values, Shape shape) {
        try (NDArray shared = manager.create(values, shape)) {
            return own(shared, type);
        }
    }

    private static NDArray own(NDArray shared, DataType type) {
        return shared.getDataType() == type ? shared.duplicate() : shared.toType(type, true);
    }
}
