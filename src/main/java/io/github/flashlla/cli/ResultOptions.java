package io.github.flashlla.cli;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.io.OutputFile;
import io.github.flashlla.text.Terminal;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Where a command's result goes; the form is {@code --format} in every command that has several. */
final class ResultOptions {
    /** What {@code -o} meant in 0.1: forms, not files. */
    private static final Set<String> OLD_FORMS = Set.of("md", "csv", "json", "jsonl");

    @Option(names = {"-o", "--output"}, paramLabel = "FILE", description = "Write the result to this file (default: standard output)")
    private Path file;

    private final StringBuilder lines = new StringBuilder();

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    /**
     * The form of the result. For this release {@code -o json} still means {@code --format json}.
     *
     * @param named what {@code --format} says; null if it was not given
     */
    <F extends Enum<F>> F format(F named, F usual) {
        if (named != null || file == null || !OLD_FORMS.contains(file.toString())) {
            return named == null ? usual : named;
        }
        String old = file.toString();
        command.commandLine().getErr().println("note: -o " + old + " is read as --format " + old + "; from the next release on, -o names a file");
        file = null;
        return Stream.of(usual.getDeclaringClass().getEnumConstants()).filter(form -> form.name().toLowerCase(Locale.ROOT).equals(old)).findFirst()
                .orElseThrow(() -> new InvalidInputException("there is no form '" + old + "' here; see --format"));
    }

    /** Tells {@code outputs} of the file, to be checked with the others; call {@link #format} first. */
    void addTo(Map<String, Path> outputs) {
        outputs.put("--output", file);
    }

    boolean isFile() {
        return file != null;
    }

    /** Whether the result is shown on a terminal. */
    boolean isOnTerminal() {
        return file == null && Terminal.isOutput();
    }

    /** Prints a line as soon as it is known; a file holds all of them after {@link #printRest}. */
    void printLine(String line) {
        if (file == null) {
            print(line);
        } else {
            lines.append(line);
        }
    }

    /** Writes the lines of {@link #printLine} that no one has seen yet. */
    void printRest() {
        if (file != null) {
            print(lines.toString());
        }
    }

    /** Prints the result, or writes it to the file that was asked for. */
    void print(String text) {
        if (file == null) {
            command.commandLine().getOut().print(text);
            command.commandLine().getOut().flush();
            return;
        }
        try (OutputFile output = OutputFile.create(file)) {
            Files.writeString(output.temporary(), text);
            output.commit();
        } catch (IOException e) {
            throw new InvalidInputException("the result cannot be written to " + file + " (" + e.getMessage() + "); name another file");
        }
        command.commandLine().getErr().println("wrote " + file);
    }
}
