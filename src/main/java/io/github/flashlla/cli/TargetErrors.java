package io.github.flashlla.cli;

import io.github.flashlla.InvalidInputException;
import java.util.List;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Errors to keep to. */
final class TargetErrors {
    @Option(names = "--target-error", split = ",", paramLabel = "E",
            description = "Errors that answers should keep to, such as 1.2e-2,5e-3: finds for every device the loosest tolerance, in place of --tol, and the "
                    + "fastest precision, unless --precision is given, that keep to each, and measures these (default: none)")
    private List<Double> targets;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    /** The errors; null if there is no such option. */
    List<Double> targets() {
        if (targets != null && command.commandLine().getParseResult().hasMatchedOption("--tol")) {
            throw new InvalidInputException("--target-error chooses the tolerances; leave --tol out");
        }
        for (double target : targets == null ? List.<Double>of() : targets) {
            if (!(target > 0 && target < 1)) {
                throw new InvalidInputException("--target-error must be above 0 and below 1, not " + target);
            }
        }
        return targets;
    }

    /** What an option holds: null, to be chosen, where there are errors to keep to and the option was not typed. */
    <T> List<T> unlessChosen(String option, List<T> values) {
        return targets == null || command.commandLine().getParseResult().hasMatchedOption(option) ? values : null;
    }
}
