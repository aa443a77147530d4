package io.github.flashlla.cli;

import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.io.TensorFile;
import io.github.flashlla.process.CommandRelay;
import io.github.flashlla.text.Printable;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import picocli.AutoComplete;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine;

/** The {@code flashlla} command. Exit status: 0, 1 where a device or a check failed, 2 for a wrong command line or input, 3 for a regression. */
@Command(name = "flashlla", mixinStandardHelpOptions = true, versionProvider = FlashLla.Version.class,
        description = "Local Linear Attention for the JVM and, through TornadoVM, for accelerators.",
        exitCodeListHeading = "%nExit status:%n",
        exitCodeList = {"0:done", "1:a check or a device failed", "2:wrong command line or input", "3:compare --fail-on-regression found a regression"},
        footerHeading = "%nExamples:%n",
        footer = {"  flashlla bench", "  flashlla devices", "  flashlla verify --device all",
            "  flashlla run --q q.npy --k k.npy --v v.npy --out o.npy --verify", "  flashlla help run",
            "  source <(flashlla generate-completion)"})
public final class FlashLla {
    /** Exit status of a gate that found something slower and nothing broken. */
    static final int REGRESSION = 3;

    private static final List<Class<?>> COMMANDS = List.of(RunCommand.class, DevicesCommand.class, VerifyCommand.class, BenchCommand.class,
            CompareCommand.class, ExperimentCommand.class, TuneCommand.class, DoctorCommand.class, BundleCommand.class, FlagsCommand.class,
            AutoComplete.GenerateCompletion.class, CommandLine.HelpCommand.class);
    /** Those that tell of the others. */
    private static final List<Class<?>> OF_ALL = List.of(AutoComplete.GenerateCompletion.class, CommandLine.HelpCommand.class);

    private FlashLla() {}

    public static void main(String[] args) {
        boolean child = CommandRelay.adopt();
        PrintWriter out = new PrintWriter(System.out, false, System.out.charset());
        if (child) {
            System.setOut(System.err); // TornadoVM's own words, such as those on the grid of a plain loop, are no part of the results
        }
        if (args.length == 1 && (args[0].equals("--version") || args[0].equals("-V"))) { // building every command takes most of its time
            out.println(new Version().getVersion()[0]);
            System.exit(written(out, new PrintWriter(System.err, true), 0));
        }
        System.exit(execute(Startup.with(args, () -> commandLine(args)).setOut(out), args));
    }

    /**
     * Runs one command line in this JVM, as the launcher does.
     *
     * @param out for results
     * @param err for everything else
     * @return the exit status
     */
    public static int execute(PrintWriter out, PrintWriter err, String... args) {
        return execute(commandLine(args).setOut(out).setErr(err), args);
    }

    /** A command whose results could not be written has failed. */
    private static int execute(CommandLine line, String... args) {
        int status = line.execute(args);
        return written(line.getOut(), line.getErr(), status);
    }

    private static int written(PrintWriter out, PrintWriter err, int status) {
        if (out.checkError()) {
            err.println("flashlla: standard output cannot be written, so results are lost: its disk is full, or its reader is gone.");
            err.flush();
            return status == 0 ? 1 : status;
        }
        return status;
    }

    /** With every command. */
    static CommandLine commandLine() {
        return commandLine(COMMANDS);
    }

    /** With what these arguments need: one command, where they begin with its name, for all of them take most of the time of a short one. */
    static CommandLine commandLine(String... args) {
        for (Class<?> command : args.length == 0 ? List.<Class<?>>of() : COMMANDS) {
            if (command.getAnnotation(Command.class).name().equals(args[0]) && !OF_ALL.contains(command)) {
                return commandLine(List.of(command));
            }
        }
        return commandLine(COMMANDS);
    }

    private static CommandLine commandLine(List<Class<?>> commands) {
        CommandLine flashlla = new CommandLine(new FlashLla());
        commands.forEach(flashlla::addSubcommand);
        flashlla.getSubcommands().values().stream().map(CommandLine::getCommandSpec).filter(command -> command.findOption("--help") == null)
                .forEach(command -> command.addMixin("help", CommandSpec.forAnnotatedObject(new Help())));
        addExamples(flashlla, "help", "  flashlla help", "  flashlla help bench");
        addExamples(flashlla, "generate-completion", "  source <(flashlla generate-completion)",
                "  flashlla generate-completion \\", "    > ~/.local/share/bash-completion/completions/flashlla");
        return flashlla
                .setCaseInsensitiveEnumValuesAllowed(true)
                .registerConverter(Path.class, FlashLla::path)
                .registerConverter(TensorFile.class, FlashLla::tensor)
                .setParameterExceptionHandler((e, args) -> {
                    CommandLine line = e.getCommandLine();
                    line.getErr().println("flashlla: " + sentence(Printable.sentence(WrongUsage.text(e, flashlla, args)) + "; see '"
                            + line.getCommandSpec().qualifiedName() + " --help'"));
                    return CommandLine.ExitCode.USAGE;
                })
                .setExecutionStrategy(parsed -> {
                    WrongUsage.requireWholeLists(parsed);
                    return new CommandLine.RunLast().execute(parsed);
                })
                .setExecutionExceptionHandler((e, line, parsed) -> {
                    line.getErr().println("flashlla: " + sentence(problem(e)));
                    line.getErr().flush();
                    return e instanceof InvalidInputException ? 2 : 1;
                });
    }

    /** To a command of picocli's own, which shows none. */
    private static void addExamples(CommandLine flashlla, String command, String... examples) {
        CommandLine line = flashlla.getSubcommands().get(command);
        if (line != null) {
            line.getCommandSpec().usageMessage().footerHeading("%nExamples:%n").footer(examples);
        }
    }

    private static TensorFile tensor(String text) {
        path(text); // has the words for what is no name
        return TensorFile.of(text);
    }

    private static Path path(String text) {
        if (text.isEmpty()) {
            throw new CommandLine.TypeConversionException("it is empty, but a file was expected");
        }
        try {
            Path path = Path.of(text);
            if (text.indexOf('\uFFFD') < 0 || Files.exists(path)) {
                return path;
            }
        } catch (InvalidPathException e) {
            if (text.indexOf('\0') >= 0) {
                throw new CommandLine.TypeConversionException("'" + text + "' is no file's name");
            }
        }
        throw new CommandLine.TypeConversionException("'" + text + "' is no name in " + System.getProperty("sun.jnu.encoding")
                + ", the encoding of this locale; rename the file, or set LC_ALL to the locale that its name was written in");
    }

    /** The message for the user; for an unexpected exception, its stack trace too. */
    private static String problem(Exception e) {
        if (e instanceof InvalidInputException || e instanceof DeviceException) {
            return Printable.sentence(e.getMessage());
        }
        Throwable cause = e instanceof UncheckedIOException ? e.getCause() : e;
        if (cause instanceof FileSystemException file) {
            return Printable.sentence(file.getFile()) + " cannot be read or written ("
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
