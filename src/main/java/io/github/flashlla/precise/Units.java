package io.github.flashlla.precise;

import io.github.flashlla.DataType;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.LlaResult;
import io.github.flashlla.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * Powers of two that bring a problem into the middle of float32's range. k, q to f k, f q with scale / f^2 and ridge f^2 leaves o
 * as it is, and o is linear in v; powers of two round nothing.
 *
 * @param key exponent of f: keys and queries are divided by 2^key
 * @param value values are divided by 2^value
 */
record Units(int key, int value) {
    /** Keys and queries within 2^-12 to 2^12 stay as they are: a ridge of 1e-3 to 1e6 beside them, and squares of it, are in range then. */
    private static final int KEY_WINDOW = 12;
    /** Values, and what a gradient starts from, within 2^-20 to 2^20 stay as they are. */
    private static final int WINDOW = 20;
    /** Exponents of a ridge that float32's squares still carry beside keys of size 1. */
    private static final int RIDGE = 60;
    private static final int SCALE = 120;

    static final Units AS_GIVEN = new Units(0, 0);

    /** @param sizes of the inputs as they are given */
    static Units of(Sizes sizes, LlaInputs inputs, LlaOptions options) {
        int key = beyond(KEY_WINDOW, exponent(sizes.key()));
        if (key != 0) {
            int ridge = Math.getExponent(inputs.ridge() == null ? options.ridge() : Magnitude.largest(inputs.ridge()));
            int scale = Math.getExponent(options.scaleFor(inputs.shape().headDim()));
            key = Math.clamp(key, Math.floorDiv(ridge - RIDGE, 2), Math.floorDiv(ridge + RIDGE, 2));
            key = Math.clamp(key, Math.floorDiv(-SCALE - scale, 2), Math.floorDiv(SCALE - scale, 2));
        }
        return new Units(key, beyond(WINDOW, exponent(sizes.value())));
    }

    /** @param query largest element of q */
    record Sizes(float query, KeySizes keys) {
        /** The same keys and values under other queries. */
        Sizes with(Tensor q) {
            return new Sizes(Magnitude.largest(q), keys);
        }

        /** {@link KeySizes#spread} in {@code units}. */
        double[] spread(Units units) {
            return units.key() == 0 ? keys.spread() : Arrays.stream(keys.spread()).map(size -> Math.scalb(size, -units.key())).toArray();
        }

        /** Of v. */
        float value() {
            return keys.value();
        }

        /** Of q and k. */
        float key() {
            return Math.max(query, keys.key());
        }
    }

    /**
     * Exponent to divide dL/do by. The second solve's right side is a sum of (g.v) k, whose square and 1e-10 of it must be in range,
     * so the size of that product counts.
     *
     * @param sizes of the inputs as they are given
     */
    int loss(float gradient, Sizes sizes) {
        return beyond(WINDOW, exponent(gradient) + exponent(sizes.value()) - value + exponent(sizes.key()) - key);
    }

    private static int beyond(int window, int exponent) {
        return Math.abs(exponent) <= window ? 0 : exponent;
    }

    /** 0 for what has none. */
    private static int exponent(float largest) {
        if (largest == 0 || !Float.isFinite(largest)) {
            return 0;
        }
        return largest < Float.MIN_NORMAL ? -127 : Math.getExponent(largest);
    }

    LlaInputs inputs(LlaInputs given) {
        if (equals(AS_GIVEN)) {
            return given;
        }
        return new LlaInputs(times(given.q(), -key), times(given.k(), -key), times(given.v(), -value),
                given.ridge() == null ? null : times(given.ridge(), -2 * key));
    }

    LlaOptions options(LlaOptions given, int headDim) {
        return key == 0 ? given
                : given.withScale(Math.scalb(given.scaleFor(headDim), 2 * key)).withRidge(Math.scalb(given.ridge(), -2 * key));
    }

    /** A result of the problem in these units, in those that it was given in. */
    void restore(LlaResult from, LlaResult to) {
        copy(from.output(), to.output(), value);
        copy(from.logSumExp(), to.logSumExp(), 0);
        if (to.keepsState()) {
            copy(from.kbar(), to.kbar(), key);
            copy(from.x(), to.x(), -key);
        }
        System.arraycopy(from.iterations(), 0, to.iterations(), 0, to.iterations().length);
        System.arraycopy(from.residual(), 0, to.residual(), 0, to.residual().length);
        System.arraycopy(from.recurrenceResidual(), 0, to.recurrenceResidual(), 0, to.residual().length);
        to.setPairIterations(from.pairIterations());
        to.setTiming(from.timing());
        to.setComputedBy(from.computedBy());
    }

    static Tensor times(Tensor tensor, int exponent) {
        Tensor scaled = Tensor.allocate(DataType.FLOAT32, tensor.dims());
        copy(tensor, scaled, exponent);
        return scaled;
    }

    static void copy(Tensor from, Tensor to, int exponent) {
        if (exponent == 0 && from.type() == to.type() && from.isRowMajor() && to.isRowMajor()) {
            MemorySegment.copy(from.segment(), 0, to.segment(), 0, to.byteSize());
            return;
        }
        Magnitude.forEachChunk(from, (at, values, count) -> {
            if (to.type() == DataType.FLOAT64) { // which holds what float32 does not, such as a dridge of 1e-42
                for (int i = 0; i < count; i++) {
                    to.set(at + i, Math.scalb((double) values[i], exponent));
                }
                return;
            }
            for (int i = 0; exponent != 0 && i < count; i++) {
                values[i] = Math.scalb(values[i], exponent);
            }
            Magnitude.write(values, count, to, at);
        });
    }
}
