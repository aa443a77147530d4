package io.github.flashlla.report;

import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Environment;
import io.github.flashlla.report.compare.Comparison.Named;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** How to make a record again. */
final class Reproduce {
    private static final int COMMIT_DIGITS = 12;

    private Reproduce() {}

    /** Name, commands and a remark about each record, for the template. */
    static Map<String, Object> of(Named named) {
        BenchmarkRecord record = named.record();
        Environment environment = record.environment();
        List<String> commands = new ArrayList<>();
        boolean dirty = environment.commit() != null && environment.commit().endsWith("-dirty");
        if (environment.commit() != null) {
            String commit = environment.commit().replaceFirst("-dirty$", "");
            commands.add("git checkout " + commit.substring(0, Math.min(COMMIT_DIGITS, commit.length())));
        }
        List<String> argv = record.conditions() == null ? null : record.conditions().argv();
        if (argv != null) {
            commands.add(argv.stream().map(Reproduce::quoted).collect(Collectors.joining(" ")).replaceFirst("^flashlla ", "bin/flashlla "));
        }
        return Map.of("name", named.name(), "made", record.created(), "commands", String.join("\n", commands),
                "remark", (environment.commit() == null ? "The commit is not known. " : dirty ? "The sources had changes that no commit holds. " : "")
                        + (argv == null ? "The command line is not in this record." : ""));
    }

    /** A word of a command line as a shell takes it. */
    private static String quoted(String word) {
        return word.matches("[A-Za-z0-9_./:=,+@%-]+") ? word : "'" + word.replace("'", "'\\''") + "'";
    }
}
