package io.github.flashlla.cli;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Locale;

/** An enum's values as users type them, for help and completion. */
abstract class LowerCase extends ArrayList<String> {
    LowerCase(Class<? extends Enum<?>> type) {
        super(Arrays.stream(type.getEnumConstants()).map(value -> value.name().toLowerCase(Locale.ROOT)).toList());
    }
}
