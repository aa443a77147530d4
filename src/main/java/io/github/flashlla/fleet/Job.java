package io.github.flashlla.fleet;

import io.github.flashlla.InvalidInputException;
import java.util.ArrayList;
import java.util.List;

/**
 * What every host is to measure.
 *
 * @param arguments of bench, without devices, suite, name and form
 * @param suite content of a suite's file; null where the arguments say all
 * @param device device selectors; null for each host's own choice
 */
public record Job(List<String> arguments, String suite, List<String> device) {
    /** A command line's word may have 128 KiB on Linux, and quotes may double it. */
    private static final int LONGEST_SUITE = 48_000;

    public Job {
        if (suite != null && suite.length() > LONGEST_SUITE) {
            throw new InvalidInputException("the suite has more than " + LONGEST_SUITE + " characters, too many for a command line; split it");
        }
    }

    /** The script that runs bench on a host and prints a line of JSON for each measurement. */
    String script(Host host, String program) {
        List<String> words = new ArrayList<>(arguments);
        List<String> devices = host.device() == null ? device : host.device();
        if (devices != null) {
            words.addAll(List.of("--device", String.join(",", devices)));
        }
        words.addAll(List.of("--name", host.name(), "--format", "jsonl"));
        String before = suite == null ? "" : "f=${TMPDIR:-/tmp}/flashlla-suite.$$.yaml; printf '%s' " + Shell.quoted(suite) + " > \"$f\"";
        String command = program + " bench " + (suite == null ? "" : "--suite \"$f\" ") + Shell.quoted(words);
        return Shell.run(before, command, suite == null ? "" : "rm -f \"$f\"");
    }
}
