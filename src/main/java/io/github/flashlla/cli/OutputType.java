package io.github.flashlla.cli;

import io.github.flashlla.DataType;
import io.github.flashlla.DeviceException;
import io.github.flashlla.Tensor;
import java.util.Locale;
import java.util.Optional;

/** Type in which an output is written. */
enum OutputType {
    /** That of the file that the output belongs to. */
    INPUT, FLOAT16, BFLOAT16, FLOAT32, FLOAT64;

    /** As users type them. */
    static final class Names extends LowerCase {
        Names() {
            super(OutputType.class);
        }
    }

    /**
     * A sentence about a tensor of which every element is too small for its type to hold with all its digits; empty where one is not.
     *
     * @param remedy what keeps them, where the type is float32
     */
    static Optional<String> tooSmall(String what, Tensor tensor, String remedy) {
        double normal = switch (tensor.type()) {
            case FLOAT64 -> Double.MIN_NORMAL;
            case FLOAT32, BFLOAT16 -> Float.MIN_NORMAL;
            case FLOAT16 -> 0x1p-14;
        };
        double largest = 0;
        for (long i = 0; i < tensor.size() && largest < normal; i++) {
            largest = Math.max(largest, Math.abs(tensor.get(i)));
        }
        return largest == 0 || largest >= normal ? Optional.empty() : Optional.of(String.format(Locale.ROOT, "the elements of %s are at most %.1e, and below "
                + "%.1e %s holds fewer digits; %s keeps them.", what, largest, normal, tensor.type().name().toLowerCase(Locale.ROOT),
                tensor.type() == DataType.FLOAT32 || tensor.type() == DataType.FLOAT64 ? remedy : "--out-type float32"));
    }

    /** The most by which rounding to nearest moves a number that {@code type} holds with all its digits, as a share of it. */
    static double rounding(DataType type) {
        return switch (type) {
            case FLOAT64 -> 0x1p-53;
            case FLOAT32 -> 0x1p-24;
            case FLOAT16 -> 0x1p-11;
            case BFLOAT16 -> 0x1p-8;
        };
    }

    /** @param input the file that the output belongs to */
    DataType of(Tensor input) {
        return this == INPUT ? input.type() : DataType.valueOf(name());
    }

    /**
     * A finite tensor in this type, rounded to nearest even.
     *
     * @throws DeviceException if the type cannot hold an element
     */
    Tensor convert(String what, Tensor tensor, Tensor input) {
        DataType type = of(input);
        Tensor converted = tensor.as(type);
        long at = converted.firstNonFinite();
        if (at >= 0) {
            throw new DeviceException("the " + what + " holds " + tensor.get(at) + " at " + tensor.coordinates(at) + ", more than "
                    + type.name().toLowerCase(Locale.ROOT) + " holds; nothing was written. Ask for another --out-type.");
        }
        return converted;
    }
}
