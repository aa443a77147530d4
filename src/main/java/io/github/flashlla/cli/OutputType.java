package io.github.flashlla.cli;

import io.github.flashlla.DataType;
import io.github.flashlla.DeviceException;
import io.github.flashlla.Tensor;
import java.util.Locale;

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

    /** The most by which rounding to nearest moves a number that {@code type} holds with all its digits, as a share of it. */
    static double rounding(DataType type) {
        return switch (type) {
            case FLOAT64 -> 0x1p-53;
            case FLOAT32 -> 0x1p-24;
            case FLOAT16 -> 0x1p-11;
            case BFLOAT16 -> 0x1p-8;
        };
    }

    /**
     * A finite tensor in this type, rounded to nearest even.
     *
     * @throws DeviceException if the type cannot hold an element
     */
    Tensor convert(String what, Tensor tensor, Tensor input) {
        DataType type = this == INPUT ? input.type() : DataType.valueOf(name());
        Tensor converted = tensor.as(type);
        long at = converted.firstNonFinite();
        if (at >= 0) {
            throw new DeviceException("the " + what + " holds " + tensor.get(at) + " at " + tensor.coordinates(at) + ", more than "
                    + type.name().toLowerCase(Locale.ROOT) + " holds; nothing was written. Ask for another --out-type.");
        }
        return converted;
    }
}
