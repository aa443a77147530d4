package io.github.flashlla.cli;

import io.github.flashlla.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Preconditioner;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.IModelTransformer;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;

/**
 * How queries are solved: options that {@code bench} takes as lists, and {@code run}, through {@link OneValueEach}, as one
 * value each.
 */
final class SolverOptions {

    @Option(names = "--ridge", split = ",", paramLabel = "R", defaultValue = "1",
            description = "Ridge relative to a query's total weight (the authors' ridge_lambda), above 0: 10 is nearly softmax attention, 0.1 and less "
                    + "follow the data at the price of iterations, as 'flashlla experiment ridge' shows (default: ${DEFAULT-VALUE})")
    private List<Double> ridge;

    @Option(names = "--tol", split = ",", paramLabel = "T", defaultValue = "1e-3",
            description = "Relative residual at which a query is solved, between 0 and 1; 1e-3 is an error of about 5e-4, and run, whose answer "
                    + "is kept, is stricter than bench (default: ${DEFAULT-VALUE})")
    private List<Double> tol;

    @Option(names = "--max-iter", split = ",", paramLabel = "N", defaultValue = "64",
            description = "Cap on conjugate-gradient iterations, at least 1 (default: ${DEFAULT-VALUE})")
    private List<Integer> maxIter;

    @Option(names = "--precond", split = ",", paramLabel = "P", defaultValue = "none", completionCandidates = Preconditioners.class,
            description = "Preconditioner: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE})")
    private List<Preconditioner> precond;

    @Option(names = "--precision", split = ",", paramLabel = "T", defaultValue = "float32", completionCandidates = Precisions.class,
            converter = ElementTypes.OfProducts.class,
            description = "Type of the products' factors: float32 or float16 (fp16); float16 is for matrix units, on devices that "
                    + "list it (default: ${DEFAULT-VALUE})")
    private List<DataType> precision;

    static final class Precisions extends ArrayList<String> {
        Precisions() {
            super(List.of("float32", "float16"));
        }
    }

    static final class Preconditioners extends LowerCase {
        Preconditioners() {
            super(Preconditioner.class);
        }
    }

    List<Double> ridge() {
        return ridge;
    }

    List<Double> tolerance() {
        return tol;
    }

    List<Integer> maxIterations() {
        return maxIter;
    }

    List<String> preconditioner() {
        return names(precond);
    }

    List<String> precision() {
        return names(precision);
    }

    /** The options of a command that takes one value of each. */
    LlaOptions only() {
        return LlaOptions.defaults().withRidge(only("--ridge", ridge)).withTolerance(only("--tol", tol))
                .withMaxIterations(only("--max-iter", maxIter)).withPreconditioner(only("--precond", precond))
                .withPrecision(only("--precision", precision));
    }

    private static <T> T only(String option, List<T> values) {
        if (values.size() > 1) {
            throw new InvalidInputException(option + " is given " + values.size() + " times, but takes one value here; name one.");
        }
        return values.getFirst();
    }

    /** Names in lower case; null of null. */
    static List<String> names(List<? extends Enum<?>> values) {
        return values == null ? null : values.stream().map(value -> value.name().toLowerCase(Locale.ROOT)).toList();
    }

    /** Makes a command's lists options of one value, in usage and when parsed. */
    static final class OneValueEach implements IModelTransformer {
        @Override
        public CommandSpec transform(CommandSpec command) {
            List<OptionSpec> options = List.copyOf(command.options());
            options.forEach(command::remove);
            options.forEach(option -> command.addOption(option.splitRegex().isEmpty() ? option
                    : OptionSpec.builder(option).splitRegex("").build())); // all again, to keep their order
            return command;
        }
    }
}
