package io.github.flashlla.cli;

import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.launch.Relay;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.FileSystemException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.regex.Pattern;
import picocli.AutoComplete;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;

/** The {@code flashlla} command. Exit status: 0, or 1 where a device or a check failed, or 2 for a wrong command line or input. */
@Command(name = "flashlla", mixinStandardHelpOptions = true, versionProvider = FlashLla.Version.class,
        description = "Local Linear Attention for the JVM and, through TornadoVM, for accelerators.",
        exitCodeListHeading = "%nExit status:%n",
        exitCodeList = {"0:done", "1:a check or a device failed", "2:wrong command line or input"},
        footerHeading = "%nExamples:%n",
        footer = {"  flashlla bench", "  flashlla devices", "  flashlla verify --device all",
            "  flashlla run --q q.npy --k k.npy --v v.npy --out o.npy --verify", "  flashlla help run",
            "  source <(flashlla generate-completion)"},
        subcommands = {RunCommand.class, DevicesCommand.class, VerifyCommand.class, BenchCommand.class, CompareCommand.class,
            DoctorCommand.class, BundleCommand.class, FlagsCommand.class, AutoComplete.GenerateCompletion.class, CommandLine.HelpCommand.class})
public final class FlashLla {
    private FlashLla() {}

    public static void main(String[] args) {
        Relay.adopt();
        System.exit(commandLine().execute(args));
    }

    /**
     * Runs one command line in this JVM, as the launcher does.
     *
     * @param out for results
     * @param err for everything else
     * @return the exit status
     */
    public static int execute(PrintWriter out, PrintWriter err, String... args) {
        return commandLine().setOut(out).setErr(err).execute(args);
    }

    static CommandLine commandLine() {
        CommandLine flashlla = new CommandLine(new FlashLla());
        flashlla.getSubcommands().values().stream().map(CommandLine::getCommandSpec).filter(command -> command.findOption("--help") == null)
                .forEach(command -> command.addMixin("help", CommandSpec.forAnnotatedObject(new Help())));
        return flashlla
                .setCaseInsensitiveEnumValuesAllowed(true)
                .registerConverter(Path.class, FlashLla::path)
                .setParameterExceptionHandler((e, args) -> {
                    CommandLine line = e.getCommandLine();
                    line.getErr().println("flashlla: " + sentence(usageProblem(e, flashlla) + "; see '" + line.getCommandSpec().qualifiedName()
                            + " --help'"));
                    return CommandLine.ExitCode.USAGE;
                })
                .setExecutionExceptionHandler((e, line, parsed) -> {
                    line.getErr().println("flashlla: " + sentence(problem(e)));
                    line.getErr().flush();
                    return e instanceof InvalidInputException ? 2 : 1;
                });
    }

    private static Path path(String text) {
        if (text.isEmpty()) {
            throw new CommandLine.TypeConversionException("it is empty, but a file was expected");
        }
        return Path.of(text);
    }

    private static String usageProblem(CommandLine.ParameterException e, CommandLine flashlla) {
        if (e instanceof CommandLine.UnmatchedArgumentException unmatched && e.getCommandLine() == flashlla && !unmatched.isUnknownOption()) {
            return "there is no command '" + unmatched.getUnmatched().getFirst() + "'; there are "
                    + String.join(", ", flashlla.getSubcommands().keySet());
        }
        return Pattern.compile("expected one of \\[.*?]").matcher(e.getMessage().lines().findFirst().orElse("a wrong command line"))
                .replaceFirst(values -> values.group().toLowerCase(Locale.ROOT));
    }

    /** What happened, for a person; of what nobody foresaw, where. */
    private static String problem(Exception e) {
        if (e instanceof InvalidInputException || e instanceof DeviceException) {
            return e.getMessage();
        }
        Throwable cause = e instanceof UncheckedIOException ? e.getCause() : e;
        if (cause instanceof FileSystemException file) {
            return file.getFile() + " cannot be read or written ("
                    + (file.getReason() != null ? file.getReason() : file.getClass().getSimpleName()) + ")";
        }
        if (cause instanceof IOException) {
            return "reading or writing failed: " + cause.getMessage();
        }
        StringWriter trace = new StringWriter();
        e.printStackTrace(new PrintWriter(trace, true));
        return "this is a mistake in the program, please report it:" + System.lineSeparator() + trace.toString().strip();
    }

    private static String sentence(String text) {
        return text.endsWith(".") || text.contains("\n") ? text : text + ".";
    }

    @Command
    static final class Help {
        @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this help message and exit.")
        private boolean asked;
    }

    static final class Version implements CommandLine.IVersionProvider {
        @Override
        public String[] getVersion() {
            String version = FlashLla.class.getPackage().getImplementationVersion();
            return new String[] {"flashlla " + (version == null ? "(development)" : version)};
        }
    }
}
