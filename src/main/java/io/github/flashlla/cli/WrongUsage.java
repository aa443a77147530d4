package io.github.flashlla.cli;

import io.github.flashlla.InvalidInputException;
import io.github.flashlla.text.Printable;
import java.util.List;
import java.util.Locale;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine;

/** Says what is wrong with a command line, in the words that were typed. */
final class WrongUsage {
    private static final Pattern VALUES = Pattern.compile("expected one of \\[.*?]");
    /** How picocli names a converter's exception. */
    private static final Pattern EXCEPTION = Pattern.compile("(?s)cannot convert '.*' to \\w+ \\([\\w.$]+: (.*)\\)$");

    /** What help says to a name it does not know. */
    private static final Pattern SUBCOMMAND = Pattern.compile("Unknown subcommand '(.*)'\\.");
    /** Not a negative number. */
    private static final Pattern OPTION = Pattern.compile("-[^0-9.]");

    private WrongUsage() {}

    static String text(CommandLine.ParameterException e, CommandLine flashlla, String[] args) {
        if (e instanceof CommandLine.UnmatchedArgumentException unmatched && e.getCommandLine() == flashlla && !unmatched.isUnknownOption()) {
            return noCommand(unmatched.getUnmatched().getFirst(), flashlla);
        }
        if (e instanceof CommandLine.UnmatchedArgumentException unmatched && OPTION.matcher(unmatched.getUnmatched().getFirst()).lookingAt()) {
            return unknownOptions(unmatched);
        }
        if (e instanceof CommandLine.UnmatchedArgumentException unmatched) {
            return "'" + unmatched.getUnmatched().getFirst() + "' is one argument too many";
        }
        if (args.length == 0 && e.getCommandLine() == flashlla) {
            return "a command is missing; there are " + String.join(", ", flashlla.getSubcommands().keySet());
        }
        Matcher unknown = SUBCOMMAND.matcher(e.getMessage());
        if (unknown.matches()) {
            return noCommand(unknown.group(1), e.getCommandLine().getParent() == null ? flashlla : e.getCommandLine().getParent());
        }
        String text = e.getMessage().isBlank() ? "a wrong command line" : e.getMessage().strip();
        if (e.getArgSpec() instanceof OptionSpec option) {
            for (int i = 0; i < args.length; i++) {
                for (String name : option.names()) {
                    String value = args[i].startsWith(name + "=") ? args[i].substring(name.length() + 1)
                            : args[i].equals(name) && i + 1 < args.length ? args[i + 1] : null;
                    if (value != null && isBroken(option, value)) {
                        return brokenList(name, value);
                    }
                    if (value != null) {
                        text = text.replace("'" + option.longestName() + "'", "'" + name + "'");
                    }
                }
            }
        }
        text = EXCEPTION.matcher(text).replaceFirst("$1")
                .replaceFirst("('[-+]?[0-9]+') is not an? (int|long)$", "$1 is out of range")
                .replaceFirst(" is not an? (int|long)$", " is not a whole number")
                .replaceFirst(" is not a (double|float)$", " is not a number").replaceFirst(" is not a boolean$", " is not true or false");
        return VALUES.matcher(text).replaceFirst(values -> values.group().toLowerCase(Locale.ROOT));
    }

    private static String noCommand(String name, CommandLine flashlla) {
        return "there is no command '" + name + "'; there are " + String.join(", ", flashlla.getSubcommands().keySet());
    }

    /** Names the options only, not the values that follow them, and the options of the command that begin alike. */
    private static String unknownOptions(CommandLine.UnmatchedArgumentException unmatched) {
        List<String> unknown = unmatched.getUnmatched().stream().filter(word -> OPTION.matcher(word).lookingAt()).map(word -> "'" + word + "'").toList();
        List<String> alike = unmatched.getSuggestions();
        return (unknown.size() == 1 ? "Unknown option: " : "Unknown options: ") + String.join(", ", unknown)
                + (unknown.size() == 1 && !alike.isEmpty() ? " (did you mean " + String.join(" or ", alike) + "?)" : "");
    }

    /** Refuses options that a command would ignore. */
    static void requireNoOptions(CommandSpec command, String why) {
        requireNone(command, why, option -> true);
    }

    /** Refuses those of these options that were given, for the command would ignore them. */
    static void requireNone(CommandSpec command, String why, Predicate<String> ofThese) {
        List<String> ignored = command.commandLine().getParseResult().matchedOptionsSet().stream().map(OptionSpec::longestName).filter(ofThese).sorted().toList();
        if (!ignored.isEmpty()) {
            throw new InvalidInputException(why + " leave " + String.join(" and ", ignored) + " out");
        }
    }

    /** Refuses an empty list element anywhere; the parser would drop one at the end. */
    static void requireWholeLists(CommandLine.ParseResult parsed) {
        for (CommandLine.ParseResult part = parsed; part != null; part = part.subcommand()) {
            for (OptionSpec option : part.matchedOptionsSet()) {
                List<String> values = option.originalStringValues();
                for (String value : values) {
                    if (isBroken(option, value)) {
                        throw new CommandLine.ParameterException(part.commandSpec().commandLine(), brokenList(option.longestName(), value),
                                option, value);
                    }
                }
            }
        }
    }

    private static boolean isBroken(ArgSpec option, String value) {
        return ",".equals(option.splitRegex()) && List.of(value.split(",", -1)).stream().anyMatch(String::isBlank);
    }

    private static String brokenList(String option, String value) {
        return option + (value.isBlank() ? " is empty; name a value, or leave the option out"
                : " " + Printable.text(value) + " is a list with an empty element; leave it out");
    }
}
