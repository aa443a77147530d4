package io.github.flashlla.cli;

import io.github.flashlla.InvalidInputException;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Causal masking: the same two options in every command; {@code bench} measures both if both are given. */
final class CausalOptions {
    @Option(names = "--causal", arity = "0..1", fallbackValue = "true", paramLabel = "BOOL", split = ",",
            description = "Let query i see keys up to i + Sk - Sq only (default: on, unless --no-causal is given alone)")
    private List<Boolean> causal;

    @Option(names = "--no-causal", description = "Let every query see every key (default: off)")
    private boolean noCausal;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    /** What to measure; null for the default. */
    List<Boolean> values() {
        if (causal == null && !noCausal) {
            return null;
        }
        List<Boolean> values = new ArrayList<>(causal == null ? List.of() : causal);
        if (values.contains(false)) { // spelled as in 0.1
            command.commandLine().getErr().println("note: --causal=false is read as --no-causal; from the next release on, --causal takes no value");
        }
        if (noCausal) {
            values.add(false);
        }
        return values.stream().distinct().toList();
    }

    /** Of a command that takes one. */
    boolean only() {
        List<Boolean> values = values();
        if (values != null && values.size() > 1) {
            throw new InvalidInputException("--causal and --no-causal exclude each other here; name one.");
        }
        return values == null || values.getFirst();
    }
}
