package io.github.flashlla.cli;

import io.github.flashlla.DataType;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Names of element types on the command line: the project's own, and those that other tools use. */
final class ElementTypes {
    private static final Map<String, DataType> ALIASES = Map.of("fp16", DataType.FLOAT16, "half", DataType.FLOAT16, "bf16", DataType.BFLOAT16,
            "fp32", DataType.FLOAT32, "fp64", DataType.FLOAT64);

    private ElementTypes() {}

    private static DataType of(String name, List<DataType> allowed) {
        String lower = name.strip().toLowerCase(Locale.ROOT);
        DataType alias = ALIASES.get(lower);
        return allowed.stream().filter(type -> type == alias || type.name().toLowerCase(Locale.ROOT).equals(lower)).findFirst()
                .orElseThrow(() -> new TypeConversionException("'" + name + "' is not one of "
                        + String.join(", ", allowed.stream().map(type -> type.name().toLowerCase(Locale.ROOT)).toList())));
    }

    /** Of tensors in a benchmark. */
    static final class OfTensors implements ITypeConverter<DataType> {
        @Override
        public DataType convert(String name) {
            return of(name, List.of(DataType.FLOAT32, DataType.FLOAT16, DataType.BFLOAT16));
        }
    }

    /** Of the products' factors. */
    static final class OfProducts implements ITypeConverter<DataType> {
        @Override
        public DataType convert(String name) {
            return of(name, List.of(DataType.FLOAT32, DataType.FLOAT16));
        }
    }
}
