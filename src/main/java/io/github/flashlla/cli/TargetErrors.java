package io.github.flashlla.cli;

import io.github.flashlla.InvalidInputException;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.TreeSet;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Errors to keep to, and the tolerances that are tried for them. */
final class TargetErrors {
    /** Tolerances to try, as multiples of the error that is asked for: an error is some fifth of its tolerance, give or take. */
    private static final List<Double> LADDER = List.of(8.0, 4.0, 2.0, 1.0, 0.5);

    @Option(names = "--target-error", split = ",", paramLabel = "E",
            description = "Errors that answers should keep to, such as 1.2e-2,5e-3: measures five tolerances around each, in place of --tol, and says for every "
                    + "device which is the cheapest that gets there (default: none)")
    private List<Double> targets;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    /** The errors; none if there is no such option. */
    List<Double> targets() {
        return targets == null ? List.of() : targets;
    }

    /** The tolerances to measure: those given, or the ladder around every target. */
    List<Double> tolerances(List<Double> given) {
        if (targets == null) {
            return given;
        }
        if (command.commandLine().getParseResult().hasMatchedOption("--tol")) {
            throw new InvalidInputException("--target-error chooses the tolerances; leave --tol out");
        }
        TreeSet<Double> ladder = new TreeSet<>(Comparator.reverseOrder());
        for (double target : targets) {
            if (!(target > 0 && target < 1)) {
                throw new InvalidInputException("--target-error must be above 0 and below 1, not " + target);
            }
            LADDER.forEach(step -> ladder.add(Double.parseDouble(String.format(Locale.ROOT, "%.1e", Math.min(0.5, target * step)))));
        }
        return List.copyOf(ladder);
    }
}
